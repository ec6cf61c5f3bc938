module github.com/failopen/failopen/health/livelint

go 1.25.0

require (
	go.yaml.in/yaml/v3 v3.0.6
	golang.org/x/tools v0.42.0
)

require (
	golang.org/x/mod v0.33.0 // indirect
	golang.org/x/sync v0.19.0 // indirect
)
