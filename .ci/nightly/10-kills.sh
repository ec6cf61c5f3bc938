# SIGKILL at random moments, many times: no acknowledged log line is lost, and no
# revocation outlives its window.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-timeout=90m"
FAILOPEN_KILLS=500 go test -count=1 -run '^(TestMapped_generations_of_kills|TestLedger_of_killed_processes)$' -v ./logsink | tail -5
FAILOPEN_DRILL_KILLS=1000 go test -count=1 -run '[Kk]ill' -v ./depgraph/cmd/drill | grep -E '^(---|===|ok|FAIL)|kills' | tail -20
