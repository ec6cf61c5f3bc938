# Our speed against floors and peers, all in one run: ratios and allocations,
# never times. A machine that is busy elsewhere gets more runs, of which the
# fastest count.
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT
measure() {
  local short=(-run '^$' -benchtime 20ms -count 3)
  (cd docs/benchmarks && {
    go test "${short[@]}" -bench '^BenchmarkLocalHit$/^(failopen|golang-lru-expirable|floor-sync.Map)$' ./cache
    go test "${short[@]}" -bench '^BenchmarkMiss$/^(failopen|floor-sync.Map)$' ./cache
    go test "${short[@]}" -bench '^BenchmarkServeLive$/./^(failopen|failopen-ready|health-go)$' ./health
    go test "${short[@]}" -bench '^BenchmarkEnqueue$/./^(logsink|logsink-mapped|channel|direct)$' ./logsink
    go test "${short[@]}" -bench '^BenchmarkFrozenSaturated$/^(logsink-oldest|mobyring)$' ./logsink
    go test "${short[@]}" -bench '^BenchmarkSlog$/^(noop|logsink)$' ./logsink
    go test "${short[@]}" -bench '^Benchmark(Compile|Components|Waves|Blast)$/^services=10000$/^by=(depgraph|gonum)$' ./depgraph
  })
  go test "${short[@]}" -bench '^BenchmarkVerify$' ./examples/assertrole/verify
  go test "${short[@]}" -bench '^BenchmarkRecorder$' ./depgraph/observe
  go test "${short[@]}" -bench '^BenchmarkNext$' ./depgraph/drill/fault
}
for try in 1 2 3; do
  measure >>"$raw"
  if (cd docs/benchmarks && go run ./tables -gate gates.txt "$raw"); then exit 0; fi
  echo "once more ($try)"
done
exit 1
