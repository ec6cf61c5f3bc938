package ststest_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/failopen/failopen/cache/dynamo/ststest"
)

func TestServer_AddRole_says_what_is_wrong_with_a_role(t *testing.T) {
	s := ststest.New(ststest.Options{})
	addRole(t, s, ststest.Role{Name: "app"})
	for _, c := range []struct {
		role ststest.Role
		want string
	}{
		{ststest.Role{Name: "a b"}, `ststest: role "a b": RoleName is "a b"; want 1 to 64 letters, digits and _+=,.@-`},
		{ststest.Role{Name: "b", Path: "x"}, `ststest: role "b": Path is "x"; want one that begins and ends with /`},
		{ststest.Role{Name: "b", MaxSession: time.Minute}, `ststest: role "b": MaxSessionDuration is 1m0s; want one hour to twelve`},
		{ststest.Role{Name: "APP"}, `ststest: role "APP": Role with name APP already exists.`},
		{ststest.Role{Name: "b", Policies: map[string]string{"p q": allowTable}}, `ststest: role "b": PolicyName is "p q"; want 1 to 128 letters, digits and _+=,.@-`},
		{ststest.Role{Name: "b", Trust: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/gone"},"Action":"sts:AssumeRole"}}`}, `ststest: role "b": Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:role/gone"`},
	} {
		if _, err := s.AddRole(c.role); err == nil || err.Error() != c.want {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

func TestServer_IAM_reads_back_what_was_put(t *testing.T) {
	s := ststest.New(ststest.Options{PolicyDelay: time.Hour})
	addRole(t, s, ststest.Role{Name: "app"})
	api := iam.NewFromConfig(root(s))
	app, p := aws.String("app"), aws.String("p")
	_, err := api.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: app, PolicyName: p})
	want(t, "a policy that is not there", err, "NoSuchEntity")
	_, err = api.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: app, PolicyName: p, PolicyDocument: aws.String(allowTable)})
	want(t, "put", err, "")
	list, err := api.ListRolePolicies(t.Context(), &iam.ListRolePoliciesInput{RoleName: app})
	if err != nil || len(list.PolicyNames) != 1 || list.PolicyNames[0] != "p" {
		t.Errorf("names, which are new at once: %v, %v; want [p]", list, err)
	}
	_, err = api.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: app})
	want(t, "a role with a policy", err, "DeleteConflict")
	_, err = api.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: app, PolicyDocument: aws.String(`{}`)})
	want(t, "a trust policy that is none", err, "MalformedPolicyDocument")
	_, err = api.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: app, PolicyName: p})
	want(t, "delete", err, "")
	_, err = api.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: app, PolicyName: p})
	want(t, "delete again", err, "NoSuchEntity")
	_, err = api.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: app})
	want(t, "a role without policies", err, "")
	_, err = api.GetRole(t.Context(), &iam.GetRoleInput{RoleName: app})
	want(t, "a role that was deleted", err, "NoSuchEntity")
}

func TestServer_KMS_disabled_keys_and_aliases(t *testing.T) {
	s := ststest.New(ststest.Options{})
	api := kms.NewFromConfig(root(s))
	made, err := api.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: kmstypes.KeySpecEccNistP256, KeyUsage: kmstypes.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	id, alias := made.KeyMetadata.KeyId, aws.String("alias/a")
	_, err = api.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: alias, TargetKeyId: id})
	want(t, "an alias that is not there", err, "NotFoundException")
	_, err = api.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: alias, TargetKeyId: id})
	want(t, "create", err, "")
	_, err = api.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: alias, TargetKeyId: id})
	want(t, "create again", err, "AlreadyExistsException")
	_, err = api.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/aws/a"), TargetKeyId: id})
	want(t, "a reserved name", err, "ValidationException")
	_, err = api.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: id})
	want(t, "disable", err, "")
	_, err = api.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: alias})
	want(t, "a disabled key, by its alias", err, "DisabledException")
	shown, err := api.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: alias})
	if err != nil || shown.KeyMetadata.KeyState != kmstypes.KeyStateDisabled {
		t.Errorf("a disabled key: %v, %v", shown, err)
	}
	_, err = api.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: id})
	want(t, "enable", err, "")
	_, err = api.Sign(t.Context(), &kms.SignInput{KeyId: id, Message: []byte("m"), SigningAlgorithm: kmstypes.SigningAlgorithmSpecEcdsaSha384})
	want(t, "another key's algorithm", err, "InvalidKeyUsageException")
	_, err = api.Sign(t.Context(), &kms.SignInput{KeyId: id, Message: []byte("m"), MessageType: kmstypes.MessageTypeDigest, SigningAlgorithm: kmstypes.SigningAlgorithmSpecEcdsaSha256})
	want(t, "a digest of one byte", err, "ValidationException")
	_, err = api.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: id})
	want(t, "delete by the key's id", err, "ValidationException")
	_, err = api.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: alias})
	want(t, "delete", err, "")
	_, err = api.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: alias})
	want(t, "a deleted alias", err, "NotFoundException")
}
