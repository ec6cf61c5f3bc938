module example.com/depgraph-rule

go 1.25.0
