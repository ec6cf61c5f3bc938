package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
)

// What the doctor says about a role, whatever IAM answers.
func TestDoctor_checkRole(t *testing.T) {
	const (
		table = "arn:aws:dynamodb:us-east-1:123456789012:table/sessions"
		role  = "arn:aws:iam::123456789012:role/team/app"
	)
	answer, asked := "", ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.FormValue("Action") + " " + r.FormValue("RoleName")
		if answer == "" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>")
			return
		}
		_, _ = io.WriteString(w, "<GetRoleResponse><GetRoleResult>"+answer+"</GetRoleResult></GetRoleResponse>")
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL_IAM", server.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
	const head = "<Role><Arn>" + role + "</Arn><RoleName>app</RoleName><Path>/team/</Path><RoleId>1</RoleId>"
	for name, c := range map[string]struct {
		answer string
		want   finding
	}{
		"tagged":     {head + "<Tags><member><Key>team</Key><Value>shop</Value></member><member><Key>failopen-drill</Key><Value>allowed</Value></member></Tags></Role>", finding{"role", "ok", "it may be drilled by its own policy", ""}},
		"not tagged": {head + "</Role>", finding{"role", "ok", "it is there; it is not tagged, so --via role-policy refuses it, and table-policy does not", ""}},
		"no role":    {" ", finding{"role", "warn", "IAM has answered without a role", "is the endpoint of IAM right?"}},
	} {
		answer = c.answer
		f := doctorFlags{table: table, role: role}
		f.checkRole(t.Context())
		if !reflect.DeepEqual(f.findings, []finding{c.want}) || asked != "GetRole app" {
			t.Errorf("%s: %+v, asked for %q; want %+v", name, f.findings, asked, c.want)
		}
	}
	answer = ""
	f := doctorFlags{table: table, role: role}
	f.checkRole(t.Context())
	if len(f.findings) != 1 || f.findings[0].Status != "warn" || f.findings[0].Do != "allow iam:GetRole, or correct the name" {
		t.Errorf("refused: %+v", f.findings)
	}
	for _, f := range []doctorFlags{{table: table}} { // not asked for
		if f.checkRole(t.Context()); f.findings != nil {
			t.Errorf("%+v", f.findings)
		}
	}
}
