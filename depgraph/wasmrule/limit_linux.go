package wasmrule

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// tie makes the kernel kill the child when this process ends. It goes by the
// thread that started the child, which must live as long: so the caller's
// goroutine keeps its thread until untie.
func tie(cmd *exec.Cmd) (untie func()) {
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return runtime.UnlockOSThread
}

// limitProcess bounds what this process may take, compiling included, so that
// a module can neither eat the machine nor outlive its parent for long. A limit
// that cannot be set leaves those of the parent and of the runtime.
//
// What is allowed beyond the memory of the rule, 1 GiB, is for compiling it.
func limitProcess(memory int64, deadline time.Duration) {
	const rlimitData = 2 // RLIMIT_DATA: private memory that can be written
	data := uint64(memory) + 1<<30
	_ = syscall.Setrlimit(rlimitData, &syscall.Rlimit{Cur: data, Max: data})
	cpu := uint64((deadline+5*time.Second)/time.Second) * 8 // all threads together
	_ = syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: cpu, Max: cpu})
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
