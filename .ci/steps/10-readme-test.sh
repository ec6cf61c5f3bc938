# The README's test command, exactly as printed there, before anything else
# has been built or installed.
grep -qxF 'go test ./...' README.md
go test ./...
