# The README's main command, short: it must hold, and print what it promises.
grep -qxF 'go run ./examples/gameday' README.md

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
go build -o "$out/gameday" ./examples/gameday
# Exit code 3 says that this machine is too busy to tell, and so do answers that
# were slow once: try again, twice.
slow() {
  node -e '
    const ours = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")).phases.filter(p => p.service === "failopen");
    const most = ours.find(p => p.name === "steady").origin_p99_ms + 60;
    const slow = ours.filter(p => p.fault && p.p99_ms > most);
    slow.forEach(p => console.log(`${p.name}: p99 ${p.p99_ms} ms, at most ${most} ms`));
    process.exit(slow.length ? 0 : 1);
  ' "$out/gameday.json"
}
for attempt in 1 2 3; do
  began=$SECONDS code=0
  "$out/gameday" -short -json -o "$out" -proof "$out/depgraph.proof.jsonl" >"$out/stdout.json" 2>"$out/rows" || code=$?
  took=$((SECONDS - began))
  if [ "$code" = 3 ]; then
    echo "attempt $attempt: not started"
  elif [ "$code" = 0 ] && slow; then
    echo "attempt $attempt: held, but slowly"
    code=4
  else
    break
  fi
done
cat "$out/rows"
[ "$code" = 0 ] || { echo "gameday -short: exit code $code" >&2; exit 1; }
[ "$took" -le 15 ] || { echo "gameday -short took ${took}s, more than 15" >&2; exit 1; }
cmp "$out/stdout.json" "$out/gameday.json"
for form in md html svg; do [ -s "$out/gameday.$form" ]; done
node -e '
  const r = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
  const ours = r.phases.filter(p => p.service === "failopen");
  const bad = ours.filter(p => p.success !== 1 || p.wrong !== 0);
  const verdicts = r.verdicts.filter(v => v.service === "failopen" && v.verdict === "held" && v.hits > 0);
  if (!r.held || ours.length !== 11 || bad.length || verdicts.length !== 2) {
    console.error("did not hold:", JSON.stringify({ held: r.held, bad, verdicts: r.verdicts }, null, 1));
    process.exit(1);
  }
  console.log(`gameday held in ${ours.length} phases`);
' "$out/gameday.json"

# The verdicts are what the manifest of the service needs.
cp examples/tokenservice/depgraph.yaml "$out"
go run ./depgraph/cmd/depgraph check "$out" --require-proof 90d
rm "$out/depgraph.proof.jsonl"
if go run ./depgraph/cmd/depgraph check "$out" --require-proof 90d >/dev/null 2>&1; then
  echo "depgraph check --require-proof passes without a proof" >&2
  exit 1
fi
