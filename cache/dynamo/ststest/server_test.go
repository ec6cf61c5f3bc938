package ststest_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

func config(s *ststest.Server, key, secret, token string) aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(ststest.MemoryURL), HTTPClient: s.HTTPClient(), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, token),
	}
}

func root(s *ststest.Server) aws.Config {
	return config(s, dynamotest.AccessKey, dynamotest.SecretKey, "")
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func want(t *testing.T, what string, err error, expected string) {
	t.Helper()
	if got := code(err); got != expected {
		t.Errorf("%s: %q (%v), want %q", what, got, err, expected)
	}
}

const (
	allowTable = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*"}}`
	denyTable  = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"dynamodb:*","Resource":"*"}}`
)

func addRole(t *testing.T, s *ststest.Server, r ststest.Role) string {
	t.Helper()
	arn, err := s.AddRole(r)
	if err != nil {
		t.Fatal(err)
	}
	return arn
}

func assume(t *testing.T, cfg aws.Config, in *sts.AssumeRoleInput) *ststypes.Credentials {
	t.Helper()
	out, err := sts.NewFromConfig(cfg).AssumeRole(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out.Credentials
}

func session(s *ststest.Server, c *ststypes.Credentials) aws.Config {
	return config(s, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

func TestGetCallerIdentity(t *testing.T) {
	s := ststest.New(ststest.Options{})
	out, err := sts.NewFromConfig(root(s)).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *out.Account != ststest.Account || *out.Arn != "arn:aws:iam::123456789012:user/DYNAMOTEST" || *out.UserId == "" {
		t.Errorf("%+v, %v", out, err)
	}
	arn := addRole(t, s, ststest.Role{Name: "app", Path: "/service/"})
	c := assume(t, root(s), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("i-1")})
	out, err = sts.NewFromConfig(session(s, c)).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *out.Arn != "arn:aws:sts::123456789012:assumed-role/app/i-1" || !strings.HasPrefix(*out.UserId, "AROA") || !strings.HasSuffix(*out.UserId, ":i-1") {
		t.Errorf("%+v, %v", out, err)
	}
	for what, bad := range map[string]struct {
		cfg  aws.Config
		code string
	}{
		"wrong secret": {config(s, dynamotest.AccessKey, "other", ""), "SignatureDoesNotMatch"},
		"unknown key":  {config(s, "AKIANOBODY", "x", ""), "InvalidClientTokenId"},
		"wrong token":  {config(s, *c.AccessKeyId, *c.SecretAccessKey, "other"), "InvalidClientTokenId"},
		"no token":     {config(s, *c.AccessKeyId, *c.SecretAccessKey, ""), "InvalidClientTokenId"},
	} {
		_, err := sts.NewFromConfig(bad.cfg).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		want(t, what, err, bad.code)
	}
	resp, err := s.HTTPClient().PostForm(ststest.MemoryURL, url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}})
	if err != nil || resp.StatusCode != 403 {
		t.Errorf("unsigned: %+v, %v", resp, err)
	}
}

// A presigned URL is how a client asserts its role to somebody else. It lives 15
// minutes, and nothing of it can be exchanged.
func TestPresigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ststest.New(ststest.Options{})
		signed, err := sts.NewPresignClient(sts.NewFromConfig(root(s))).PresignGetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(u string) (int, string) {
			req, err := http.NewRequestWithContext(t.Context(), signed.Method, u, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = signed.SignedHeader.Clone()
			req.Header.Set("Accept", "application/json")
			resp, err := s.HTTPClient().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, string(body)
		}
		if status, body := ask(signed.URL); status != 200 || !strings.Contains(body, `"Arn":"arn:aws:iam::123456789012:user/DYNAMOTEST"`) {
			t.Errorf("%d %s", status, body)
		}
		for from, to := range map[string]string{"GetCallerIdentity": "AssumeRole", "eu-central-1": "us-east-1", "X-Amz-Expires=900": "X-Amz-Expires=90000", "X-Amz-Signature=": "X-Amz-Signature=00"} {
			changed := strings.Replace(signed.URL, from, to, 1)
			if changed == signed.URL {
				continue // the SDK does not write it
			}
			if status, body := ask(changed); status != 403 && status != 400 {
				t.Errorf("%s changed to %s: %d %s", from, to, status, body)
			}
		}
		<-time.After(15*time.Minute - time.Second)
		if status, _ := ask(signed.URL); status != 200 {
			t.Errorf("before 15 minutes: %d", status)
		}
		<-time.After(2 * time.Second)
		if status, body := ask(signed.URL); status != 403 || !strings.Contains(body, "expired") {
			t.Errorf("after 15 minutes: %d %s", status, body)
		}
	})
}

func TestAssumeRole_refuses(t *testing.T) {
	s := ststest.New(ststest.Options{})
	if err := s.SetPrincipal(dynamotest.Principal{AccessKey: "AKIAADMIN", SecretKey: "s", ARN: "arn:aws:iam::123456789012:user/admin", Policies: []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}`}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetPrincipal(dynamotest.Principal{AccessKey: "AKIANONE", SecretKey: "s", ARN: "arn:aws:iam::123456789012:user/none"}); err != nil {
		t.Fatal(err)
	}
	open := addRole(t, s, ststest.Role{Name: "open"})
	named := addRole(t, s, ststest.Role{Name: "named", Trust: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/none"},"Action":"sts:AssumeRole"}}`})
	outside := addRole(t, s, ststest.Role{Name: "outside", Trust: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"pact"}}}}`})
	service := addRole(t, s, ststest.Role{Name: "service", Trust: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}`})
	ptr := aws.String
	for _, c := range []struct {
		what, key string
		in        *sts.AssumeRoleInput
		code      string
	}{
		{"the account is trusted, the caller's policy allows", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: &open, RoleSessionName: ptr("a1")}, ""},
		{"the account is trusted, the caller has no policy", "AKIANONE", &sts.AssumeRoleInput{RoleArn: &open, RoleSessionName: ptr("a1")}, "AccessDenied"},
		{"the caller is named", "AKIANONE", &sts.AssumeRoleInput{RoleArn: &named, RoleSessionName: ptr("a1")}, ""},
		{"somebody else is named", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: &named, RoleSessionName: ptr("a1")}, "AccessDenied"},
		{"only a service is trusted", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: &service, RoleSessionName: ptr("a1")}, "AccessDenied"},
		{"external id", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: &outside, RoleSessionName: ptr("a1"), ExternalId: ptr("pact")}, ""},
		{"no external id", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: &outside, RoleSessionName: ptr("a1")}, "AccessDenied"},
		{"no such role", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: ptr("arn:aws:iam::123456789012:role/none"), RoleSessionName: ptr("a1")}, "AccessDenied"},
		{"another path", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: ptr("arn:aws:iam::123456789012:role/x/open"), RoleSessionName: ptr("a1")}, "AccessDenied"},
		{"a bad session name", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: &open, RoleSessionName: ptr("a b")}, "ValidationError"},
		{"too long", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: &open, RoleSessionName: ptr("a1"), DurationSeconds: aws.Int32(7200)}, "ValidationError"},
		{"too short", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: &open, RoleSessionName: ptr("a1"), DurationSeconds: aws.Int32(899)}, "ValidationError"},
		{"a policy that is none", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: &open, RoleSessionName: ptr("a1"), Policy: ptr("{}")}, "MalformedPolicyDocument"},
		{"a policy that is too long", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: &open, RoleSessionName: ptr("a1"), Policy: ptr(allowTable + strings.Repeat(" ", 2048))}, "ValidationError"},
		{"not implemented", "AKIAADMIN", &sts.AssumeRoleInput{RoleArn: &open, RoleSessionName: ptr("a1"), SourceIdentity: ptr("me")}, "ValidationError"},
	} {
		_, err := sts.NewFromConfig(config(s, c.key, "s", "")).AssumeRole(t.Context(), c.in)
		want(t, c.what, err, c.code)
	}
}

