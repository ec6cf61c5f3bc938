module github.com/failopen/failopen/docs/benchmarks

go 1.25.0

require (
	github.com/failopen/failopen v0.0.0
	github.com/hashicorp/golang-lru/v2 v2.0.7
	github.com/maypok86/otter/v2 v2.4.0
	github.com/rs/zerolog v1.35.1
	github.com/viccon/sturdyc v1.1.5
	go.uber.org/zap v1.28.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
	go.uber.org/multierr v1.10.0 // indirect
)

replace github.com/failopen/failopen => ../..
