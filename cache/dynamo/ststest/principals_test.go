package ststest_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

// A policy that names a role or a user who is not there is refused: its Deny
// would concern nobody.
func TestPolicies_name_who_is_there(t *testing.T) {
	s := ststest.New(ststest.Options{})
	addRole(t, s, ststest.Role{Name: "app", Path: "/service/"})
	addRole(t, s, ststest.Role{Name: "other"})
	ids, keys := iam.NewFromConfig(root(s)), kms.NewFromConfig(root(s))
	made, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: kmstypes.KeySpecEccNistP256, KeyUsage: kmstypes.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	try := func(what, principal string, good bool) {
		t.Helper()
		iamCode, kmsCode := "", ""
		if !good {
			iamCode, kmsCode = "MalformedPolicyDocument", "MalformedPolicyDocumentException"
		}
		trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":{"AWS":%q},"Action":"sts:AssumeRole"}}`, principal)
		_, err := ids.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("other"), PolicyDocument: &trust})
		want(t, what+", in a trust policy", err, iamCode)
		name := "new"
		_, err = ids.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
		want(t, what+", in a new role's", err, iamCode)
		_, _ = ids.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: &name}) // where it was made
		policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"},{"Effect":"Deny","Principal":{"AWS":%q},"Action":"kms:Sign","Resource":"*"}]}`, principal)
		_, err = keys.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: made.KeyMetadata.KeyId, PolicyName: aws.String("default"), Policy: &policy})
		want(t, what+", in a key policy", err, kmsCode)
	}
	account := "arn:aws:iam::" + ststest.Account + ":"
	try("a role", account+"role/service/app", true)
	try("a role without its path", account+"role/app", false)
	try("a role in another case", account+"role/service/App", false)
	try("a role's session", "arn:aws:sts::"+ststest.Account+":assumed-role/app/one", true)
	try("a session of no role", "arn:aws:sts::"+ststest.Account+":assumed-role/none/one", false)
	try("the account", ststest.Account, true)
	try("another account's role", "arn:aws:iam::999988887777:role/app", true)
	try("the user of the development credentials", account+"user/"+dynamotest.AccessKey, true)
	try("no user", account+"user/nobody", false)
}
