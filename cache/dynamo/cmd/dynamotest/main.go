// Command dynamotest is the embedded DynamoDB endpoint as a program, for tests
// in other languages, and with -sts those for STS, IAM and KMS as well: it
// listens on loopback, prints the environment that AWS clients need, and keeps
// everything in memory until it ends.
//
//	eval "$(go run ./cache/dynamo/cmd/dynamotest -addr 127.0.0.1:8000 -print)"
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("dynamotest", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), `Usage: dynamotest [flags]

Serves DynamoDB from memory, and prints what to export for AWS clients:

  dynamotest -addr 127.0.0.1:8000 &
  eval "$(dynamotest -addr 127.0.0.1:8000 -print)"
  aws dynamodb list-tables

With -sts ADDRESS it serves STS, IAM and KMS on a second port, and sessions of
roles made there may call DynamoDB as far as the roles' policies allow.

Signatures are verified. It ends with SIGINT or SIGTERM, and its tables with it.
Exit code 0: it was told to end. 1: it could not listen. 2: wrong usage.

`)
		fs.PrintDefaults()
	}
	addr := fs.String("addr", "127.0.0.1:8000", "the `address` to listen on, a port of this machine; port 0 is a free one")
	second := fs.String("sts", "", "serve STS, IAM and KMS, too, on this `address`")
	only := fs.Bool("print", false, "print the environment and end")
	public := fs.Bool("public", false, "allow an address that other machines reach")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	for name, a := range map[string]string{"addr": *addr, "sts": *second} {
		if fs.NArg() > 0 || !(name == "sts" && a == "") && !allowed(a, *public) {
			fmt.Fprintf(stderr, "dynamotest: -%s is %q; want an address of loopback such as 127.0.0.1:8000, or say -public\n", name, a)
			return 2
		}
	}
	if *only {
		environment(stdout, "http://"+*addr, *second != "", "http://"+*second)
		return 0
	}
	sts := ststest.New(ststest.Options{Addr: *second})
	db := dynamotest.New(dynamotest.Options{Addr: *addr, Principals: sts.Principal})
	if err := db.Start(); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	defer db.Close()
	if *second != "" {
		if err := sts.Start(); err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		defer sts.Close()
	}
	environment(stdout, db.URL(), *second != "", sts.URL())
	<-ctx.Done()
	return 0
}

// allowed reports whether the program may listen on an address.
func allowed(addr string, public bool) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (public || host == "localhost" || ip != nil && ip.IsLoopback())
}

// environment prints what to export, in one piece: who reads it may stop after
// the first.
func environment(w io.Writer, db string, second bool, sts string) {
	text := "export AWS_ENDPOINT_URL_DYNAMODB=" + db + "\n"
	if second {
		for _, service := range []string{"STS", "IAM", "KMS"} {
			text += "export AWS_ENDPOINT_URL_" + service + "=" + sts + "\n"
		}
	}
	fmt.Fprintf(w, "%sexport AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\nexport AWS_REGION=us-east-1\n", text, dynamotest.AccessKey, dynamotest.SecretKey)
}
