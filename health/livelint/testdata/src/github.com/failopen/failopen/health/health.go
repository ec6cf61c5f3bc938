package health

import "net/http"

type Process struct{}

func (p *Process) Fatal(error)                                  {}
func (p *Process) ServeLive(http.ResponseWriter, *http.Request) {}
