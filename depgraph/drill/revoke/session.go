package revoke

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// SessionAPI is what a session without its table needs of an STS client.
type SessionAPI interface {
	AssumeRole(context.Context, *sts.AssumeRoleInput, ...func(*sts.Options)) (*sts.AssumeRoleOutput, error)
}

// minSession is the shortest session that STS gives.
// Source: DurationSeconds in the reference of AssumeRole, 900 to 43,200 s.
const minSession = 15 * time.Minute

// SessionCredentials assumes the plan's role in a session that may do all that
// the role may, except for what the plan takes away. Nobody else is touched and
// nothing is written: the denial is in the session, and ends with it, after the
// plan's window or 15 min, whichever is longer.
// The session's policy cannot give more than the role has: STS takes what both
// allow. The credentials can expire and are not renewed: a canary that runs longer
// loses all access, not only that to its table.
func SessionCredentials(ctx context.Context, api SessionAPI, p Plan) (aws.Credentials, error) {
	if api == nil {
		return aws.Credentials{}, errNoAPI
	}
	if p.Via != Session {
		return aws.Credentials{}, fmt.Errorf("revoke: the plan is for %s, not for a session", p.Via)
	}
	length := max(minSession, p.Until.Sub(p.From))
	out, err := call(ctx, func(ctx context.Context) (*sts.AssumeRoleOutput, error) {
		return api.AssumeRole(ctx, &sts.AssumeRoleInput{
			RoleArn: &p.Role, RoleSessionName: aws.String(sidPrefix + "-" + p.ID), Policy: aws.String(p.Document()),
			DurationSeconds: aws.Int32(int32(length / time.Second)),
		})
	})
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("revoke: assuming the role: %w", err)
	}
	c := out.Credentials
	if c == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" || aws.ToString(c.SessionToken) == "" {
		return aws.Credentials{}, errors.New("revoke: STS has answered without credentials")
	}
	return aws.Credentials{
		AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken,
		CanExpire: true, Expires: aws.ToTime(c.Expiration), Source: "drill",
	}, nil
}

// ErrNotDenied is a session that may still use the table.
var ErrNotDenied = errors.New("revoke: the session may still use the table: nothing is revoked")

// ErrOtherDenial is a session that is denied, but not, as far as AWS says, by its
// own policy: whether that works is not known.
var ErrOtherDenial = errors.New("revoke: the session is denied by something else than its own policy")

// CheckDenied sees that a read in the session is denied by the session's own
// policy, which AWS names in the denial's message; a role that may not make the
// read at all would be denied in any case. read makes one call of the plan's
// table with the session's credentials, and returns its error.
// It asks once. The error is [ErrNotDenied] if the read was answered or failed in
// another way, and [ErrOtherDenial] if it was denied by something else.
func CheckDenied(ctx context.Context, read func(context.Context) error) error {
	_, err := call(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, read(ctx) })
	switch {
	case deniedBy(err, Session):
		return nil
	case denied(err):
		return fmt.Errorf("%w (want %q): %w", ErrOtherDenial, reasons[Session], err)
	}
	if err != nil {
		return fmt.Errorf("%w: a read says: %w", ErrNotDenied, err)
	}
	return ErrNotDenied
}
