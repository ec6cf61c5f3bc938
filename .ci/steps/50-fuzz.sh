# Every fuzz target for a few seconds: a smoke test, not a campaign. Two at a
# time with one worker each, so that one is built while the other runs.
targets=$(git grep -E '^func Fuzz' -- '*_test.go' | sed -E 's|^(.*)/[^/]*_test\.go:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | sort -u)
[ -n "$targets" ]
fuzz() { # FOLDER TARGET
  local out
  out=$(cd "$1" && go test -run '^$' -fuzz "^$2\$" -fuzztime 5s -parallel 1 .) || { printf -- '--- %s %s\n%s\n' "$1" "$2" "$out"; return 1; }
  printf -- '--- %s %s\n%s\n' "$1" "$2" "$(printf '%s\n' "$out" | tail -1)"
  case "$out" in *"no fuzz tests"*) return 1 ;; esac
}
export -f fuzz
printf '%s\n' "$targets" | xargs -P 2 -L 1 bash -c 'fuzz "$@"' fuzz
