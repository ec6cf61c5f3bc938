package revoke_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
	"github.com/failopen/failopen/depgraph/drill/revoke"
)

// The words of AWS's denials, and which of them are the session's own.
func TestCheckDenied_reads_who_denies(t *testing.T) {
	const who = "User: arn:aws:sts::123456789012:assumed-role/app/drill is not authorized to perform: dynamodb:Scan on resource: arn:aws:dynamodb:us-east-1:123456789012:table/sessions "
	for why, want := range map[string]error{
		"with an explicit deny in a session policy":                                                nil,
		"because no session policy allows the dynamodb:Scan action":                                revoke.ErrOtherDenial, // the session allows all but the table
		"because no identity-based policy allows the dynamodb:Scan action":                         revoke.ErrOtherDenial,
		"because no resource-based policy allows the dynamodb:Scan action":                         revoke.ErrOtherDenial,
		"because no permissions boundary allows the dynamodb:Scan action":                          revoke.ErrOtherDenial,
		"with an explicit deny in an identity-based policy":                                        revoke.ErrOtherDenial,
		"with an explicit deny in a service control policy: arn:aws:organizations::1:policy/p/p-1": revoke.ErrOtherDenial,
		"with an explicit deny in a VPC endpoint policy":                                           revoke.ErrOtherDenial,
		"": revoke.ErrOtherDenial,
	} {
		for _, code := range []string{"AccessDeniedException", "AccessDenied"} {
			err := revoke.CheckDenied(t.Context(), func(context.Context) error {
				return &smithy.OperationError{ServiceID: "DynamoDB", OperationName: "Scan", Err: &smithy.GenericAPIError{Code: code, Message: who + why}}
			})
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s %q: %v; want %v", code, why, err, want)
			}
		}
	}
	for err, want := range map[error]error{
		nil: revoke.ErrNotDenied,
		&smithy.GenericAPIError{Code: "ThrottlingException", Message: "with an explicit deny in a session policy"}: revoke.ErrNotDenied,
		errors.New("with an explicit deny in a session policy"):                                                    revoke.ErrNotDenied,
	} {
		if got := revoke.CheckDenied(t.Context(), func(context.Context) error { return err }); !errors.Is(got, want) {
			t.Errorf("%v: %v; want %v", err, got, want)
		}
	}
}

// A role that may not scan proves nothing by being denied; one whose session
// denies the table does, whatever else it may do.
func TestCheckDenied_a_role_that_may_not_scan(t *testing.T) {
	const trust = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}}`
	iam := ststest.New(ststest.Options{})
	db := dynamotest.New(dynamotest.Options{Principals: iam.Principal})
	if err := db.SetPrincipal(dynamotest.Principal{AccessKey: "ADMIN", SecretKey: "s", Policies: []string{all}}); err != nil {
		t.Fatal(err)
	}
	fixed := func(c aws.Credentials) aws.CredentialsProvider {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
	}
	client := func(c aws.Credentials) *dynamodb.Client {
		return dynamodb.New(dynamodb.Options{Region: "us-east-1", BaseEndpoint: aws.String(dynamotest.MemoryURL), HTTPClient: db.HTTPClient(), Retryer: aws.NopRetryer{}, Credentials: fixed(c)})
	}
	admin := client(aws.Credentials{AccessKeyID: "ADMIN", SecretAccessKey: "s"})
	for _, name := range []string{"sessions", "other"} {
		if _, err := admin.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: &name, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("key"), AttributeType: "S"}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("key"), KeyType: "HASH"}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	api := sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: aws.String(ststest.MemoryURL), HTTPClient: iam.HTTPClient(), Credentials: fixed(aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey})})
	for name, policy := range map[string]string{
		"all":    all,
		"noscan": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*"}}`,
	} {
		arn, err := iam.AddRole(ststest.Role{Name: name, Trust: trust, Policies: map[string]string{"p": policy}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := revoke.NewPlan(revoke.Options{Via: revoke.Session, Role: arn, Table: table}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		creds, err := revoke.SessionCredentials(t.Context(), api, p)
		if err != nil {
			t.Fatal(err)
		}
		read := func(table string) error {
			return revoke.CheckDenied(t.Context(), func(ctx context.Context) error {
				_, err := client(creds).Scan(ctx, &dynamodb.ScanInput{TableName: &table})
				return err
			})
		}
		if err := read("sessions"); err != nil {
			t.Errorf("%s: the table of the plan: %v", name, err)
		}
		want := revoke.ErrNotDenied
		if name == "noscan" {
			want = revoke.ErrOtherDenial
		}
		if err := read("other"); !errors.Is(err, want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: a table that the session leaves alone: %v; want %v", name, err, want)
		}
	}
}
