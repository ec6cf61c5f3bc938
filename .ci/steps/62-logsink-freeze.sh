# What logsink is for, in full length: ten seconds against a destination that
# never returns, the two services whose output nobody reads, a disk that a
# snapshot freezes, and processes killed at any moment.
FAILOPEN_FREEZE=10s go test -count=1 -v -run 'TestSink_writers_progress_while_frozen' ./logsink
go run ./examples/logpipeline -for 3s
# Skipped with a message where this machine cannot mount or freeze a file system.
FAILOPEN_FSFREEZE=8s go test -count=1 -v -run 'TestDisk_frozen_for_real' ./logsink
# The nightly form kills 500.
FAILOPEN_KILLS=${FAILOPEN_KILLS:-50} go test -count=1 -timeout 10m -v -run 'TestMapped_generations_of_kills|TestLedger_of_killed_processes' ./logsink | grep -vE 'acknowledged \[|[0-9]+ written$'
