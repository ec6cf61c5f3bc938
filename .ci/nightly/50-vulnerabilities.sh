# No known vulnerability of a module that we require may be reached by our code.
# Those of the standard library are printed: the cure is the user's next Go.
govulncheck=$(tool "$GOVULNCHECK")
db=(-db https://vuln.go.dev)
if ! "$govulncheck" "${db[@]}" ./depgraph/internal/glob >/dev/null 2>&1; then
  echo "no live database here: $VULNDB"
  made=$ci_cache/vulndb-${VULNDB##*-}
  if [ ! -d "$made" ]; then
    indexdb=$(tool "${VULNDB/@/\/cmd\/indexdb@}")
    source=$(GOFLAGS= go mod download -json "$VULNDB" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    "$indexdb" -vulns "$source/data/osv" -out "$made.new"
    mv "$made.new" "$made"
  fi
  db=(-db "file://$made")
fi
found=0
for dir in $(modules); do
  echo "--- $dir"
  out=$(cd "$dir" && "$govulncheck" "${db[@]}" ./... 2>&1) || [ $? -eq 3 ] || { printf '%s\n' "$out" >&2; exit 1; }
  printf '%s\n' "$out" | grep -E '^(Vulnerability|No vulnerabilities|Your code)|Found in|Fixed in' || true
  if printf '%s\n' "$out" | grep -q '^  Module: '; then
    printf '%s\n' "$out" >&2
    found=1
  fi
done
[ "$found" = 0 ]
