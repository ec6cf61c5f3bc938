# Every fuzz target for a few seconds: a smoke test, not a campaign. First each
# package's program is built, once for all its targets; then they run, two at a
# time with one worker each, from the corpus in the repository alone. Making an
# interesting input smaller may take no more than a few tries: by default it may
# take a minute, and nothing else would be tried.
targets=$(fuzz_targets)
[ -n "$targets" ]
fuzz_dir=$(mktemp -d)
trap 'rm -rf "$fuzz_dir"' EXIT
export fuzz_dir
program() { printf '%s/%s.test' "$fuzz_dir" "${1//\//-}"; } # FOLDER
build() { go test -c -vet=off -fuzz '^Fuzz' -o "$(program "$1")" "./$1"; }
fuzz() { # FOLDER TARGET
  local out tried
  out=$(cd "$1" && "$(program "$1")" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime 3s -test.fuzzminimizetime 10x \
    -test.parallel 1 -test.timeout 2m -test.fuzzcachedir "$fuzz_dir/corpus/$1" 2>&1) || time_was_up "$out" || { printf -- '--- %s %s\n%s\n' "$1" "$2" "$out"; return 1; }
  tried=$(printf '%s\n' "$out" | sed -nE 's/^fuzz: elapsed.* execs: ([0-9]+) .*/\1/p' | tail -1)
  printf -- '--- %s %s: %s inputs\n' "$1" "$2" "${tried:-no}"
  [ "${tried:-0}" -ge 20 ] # fewer are no fuzzing
}
export -f program build fuzz time_was_up
printf '%s\n' "$targets" | cut -d' ' -f1 | uniq | xargs -P 2 -L 1 bash -c 'build "$@"' build
printf '%s\n' "$targets" | xargs -P 2 -L 1 bash -c 'fuzz "$@"' fuzz
