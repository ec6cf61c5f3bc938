package ststest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

// Assume a role, and ask who is calling.
func Example() {
	server := ststest.New(ststest.Options{})
	arn, err := server.AddRole(ststest.Role{Name: "app"})
	if err != nil {
		log.Fatal(err)
	}
	client := sts.New(sts.Options{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String(ststest.MemoryURL),
		HTTPClient:   server.HTTPClient(),
		Credentials:  credentials.NewStaticCredentialsProvider(dynamotest.AccessKey, dynamotest.SecretKey, ""),
	})
	session, err := client.AssumeRole(context.Background(), &sts.AssumeRoleInput{
		RoleArn: &arn, RoleSessionName: aws.String("instance-1"),
	})
	if err != nil {
		log.Fatal(err)
	}
	out, err := client.GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{}, func(o *sts.Options) {
		c := session.Credentials
		o.Credentials = credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(*out.Arn)
	// Output:
	// arn:aws:sts::123456789012:assumed-role/app/instance-1
}
