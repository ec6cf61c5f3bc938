# Every fuzz target for two minutes.
targets=$(fuzz_targets)
[ -n "$targets" ]
while read -r pkg fuzz; do
  echo "--- $pkg $fuzz"
  out=$(cd "$pkg" && go test -run '^$' -fuzz "^$fuzz\$" -fuzztime 2m -fuzzminimizetime 100x . 2>&1) || time_was_up "$out" || { printf '%s\n' "$out"; exit 1; }
  printf '%s\n' "$out" | tail -1
done <<<"$targets"
