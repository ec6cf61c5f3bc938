package health

import (
	"context"
	"net/http"
	"time"
)

type Process struct{}

type State struct{ Live, Ready bool }

func (p *Process) Fatal(error)                                  {}
func (p *Process) ServeLive(http.ResponseWriter, *http.Request) {}
func (p *Process) OnChange(func(State))                         {}
func (p *Process) Watch(string, time.Duration) (*Watch, error)  { return nil, nil }

type Watch struct{}

func (w *Watch) Beat()         {}
func (w *Watch) Idle()         {}
func (w *Watch) Wait(f func()) { f() }

func Wait(ctx context.Context, f func()) { f() }
