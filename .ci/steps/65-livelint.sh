# No liveness check of the examples, or of anything else here, may reach the
# network; and livelint must find one that does.
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
(cd health/livelint && go build -o "$tool/livelint" ./cmd/livelint)

"$tool/livelint" ./examples/... ./health/...
"$tool/livelint" -whole ./examples/...
(cd examples/grpchealth && "$tool/livelint" -whole ./...)
go vet -vettool="$tool/livelint" ./examples/...
for dir in $(nested_modules | grep '^examples/' || true); do
  echo "--- $dir"
  (cd "$dir" && "$tool/livelint" ./...)
done

mkdir "$tool/bad"
printf 'module example.com/bad\n\ngo 1.25.0\n' >"$tool/bad/go.mod"
cat >"$tool/bad/main.go" <<'EOF'
package main

import (
	"net"
	"net/http"
)

func main() {
	http.HandleFunc("/livez", func(http.ResponseWriter, *http.Request) { net.Dial("tcp", "db:5432") })
}
EOF
code=0
(cd "$tool/bad" && "$tool/livelint" ./...) >"$tool/out" || code=$?
[ "$code" = 1 ] && grep -q 'net.Dial' "$tool/out" || { echo "livelint missed a bad check (exit code $code)" >&2; cat "$tool/out" >&2; exit 1; }
