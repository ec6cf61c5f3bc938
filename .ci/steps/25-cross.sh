# The four cores build where users run them, and go.mod says which Go is the
# oldest. Nothing is run: there is one machine.
for target in windows/amd64 darwin/arm64 linux/386 linux/arm freebsd/amd64; do
  echo "--- $target"
  GOOS=${target%/*} GOARCH=${target#*/} CGO_ENABLED=0 go build ./cache ./logsink ./health ./depgraph
done
grep -qx 'go 1.25.0' go.mod
