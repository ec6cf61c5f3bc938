# The oldest Go that go.mod promises, fetched as a toolchain from the module
# proxy: everything builds, and the four cores pass their tests.
oldest=go1.25.4
grep -qx 'go 1.25.0' go.mod
GOTOOLCHAIN=$oldest go version
GOTOOLCHAIN=$oldest go build ./...
GOTOOLCHAIN=$oldest go test -vet=off ./cache ./logsink ./health ./depgraph
