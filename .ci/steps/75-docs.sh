# The documentation, as a reader would follow it: the tutorials in empty
# folders, and the sh blocks of all pages in copies of the repository. And a
# contract for every exported identifier.
out=$(FAILOPEN_DOCS=1 go test -count=1 -v -run 'TestContracts|TestTutorials|TestDocs_shell' ./examples) || { printf '%s\n' "$out" >&2; exit 1; }
printf '%s\n' "$out" | grep -E '^ *--- '
[ "$(printf '%s\n' "$out" | grep -c -- '--- PASS: Test.*/')" -ge 5 ] # a skipped test must not look like a passed one
