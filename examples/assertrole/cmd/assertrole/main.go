// Command assertrole is the three programs of this example: a broker that issues
// tokens, a resource that wants them, and a client that gets one and calls the
// resource. Against AWS they need flags only.
//
// What it shows: how little is needed around the packages of this example. A
// broker is broker.Options from flags, a resource is verify.Options, a client
// is one http.RoundTripper. What to copy for a service of your own is
// runResource (who is trusted, for which accounts) and the last third of
// runClient (a request that carries a token); for credentials without the
// weight of the SDK's config module, provider.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/failopen/failopen/examples/assertrole/app"
	"github.com/failopen/failopen/examples/assertrole/broker"
	"github.com/failopen/failopen/examples/assertrole/client"
	"github.com/failopen/failopen/examples/assertrole/verify"
)

const usage = `Usage: assertrole broker|resource|client [flags]

  broker    issues tokens to who proves that they have a role on the list
  resource  answers who has a token for it, and says hello to their role
  client    gets a token by door A (AWS) or B (a broker), and calls a resource

A broker and a resource of your own, and a client under a role:

  assertrole broker -issuer https://broker.example -audience https://shop.example \
      -role arn:aws:iam::111122223333:role/orders -region eu-central-1 \
      -key alias/tokens -key alias/tokens-backup
  assertrole resource -audience https://shop.example -dir /var/lib/shop \
      -trust https://broker.example,role+jwt,111122223333 \
      -trust https://ID.tokens.sts.global.api.aws,JWT,111122223333
  assertrole client -door broker -broker https://broker.example \
      -region eu-central-1 -audience https://shop.example -get https://shop.example/

Credentials come from the environment, the container's endpoint (ECS, EKS Pod
Identity) or the instance (EC2). Servers listen on loopback unless -public is
given; TLS is the business of what stands in front of them.
"assertrole broker -h" and so on list the flags.
Exit code 0: it did what it was told, or was told to end. 1: it could not. 2: wrong usage.
`

// main ends the context with the first signal. Servers then have ten seconds to
// finish what they are doing.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errUsage is an error that the flag package has printed already.
var errUsage = errors.New("usage")

// run is main without the process: it finds the program, and turns its error
// into an exit code. Errors of flags have been printed by package flag, with
// the flags.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{"broker": runBroker, "resource": runResource, "client": runClient}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(stderr, usage)
		if len(args) > 0 && slices.Contains([]string{"-h", "--help", "help"}, args[0]) {
			return 0
		}
		return 2
	}
	err := commands[args[0]](ctx, args[1:], stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(stderr, "assertrole %s: %v\n", args[0], err)
	return 1
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// flags is a flag set that prints to stderr and returns its errors.
func flags(name string, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("assertrole "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	return fs
}

// parse refuses arguments: each of the programs takes flags only, and a
// forgotten dash must not start a server with defaults.
func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(fs.Output(), "%s: what is %q? It takes flags only.\n", fs.Name(), fs.Arg(0))
		return errUsage
	}
	return nil
}

// awsConfig finds credentials as programs on AWS do.
//
// The time-out is for one call of AWS. The credentials cache renews what
// expires, such as an instance's, before it does.
func awsConfig(region, endpoint string) aws.Config {
	cfg := aws.Config{Region: region, HTTPClient: &http.Client{Timeout: 5 * time.Second}}
	if endpoint != "" {
		cfg.BaseEndpoint = aws.String(endpoint)
	}
	cfg.Credentials = aws.NewCredentialsCache(provider())
	return cfg
}

// provider looks where programs on AWS find credentials, in the SDK's order:
// the environment, then the endpoint of a container (ECS by a relative address,
// EKS Pod Identity by a full one, with a token in a file that is renewed), then
// the instance's metadata service. Files in the home directory are left out:
// they are a person's.
func provider() aws.CredentialsProvider {
	if key := os.Getenv("AWS_ACCESS_KEY_ID"); key != "" {
		return credentials.NewStaticCredentialsProvider(key, os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN"))
	}
	full := os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if path := os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); path != "" {
		full = "http://169.254.170.2" + path
	}
	if full != "" {
		return endpointcreds.New(full, func(o *endpointcreds.Options) {
			o.AuthorizationToken = os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
			if file := os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
				o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
					text, err := os.ReadFile(file)
					return strings.TrimSpace(string(text)), err
				})
			}
		})
	}
	return ec2rolecreds.New()
}

