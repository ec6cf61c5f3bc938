// Command dynamotest is the embedded DynamoDB endpoint as a program, for tests
// in other languages: it listens on loopback, prints the environment that AWS
// clients need, and keeps its tables in memory until it ends.
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

Signatures are verified. It ends with SIGINT or SIGTERM, and its tables with it.
Exit code 0: it was told to end. 1: it could not listen. 2: wrong usage.

`)
		fs.PrintDefaults()
	}
	addr := fs.String("addr", "127.0.0.1:8000", "the `address` to listen on, a port of this machine; port 0 is a free one")
	only := fs.Bool("print", false, "print the environment and end")
	public := fs.Bool("public", false, "allow an address that other machines reach")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	host, _, err := net.SplitHostPort(*addr)
	if ip := net.ParseIP(host); err != nil || fs.NArg() > 0 || !*public && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		fmt.Fprintf(stderr, "dynamotest: -addr is %q; want an address of loopback such as 127.0.0.1:8000, or say -public\n", *addr)
		return 2
	}
	if *only {
		environment(stdout, "http://"+*addr)
		return 0
	}
	s := dynamotest.New(dynamotest.Options{Addr: *addr})
	if err := s.Start(); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	defer s.Close()
	environment(stdout, s.URL())
	<-ctx.Done()
	return 0
}

func environment(w io.Writer, url string) {
	fmt.Fprintf(w, "export AWS_ENDPOINT_URL_DYNAMODB=%s\nexport AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\nexport AWS_REGION=us-east-1\n",
		url, dynamotest.AccessKey, dynamotest.SecretKey)
}
