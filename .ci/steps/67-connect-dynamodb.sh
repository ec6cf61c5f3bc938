# connect-dynamodb, a session store of Express, against dynamotest:
# versions and checksums of all packages are in the lock file.
apt_need node nodejs
apt_need npm npm
from=cache/dynamo/dynamotest/testdata/clients/node
dir=$ci_cache/dynamotest-clients-$(cksum <"$from/package-lock.json" | tr -c '0-9\n' _)
if [ ! -d "$dir/node_modules/connect-dynamodb" ]; then
  mkdir -p "$dir"
  cp "$from/package.json" "$from/package-lock.json" "$dir/"
  npm ci --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent >&2
fi
cp "$from/connect.mjs" "$dir/"
cd cache/dynamo/dynamotest
FAILOPEN_CLIENT="node $dir/connect.mjs" FAILOPEN_CLIENT_CALLS=8 \
  go test -count=1 -timeout 2m -v -run '^TestClient$' . | grep -v Warning | sed 's/^/  /'
