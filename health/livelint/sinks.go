package livelint

import (
	"go/types"
	"strings"
)

// What talks to the network, by name. isSink is asked for every call of every function,
// so its cases go from the package's path to names; add a client here, and a bad and a
// good function for it to the corpus.

// knownClients are packages whose functions and methods call a dependency when they
// take a context.
// The context tells what talks from what only prepares: redis.NewClient(opt) does not
// talk, client.Get(ctx, key) does.
var knownClients = []string{
	"github.com/redis/go-redis", "github.com/go-redis/redis", "github.com/jackc/pgx", "go.mongodb.org/mongo-driver",
	"github.com/segmentio/kafka-go", "github.com/nats-io/nats.go", "github.com/rabbitmq/amqp091-go",
	"github.com/gocql/gocql", "go.etcd.io/etcd/client", "cloud.google.com/go", "github.com/elastic/go-elasticsearch",
}

// listed are packages that are not looked into, beside the standard library and
// knownClients: what they do over the network is told from the call, or is nothing.
// They are large: modernc.org/sqlite alone is a million lines.
var listed = []string{"golang.org/x", "google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto", "github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go", "modernc.org"}

// isListed reports whether a package is one that need not be looked into.
// A path with a listed one in front, on a border of elements: golang.org/x/tools is, and
// golang.org/xyz is not.
func isListed(path string) bool {
	for _, all := range [][]string{listed, knownClients} {
		for _, p := range all {
			if path == p || strings.HasPrefix(path, p+"/") {
				return true
			}
		}
	}
	return false
}

const (
	awsService = "github.com/aws/aws-sdk-go-v2/service/"
	grpcPath   = "google.golang.org/grpc"
)

// sqlCalls begin the names of what makes database/sql talk.
// PingContext and its like included. Open does not connect, and Stats and SetMaxOpenConns
// do not ask.
var sqlCalls = []string{"Ping", "Query", "Exec", "Begin", "Prepare", "Conn"}

// isSink reports whether f itself calls a dependency over the network. clients
// are packages whose functions do, if they take a context.
// Whether the address is this host's is not asked here, but by those who have the
// call. In order of the source: packages with calls of their own, generated clients by
// their signature, and clients by their path and a context.
func isSink(f *types.Func, clients []string) bool {
	if f.Pkg() == nil {
		return false
	}
	path, recv := f.Pkg().Path(), receiver(f)
	switch path {
	case "net":
		// look-ups too: a name server that is down is an outage like any other
		return hasPrefix(f.Name(), "Dial", "Lookup") && (recv == "" || recv == "Dialer" || recv == "Resolver")
	case "crypto/tls":
		return hasPrefix(f.Name(), "Dial")
	case "net/http":
		switch recv {
		case "":
			return f.Name() == "Get" || f.Name() == "Head" || hasPrefix(f.Name(), "Post")
		case "Client":
			return f.Name() != "CloseIdleConnections"
		}
		// also by way of the interface RoundTripper
		return f.Name() == "RoundTrip"
	case "net/http/httputil":
		return recv == "ReverseProxy" && f.Name() == "ServeHTTP"
	// Rows and Row read what a query has begun, which was found already
	case "database/sql":
		return recv != "" && recv != "Rows" && recv != "Row" && hasPrefix(f.Name(), sqlCalls...)
	case "net/smtp", "net/rpc", "net/rpc/jsonrpc", "log/syslog":
		return hasPrefix(f.Name(), "Dial", "SendMail", "Call")
	case grpcPath:
		return recv == "ClientConn" && (f.Name() == "Invoke" || f.Name() == "NewStream") || recv == "" && hasPrefix(f.Name(), "Dial")
	}
	if callsService(f) {
		return true
	}
	if !takesContext(f) || !f.Exported() {
		return false
	}
	for _, client := range clients {
		if path == client || strings.HasPrefix(path, client+"/") {
			return true
		}
	}
	return strings.HasPrefix(path, awsService) && recv == "Client"
}

// receiver is the name of f's type, without a star; "" for a function.
func receiver(f *types.Func) string {
	r := f.Signature().Recv()
	if r == nil {
		return ""
	}
	typ := r.Type()
	if p, ok := typ.(*types.Pointer); ok {
		typ = p.Elem()
	}
	if n, ok := types.Unalias(typ).(*types.Named); ok {
		return n.Obj().Name()
	}
	return "?"
}

// hasPrefix reports whether s begins with one of some; false for none.
func hasPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// takesContext reports whether the first parameter is a context.Context: that is how
// clients say that a call may wait.
func takesContext(f *types.Func) bool {
	params := f.Signature().Params()
	return params.Len() > 0 && isNamed(params.At(0).Type(), "context", "Context")
}

// isNamed reports whether t, or what it points to, is the type of that name,
// aliases included.
func isNamed(t types.Type, path, name string) bool {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == path && n.Obj().Name() == name
}

// callsService knows the calls of generated gRPC clients and of AWS clients by
// their last parameter, so that an interface of one's own is recognised, too:
// (ctx, in, ...grpc.CallOption), (ctx, in, ...func(*dynamodb.Options)).
func callsService(f *types.Func) bool {
	sig := f.Signature()
	if !sig.Variadic() || sig.Recv() == nil || !takesContext(f) {
		return false
	}
	last := sig.Params().At(sig.Params().Len() - 1).Type().(*types.Slice).Elem()
	if isNamed(last, grpcPath, "CallOption") {
		return true
	}
	option, ok := types.Unalias(last).(*types.Signature)
	if !ok || option.Params().Len() != 1 {
		return false
	}
	p, ok := option.Params().At(0).Type().(*types.Pointer)
	if !ok {
		return false
	}
	n, ok := types.Unalias(p.Elem()).(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Name() == "Options" && strings.HasPrefix(n.Obj().Pkg().Path(), awsService)
}
