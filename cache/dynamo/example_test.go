package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// A store on a table. In a program the configuration comes from
// config.LoadDefaultConfig, and the table from the infrastructure's code.
func Example() {
	cfg := config(dynamotest.New(dynamotest.Options{}), dynamotest.AccessKey, dynamotest.SecretKey)

	client := dynamo.NewClient(cfg)
	opts := dynamo.Options{Table: "sessions"}
	store, err := dynamo.NewStore(client, opts)
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err = store.Get(ctx, "k") // the table is not there yet
	fmt.Println(errors.Is(err, cache.ErrPermanent))

	if err := dynamo.CreateTable(ctx, client, opts); err != nil {
		fmt.Println(err)
		return
	}
	_, err = store.Get(ctx, "k")
	fmt.Println(errors.Is(err, cache.ErrNotFound))

	if err := store.Set(ctx, "k", cache.Item{Value: []byte("hello"), Version: time.Now().UnixMilli()}); err != nil {
		fmt.Println(err)
		return
	}
	item, err := store.Get(ctx, "k")
	fmt.Printf("%s %v\n", item.Value, err)
	// Output:
	// true
	// true
	// hello <nil>
}

// The least IAM policy for a store: reads and writes apart, nothing else.
func ExamplePolicy() {
	policy, err := dynamo.Policy(dynamo.PolicyScope{Region: "eu-central-1", Account: "123456789012", Table: "sessions"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(policy)

	_, err = dynamo.Policy(dynamo.PolicyScope{Region: "eu-central-1", Account: "123456789012", Table: "*"})
	fmt.Println(err)
	// Output:
	// {
	//   "Version": "2012-10-17",
	//   "Statement": [
	//     {
	//       "Sid": "FailOpenCacheRead",
	//       "Effect": "Allow",
	//       "Action": [
	//         "dynamodb:GetItem",
	//         "dynamodb:BatchGetItem"
	//       ],
	//       "Resource": "arn:aws:dynamodb:eu-central-1:123456789012:table/sessions"
	//     },
	//     {
	//       "Sid": "FailOpenCacheWrite",
	//       "Effect": "Allow",
	//       "Action": [
	//         "dynamodb:PutItem"
	//       ],
	//       "Resource": "arn:aws:dynamodb:eu-central-1:123456789012:table/sessions"
	//     }
	//   ]
	// }
	// dynamo: PolicyScope.Table is "*"; want ^[A-Za-z0-9_.-]{3,255}$
}
