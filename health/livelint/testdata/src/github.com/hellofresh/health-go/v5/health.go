package health

import (
	"context"
	"net/http"
	"time"
)

type CheckFunc func(context.Context) error

type Config struct {
	Name      string
	Timeout   time.Duration
	SkipOnErr bool
	Check     CheckFunc
}

type Option func(*Health) error

type Health struct{}

func New(...Option) (*Health, error)                             { return nil, nil }
func WithChecks(...Config) Option                                { return nil }
func (h *Health) Register(Config) error                          { return nil }
func (h *Health) Handler() http.Handler                          { return nil }
func (h *Health) HandlerFunc(http.ResponseWriter, *http.Request) {}
