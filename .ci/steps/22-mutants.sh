# Every number that the comment of an option promises has a mutant, and tests
# that notice it: some here, of what changed if anything did; all of them in the
# nightly form.
go run .ci/mutate.go -check
since=$(git rev-parse -q --verify HEAD~1) || since=
go run .ci/mutate.go ${since:+-changed "$since"} -most 8
