# The reports of depgraph with the programs that read them: a real browser,
# Mermaid's parser, Graphviz, systemd. Without this step those tests skip.
apt_need chromium chromium
apt_need dot graphviz
apt_need systemd-analyze systemd
[ -n "$(ls /var/lib/apt/lists/*_main_binary-*_Packages* 2>/dev/null)" ] || apt-get update -qq >&2

mermaid=$ci_cache/mermaid-$MERMAID
[ -f "$mermaid/node_modules/mermaid/dist/mermaid.min.js" ] || npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$mermaid" "mermaid@$MERMAID" >&2

(
  cd docs/benchmarks
  MERMAID=$mermaid/node_modules/mermaid/dist/mermaid.min.js \
    go test -count=1 -run 'Page|Mermaid' -v ./depgraph | tee "$ci_cache/depgraph-browser.txt"
)
for name in TestPage_works_in_a_browser TestPage_names_cannot_inject TestMermaid_parses; do
  grep -q "^--- PASS: $name " "$ci_cache/depgraph-browser.txt" || { echo "$name did not run" >&2; exit 1; }
done
go test -count=1 -run 'DOT_is_accepted|Systemd|Debian' ./depgraph ./depgraph/report ./depgraph/importer
