# Every mutant of .ci/mutants.txt has to die.
go run .ci/mutate.go
