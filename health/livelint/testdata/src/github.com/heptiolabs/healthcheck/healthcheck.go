package healthcheck

import (
	"net"
	"time"
)

type Check func() error

type Handler interface {
	AddLivenessCheck(name string, check Check)
	AddReadinessCheck(name string, check Check)
}

func NewHandler() Handler { return nil }

func TCPDialCheck(addr string, timeout time.Duration) Check {
	return func() error {
		conn, err := net.DialTimeout("tcp", addr, timeout)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

func GoroutineCountCheck(int) Check { return func() error { return nil } }
