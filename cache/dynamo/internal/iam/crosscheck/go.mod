module github.com/failopen/failopen/cache/dynamo/internal/iam/crosscheck

go 1.25.0

require (
	github.com/failopen/failopen v0.0.0-00010101000000-000000000000
	github.com/minio/pkg/v3 v3.1.3
)

require (
	github.com/goccy/go-json v0.10.5 // indirect
	github.com/minio/minio-go/v7 v7.0.88 // indirect
)

replace github.com/failopen/failopen => ../../../../..
