package cloudwatch_test

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/cloudwatch"
)

// open makes a sink that delivers to CloudWatch Logs. It makes no call and
// works without a network.
func open(cfg aws.Config, hostname string) (*logsink.Sink, error) {
	dest, err := cloudwatch.New(cloudwatch.Options{
		Client: cloudwatch.NewClient(cfg),
		Group:  "/shop/orders",
		Stream: hostname,
	})
	if err != nil {
		return nil, err
	}
	return logsink.New(logsink.Options{Batch: dest, MaxBytes: 16 << 20})
}

func ExampleNew() {
	sink, err := open(aws.Config{Region: "eu-central-1"}, "host-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sink.Close()
	fmt.Println(sink.Stats().State)
	// Output:
	// healthy
}
