# boto3's usual calls against dynamotest: Debian's package, which is old on
# purpose.
apt_need python3 python3
/usr/bin/python3 -c 'import boto3' 2>/dev/null || {
  DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-boto3 >&2
}
cd cache/dynamo/dynamotest
FAILOPEN_CLIENT="/usr/bin/python3 testdata/clients/python/client.py" FAILOPEN_CLIENT_CALLS=23 \
  go test -count=1 -timeout 2m -v -run '^TestClient$' . | sed 's/^/  /'
