# Every fuzz target for two minutes.
targets=$(git grep -E '^func Fuzz' -- '*_test.go' | sed -E 's|^(.*)/[^/]*_test\.go:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | sort -u)
[ -n "$targets" ]
while read -r pkg fuzz; do
  echo "--- $pkg $fuzz"
  out=$(cd "$pkg" && go test -run '^$' -fuzz "^$fuzz\$" -fuzztime 2m -fuzzminimizetime 100x . 2>&1) || time_was_up "$out" || { printf '%s\n' "$out"; exit 1; }
  printf '%s\n' "$out" | tail -1
done <<<"$targets"
