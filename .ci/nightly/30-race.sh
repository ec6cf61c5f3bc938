# Everything under the race detector with as many rounds as without it, three
# times, and the nested modules once; and 100,000 random systems.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-timeout=60m"
FAILOPEN_ROUNDS=20 go test -count=1 ./depgraph ./depgraph/importer
FAILOPEN_ROUNDS=10 go test -race -count=1 ./...
go test -race -count=2 ./...
for dir in $(nested_modules); do
  echo "--- $dir"
  (cd "$dir" && go test -race -count=1 ./...)
done
