package handlers

import (
	"net"
	"net/http"
)

func dials(w http.ResponseWriter, r *http.Request) { // want dials:"reaches"
	if _, err := net.Dial("tcp", "db:5432"); err != nil {
		w.WriteHeader(503)
	}
}

// A comment behind a row is about that row.
var table = []struct {
	path    string
	handler http.HandlerFunc
}{
	{"/livez", dials},   //livelint:allow a reason
	{"/healthz", dials}, // want `the liveness handler of "/healthz"`
	//livelint:allow another one
	{"/alive", dials},
	{ // want `the liveness handler of "/live"`
		"/live",
		dials,
	}, //livelint:allow the last line of a row is not the first
}

func tabled(mux *http.ServeMux) {
	for _, row := range table {
		mux.HandleFunc(row.path, row.handler)
	}
}
