# The contract about DynamoDB's behaviour, against an independent server:
# dynoxide, one static binary from npm, on loopback.
integrity=sha512-sBHqlxJ9ANkLluFkYRfd5r8Y0ApFew4FhOrlhgRAgD4XzEoFOukEo1nuBTQ1+jTtofqwn4NWQ2k0Tn5mNTjgUg==
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "no dynoxide for $(uname -sm): skipped"; exit 0; }

dir=$ci_cache/$(printf %s "$DYNOXIDE" | tr -c 'A-Za-z0-9.\n' _)
if [ ! -x "$dir/package/dynoxide" ]; then
  apt_need npm npm
  apt_need openssl openssl
  mkdir -p "$dir"
  tgz=$dir/$(cd "$dir" && npm pack --silent "$DYNOXIDE")
  got=sha512-$(openssl dgst -sha512 -binary "$tgz" | openssl base64 -A)
  [ "$got" = "$integrity" ] || { printf '%s: integrity is %s, want %s\n' "$DYNOXIDE" "$got" "$integrity" >&2; exit 1; }
  tar -xzf "$tgz" -C "$dir"
fi

for pkg in dynamo dynamo/dynamotest; do # not while the server waits
  go test -c -o "$dir/${pkg##*/}.test" "./cache/$pkg"
done
port=$((20000 + RANDOM % 10000))
"$dir/package/dynoxide" --host 127.0.0.1 --port "$port" >"$dir/log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT

for _ in $(seq 50); do
  kill -0 "$server" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
  (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  sleep 0.1
done
# against FOLDER TEST LEAST runs a test on the server, in the test's folder. A
# skipped test must not look like a passed one.
against() {
  local out cases
  out=$(cd "$1" && FAILOPEN_DYNAMODB_ENDPOINT=http://127.0.0.1:$port FAILOPEN_DYNAMODB_SERVER=dynoxide \
    "$dir/${1##*/}.test" -test.v -test.run "^$2\$/^endpoint\$") || { printf '%s\n' "$out" >&2; return 1; }
  cases=$(printf '%s\n' "$out" | grep -c -- "--- PASS: $2/endpoint/") || true
  echo "dynoxide: $2: $cases cases pass"
  [ "$cases" -ge "$3" ]
}
against cache/dynamo/dynamotest TestContract 119
against cache/dynamo TestStore_contract 10
against cache/dynamo TestBulletin_contract 4
