# Formatting, vet, staticcheck and tidiness, in the root and in every nested
# module.
gofumpt=$(tool "$GOFUMPT")
staticcheck=$(tool "$STATICCHECK")

unformatted=$(git ls-files '*.go' | xargs -r "$gofumpt" -l)
[ -z "$unformatted" ] || { printf 'not formatted (gofumpt -w):\n%s\n' "$unformatted" >&2; exit 1; }

for dir in $(modules); do
  echo "--- $dir"
  (cd "$dir" && go mod tidy -diff && go vet ./... && "$staticcheck" -checks "$STATICCHECK_CHECKS" ./...)
done
