package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
)

// passedOn are the signals that the program gets, too.
var passedOn = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH}

// dieWithParent ends the program when this one is killed: its proxy would be
// gone. It is by SIGTERM, so that it can tidy up. Linux sends it when the
// thread that has started it ends, hence the locked thread in supervise.
func dieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
}

// insideVerb is the hidden verb that runs inside of the namespace.
const insideVerb = "__inside-private-resolv-conf"

// isolate gives the program a resolv.conf of its own, which names the stub. The
// function that it returns ends the stub, and says how often it has hit; it may
// be called several times. Nothing outside of the program's mount namespace
// changes, and nothing of it is left when the program has ended.
//
// The program is started through this one (inside), which mounts and then
// becomes it: between fork and exec Go runs no code of ours.
//
// In order: the machine's servers, which the stub asks for other names; the
// stub; the file; a trial of the namespace; and then cmd, of which the
// arguments and attributes are changed and nothing is started. What fails
// half-way takes down what was there.
func (d *dnsOptions) isolate(cmd *exec.Cmd, log io.Writer) (stop func() int64, err error) {
	if d.how == "" {
		return func() int64 { return 0 }, nil
	}
	text, err := os.ReadFile(resolvConf)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("exec: --dns: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("exec: --dns: there is no %s to put another one over", resolvConf)
	}
	servers, rest := nameServers(string(text))
	stub, err := listenDNS(*d, servers)
	if err != nil {
		return nil, fmt.Errorf("exec: --dns needs port 53 of an address of loopback, and cannot have it: %w; run it as root, or lower net.ipv4.ip_unprivileged_port_start", err)
	}
	conf, err := privateResolvConf(stub.udp.LocalAddr(), rest)
	if err != nil {
		stub.close()
		return nil, fmt.Errorf("exec: --dns: %w", err)
	}
	stopOnce := sync.OnceValue(func() int64 {
		stub.close()
		_ = os.Remove(conf) // it is in the folder for such files
		fmt.Fprintf(log, "drill exec: %d questions for names were answered with %s\n", stub.hits.Load(), d.how)
		return stub.hits.Load()
	})
	// Tried first: what the machine does not allow must be said before the
	// program runs.
	self, err := os.Executable()
	if err == nil {
		err = tryNamespace(self, conf)
	}
	if err != nil {
		stopOnce()
		return nil, fmt.Errorf("exec: --dns needs a mount namespace of its own, which this machine does not allow: %w; run it as root, or allow unprivileged user namespaces", err)
	}
	cmd.Args = append([]string{self, insideVerb, conf, cmd.Path}, cmd.Args...)
	cmd.Path = self
	cmd.SysProcAttr = namespace()
	return stopOnce, nil
}

// namespace is one for mounts, and one for users where that takes it: without
// root only an owner of a user namespace may mount. Users keep their own
// numbers in it, so that files look the same to the program.
func namespace() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		a.AmbientCaps = []uintptr{capSysAdmin}
	}
	return a
}

// capSysAdmin is CAP_SYS_ADMIN of linux/capability.h, which mount wants.
const capSysAdmin = 21

// tryNamespace makes one, and does nothing in it, so that the program does not
// fail half-way.
func tryNamespace(self, conf string) error {
	cmd := exec.Command(self, insideVerb, conf)
	cmd.SysProcAttr = namespace()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w %s", err, out)
	}
	return nil
}

// listenDNS finds an address of loopback that is free: from 127.0.53.2 on,
// since systemd-resolved has 127.0.0.53.
// Fifty are tried, for as many drills at once. A lack of permission is the same for
// all of them, and ends the search.
func listenDNS(o dnsOptions, servers []string) (stub *dnsStub, err error) {
	for last := range byte(50) {
		if stub, err = startDNS(o, servers, net.JoinHostPort(net.IPv4(127, 0, 53, 2+last).String(), "53")); err == nil || errors.Is(err, os.ErrPermission) {
			return stub, err
		}
	}
	return nil, err
}

// inside is the hidden verb: it mounts the file over resolv.conf, and becomes
// the program. Without a program it only says whether it could. Arguments are
// the file, the program's path, and its arguments from the zeroth on. The
// mounts are made private first, or the new one would be seen by everybody.
// It returns only with an error, or if there is no program; otherwise this process is
// the program from then on.
//
// The thread is locked because namespaces belong to threads: another one of
// this process would still see the old mounts.
func inside(args []string) error {
	if len(args) == 0 {
		return usagef("%s is for drill exec", insideVerb)
	}
	runtime.LockOSThread()
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	// Where systemd-resolved runs, it is a link, and one cannot mount over a
	// link.
	target, err := filepath.EvalSymlinks(resolvConf)
	if err != nil {
		return err
	}
	if err := syscall.Mount(args[0], target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount over %s: %w", target, err)
	}
	if len(args) < 3 {
		return nil
	}
	return fmt.Errorf("%s: %w", args[1], syscall.Exec(args[1], args[2:], os.Environ()))
}
