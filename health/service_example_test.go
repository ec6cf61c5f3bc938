package health_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/checks"
)

// service is a fresh service: a loop, a database that it needs, a cache that it
// can do without, the limits of its container, probes, an admin port, the health
// command of its container, and an orderly end.
func service(ctx context.Context, args []string, db checks.Pinger, orders <-chan string) error {
	if len(args) > 1 && args[1] == "-probe" { // the health command of the container
		return health.Probe(ctx, "http://127.0.0.1:8080/livez")
	}
	var p health.Process
	loop, err := p.Watch("orders", 30*time.Second)
	err = errors.Join(err,
		p.Depend(health.Dependency{Name: "ledger", Check: checks.Ping(db)}),
		p.Depend(health.Dependency{Name: "sessions", Check: checks.TCP("sessions:6379"), Soft: true}),
		p.Detect(health.CgroupMemory(0.9)), p.Detect(health.OpenFiles(0.9)))
	if err != nil {
		return err
	}
	go consume(ctx, loop, orders)
	go http.ListenAndServe("127.0.0.1:9090", p.Admin())
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	mux.Handle("/", p.Probes())
	return p.Serve(ctx, &http.Server{Addr: ":8080", Handler: mux}, health.ServeOptions{Drain: health.DrainKubernetes})
}

// consume works on orders. The loop's clock stands still while it waits.
func consume(ctx context.Context, loop *health.Watch, orders <-chan string) {
	for order := range orders {
		loop.Beat()
		loop.Wait(func() { fmt.Println("paid:", order) }) // a call of a dependency
		loop.Idle()
	}
}

// A fresh service, in the lines that its health takes. Here it asks itself, as
// the health command of its container does, and is not there.
func Example_service() {
	orders := make(chan string, 1)
	orders <- "42"
	close(orders)
	consume(context.Background(), new(health.Watch), orders)

	ctx, cancel := context.WithCancel(context.Background())
	cancel() // before it has asked
	fmt.Println(service(ctx, []string{"service", "-probe"}, nil, nil) != nil)
	// Output:
	// paid: 42
	// true
}

// Health in a fresh service is 25 lines at most. Each line of the two functions
// counts, also those that are the service's own.
func TestService_is_short(t *testing.T) {
	const file = "service_example_test.go"
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, d := range f.Decls {
		fd, ok := d.(*ast.FuncDecl)
		if !ok || fd.Name.Name != "service" && fd.Name.Name != "consume" {
			continue
		}
		body := string(source[fset.Position(fd.Body.Lbrace).Offset+1 : fset.Position(fd.Body.Rbrace).Offset])
		for line := range strings.Lines(body) {
			if strings.TrimSpace(line) != "" {
				total++
			}
		}
	}
	t.Logf("%d lines", total)
	if total > 25 || total < 15 {
		t.Errorf("the service has %d lines; 25 may be", total)
	}
}