// The point of sharing principals: what a role may do to a table is taken away
// by a policy, arrives after a while, and comes back.
func TestRolePolicy_reaches_DynamoDB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ststest.New(ststest.Options{PolicyDelay: 4 * time.Second})
		db := dynamotest.New(dynamotest.Options{Principals: s.Principal})
		table := func(cfg aws.Config) *dynamodb.Client {
			cfg.BaseEndpoint, cfg.HTTPClient = aws.String(dynamotest.MemoryURL), db.HTTPClient()
			return dynamodb.NewFromConfig(cfg)
		}
		_, err := table(root(s)).CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: aws.String("sessions"), BillingMode: ddbtypes.BillingModePayPerRequest,
			AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("k"), AttributeType: "S"}},
			KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("k"), KeyType: "HASH"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		arn := addRole(t, s, ststest.Role{Name: "app", Policies: map[string]string{"table": allowTable}})
		c := assume(t, root(s), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("i-1")})
		canary := assume(t, root(s), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("canary"), Policy: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"dynamodb:GetItem","Resource":"*"}]}`)})
		get := func(c *ststypes.Credentials) string {
			_, err := table(session(s, c)).GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("sessions"), Key: map[string]ddbtypes.AttributeValue{"k": &ddbtypes.AttributeValueMemberS{Value: "a"}}})
			return code(err)
		}
		if got := get(c); got != "" {
			t.Errorf("the role's session: %s", got)
		}
		if got := get(canary); got != "AccessDeniedException" {
			t.Errorf("a session whose own policy denies: %q", got)
		}
		roles := iam.NewFromConfig(root(s))
		put := &iam.PutRolePolicyInput{RoleName: aws.String("app"), PolicyName: aws.String("drill"), PolicyDocument: aws.String(denyTable)}
		if _, err := roles.PutRolePolicy(t.Context(), put); err != nil {
			t.Fatal(err)
		}
		if got := get(c); got != "" {
			t.Errorf("before it has arrived: %s", got)
		}
		<-time.After(4 * time.Second)
		if got := get(c); got != "AccessDeniedException" {
			t.Errorf("after it has arrived: %q", got)
		}
		if _, err := roles.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: put.RoleName, PolicyName: put.PolicyName}); err != nil {
			t.Fatal(err)
		}
		if got := get(c); got != "AccessDeniedException" {
			t.Errorf("before the end has arrived: %q", got)
		}
		<-time.After(4 * time.Second)
		if got := get(c); got != "" {
			t.Errorf("after the end has arrived: %s", got)
		}
		<-time.After(time.Hour)
		if got := get(c); got != "ExpiredTokenException" {
			t.Errorf("after an hour: %q", got)
		}
	})
}

func TestRoles(t *testing.T) {
	s := ststest.New(ststest.Options{})
	c := iam.NewFromConfig(root(s))
	name := aws.String("app")
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}}`
	made, err := c.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: &trust, Path: aws.String("/x/")})
	if err != nil || *made.Role.Arn != "arn:aws:iam::123456789012:role/x/app" {
		t.Fatalf("%+v, %v", made, err)
	}
	_, err = c.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: &trust})
	want(t, "twice", err, "EntityAlreadyExists")
	_, err = c.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("APP"), AssumeRolePolicyDocument: &trust})
	want(t, "in another case", err, "EntityAlreadyExists")
	_, err = c.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("b"), AssumeRolePolicyDocument: aws.String(`{}`)})
	want(t, "a trust policy that is none", err, "MalformedPolicyDocument")
	_, err = c.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p q"), PolicyDocument: aws.String(allowTable)})
	want(t, "a bad name", err, "ValidationError")
	_, err = c.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:Unknown":"true"}}}}`)})
	want(t, "a key that is not implemented", err, "MalformedPolicyDocument")
	large := strings.Replace(allowTable, "dynamodb:*", "s3:"+strings.Repeat("x", 6000), 1)
	for i, expected := range []string{"", "LimitExceeded"} {
		_, err = c.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p" + string(rune('0'+i))), PolicyDocument: &large})
		want(t, "6,000 characters", err, expected)
	}
	got, err := c.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("p0")})
	if text, _ := url.QueryUnescape(aws.ToString(got.PolicyDocument)); err != nil || text != large {
		t.Errorf("the policy that was put comes back as %.80s, %v", text, err)
	}
	_, err = c.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("none")})
	want(t, "no such policy", err, "NoSuchEntity")
	_, err = c.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: name})
	want(t, "with a policy", err, "DeleteConflict")
	if _, err = c.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("p0")}); err != nil {
		t.Error(err)
	}
	list, err := c.ListRolePolicies(t.Context(), &iam.ListRolePoliciesInput{RoleName: name})
	if err != nil || len(list.PolicyNames) != 0 {
		t.Errorf("%v, %v", list.PolicyNames, err)
	}
	if _, err = c.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: name}); err != nil {
		t.Error(err)
	}
	_, err = c.GetRole(t.Context(), &iam.GetRoleInput{RoleName: name})
	want(t, "deleted", err, "NoSuchEntity")
	_, err = c.ListUsers(t.Context(), &iam.ListUsersInput{})
	want(t, "not implemented", err, "InvalidAction")
}

