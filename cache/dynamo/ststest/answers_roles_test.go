package ststest_test

import "strings"

var roleAnswers = []exchange{
	{"a role from its beginning to its end", []step{
		ask("iam:CreateRole", "RoleName=new&Path=/x/&AssumeRolePolicyDocument=$TRUST&Description=a <role>&MaxSessionDuration=7200&Tags.member.1.Key=b&Tags.member.1.Value=1&Tags.member.2.Key=a&Tags.member.2.Value=2").
			answers(`<CreateRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><CreateRoleResult><Role><Path>/x/</Path><RoleName>new</RoleName><RoleId>AROA*</RoleId><Arn>arn:aws:iam::123456789012:role/x/new</Arn><CreateDate>2000-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22AWS%22%3A%22123456789012%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%7D</AssumeRolePolicyDocument><Description>a &lt;role&gt;</Description><MaxSessionDuration>7200</MaxSessionDuration><Tags><member><Key>a</Key><Value>2</Value></member><member><Key>b</Key><Value>1</Value></member></Tags></Role></CreateRoleResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></CreateRoleResponse>`),
		ask("iam:GetRole", "RoleName=new").
			answers(`<GetRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRoleResult><Role><Path>/x/</Path><RoleName>new</RoleName><RoleId>AROA*</RoleId><Arn>arn:aws:iam::123456789012:role/x/new</Arn><CreateDate>2000-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22AWS%22%3A%22123456789012%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%7D</AssumeRolePolicyDocument><Description>a &lt;role&gt;</Description><MaxSessionDuration>7200</MaxSessionDuration><Tags><member><Key>a</Key><Value>2</Value></member><member><Key>b</Key><Value>1</Value></member></Tags></Role></GetRoleResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></GetRoleResponse>`),
		ask("iam:ListRoles", "PathPrefix=/x/").
			answers(`<ListRolesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListRolesResult><IsTruncated>false</IsTruncated><Roles><member><Path>/x/</Path><RoleName>new</RoleName><RoleId>AROA*</RoleId><Arn>arn:aws:iam::123456789012:role/x/new</Arn><CreateDate>2000-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22AWS%22%3A%22123456789012%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%7D</AssumeRolePolicyDocument><Description>a &lt;role&gt;</Description><MaxSessionDuration>7200</MaxSessionDuration><Tags><member><Key>a</Key><Value>2</Value></member><member><Key>b</Key><Value>1</Value></member></Tags></member></Roles></ListRolesResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></ListRolesResponse>`),
		ask("iam:ListRoles", "PathPrefix=/y/").
			answers(`<ListRolesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListRolesResult><IsTruncated>false</IsTruncated><Roles></Roles></ListRolesResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></ListRolesResponse>`),
		ask("iam:DeleteRole", "RoleName=new").
			answers(`<DeleteRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></DeleteRoleResponse>`),
		ask("iam:GetRole", "RoleName=new").
			fails(404, "NoSuchEntity", "The role with name new cannot be found."),
		ask("iam:DeleteRole", "RoleName=new").
			fails(404, "NoSuchEntity", "The role with name new cannot be found."),
	}},
	{"a role without a name", []step{
		ask("iam:CreateRole", "AssumeRolePolicyDocument=$TRUST").
			fails(400, "ValidationError", "the parameter RoleName is missing"),
		ask("iam:GetRole", "").
			fails(400, "ValidationError", "the parameter RoleName is missing"),
		ask("iam:DeleteRole", "").
			fails(400, "ValidationError", "the parameter RoleName is missing"),
		ask("iam:UpdateAssumeRolePolicy", "PolicyDocument=$TRUST").
			fails(400, "ValidationError", "the parameter RoleName is missing"),
		ask("iam:TagRole", "").
			fails(400, "ValidationError", "the parameter RoleName is missing"),
		ask("iam:UntagRole", "").
			fails(400, "ValidationError", "the parameter RoleName is missing"),
		ask("iam:ListRoleTags", "").
			fails(400, "ValidationError", "the parameter RoleName is missing"),
		ask("iam:PutRolePolicy", "").
			fails(400, "ValidationError", "the parameter RoleName is missing"),
		ask("iam:GetRolePolicy", "").
			fails(400, "ValidationError", "the parameter RoleName is missing"),
		ask("iam:DeleteRolePolicy", "").
			fails(400, "ValidationError", "the parameter RoleName is missing"),
		ask("iam:ListRolePolicies", "").
			fails(400, "ValidationError", "the parameter RoleName is missing"),
	}},
	{"a role without a trust policy", []step{
		ask("iam:CreateRole", "RoleName=new").
			fails(400, "ValidationError", "the parameter AssumeRolePolicyDocument is missing"),
	}},
	{"names that are none", []step{
		ask("iam:CreateRole", "RoleName=a/b&AssumeRolePolicyDocument=$TRUST").
			fails(400, "ValidationError", "RoleName is &#34;a/b&#34;; want 1 to 64 letters, digits and _+=,.@-"),
		ask("iam:CreateRole", "RoleName="+strings.Repeat("x", 65)+"&AssumeRolePolicyDocument=$TRUST").
			fails(400, "ValidationError", "RoleName is &#34;"+strings.Repeat("x", 65)+"&#34;; want 1 to 64 letters, digits and _+=,.@-"),
		ask("iam:CreateRole", "RoleName=new&Path=x&AssumeRolePolicyDocument=$TRUST").
			fails(400, "ValidationError", "Path is &#34;x&#34;; want one that begins and ends with /"),
		ask("iam:CreateRole", "RoleName=new&Path=/"+strings.Repeat("x", 511)+"/&AssumeRolePolicyDocument=$TRUST").
			fails(400, "ValidationError", "Path is &#34;/"+strings.Repeat("x", 511)+"/&#34;; want one that begins and ends with /"),
	}},
	{"sessions of no length", []step{
		ask("iam:CreateRole", "RoleName=new&AssumeRolePolicyDocument=$TRUST&MaxSessionDuration=3599").
			fails(400, "ValidationError", "MaxSessionDuration is &#34;3599&#34;; want a number from 3600 to 43200"),
		ask("iam:CreateRole", "RoleName=new&AssumeRolePolicyDocument=$TRUST&MaxSessionDuration=43201").
			fails(400, "ValidationError", "MaxSessionDuration is &#34;43201&#34;; want a number from 3600 to 43200"),
		ask("iam:CreateRole", "RoleName=new&AssumeRolePolicyDocument=$TRUST&MaxSessionDuration=an hour").
			fails(400, "ValidationError", "MaxSessionDuration is &#34;an hour&#34;; want a number from 3600 to 43200"),
	}},
	{"a trust policy that is none", []step{
		ask("iam:CreateRole", "RoleName=new&AssumeRolePolicyDocument={}").
			fails(400, "MalformedPolicyDocument", "policy: Version is missing; IAM knows &#34;2012-10-17&#34; and &#34;2008-10-17&#34;"),
		ask("iam:UpdateAssumeRolePolicy", "RoleName=app&PolicyDocument={}").
			fails(400, "MalformedPolicyDocument", "policy: Version is missing; IAM knows &#34;2012-10-17&#34; and &#34;2008-10-17&#34;"),
		ask("iam:CreateRole", "RoleName=new&AssumeRolePolicyDocument=$LONG").
			fails(400, "MalformedPolicyDocument", "policy: 6085 bytes, the limit is 4096"),
	}},
	{"a name that is taken", []step{
		ask("iam:CreateRole", "RoleName=App&AssumeRolePolicyDocument=$TRUST").
			fails(409, "EntityAlreadyExists", "Role with name App already exists."),
	}},
	{"a trust policy of nobody", []step{
		ask("iam:UpdateAssumeRolePolicy", `RoleName=app&PolicyDocument={"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::123456789012:role/gone"},"Action":"sts:AssumeRole"}}`).
			fails(400, "MalformedPolicyDocument", "Invalid principal in policy: &#34;AWS&#34;:&#34;arn:aws:iam::123456789012:role/gone&#34;"),
	}},
	{"a new trust policy", []step{
		ask("iam:UpdateAssumeRolePolicy", "RoleName=app&PolicyDocument=$TRUST").
			answers(`<UpdateAssumeRolePolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></UpdateAssumeRolePolicyResponse>`),
		ask("iam:UpdateAssumeRolePolicy", "RoleName=none&PolicyDocument=$TRUST").
			fails(404, "NoSuchEntity", "The role with name none cannot be found."),
	}},
	{"a role with policies", []step{
		ask("iam:DeleteRole", "RoleName=app").
			fails(409, "DeleteConflict", "Cannot delete entity, must delete policies first."),
	}},
	{"tags", []step{
		ask("iam:ListRoleTags", "RoleName=app").
			answers(`<ListRoleTagsResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListRoleTagsResult><IsTruncated>false</IsTruncated><Tags><member><Key>team</Key><Value>pay</Value></member></Tags></ListRoleTagsResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></ListRoleTagsResponse>`),
		ask("iam:TagRole", "RoleName=app&Tags.member.1.Key=stage&Tags.member.1.Value=<a>").
			answers(`<TagRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></TagRoleResponse>`),
		ask("iam:TagRole", "RoleName=app&Tags.member.1.Key=team&Tags.member.1.Value=x").
			answers(`<TagRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></TagRoleResponse>`),
		ask("iam:ListRoleTags", "RoleName=app").
			answers(`<ListRoleTagsResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListRoleTagsResult><IsTruncated>false</IsTruncated><Tags><member><Key>stage</Key><Value>&lt;a&gt;</Value></member><member><Key>team</Key><Value>x</Value></member></Tags></ListRoleTagsResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></ListRoleTagsResponse>`),
		ask("iam:UntagRole", "RoleName=app&TagKeys.member.1=team&TagKeys.member.2=none").
			answers(`<UntagRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></UntagRoleResponse>`),
		ask("iam:ListRoleTags", "RoleName=app").
			answers(`<ListRoleTagsResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListRoleTagsResult><IsTruncated>false</IsTruncated><Tags><member><Key>stage</Key><Value>&lt;a&gt;</Value></member></Tags></ListRoleTagsResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></ListRoleTagsResponse>`),
		ask("iam:UntagRole", "RoleName=app&TagKeys.member.1=stage").
			answers(`<UntagRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></UntagRoleResponse>`),
		ask("iam:ListRoleTags", "RoleName=app").
			answers(`<ListRoleTagsResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListRoleTagsResult><IsTruncated>false</IsTruncated><Tags></Tags></ListRoleTagsResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></ListRoleTagsResponse>`),
	}},
	{"as many tags as may be", []step{
		ask("iam:TagRole", "RoleName=app&"+tags(49)).
			answers(`<TagRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></TagRoleResponse>`),
		ask("iam:TagRole", "RoleName=app&Tags.member.1.Key=one&Tags.member.1.Value=").
			fails(409, "LimitExceeded", "Cannot exceed quota for TagsPerRole: 50"),
	}},
	{"more than that at once", []step{
		ask("iam:TagRole", "RoleName=app&"+tags(49)+"&Tags.member.50.Key=k50&Tags.member.50.Value=v&Tags.member.51.Key=k51&Tags.member.51.Value=v").
			fails(400, "ValidationError", "the tags have a key that is empty or comes twice, if only in another case, or are more than 50"),
	}},
	{"tags that are none", []step{
		ask("iam:TagRole", "RoleName=app&Tags.member.1.Key=aws:x&Tags.member.1.Value=").
			fails(400, "ValidationError", "the tag &#34;aws:x&#34; has the prefix aws:, which AWS keeps for itself"),
		ask("iam:TagRole", "RoleName=app&Tags.member.1.Key=&Tags.member.1.Value=x").
			fails(400, "ValidationError", "the tags have a key that is empty or comes twice, if only in another case, or are more than 50"),
		ask("iam:TagRole", "RoleName=app&Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=A&Tags.member.2.Value=2").
			fails(400, "ValidationError", "the tags have a key that is empty or comes twice, if only in another case, or are more than 50"),
		ask("iam:TagRole", "RoleName=app&Tags.member.2.Key=a&Tags.member.2.Value=1").
			fails(400, "ValidationError", "ststest does not implement the parameter Tags.member.2.Key of this action"),
		ask("iam:UntagRole", "RoleName=app&TagKeys.member.1=a&TagKeys.member.3=b").
			fails(400, "ValidationError", "ststest does not implement the parameter TagKeys.member.3 of this action"),
	}},
	{"tags of no role", []step{
		ask("iam:TagRole", "RoleName=none").
			fails(404, "NoSuchEntity", "The role with name none cannot be found."),
		ask("iam:UntagRole", "RoleName=none").
			fails(404, "NoSuchEntity", "The role with name none cannot be found."),
		ask("iam:ListRoleTags", "RoleName=none").
			fails(404, "NoSuchEntity", "The role with name none cannot be found."),
	}},
	{"policies", []step{
		ask("iam:PutRolePolicy", "RoleName=app&PolicyName=more&PolicyDocument=$POLICY").
			answers(`<PutRolePolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></PutRolePolicyResponse>`),
		ask("iam:ListRolePolicies", "RoleName=app").
			answers(`<ListRolePoliciesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListRolePoliciesResult><IsTruncated>false</IsTruncated><PolicyNames><member>more</member><member>own</member></PolicyNames></ListRolePoliciesResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></ListRolePoliciesResponse>`),
		ask("iam:GetRolePolicy", "RoleName=app&PolicyName=more").
			answers(`<GetRolePolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRolePolicyResult><RoleName>app</RoleName><PolicyName>more</PolicyName><PolicyDocument>%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3A%2A%22%2C%22Resource%22%3A%22%2A%22%7D%7D</PolicyDocument></GetRolePolicyResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></GetRolePolicyResponse>`),
		ask("iam:DeleteRolePolicy", "RoleName=app&PolicyName=more").
			answers(`<DeleteRolePolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></DeleteRolePolicyResponse>`),
		ask("iam:DeleteRolePolicy", "RoleName=app&PolicyName=more").
			fails(404, "NoSuchEntity", "The role policy with name more cannot be found on role app."),
		ask("iam:GetRolePolicy", "RoleName=app&PolicyName=more").
			fails(404, "NoSuchEntity", "The role policy with name more cannot be found on role app."),
		ask("iam:ListRolePolicies", "RoleName=app").
			answers(`<ListRolePoliciesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListRolePoliciesResult><IsTruncated>false</IsTruncated><PolicyNames><member>own</member></PolicyNames></ListRolePoliciesResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></ListRolePoliciesResponse>`),
	}},
	{"policies that are none", []step{
		ask("iam:PutRolePolicy", "RoleName=app&PolicyName=a/b&PolicyDocument=$POLICY").
			fails(400, "ValidationError", "PolicyName is &#34;a/b&#34;; want 1 to 128 letters, digits and _+=,.@-"),
		ask("iam:PutRolePolicy", "RoleName=app&PolicyName=more&PolicyDocument={}").
			fails(400, "MalformedPolicyDocument", "policy: Version is missing; IAM knows &#34;2012-10-17&#34; and &#34;2008-10-17&#34;"),
		ask("iam:PutRolePolicy", "RoleName=none&PolicyName=more&PolicyDocument=$POLICY").
			fails(404, "NoSuchEntity", "The role with name none cannot be found."),
	}},
	{"policies that are too much together", []step{
		ask("iam:PutRolePolicy", "RoleName=app&PolicyName=a&PolicyDocument=$LONG").
			answers(`<PutRolePolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></PutRolePolicyResponse>`),
		ask("iam:PutRolePolicy", "RoleName=app&PolicyName=a&PolicyDocument=$LONG").
			answers(`<PutRolePolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></PutRolePolicyResponse>`),
		ask("iam:PutRolePolicy", "RoleName=app&PolicyName=b&PolicyDocument=$LONG").
			fails(409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for the role: 12262"),
	}},
	{"federation", []step{
		ask("iam:GetOutboundWebIdentityFederationInfo", "").
			answers(`<GetOutboundWebIdentityFederationInfoResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetOutboundWebIdentityFederationInfoResult><IssuerIdentifier>http://ststest.invalid</IssuerIdentifier><JwtVendingEnabled>true</JwtVendingEnabled></GetOutboundWebIdentityFederationInfoResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></GetOutboundWebIdentityFederationInfoResponse>`),
		ask("iam:EnableOutboundWebIdentityFederation", "").
			fails(409, "FeatureEnabled", "Outbound identity federation is already enabled for the account."),
		ask("iam:DisableOutboundWebIdentityFederation", "").
			answers(`<DisableOutboundWebIdentityFederationResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></DisableOutboundWebIdentityFederationResponse>`),
		ask("iam:DisableOutboundWebIdentityFederation", "").
			fails(404, "FeatureDisabled", "Outbound identity federation is not enabled for the account."),
		ask("iam:GetOutboundWebIdentityFederationInfo", "").
			fails(404, "FeatureDisabled", "Outbound identity federation is not enabled for the account."),
		ask("iam:EnableOutboundWebIdentityFederation", "").
			answers(`<EnableOutboundWebIdentityFederationResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><EnableOutboundWebIdentityFederationResult><IssuerIdentifier>http://ststest.invalid</IssuerIdentifier></EnableOutboundWebIdentityFederationResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></EnableOutboundWebIdentityFederationResponse>`),
		ask("iam:DisableOutboundWebIdentityFederation", "Force=true").
			fails(400, "ValidationError", "ststest does not implement the parameter Force of this action"),
	}},
	{"a parameter that is none", []step{
		ask("iam:GetRole", "RoleName=app&Zeta=1&Extra=1").
			fails(400, "ValidationError", "ststest does not implement the parameter Extra of this action"),
		ask("iam:ListRoles", "MaxItems=1").
			fails(400, "ValidationError", "ststest does not implement the parameter MaxItems of this action"),
	}},
}
