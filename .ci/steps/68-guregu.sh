# github.com/guregu/dynamo's usual calls against dynamotest, in a module of its
# own, which pins its version.
cd cache/dynamo/dynamotest/clients/guregu
out=$(go test -count=1 -timeout 2m -v .) || { printf '%s\n' "$out" >&2; exit 1; }
passed=$(printf '%s\n' "$out" | grep -c '^--- PASS')
echo "guregu/dynamo: $passed tests pass"
[ "$passed" -ge 4 ]
