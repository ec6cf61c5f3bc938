module github.com/failopen/failopen

go 1.25.0
