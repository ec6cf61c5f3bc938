package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Options for a [Broker].
type Options struct {
	// Issuer is the iss claim: the URL under which the broker is reached.
	Issuer string

	// Name is what clients sign as AudienceHeader: a proof for another
	// broker is refused by STS. Default: Issuer.
	Name string

	// Audiences that tokens may be for.
	Audiences []string

	// Roles that tokens are issued to.
	Roles []Role

	// Regions whose STS may be asked.
	Regions []string

	// KMS signs, with Keys, the first of which is in use; the others are
	// published for the day on which they are needed.
	KMS  KMS
	Keys []string

	// Life of a token. Default 5 minutes, at most an hour.
	Life time.Duration

	// MaxProofAge is how old a proof may be. Default 1 minute. STS itself
	// takes 15.
	MaxProofAge time.Duration

	// PublishLead is how long a key must have been published before it is
	// promoted: longer than verifiers keep a set. Default 10 minutes.
	PublishLead time.Duration

	// Rate is how many proofs a second may be taken to STS, with bursts of
	// as many. Default 100.
	Rate float64

	// STS is where requests go, for tests: the host that is signed stays
	// the same. Default: the regional endpoint.
	STS string

	// Client for STS. Default: one with a time-out of 5 s. Redirects are
	// never followed.
	Client *http.Client

	// Audit, if set, gets a record for each decision, without proofs and
	// tokens.
	Audit *slog.Logger

	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

var (
	regionForm = regexp.MustCompile(`^[a-z]{2,}(-[a-z0-9]+)+$`) // it becomes part of a host's name
	roleForm   = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):iam::[0-9]{12}:role/([!-)+->@-~]+/)?[\w+=,.@-]{1,64}$`)
	visible    = regexp.MustCompile(`^[!-~]+$`)
)

// check refuses what cannot be meant, with the field and its value.
func check(o Options) error {
	switch issuer, err := url.Parse(o.Issuer); {
	case o.Issuer == "" || len(o.Audiences) == 0 || len(o.Roles) == 0 || len(o.Regions) == 0 || o.KMS == nil || len(o.Keys) == 0:
		return errors.New("broker: Issuer, Audiences, Roles, Regions, KMS and Keys must be set")
	case err != nil || issuer.Scheme != "https" && issuer.Scheme != "http" || issuer.Host == "" || strings.ContainsAny(o.Issuer, "?#"):
		return fmt.Errorf("broker: Issuer is %q; want a URL without a query and a fragment", o.Issuer)
	case !visible.MatchString(o.Name):
		return fmt.Errorf("broker: Name is %q; want visible ASCII: it is the value of a header", o.Name)
	case o.Life < time.Minute || o.Life > time.Hour:
		return fmt.Errorf("broker: Life is %v; want a minute to an hour", o.Life)
	case o.MaxProofAge < time.Second || o.MaxProofAge > 15*time.Minute:
		return fmt.Errorf("broker: MaxProofAge is %v; want at most the 15 minutes of STS", o.MaxProofAge)
	case o.PublishLead < 0:
		return fmt.Errorf("broker: PublishLead is %v; want 0 or more", o.PublishLead)
	case !(o.Rate >= 1):
		return fmt.Errorf("broker: Rate is %v; want one a second or more", o.Rate)
	}
	for _, a := range o.Audiences {
		if a == "" {
			return errors.New("broker: an audience is empty")
		}
	}
	for _, r := range o.Regions {
		if !regionForm.MatchString(r) {
			return fmt.Errorf("broker: region %q; want a name such as eu-central-1", r)
		}
	}
	return checkRoles(o.Roles)
}

// checkRoles refuses two roles of one name: IAM has one of them at most, in
// whatever case and under whatever path, and which of the two a session is of
// could not be told.
func checkRoles(roles []Role) error {
	taken := map[string]string{}
	for _, r := range roles {
		if !roleForm.MatchString(r.ARN) {
			return fmt.Errorf("broker: role %q; want the ARN of one role, without wildcards", r.ARN)
		}
		account, name := r.parts()
		key := account + "/" + strings.ToLower(name)
		if other, twice := taken[key]; twice {
			return fmt.Errorf("broker: roles %q and %q have the same name, and an account has one role of a name", other, r.ARN)
		}
		taken[key] = r.ARN
	}
	return nil
}
