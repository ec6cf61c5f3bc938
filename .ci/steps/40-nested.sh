# The nested modules: what would burden users' go.mod files lives there.
for dir in $(nested_modules); do
  echo "--- $dir"
  (cd "$dir" && go test ./...)
done
