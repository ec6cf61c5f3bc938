package dynamotest_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// Point the AWS SDK at an endpoint in memory, revoke its access to DynamoDB,
// and give it back.
func Example() {
	server := dynamotest.New(dynamotest.Options{})
	client := dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(dynamotest.MemoryURL),
		HTTPClient:   server.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}, nil
		}),
	})
	list := func() {
		out, err := client.ListTables(context.Background(), &dynamodb.ListTablesInput{})
		var api smithy.APIError
		if errors.As(err, &api) {
			fmt.Println(api.ErrorCode())
			return
		}
		fmt.Println(len(out.TableNames), "tables")
	}

	list()
	server.Revoke()
	list()
	server.Restore()
	list()
	// Output:
	// 0 tables
	// AccessDeniedException
	// 0 tables
}

// A black hole over real sockets: connections are not even refused. Without a
// deadline the call would take the SDK 93 seconds.
func ExampleServer_SetNetwork() {
	server := dynamotest.New(dynamotest.Options{})
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(server.URL()),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}, nil
		}),
	})
	if err := server.SetNetwork(dynamotest.Hang); err != nil { // BlackHole needs Linux
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := client.ListTables(ctx, &dynamodb.ListTablesInput{})
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// true
}

// Fail every second call of one operation, late.
func ExampleServer_SetFault() {
	server := dynamotest.New(dynamotest.Options{})
	client := memory(server) // see the package's example

	var calls atomic.Int64
	server.SetFault(func(r *dynamotest.Request) *dynamotest.Fault {
		if r.Operation == "ListTables" && calls.Add(1)%2 == 0 {
			return &dynamotest.Fault{Delay: time.Millisecond, Status: 500, Code: "InternalServerError", Message: "try again"}
		}
		return nil
	})
	for range 4 {
		_, err := client.ListTables(context.Background(), &dynamodb.ListTablesInput{})
		fmt.Println(err == nil)
	}
	// Output:
	// true
	// false
	// true
	// false
}
