// Package wasmrule runs rules of one's own that were compiled to WebAssembly,
// from any language that targets WASI preview 1.
//
// A rule is a program: the graph comes as JSON on its standard input, as
// "depgraph export -f json" writes it, and its findings go as JSON to its
// standard output:
//
//	{"interface": 1, "findings": [
//	  {"service": "checkout", "message": "checkout has no runbook", "fix": "write one",
//	   "severity": "warn", "edges": [{"from": "checkout", "to": "ledger"}]}]}
//
// Interface 1 is stable: fields may be added to the input, and optional ones to
// the output; nothing is removed or changes its meaning without another number,
// and this package will read interface 1 for as long as it exists.
//
// A rule is not trusted. It runs in a child process of the program, which is
// killed at the deadline: compiling a module cannot be interrupted in any other
// way. It has no file system, no network, no environment and no arguments;
// its clock stands still and its random numbers repeat, so that it gives the
// same answer every time. Its memory, its module and its output are bounded.
// Whatever it does, the check goes on, and reports it as rule DG020.
//
// A program that uses this package calls Child first thing in main.
package wasmrule
