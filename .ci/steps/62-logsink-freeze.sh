# What logsink is for, in full length: ten seconds against a destination that
# never returns, and the two services whose output nobody reads.
FAILOPEN_FREEZE=10s go test -count=1 -v -run 'TestSink_writers_progress_while_frozen' ./logsink
go run ./examples/logpipeline -for 3s
