package ststest_test

import "strings"

var sessionAnswers = []exchange{
	{"a session", []step{
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&DurationSeconds=900&Policy=$POLICY&Tags.member.1.Key=a&Tags.member.1.Value=b").
			answers(`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIA*</AccessKeyId><SecretAccessKey>*</SecretAccessKey><SessionToken>*</SessionToken><Expiration>2000-01-01T00:15:00Z</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROA*:one</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/app/one</Arn></AssumedRoleUser><PackedPolicySize>4</PackedPolicySize></AssumeRoleResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></AssumeRoleResponse>`),
		ask("sts:GetCallerIdentity", "").
			answers(`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/DYNAMOTEST</Arn><UserId>DYNAMOTEST</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></GetCallerIdentityResponse>`),
	}},
	{"a session without a role", []step{
		ask("sts:AssumeRole", "RoleSessionName=one").
			fails(400, "ValidationError", "the parameter RoleArn is missing"),
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app").
			fails(400, "ValidationError", "the parameter RoleSessionName is missing"),
	}},
	{"a session of no name", []step{
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=a").
			fails(400, "ValidationError", "RoleSessionName is &#34;a&#34;; want 2 to 64 letters, digits and _+=,.@-"),
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName="+strings.Repeat("x", 65)).
			fails(400, "ValidationError", "RoleSessionName is &#34;"+strings.Repeat("x", 65)+"&#34;; want 2 to 64 letters, digits and _+=,.@-"),
	}},
	{"roles that cannot be assumed", []step{
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/none&RoleSessionName=one").
			fails(403, "AccessDenied", "User: arn:aws:iam::123456789012:user/DYNAMOTEST is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/none"),
		ask("sts:AssumeRole", "RoleArn=app&RoleSessionName=one").
			fails(403, "AccessDenied", "User: arn:aws:iam::123456789012:user/DYNAMOTEST is not authorized to perform: sts:AssumeRole on resource: app"),
	}},
	{"lengths", []step{
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&DurationSeconds=899").
			fails(400, "ValidationError", "DurationSeconds is &#34;899&#34;; want a number from 900 to 43200"),
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&DurationSeconds=43201").
			fails(400, "ValidationError", "DurationSeconds is &#34;43201&#34;; want a number from 900 to 43200"),
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&DurationSeconds=3601").
			fails(400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."),
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&DurationSeconds=x").
			fails(400, "ValidationError", "DurationSeconds is &#34;x&#34;; want a number from 900 to 43200"),
	}},
	{"external ids that are none", []step{
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&ExternalId=a").
			fails(400, "ValidationError", "ExternalId has a form that STS does not take"),
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&ExternalId=a b").
			fails(400, "ValidationError", "ExternalId has a form that STS does not take"),
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&ExternalId="+strings.Repeat("x", 1225)).
			fails(400, "ValidationError", "ExternalId has a form that STS does not take"),
	}},
	{"session policies that are none", []step{
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&Policy={}").
			fails(400, "MalformedPolicyDocument", "policy: Version is missing; IAM knows &#34;2012-10-17&#34; and &#34;2008-10-17&#34;"),
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&Policy=$LONG").
			fails(400, "ValidationError", "the session policy has 6085 characters, the limit is 2048"),
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&Policy=").
			fails(400, "MalformedPolicyDocument", "policy: unexpected EOF"),
	}},
	{"a parameter that is none", []step{
		ask("sts:AssumeRole", "RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=one&SerialNumber=1").
			fails(400, "ValidationError", "ststest does not implement the parameter SerialNumber of this action"),
		ask("sts:GetCallerIdentity", "RoleArn=x").
			fails(400, "ValidationError", "ststest does not implement the parameter RoleArn of this action"),
	}},
	{"tokens that are none", []step{
		ask("sts:GetWebIdentityToken", "SigningAlgorithm=ES384").
			fails(400, "ValidationError", "Audience has 0 members; want 1 to 10"),
		ask("sts:GetWebIdentityToken", "SigningAlgorithm=ES384&Audience.member.1=a&Audience.member.2=a&Audience.member.3=a&Audience.member.4=a&Audience.member.5=a&Audience.member.6=a&Audience.member.7=a&Audience.member.8=a&Audience.member.9=a&Audience.member.10=a&Audience.member.11=a").
			fails(400, "ValidationError", "Audience has 11 members; want 1 to 10"),
		ask("sts:GetWebIdentityToken", "Audience.member.1=a").
			fails(400, "ValidationError", "the parameter SigningAlgorithm is missing"),
		ask("sts:GetWebIdentityToken", "SigningAlgorithm=none&Audience.member.1=a").
			fails(400, "ValidationError", "SigningAlgorithm is &#34;none&#34;; want RS256 or ES384"),
		ask("sts:GetWebIdentityToken", "SigningAlgorithm=ES384&Audience.member.1=").
			fails(400, "ValidationError", "an audience has 0 characters; want 1 to 1,000"),
		ask("sts:GetWebIdentityToken", "SigningAlgorithm=ES384&Audience.member.1="+strings.Repeat("x", 1001)).
			fails(400, "ValidationError", "an audience has 1001 characters; want 1 to 1,000"),
		ask("sts:GetWebIdentityToken", "SigningAlgorithm=ES384&Audience.member.1=a&DurationSeconds=59").
			fails(400, "ValidationError", "DurationSeconds is &#34;59&#34;; want a number from 60 to 3600"),
		ask("sts:GetWebIdentityToken", "SigningAlgorithm=ES384&Audience.member.1=a&DurationSeconds=3601").
			fails(400, "ValidationError", "DurationSeconds is &#34;3601&#34;; want a number from 60 to 3600"),
	}},
	{"a token without federation", []step{
		ask("iam:DisableOutboundWebIdentityFederation", "").
			answers(`<DisableOutboundWebIdentityFederationResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>*</RequestId></ResponseMetadata></DisableOutboundWebIdentityFederationResponse>`),
		ask("sts:GetWebIdentityToken", "SigningAlgorithm=ES384&Audience.member.1=a").
			fails(403, "OutboundWebIdentityFederationDisabledException", "Outbound identity federation is not enabled for the account."),
	}},
}