// A role that was deleted and made again is another role: sessions of the first
// get nothing from the second.
func TestRole_made_again(t *testing.T) {
	s := ststest.New(ststest.Options{})
	arn := addRole(t, s, ststest.Role{Name: "app"})
	c := assume(t, root(s), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("i-1")})
	if _, err := iam.NewFromConfig(root(s)).DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	addRole(t, s, ststest.Role{Name: "app", Policies: map[string]string{"all": allowTable}})
	p, ok := s.Principal(*c.AccessKeyId)
	if !ok || len(p.Policies) != 0 {
		t.Errorf("%+v, %v", p, ok)
	}
}

func claimsOf(t *testing.T, token string) (head, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	for i, into := range []*map[string]any{&head, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return head, claims
}

func TestGetWebIdentityToken(t *testing.T) {
	s := ststest.New(ststest.Options{})
	arn := addRole(t, s, ststest.Role{Name: "app", Tags: map[string]string{"team": "pay"}, Policies: map[string]string{"t": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*","Condition":{"StringEquals":{"sts:IdentityTokenAudience":"https://shop"},"NumericLessThanEquals":{"sts:DurationSeconds":300}}}}`}})
	c := sts.NewFromConfig(session(s, assume(t, root(s), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("i-1"), DurationSeconds: aws.Int32(900)})))
	ask := func(change func(*sts.GetWebIdentityTokenInput)) (*sts.GetWebIdentityTokenOutput, error) {
		in := &sts.GetWebIdentityTokenInput{Audience: []string{"https://shop"}, SigningAlgorithm: aws.String("RS256")}
		change(in)
		return c.GetWebIdentityToken(t.Context(), in)
	}
	out, err := ask(func(*sts.GetWebIdentityTokenInput) {})
	if err != nil {
		t.Fatal(err)
	}
	head, claims := claimsOf(t, *out.WebIdentityToken)
	if head["alg"] != "RS256" || claims["sub"] != arn || claims["aud"] != "https://shop" || claims["iss"] != s.Issuer() || claims["exp"].(float64)-claims["iat"].(float64) != 300 {
		t.Errorf("%v %v", head, claims)
	}
	own := claims["https://sts.amazonaws.com/"].(map[string]any)
	if own["aws_account"] != ststest.Account || own["source_region"] != "eu-central-1" || own["principal_tags"].(map[string]any)["team"] != "pay" {
		t.Errorf("%v", own)
	}
	for what, bad := range map[string]struct {
		change func(*sts.GetWebIdentityTokenInput)
		code   string
	}{
		"another audience":        {func(in *sts.GetWebIdentityTokenInput) { in.Audience = []string{"https://shop", "https://other"} }, "AccessDenied"},
		"too long for the policy": {func(in *sts.GetWebIdentityTokenInput) { in.DurationSeconds = aws.Int32(301) }, "AccessDenied"},
		"too long":                {func(in *sts.GetWebIdentityTokenInput) { in.DurationSeconds = aws.Int32(3601) }, "ValidationError"},
		"no such algorithm":       {func(in *sts.GetWebIdentityTokenInput) { in.SigningAlgorithm = aws.String("none") }, "ValidationError"},
	} {
		_, err := ask(bad.change)
		want(t, what, err, bad.code)
	}
	keysBefore := keysOf(t, s)
	if !verifies(t, keysBefore, *out.WebIdentityToken) {
		t.Error("the token does not verify with the published keys")
	}
	s.RotateTokenKeys(true)
	if keys := keysOf(t, s); len(keys) != 4 || !verifies(t, keys, *out.WebIdentityToken) {
		t.Errorf("after a rotation: %d keys", len(keys))
	}
	s.RotateTokenKeys(false)
	if keys := keysOf(t, s); len(keys) != 2 || keys[head["kid"].(string)] != nil {
		t.Errorf("after disowning: %d keys", len(keys))
	}
}

func TestGetWebIdentityToken_outlives_no_session(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ststest.New(ststest.Options{NoWebIdentity: true})
		arn := addRole(t, s, ststest.Role{Name: "app", Policies: map[string]string{"t": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}`}})
		c := sts.NewFromConfig(session(s, assume(t, root(s), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("i-1"), DurationSeconds: aws.Int32(900)})))
		in := &sts.GetWebIdentityTokenInput{Audience: []string{"x"}, SigningAlgorithm: aws.String("ES384")}
		_, err := c.GetWebIdentityToken(t.Context(), in)
		want(t, "not enabled", err, "OutboundWebIdentityFederationDisabledException")
		if _, err := iam.NewFromConfig(root(s)).EnableOutboundWebIdentityFederation(t.Context(), &iam.EnableOutboundWebIdentityFederationInput{}); err != nil {
			t.Fatal(err)
		}
		_, err = c.GetWebIdentityToken(t.Context(), in)
		want(t, "enabled", err, "")
		<-time.After(10*time.Minute + time.Second)
		_, err = c.GetWebIdentityToken(t.Context(), in)
		want(t, "five minutes before the session ends", err, "SessionDurationEscalationException")
	})
}

func keysOf(t *testing.T, s *ststest.Server) map[string]*rsa.PublicKey {
	t.Helper()
	fetch := func(path string, into any) {
		resp, err := s.HTTPClient().Get(path)
		if err == nil {
			err = json.NewDecoder(resp.Body).Decode(into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var doc struct{ Issuer, JWKSURI string }
	var raw map[string]any
	fetch(s.Issuer()+"/.well-known/openid-configuration", &raw)
	doc.Issuer, doc.JWKSURI = raw["issuer"].(string), raw["jwks_uri"].(string)
	if doc.Issuer != s.Issuer() {
		t.Errorf("issuer %q", doc.Issuer)
	}
	var set struct{ Keys []map[string]string }
	fetch(doc.JWKSURI, &set)
	keys := map[string]*rsa.PublicKey{}
	for _, k := range set.Keys {
		keys[k["kid"]] = rsaKey(t, k)
	}
	return keys
}

func TestKMS(t *testing.T) {
	s := ststest.New(ststest.Options{})
	c := kms.NewFromConfig(root(s))
	made, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: kmstypes.KeySpecRsa2048, KeyUsage: kmstypes.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	id := made.KeyMetadata.KeyId
	pub, err := c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: id})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKIXPublicKey(pub.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	in := &kms.SignInput{KeyId: id, Message: []byte("hello"), SigningAlgorithm: kmstypes.SigningAlgorithmSpecRsassaPkcs1V15Sha256}
	out, err := c.Sign(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(in.Message)
	if err := rsa.VerifyPKCS1v15(parsed.(*rsa.PublicKey), crypto.SHA256, sum[:], out.Signature); err != nil {
		t.Error(err)
	}
	digest, err := c.Sign(t.Context(), &kms.SignInput{KeyId: made.KeyMetadata.Arn, Message: sum[:], MessageType: kmstypes.MessageTypeDigest, SigningAlgorithm: in.SigningAlgorithm})
	if err != nil || string(digest.Signature) != string(out.Signature) {
		t.Errorf("the digest of the same message signs differently: %v", err)
	}
	if v, err := c.Verify(t.Context(), &kms.VerifyInput{KeyId: id, Message: in.Message, Signature: out.Signature, SigningAlgorithm: in.SigningAlgorithm}); err != nil || !v.SignatureValid {
		t.Error(err)
	}
	_, err = c.Verify(t.Context(), &kms.VerifyInput{KeyId: id, Message: []byte("other"), Signature: out.Signature, SigningAlgorithm: in.SigningAlgorithm})
	want(t, "another message", err, "KMSInvalidSignatureException")
	_, err = c.Sign(t.Context(), &kms.SignInput{KeyId: id, Message: in.Message, SigningAlgorithm: kmstypes.SigningAlgorithmSpecEcdsaSha256})
	want(t, "the wrong algorithm", err, "InvalidKeyUsageException")
	_, err = c.Sign(t.Context(), &kms.SignInput{KeyId: aws.String("alias/token"), Message: in.Message, SigningAlgorithm: in.SigningAlgorithm})
	want(t, "no such alias", err, "NotFoundException")
	if _, err := c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/token"), TargetKeyId: id}); err != nil {
		t.Error(err)
	}
	_, err = c.Sign(t.Context(), &kms.SignInput{KeyId: aws.String("alias/token"), Message: in.Message, SigningAlgorithm: in.SigningAlgorithm})
	want(t, "by its alias", err, "")
	if _, err := c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: id}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Sign(t.Context(), in)
	want(t, "disabled", err, "DisabledException")
	if _, err := c.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: id}); err != nil {
		t.Fatal(err)
	}
	deny := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"NotAction":"kms:Sign","Resource":"*"}}`
	if _, err := c.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: id, Policy: &deny}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Sign(t.Context(), in)
	want(t, "the key's policy does not allow it", err, "AccessDeniedException")
	_, err = c.CreateKey(t.Context(), &kms.CreateKeyInput{})
	want(t, "symmetric", err, "ValidationException")
	_, err = c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: id, Plaintext: []byte("x")})
	want(t, "not implemented", err, "UnknownOperationException")
}

func TestServer_over_TCP(t *testing.T) {
	s := ststest.New(ststest.Options{})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cfg := root(s)
	cfg.BaseEndpoint, cfg.HTTPClient = aws.String(s.URL()), nil
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c := sts.NewFromConfig(cfg)
	if _, err := c.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
		t.Error(err)
	}
	if s.Issuer() != s.URL() {
		t.Errorf("issuer %q", s.Issuer())
	}
	s.SetFault(func(r *ststest.Request) *ststest.Fault {
		if r.Service == "sts" && r.Action == "GetCallerIdentity" && r.AccessKey == dynamotest.AccessKey {
			return &ststest.Fault{Code: "Throttling", Message: "Rate exceeded"}
		}
		return nil
	})
	_, err := c.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	want(t, "throttled", err, "Throttling")
	if st := s.Stats(); st.Requests["sts:GetCallerIdentity"] != 2 || st.Total() != 2 {
		t.Errorf("%+v", st)
	}
	s.Close()
	if _, err := c.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err == nil {
		t.Error("a closed server answers")
	}
}
