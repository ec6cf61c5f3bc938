# Helpers for the steps of .ci/run. Sourced, never run.
. .ci/versions

ci_cache=${FAILOPEN_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/failopen-ci}
mkdir -p "$ci_cache"

# No go test may hang until the job is killed: after this it prints all
# goroutines and fails. Well under the 20 minutes that CI has. Twice as many
# packages at a time as the two cores that CI has: many tests wait for a process
# or a deadline, and not for a core. Paths are left out of what is built, so that
# every checkout and copy of the same code shares one build of it; tests run each
# time nevertheless.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-timeout=5m -p=4 -trimpath -count=1"

# Under the race detector a process waits for a second before it ends, and our
# tests start hundreds.
export GORACE="${GORACE:+$GORACE }atexit_sleep_ms=20"

# tool MODULE/PATH@VERSION prints the path of the built command, installing
# it first if this machine does not have that exact version.
tool() {
  local pkg=$1 dir
  dir=$ci_cache/$(printf %s "$pkg" | tr -c 'A-Za-z0-9.\n' _)
  [ -x "$dir/$(basename "${pkg%@*}")" ] || GOBIN=$dir GOFLAGS= go install "$pkg" >&2
  printf '%s/%s\n' "$dir" "$(basename "${pkg%@*}")"
}

# modules prints the folder of every Go module in this repository, the root
# first.
modules() { git ls-files 'go.mod' '*/go.mod' | xargs -n1 dirname | sort; }

# nested_modules prints the folders of the modules below the root.
nested_modules() { modules | grep -vx '\.' || true; }

# apt_need COMMAND PACKAGE... installs Debian packages if COMMAND is absent.
apt_need() {
  local cmd=$1
  shift
  command -v "$cmd" >/dev/null && return 0
  DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# fuzz_targets prints the folder and the name of every fuzz target, a line each.
fuzz_targets() {
  git grep -E '^func Fuzz' -- '*_test.go' | sed -E 's|^(.*)/[^/]*_test\.go:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | sort -u
}

# time_was_up OUTPUT reports whether a fuzz target failed by nothing but the end of
# its time, as Go before 1.27 sometimes does (go.dev/issue/75804). A failing input, or
# one of the corpus, has more lines than that.
time_was_up() {
  printf '%s\n' "$1" | grep -A2 '^--- FAIL: Fuzz' | sed -E 's/^--- FAIL: Fuzz.*/failed/' | cmp -s - <(printf 'failed\n    context deadline exceeded\nFAIL\n')
}

# node_client SCRIPT CALLS runs a client of dynamotest in Node.js, which has to
# make so many calls. Versions and checksums of all packages are in a lock file.
node_client() (
  apt_need node nodejs
  apt_need npm npm
  cd cache/dynamo/dynamotest
  from=testdata/clients/node
  dir=$ci_cache/dynamotest-clients-$(cksum <"$from/package-lock.json" | tr -c '0-9\n' _)
  if [ ! -d "$dir/node_modules/connect-dynamodb" ]; then
    mkdir -p "$dir"
    cp "$from/package.json" "$from/package-lock.json" "$dir/"
    npm ci --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent >&2
  fi
  cp "$from/$1" "$dir/"
  FAILOPEN_CLIENT="node $dir/$1" FAILOPEN_CLIENT_CALLS=$2 \
    go test -count=1 -timeout 2m -v -run '^TestClient$' . | grep -v Warning | sed 's/^/  /'
)
