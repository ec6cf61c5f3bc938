package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// The clients of this file are the SDK's own, with its retries and deadlines.
// None is kept: a verb makes what it needs, and the program ends.

// credentials are those of variables of the environment, with a prefix for the
// second set. Neither files nor the metadata service are looked at: whose
// access is used must be said by who runs it. Errors name the variables, never
// their values.
func credentials(prefix string) (aws.CredentialsProvider, error) {
	key, secret := os.Getenv(prefix+"AWS_ACCESS_KEY_ID"), os.Getenv(prefix+"AWS_SECRET_ACCESS_KEY")
	if key == "" || secret == "" {
		return nil, fmt.Errorf("%sAWS_ACCESS_KEY_ID and %sAWS_SECRET_ACCESS_KEY must be set", prefix, prefix)
	}
	return fixed(aws.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: os.Getenv(prefix + "AWS_SESSION_TOKEN")}), nil
}

// fixed gives the same credentials each time; they are not renewed.
func fixed(credentials aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil })
}

// endpoint is a service's, if it is not AWS's own.
// nil lets the SDK take AWS's. service is DYNAMODB, IAM or STS.
func endpoint(service string) *string {
	if url := os.Getenv("AWS_ENDPOINT_URL_" + service); url != "" {
		return &url
	}
	return nil
}

// isARN reports whether text is the ARN of one resource of a service, such as
// "iam" and "role/" with a name behind it. It is for verbs that have no plan:
// revoke.NewPlan is stricter, and says more.
//
// An ARN is arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE; what is looked up in
// one by its position relies on this check.
func isARN(text, service, kind string) bool {
	parts := strings.SplitN(text, ":", 6)
	return len(parts) == 6 && parts[0] == "arn" && parts[2] == service && strings.HasPrefix(parts[5], kind) && len(parts[5]) > len(kind)
}

// region is a table's, from its ARN, which a plan has checked.
func region(table string) string { return strings.Split(table, ":")[3] }

// client makes a DynamoDB client from variables of the environment.
func client(prefix, table string) (*dynamodb.Client, error) {
	creds, err := credentials(prefix)
	if err != nil {
		return nil, err
	}
	return dynamodb.New(dynamodb.Options{Region: region(table), Credentials: creds, BaseEndpoint: endpoint("DYNAMODB")}), nil
}

// roles makes an IAM client.
func roles(table string) (*iam.Client, error) {
	creds, err := credentials("")
	if err != nil {
		return nil, err
	}
	return iam.New(iam.Options{Region: iamRegion(table), Credentials: creds, BaseEndpoint: endpoint("IAM")}), nil
}

// tokens makes an STS client.
func tokens(table string) (*sts.Client, error) {
	creds, err := credentials("")
	if err != nil {
		return nil, err
	}
	return sts.New(sts.Options{Region: region(table), Credentials: creds, BaseEndpoint: endpoint("STS")}), nil
}

// caller asks STS whose credentials these are.
// It gets checkTimeout: somebody waits at a terminal.
func caller(ctx context.Context, table string) (account, arn string, err error) {
	api, err := tokens(table)
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	out, err := api.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", "", err
	}
	return aws.ToString(out.Account), aws.ToString(out.Arn), nil
}

// iamRegion is where a partition's IAM is.
// IAM has one endpoint in each partition, whose requests are signed for this region.
func iamRegion(arn string) string {
	switch strings.Split(arn, ":")[1] {
	case "aws-cn":
		return "cn-north-1"
	case "aws-us-gov":
		return "us-gov-west-1"
	}
	return "us-east-1"
}
