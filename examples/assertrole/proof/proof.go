// Package proof is how a client shows that it has a role without showing its
// secret key: it signs a request to STS that only asks who is calling, and
// gives the signature to a broker, which makes that very request.
//
// The client sends five values and nothing else. The broker does not look
// whether a request that it was given is harmless; it builds the only request
// that it ever makes, and puts the values in. So there is no URL, header, method
// or body of a stranger's to be checked.
package proof

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	body = "Action=GetCallerIdentity&Version=2011-06-15"
	form = "application/x-www-form-urlencoded; charset=utf-8"

	// AudienceHeader is signed with the request, so that a proof for one
	// broker is worth nothing to another.
	AudienceHeader = "X-Failopen-Audience"

	// signedHeaders are those that the SDK signs, given what Request sets. A
	// test fails if a version of the SDK signs others.
	signedHeaders = "content-length;content-type;host;x-amz-date;x-amz-security-token;x-failopen-audience"

	dateForm = "20060102T150405Z"
)

// A Proof is what a client sends. Its values are secret for as long as STS takes
// the signature: 15 minutes.
type Proof struct {
	AccessKeyID  string `json:"accessKeyId"`
	SessionToken string `json:"sessionToken"`
	Date         string `json:"date"` // 20261125T120000Z
	Region       string `json:"region"`
	Signature    string `json:"signature"` // 64 hexadecimal digits
}

const notShown = "proof (not shown)"

// Format keeps a proof out of what is printed.
func (Proof) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(notShown)) }

// LogValue keeps a proof out of logs.
func (Proof) LogValue() slog.Value { return slog.StringValue(notShown) }

var (
	accessKey = regexp.MustCompile(`^[A-Z0-9]{16,128}$`)
	tokenForm = regexp.MustCompile(`^[A-Za-z0-9+/=_.-]+$`)
	dateText  = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z$`)
	signature = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// ErrForm is a proof with a value that cannot be part of a signature.
var ErrForm = errors.New("proof: malformed")

// Check looks at the form of the values, the region and the date. maxAge is how
// old a proof may be; it may be from the future by half of that.
func (p Proof) Check(regions []string, now time.Time, maxAge time.Duration) error {
	switch {
	case !accessKey.MatchString(p.AccessKeyID):
		return fmt.Errorf("%w: accessKeyId", ErrForm)
	case len(p.SessionToken) < 16 || len(p.SessionToken) > 4096 || !tokenForm.MatchString(p.SessionToken):
		return fmt.Errorf("%w: sessionToken: only a role's session has a role", ErrForm)
	case !signature.MatchString(p.Signature):
		return fmt.Errorf("%w: signature", ErrForm)
	case !slices.Contains(regions, p.Region):
		return fmt.Errorf("%w: region: want one of %s", ErrForm, strings.Join(regions, ", "))
	}
	at, err := time.Parse(dateForm, p.Date)
	if err != nil || !dateText.MatchString(p.Date) {
		return fmt.Errorf("%w: date", ErrForm)
	}
	if age := now.Sub(at); age > maxAge || age < -maxAge/2 {
		return fmt.Errorf("%w: date: it is off by %v, the limit is %v", ErrForm, age.Round(time.Second), maxAge)
	}
	return nil
}

// Request builds the one request that a proof is good for. endpoint is where it
// goes, such as https://sts.eu-central-1.amazonaws.com, and does not change what
// is signed: Host is always that of STS in the proof's region.
func (p Proof) Request(ctx context.Context, endpoint, audience string) (*http.Request, error) {
	r, err := unsigned(ctx, endpoint, audience, p.Region)
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Amz-Date", p.Date)
	r.Header.Set("X-Amz-Security-Token", p.SessionToken)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+p.AccessKeyID+"/"+p.Date[:8]+"/"+p.Region+"/sts/aws4_request, SignedHeaders="+signedHeaders+", Signature="+p.Signature)
	return r, nil
}

// Host is the regional endpoint of STS. The global one is not used: it hands
// out tokens of its own version, and fails with one region.
func Host(region string) string { return "sts." + region + ".amazonaws.com" }

func unsigned(ctx context.Context, endpoint, audience, region string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(endpoint, "/")+"/", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Host = Host(region)
	r.Header.Set("Content-Type", form)
	r.Header.Set(AudienceHeader, audience)
	return r, nil
}

// Sign makes a proof with the credentials of a role's session, for the broker
// that is called audience.
func Sign(ctx context.Context, creds aws.Credentials, region, audience string, now time.Time) (Proof, error) {
	if creds.SessionToken == "" {
		return Proof{}, errors.New("proof: the credentials are not those of a role's session")
	}
	r, err := unsigned(ctx, "https://"+Host(region), audience, region)
	if err != nil {
		return Proof{}, err
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(ctx, creds, r, hex.EncodeToString(sum[:]), "sts", region, now); err != nil {
		return Proof{}, fmt.Errorf("proof: %w", err)
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ", ") {
		name, text, _ := strings.Cut(part, "=")
		parts[name] = text
	}
	if parts["SignedHeaders"] != signedHeaders {
		return Proof{}, fmt.Errorf("proof: this version of the SDK signs %s, and a broker expects %s", parts["SignedHeaders"], signedHeaders)
	}
	return Proof{creds.AccessKeyID, creds.SessionToken, r.Header.Get("X-Amz-Date"), region, parts["Signature"]}, nil
}
