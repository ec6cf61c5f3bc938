# The nested modules: what would burden users' go.mod files lives there. Those
# that users link, or copy from, under the race detector; measurements without.
for dir in $(nested_modules); do
  echo "--- $dir"
  case "$dir" in docs/* | health/livelint) race= ;; *) race=-race ;; esac
  (cd "$dir" && go test -vet=off $race ./...)
done
