package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/depgraph/drill/revoke"
)

// deniedSession assumes the role in a session without the table, and sees that
// a read of it is denied: the session policy can take away and not give, and
// the check is for its wording to be what AWS understands.
// The read is a Scan of one item, which takes the least of all reads. Both the
// operator's right to assume the role and the role's right to scan are needed.
func (c *command) deniedSession(p revoke.Plan) (aws.Credentials, error) {
	api, err := tokens(p.Table)
	if err != nil {
		return aws.Credentials{}, err
	}
	// The plan's document goes along as the session's policy: it can only take
	// away.
	session, err := revoke.SessionCredentials(c.ctx, api, p)
	if err != nil {
		return aws.Credentials{}, err
	}
	db := dynamodb.New(dynamodb.Options{Region: region(p.Table), Credentials: fixed(session), BaseEndpoint: endpoint("DYNAMODB")})
	name := p.Table[strings.LastIndexByte(p.Table, '/')+1:]
	return session, revoke.CheckDenied(c.ctx, func(ctx context.Context) error {
		_, err := db.Scan(ctx, &dynamodb.ScanInput{TableName: &name, Limit: aws.Int32(1)})
		return err
	})
}

// canary tries the denial in one session that nobody uses, before anybody's is
// written: a document that denies nothing, or a role that is not the one it is
// taken for, is found out at no cost. With an emulator that has no STS there is
// no such session, which is said and is no error.
//
// It costs one AssumeRole and as many reads as it takes for the denial to be
// seen.
func (c *command) canary(o revoke.Options) error {
	if emulatedWithoutSTS() {
		fmt.Fprintln(c.stderr, "no canary: the endpoint of DynamoDB or IAM is not AWS's, and that of STS is")
		return nil
	}
	// The same role and table, by the way that touches nobody.
	o.Via = revoke.Session
	p, err := revoke.NewPlan(o, time.Now())
	if err != nil {
		return err
	}
	if _, err := c.deniedSession(p); err != nil {
		return fmt.Errorf("the canary: %w; --no-canary leaves it out", err)
	}
	fmt.Fprintln(c.stderr, "the canary, one session of the role, is denied the table")
	return nil
}

// emulatedWithoutSTS reports whether there is an emulator without STS, about
// which AWS's own must not be asked.
func emulatedWithoutSTS() bool {
	return endpoint("STS") == nil && (endpoint("DYNAMODB") != nil || endpoint("IAM") != nil)
}

// runInSession runs a program as the role, in a session without the table. It
// writes nothing and touches no one else; the session ends by itself. The
// program gets the session's credentials in its environment, over any that are
// there.
// The session must outlast the program: its credentials are not renewed. The exit code
// is the program's, and 3 (not-started) if the denial could not be seen.
func (c *command) runInSession(p revoke.Plan, args []string) error {
	path, err := c.find(args[0])
	if err != nil {
		return err
	}
	session, err := c.deniedSession(p)
	if err != nil {
		return c.notStarted(err)
	}
	fmt.Fprintf(c.stderr, "a read of the session is denied; it ends at %s, and nobody else is touched\n", session.Expires.Format(time.TimeOnly))
	cmd := exec.Command(path, args[1:]...)
	cmd.Args[0], cmd.Stdin, cmd.Stdout, cmd.Stderr = args[0], os.Stdin, c.stdout.To, c.stderr.To
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+session.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+session.SecretAccessKey, "AWS_SESSION_TOKEN="+session.SessionToken)
	code, err := c.supervise(cmd, &stalls{over: make(chan struct{})})
	if err != nil {
		return err
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}
