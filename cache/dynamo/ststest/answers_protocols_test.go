package ststest_test

var protocolAnswers = []exchange{
	{"nothing", []step{
		ask("raw:", "").
			fails(400, "MissingAction", "the request has no parameter Action"),
	}},
	{"no action", []step{
		ask("raw:", "Version=2011-06-15").
			fails(400, "MissingAction", "the request has no parameter Action"),
	}},
	{"another version", []step{
		ask("raw:", "Action=GetCallerIdentity&Version=2020-01-01").
			fails(400, "ValidationError", "Version is &#34;2020-01-01&#34;; ststest knows 2011-06-15 (STS) and 2010-05-08 (IAM)"),
		ask("raw:", "Action=GetCallerIdentity").
			fails(400, "ValidationError", "Version is &#34;&#34;; ststest knows 2011-06-15 (STS) and 2010-05-08 (IAM)"),
	}},
	{"an action that is none", []step{
		ask("sts:GetSessionToken", "").
			fails(400, "InvalidAction", "ststest does not implement the action &#34;GetSessionToken&#34; of sts; see docs/guide/ststest.md"),
		ask("iam:CreateUser", "").
			fails(400, "InvalidAction", "ststest does not implement the action &#34;CreateUser&#34; of iam; see docs/guide/ststest.md"),
	}},
	{"an action of the other service", []step{
		ask("iam:AssumeRole", "").
			fails(400, "InvalidAction", "ststest does not implement the action &#34;AssumeRole&#34; of iam; see docs/guide/ststest.md"),
	}},
	{"a parameter twice", []step{
		ask("raw:", "Action=GetCallerIdentity&Version=2011-06-15&B=1&A=1&A=2&B=2").
			fails(400, "MalformedQueryString", "the parameter A comes 2 times"),
	}},
	{"an escape that is none", []step{
		ask("raw:", "Action=%zz").
			fails(400, "MalformedQueryString", "invalid URL escape &#34;%zz&#34;"),
	}},
	{"a body of another kind", []step{
		step{to: "raw:", body: "Action=GetCallerIdentity&Version=2011-06-15", kind: "text/plain"}.
			fails(400, "MalformedQueryString", "Content-Type is &#34;text/plain&#34;; want application/x-www-form-urlencoded"),
		step{to: "raw:", body: "Action=GetCallerIdentity&Version=2011-06-15", kind: ";"}.
			fails(400, "MalformedQueryString", "Content-Type is &#34;;&#34;; want application/x-www-form-urlencoded"),
	}},
	{"a kind with a character set", []step{
		step{to: "raw:", body: "Action=GetCallerIdentity&Version=2011-06-15", kind: "application/x-www-form-urlencoded; charset=utf-8"}.
			answers(`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/DYNAMOTEST</Arn><UserId>DYNAMOTEST</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></GetCallerIdentityResponse>`),
	}},
	{"parameters in body and URL", []step{
		step{to: "raw:", body: "Action=GetCallerIdentity&Version=2011-06-15", query: "?Action=x"}.
			fails(400, "MalformedQueryString", "a POST has its parameters in the body, and this has &#34;Action=x&#34; in the URL"),
	}},
	{"another method", []step{
		step{to: "raw:", body: "Action=GetCallerIdentity&Version=2011-06-15", method: "PUT"}.
			fails(400, "MalformedQueryString", "the method is PUT; want POST or GET"),
	}},
	{"a GET", []step{
		step{to: "raw:", body: "", method: "GET", query: "?Action=GetCallerIdentity&Version=2011-06-15"}.
			answers(`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/DYNAMOTEST</Arn><UserId>DYNAMOTEST</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></GetCallerIdentityResponse>`),
	}},
	{"a document that is none", []step{
		step{to: "raw:", body: "", method: "GET", query: "keys"}.
			says(404, "ststest has no document /keys\n"),
	}},
	{"a document with a slash", []step{
		step{to: "raw:", body: "", method: "GET", query: ".well-known/openid-configuration/"}.
			answers(`{"id_token_signing_alg_values_supported":["RS256","ES384"],"issuer":"http://ststest.invalid","jwks_uri":"http://ststest.invalid/.well-known/jwks.json","response_types_supported":["id_token"],"subject_types_supported":["public"]}`),
	}},
	{"hostile names", []step{
		ask("iam:GetRole", `RoleName=</Message><x a="1">]]>`).
			fails(404, "NoSuchEntity", "The role with name &lt;/Message&gt;&lt;x a=&#34;1&#34;&gt;]]&gt; cannot be found."),
	}},
}