// runBroker serves tokens. Options that contradict each other are broker.New's
// to refuse; a missing region is refused here, since the keys' client needs
// one.
func runBroker(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("broker", stderr)
	addr := fs.String("listen", "127.0.0.1:8470", "the `address` to listen on")
	public := fs.Bool("public", false, "allow an address that other machines reach")
	issuer := fs.String("issuer", "", "the `URL` under which clients and verifiers reach this broker")
	var audiences, roles, regions, keys list
	fs.Var(&audiences, "audience", "a service that tokens may be for; may be repeated")
	fs.Var(&roles, "role", "the `ARN` of a role that gets tokens, or ARN=ROLEID to pin its unique id; may be repeated")
	fs.Var(&regions, "region", "a region whose STS may be asked; may be repeated, the first is that of the keys")
	fs.Var(&keys, "key", "a KMS `key` for RSASSA_PKCS1_V1_5_SHA_256: the first signs, the others are published and wait; may be repeated")
	life := fs.Duration("life", 5*time.Minute, "how long a token lives")
	endpoint := fs.String("endpoint", "", "the `URL` of STS and KMS instead of AWS's, for tests")
	if err := parse(fs, args); err != nil {
		return err
	}
	if len(regions) == 0 {
		return errors.New("-region is missing")
	}
	o := broker.Options{
		Issuer: *issuer, Audiences: audiences, Regions: regions, Keys: keys, Life: *life, STS: *endpoint,
		KMS: kms.NewFromConfig(awsConfig(regions[0], *endpoint)),
	}
	for _, r := range roles {
		arn, id, _ := strings.Cut(r, "=")
		o.Roles = append(o.Roles, broker.Role{ARN: arn, UniqueID: id})
	}
	s, _, err := app.Broker(ctx, *addr, *public, o, stdout)
	return serve(ctx, s, err, stderr)
}

// serve waits for the end.
//
// It prints the address, which with port 0 nobody knows before, and gives
// requests that are under way ten seconds.
func serve(ctx context.Context, s *app.Server, err error, stderr io.Writer) error {
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "listening on %s\n", s.URL)
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.Close(ctx)
}

// runResource is a service that wants tokens: app.Hello behind verify's
// middleware. A trusted issuer is a URL, a type and the one account for which
// it may speak, so that no issuer can vouch for another account's roles.
func runResource(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("resource", stderr)
	addr := fs.String("listen", "127.0.0.1:8471", "the `address` to listen on")
	public := fs.Bool("public", false, "allow an address that other machines reach")
	audience := fs.String("audience", "", "this service's own name, as tokens have it")
	dir := fs.String("dir", "", "where the last good keys are kept, for a start without the issuer")
	stale := fs.Duration("stale", 24*time.Hour, "how old keys may be while the issuer cannot be reached")
	life := fs.Duration("life", 5*time.Minute, "the longest life of a token that is accepted")
	var trust, revoked list
	fs.Var(&trust, "trust", "an issuer, as `URL,TYPE,ACCOUNT[,KEYSURL]`; may be repeated")
	fs.Var(&revoked, "revoked", "the `id` of a key whose tokens are refused; may be repeated")
	if err := parse(fs, args); err != nil {
		return err
	}
	o := verify.Options{Audience: *audience, Dir: *dir, Stale: *stale, Revoked: revoked}
	for _, t := range trust {
		p := strings.Split(t, ",")
		if len(p) < 3 || len(p) > 4 {
			return fmt.Errorf("-trust is %q; want URL,TYPE,ACCOUNT or URL,TYPE,ACCOUNT,KEYSURL", t)
		}
		o.Issuers = append(o.Issuers, verify.Issuer{URL: p[0], Type: p[1], Accounts: p[2:3], KeysURL: strings.Join(p[3:], ""), MaxLife: *life})
	}
	s, _, err := app.Resource(ctx, *addr, *public, o, http.HandlerFunc(app.Hello), stdout)
	return serve(ctx, s, err, stderr)
}

// runClient gets a token for one audience and makes one request with it. By
// door aws it asks AWS's STS for the token; by door broker it signs a
// GetCallerIdentity, which the broker sends on, so that its secret key never
// leaves this process.
func runClient(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("client", stderr)
	which := fs.String("door", "aws", "aws (GetWebIdentityToken) or broker")
	url := fs.String("broker", "", "the broker's `URL`")
	name := fs.String("broker-name", "", "what the broker calls itself; default: its URL")
	region := fs.String("region", os.Getenv("AWS_REGION"), "whose STS is asked")
	audience := fs.String("audience", "", "the service that the token is for")
	algorithm := fs.String("algorithm", "RS256", "door aws: RS256 or ES384")
	get := fs.String("get", "", "the `URL` to get with the token")
	endpoint := fs.String("endpoint", "", "the `URL` of STS instead of AWS's, for tests")
	timeout := fs.Duration("timeout", 30*time.Second, "for all of it")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *audience == "" || *get == "" || *region == "" {
		return errors.New("-audience, -region and -get must be set")
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	cfg := awsConfig(*region, *endpoint)
	var door client.Door
	switch *which {
	case "aws":
		door = client.AWS(sts.NewFromConfig(cfg), *algorithm)
	case "broker":
		if *url == "" {
			return errors.New("-broker is missing")
		}
		door = client.Broker{URL: *url, Name: cmp.Or(*name, *url), Region: *region, Credentials: cfg.Credentials}.Door()
	default:
		return fmt.Errorf("-door is %q; want aws or broker", *which)
	}
	// A source keeps a token until shortly before it ends, and gets the next
	// one.
	source, err := client.NewSource(door)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close(context.WithoutCancel(ctx)) }() // nothing waits to be written
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, *get, nil)
	if err != nil {
		return err
	}
	resp, err := source.Transport(*audience, nil).RoundTrip(r) // not a client's Do: a redirect must not get the token
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it is read below
	fmt.Fprintln(stdout, resp.Status)
	if _, err := io.Copy(stdout, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the resource answers with status %d", resp.StatusCode)
	}
	return nil
}
