package health

import (
	"context"
	"net/http"
)

type Check struct {
	Name  string
	Check func(context.Context) error
}

type (
	Checker       interface{ Start() }
	CheckerOption func()
)

func NewChecker(...CheckerOption) Checker         { return nil }
func WithCheck(Check) CheckerOption               { return nil }
func NewHandler(Checker, ...any) http.HandlerFunc { return nil }
