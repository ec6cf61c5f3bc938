# Every fuzz target for a few seconds: a smoke test, not a campaign.
for dir in $(modules); do
  (
    cd "$dir"
    git grep -l '^func Fuzz' -- '*_test.go' | xargs -rn1 dirname | sort -u | while read -r pkg; do
      # A nested module's packages belong to that module's own turn.
      [ "$(cd "$pkg" && go list -m)" = "$(go list -m)" ] || continue
      git grep -hoE '^func Fuzz[A-Za-z0-9_]*' -- "$pkg/*_test.go" | sed 's/^func //' | sort -u | while read -r fuzz; do
        echo "--- $pkg $fuzz"
        go test -run '^$' -fuzz "^$fuzz\$" -fuzztime 3s "./$pkg"
      done
    done
  )
done
