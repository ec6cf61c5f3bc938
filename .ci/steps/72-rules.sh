# The templates of rules in WebAssembly, in three languages: each is built with
# the tools of its own language, and all of them must find the same. Prints what
# they weigh and how long they take; the guide has such a table.
apt_need clang clang
apt_need wasm-ld lld
[ -d /usr/include/wasm32-wasi ] || apt_need no-such-command wasi-libc
version=$(clang -dumpversion | cut -d. -f1)
ls /usr/lib/llvm-"$version"/lib/clang/*/lib/wasi/*.a >/dev/null 2>&1 || apt_need no-such-command "libclang-rt-$version-dev-wasm32"
apt_need npm npm

dir=$ci_cache/rules
rm -rf "$dir"
mkdir -p "$dir/services" "$dir/cache"
go build -o "$dir/depgraph" ./depgraph/cmd/depgraph
(cd docs/guide/depgraph-rules/go && GOOS=wasip1 GOARCH=wasm go build -ldflags="-s -w" -o "$dir/go.wasm" .)
clang --target=wasm32-wasi --sysroot=/usr -O2 -o "$dir/c.wasm" docs/guide/depgraph-rules/c/rule.c
cp -r docs/guide/depgraph-rules/assemblyscript "$dir/as"
(cd "$dir/as" && timeout 240 npm install --silent --no-audit --no-fund --ignore-scripts && npm run --silent build)
cp "$dir/as/runbook.wasm" "$dir/assemblyscript.wasm"

for i in $(seq 1000); do
  printf -- '---\nservice: s%d\nowner: x\ncriticality: critical\n' "$i"
  [ $((i % 10)) -eq 0 ] || printf 'verify: curl s%d\n' "$i"
  [ "$i" -eq 1 ] || printf 'depends: [{on: s%d}]\n' "$((i / 2))"
done >"$dir/services/depgraph.yaml"
printf -- '---\nservice: "we\\"ird [x] {y} \\\\"\nowner: x\ncriticality: critical\n' >>"$dir/services/depgraph.yaml"

check() { XDG_CACHE_HOME="$dir/cache" "$dir/depgraph" check "$dir/services" --only "$1" --rule "$dir/$1.wasm" -f json; }
milliseconds() { local begin; begin=$(date +%s%N); "$@" >"$dir/out.json"; echo $((($(date +%s%N) - begin) / 1000000)); }
want=
echo "| rule in | module | first check of 1,000 services | the next one |"
echo "|---|---|---|---|"
for language in go c assemblyscript; do
  first=$(milliseconds check $language)
  next=$(milliseconds check $language)
  found=$(sed -E "s/\"(rule|name)\": \"$language\"/\"\1\": \"\"/" "$dir/out.json")
  [ "$(grep -c 'has no verify step' "$dir/out.json")" -eq 101 ] || { echo "$language: not 101 findings" >&2; exit 1; }
  [ -z "$want" ] || [ "$found" = "$want" ] || { echo "$language finds something else" >&2; exit 1; }
  want=$found
  echo "| $language | $(($(stat -c %s "$dir/$language.wasm") / 1024)) KiB | $first ms | $next ms |"
done
