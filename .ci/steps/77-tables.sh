# The tables of the benchmark pages say what the committed raw output says.
cd docs/benchmarks
pages=$(grep -l '^<!-- table: ' */README.md | xargs -n1 dirname)
[ -n "$pages" ]
go run ./tables -check $pages
