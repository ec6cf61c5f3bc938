package ststest_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

// Whoever gives tags needs a permission for that besides, and a Deny of it is
// not passed over.
func TestTags_need_their_own_permission(t *testing.T) {
	tag := []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("pay")}}
	server := ststest.New(ststest.Options{})
	open := addRole(t, server, ststest.Role{Name: "open"})
	closed := addRole(t, server, ststest.Role{Name: "closed", Trust: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}}`})
	as := func(denied string) aws.Config {
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"` + denied + `","Resource":"*"}]}`
		if err := server.SetPrincipal(dynamotest.Principal{AccessKey: "AKUSER", SecretKey: "secret", Policies: []string{policy}}); err != nil {
			t.Fatal(err)
		}
		return config(server, "AKUSER", "secret", "")
	}
	calls := map[string]func(cfg aws.Config, tagged bool) error{
		"sts:TagSession": func(cfg aws.Config, tagged bool) error {
			in := &sts.AssumeRoleInput{RoleArn: &open, RoleSessionName: aws.String("one")}
			if tagged {
				in.Tags = tag
			}
			_, err := sts.NewFromConfig(cfg).AssumeRole(t.Context(), in)
			return err
		},
		"sts:TagGetWebIdentityToken": func(cfg aws.Config, tagged bool) error {
			in := &sts.GetWebIdentityTokenInput{Audience: []string{"a"}, SigningAlgorithm: aws.String("ES384")}
			if tagged {
				in.Tags = tag
			}
			_, err := sts.NewFromConfig(cfg).GetWebIdentityToken(t.Context(), in)
			return err
		},
		"iam:TagRole": func(cfg aws.Config, tagged bool) error {
			in := &iam.CreateRoleInput{RoleName: aws.String("plain"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`)}
			if tagged {
				in.RoleName, in.Tags = aws.String("tagged"), []iamtypes.Tag{{Key: tag[0].Key, Value: tag[0].Value}}
			}
			_, err := iam.NewFromConfig(cfg).CreateRole(t.Context(), in)
			return err
		},
		"kms:TagResource": func(cfg aws.Config, tagged bool) error {
			in := &kms.CreateKeyInput{KeySpec: kmstypes.KeySpecEccNistP256, KeyUsage: kmstypes.KeyUsageTypeSignVerify}
			if tagged {
				in.Tags = []kmstypes.Tag{{TagKey: tag[0].Key, TagValue: tag[0].Value}}
			}
			_, err := kms.NewFromConfig(cfg).CreateKey(t.Context(), in)
			return err
		},
	}
	for action, call := range calls {
		want(t, action+" denied, no tags", call(as(action), false), "")
		if err := call(as(action), true); code(err) != "AccessDenied" && code(err) != "AccessDeniedException" {
			t.Errorf("%s denied, with tags: %v", action, err)
		}
		want(t, action+" allowed, with tags", call(as("s3:GetObject"), true), "")
	}
	_, err := sts.NewFromConfig(as("s3:GetObject")).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &closed, RoleSessionName: aws.String("one"), Tags: tag})
	want(t, "a trust policy without sts:TagSession", err, "AccessDenied")
}

// Tags that AWS refuses are refused.
func TestTags_form(t *testing.T) {
	server := ststest.New(ststest.Options{})
	arn := addRole(t, server, ststest.Role{Name: "app"})
	for what, keys := range map[string][]string{"the same in another case": {"team", "Team"}, "the prefix of AWS": {"aws:team"}, "the same, in capitals": {"AWS:x"}} {
		in := &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("one")}
		for _, k := range keys {
			in.Tags = append(in.Tags, ststypes.Tag{Key: aws.String(k), Value: aws.String("x")})
		}
		_, err := sts.NewFromConfig(root(server)).AssumeRole(t.Context(), in)
		want(t, what, err, "ValidationError")
	}
}

// A Deny of all roles denies listing them.
func TestListRoles_denied(t *testing.T) {
	server := ststest.New(ststest.Options{})
	if err := server.SetPrincipal(dynamotest.Principal{AccessKey: "AKUSER", SecretKey: "secret", Policies: []string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"iam:*","Resource":"arn:aws:iam::123456789012:role/*"}]}`,
	}}); err != nil {
		t.Fatal(err)
	}
	_, err := iam.NewFromConfig(config(server, "AKUSER", "secret", "")).ListRoles(t.Context(), &iam.ListRolesInput{})
	want(t, "ListRoles", err, "AccessDenied")
}
