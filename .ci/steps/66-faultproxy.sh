# Programs in three languages, none of which knows of drills, against the table
# of dynamotest: denied, throttled, delayed, reset and black-holed through the
# proxy, as its HTTPS_PROXY or its endpoint, with the usual environment only.
apt_need python3 python3
/usr/bin/python3 -c 'import boto3' 2>/dev/null || {
  DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-boto3 >&2
}
apt_need node nodejs
apt_need npm npm
from=depgraph/drill/faultproxy/testdata/clients
dir=$ci_cache/faultproxy-clients-$(cksum <"$from/package.json" | tr -c '0-9\n' _)
if [ ! -d "$dir/node_modules/@aws-sdk/client-dynamodb" ]; then
  mkdir -p "$dir"
  cp "$from/package.json" "$dir/"
  npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent >&2
fi
cp "$from/client.mjs" "$dir/"
(cd "$from/go" && go build -o "$dir/client" .)
FAILOPEN_CLIENTS=1 \
  FAILOPEN_CLIENT_PYTHON="/usr/bin/python3 testdata/clients/client.py" \
  FAILOPEN_CLIENT_NODE="node $dir/client.mjs" \
  FAILOPEN_CLIENT_GO="$dir/client" \
  bash -c 'cd depgraph/drill/faultproxy && go test -count=1 -timeout 3m -v -run "^TestClients$" .' | sed 's/^/  /'
