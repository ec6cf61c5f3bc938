# A million operations of the model of package cache, on each of its two stores:
# nothing that was ended is served for longer than Stats.Bound.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-timeout=90m"
go test -race -count=1 -run '^TestModel_unlucky_store$' ./cache -model.ops 1000000
go test -race -count=1 -run '^TestModel_unlucky_DynamoDB$' ./cache -model.cloud.ops 1000000
