package logsink_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/logsinktest"
)

// The standard logger, and everything else that takes an io.Writer. Stdout also
// survives the death of its reader, which kills other programs by SIGPIPE.
func ExampleStdout() {
	sink, err := logsink.Stdout(logsink.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close()

	logger := log.New(sink, "", 0)
	logger.Print("the service starts")
	logger.Print("and does not stop for its log")
	// Output:
	// the service starts
	// and does not stop for its log
}

// A destination of your own.
func ExampleNew() {
	sink, err := logsink.New(logsink.Options{Dest: os.Stdout})
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close()

	logger := log.New(sink, "", 0)
	logger.Print("the service starts")
	logger.Print("and does not stop for its log")
	// Output:
	// the service starts
	// and does not stop for its log
}

// Slog, with a reserve for warnings and errors.
func ExampleNewHandler() {
	defer log.SetOutput(log.Writer()) // for the other tests: SetDefault changes package log, too
	defer log.SetFlags(log.Flags())
	defer slog.SetDefault(slog.Default())

	sink, err := logsink.Stdout(logsink.Options{Gap: logsink.GapJSON})
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close()
	defer sink.Recover()

	slog.SetDefault(slog.New(logsink.NewHandler(sink, func(w io.Writer) slog.Handler {
		return slog.NewJSONHandler(w, nil)
	})))
	slog.Debug("not at the default level")
	// Output:
}

// Nobody reads. The wrong way first: the logger writes to the pipe itself, and
// the 17th request (the pipe holds 16 here) hangs forever, and every other one
// that logs behind it. With a sink between them none does.
func Example_frozenPipe() {
	pipe := logsinktest.NewFrozen(io.Discard)
	sink, err := logsink.New(logsink.Options{Dest: pipe, MaxBytes: 64 << 10})
	if err != nil {
		log.Fatal(err)
	}
	logger := log.New(sink, "", 0)
	line := strings.Repeat("x", 99)
	for range 100_000 {
		logger.Print(line)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err = sink.Shutdown(ctx)

	st := sink.Stats()
	fmt.Println("logged:", st.Attempted)
	fmt.Println("delivered:", st.Delivered)
	fmt.Println("all accounted for:", st.Delivered+st.Dropped.Total()+st.Queued == st.Attempted)
	fmt.Println("shutdown says so:", err != nil)
	// Output:
	// logged: 100000
	// delivered: 0
	// all accounted for: true
	// shutdown says so: true
}

// The output of a child process, line by line.
func ExampleSink_Lines() {
	sink, err := logsink.New(logsink.Options{Dest: os.Stdout})
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close()

	out := sink.Lines()
	defer out.Close()
	cmd := exec.Command("echo", "hello from the child")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// hello from the child
}

// An outage of hours: memory first, then a directory; and what a killed process
// left is delivered by the next one.
func ExampleOptions_outage() {
	dir, err := os.MkdirTemp("", "logsink")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	sink, err := logsink.Stdout(logsink.Options{
		MaxBytes:   8 << 20,            // peak rate × the longest stall to survive in memory
		Gap:        logsink.GapJSON,    // a marker where lines are missing all the same
		SpillDir:   dir + "/spill",     // then disk, in order
		SpillBytes: 2 << 30,            // and not more of it than this
		Mapped:     "/dev/shm/example", // memory that survives SIGKILL
	})
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove("/dev/shm/example") // of this example alone
	ctx, stop := logsink.NotifyShutdown(context.Background(), sink)
	defer stop()

	fmt.Fprintln(sink, "serving until", ctx.Err())
	// Output:
	// serving until <nil>
}
