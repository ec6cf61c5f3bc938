//go:build !unix

package dynamotest

import "errors"

func (l *listener) drop() error {
	return errors.New("there is no BlackHole over TCP on this operating system; use Hang")
}

func (l *listener) stopDropping() error { return nil }
