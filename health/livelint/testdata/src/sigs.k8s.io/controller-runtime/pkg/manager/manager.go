package manager

import "net/http"

type Checker func(*http.Request) error

type Manager interface {
	AddHealthzCheck(name string, check Checker) error
	AddReadyzCheck(name string, check Checker) error
}
