package ststest_test

import "strings"

var keyAnswers = []exchange{
	{"a key", []step{
		ask("kms:CreateKey", `{"KeySpec":"ECC_NIST_P384","KeyUsage":"SIGN_VERIFY","Description":"a <key>","Tags":[{"TagKey":"team","TagValue":"pay"}]}`).
			answers(`{"KeyMetadata":{"AWSAccountId":"123456789012","Arn":"arn:aws:kms:us-east-1:123456789012:key/00000002-0000-4000-8000-000000000004","CreationDate":946684800,"CustomerMasterKeySpec":"ECC_NIST_P384","Description":"a \u003ckey\u003e","Enabled":true,"KeyId":"00000002-0000-4000-8000-000000000004","KeyManager":"CUSTOMER","KeySpec":"ECC_NIST_P384","KeyState":"Enabled","KeyUsage":"SIGN_VERIFY","MultiRegion":false,"Origin":"AWS_KMS","SigningAlgorithms":["ECDSA_SHA_384"]}}`),
		ask("kms:DescribeKey", `{"KeyId":"alias/one"}`).
			answers(`{"KeyMetadata":{"AWSAccountId":"123456789012","Arn":"arn:aws:kms:us-east-1:123456789012:key/00000001-0000-4000-8000-000000000001","CreationDate":946684800,"CustomerMasterKeySpec":"ECC_NIST_P256","Description":"","Enabled":true,"KeyId":"00000001-0000-4000-8000-000000000001","KeyManager":"CUSTOMER","KeySpec":"ECC_NIST_P256","KeyState":"Enabled","KeyUsage":"SIGN_VERIFY","MultiRegion":false,"Origin":"AWS_KMS","SigningAlgorithms":["ECDSA_SHA_256"]}}`),
		ask("kms:DescribeKey", `{"KeyId":"arn:aws:kms:us-east-1:123456789012:key/$KEY"}`).
			answers(`{"KeyMetadata":{"AWSAccountId":"123456789012","Arn":"arn:aws:kms:us-east-1:123456789012:key/00000001-0000-4000-8000-000000000001","CreationDate":946684800,"CustomerMasterKeySpec":"ECC_NIST_P256","Description":"","Enabled":true,"KeyId":"00000001-0000-4000-8000-000000000001","KeyManager":"CUSTOMER","KeySpec":"ECC_NIST_P256","KeyState":"Enabled","KeyUsage":"SIGN_VERIFY","MultiRegion":false,"Origin":"AWS_KMS","SigningAlgorithms":["ECDSA_SHA_256"]}}`),
		ask("kms:DescribeKey", `{"KeyId":"arn:aws:kms:us-east-1:123456789012:alias/one"}`).
			answers(`{"KeyMetadata":{"AWSAccountId":"123456789012","Arn":"arn:aws:kms:us-east-1:123456789012:key/00000001-0000-4000-8000-000000000001","CreationDate":946684800,"CustomerMasterKeySpec":"ECC_NIST_P256","Description":"","Enabled":true,"KeyId":"00000001-0000-4000-8000-000000000001","KeyManager":"CUSTOMER","KeySpec":"ECC_NIST_P256","KeyState":"Enabled","KeyUsage":"SIGN_VERIFY","MultiRegion":false,"Origin":"AWS_KMS","SigningAlgorithms":["ECDSA_SHA_256"]}}`),
		ask("kms:ListKeys", "{}").
			answers(`{"Keys":[{"KeyArn":"arn:aws:kms:us-east-1:123456789012:key/00000001-0000-4000-8000-000000000001","KeyId":"00000001-0000-4000-8000-000000000001"},{"KeyArn":"arn:aws:kms:us-east-1:123456789012:key/00000002-0000-4000-8000-000000000004","KeyId":"00000002-0000-4000-8000-000000000004"}],"Truncated":false}`),
	}},
	{"keys that are none", []step{
		ask("kms:CreateKey", "{}").
			refuses("ValidationException", `"KeySpec is \"\" and KeyUsage \"\"; ststest has ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, RSA_2048, RSA_3072, RSA_4096, each for SIGN_VERIFY"`),
		ask("kms:CreateKey", `{"KeySpec":"RSA_2048","KeyUsage":"ENCRYPT_DECRYPT"}`).
			refuses("ValidationException", `"KeySpec is \"RSA_2048\" and KeyUsage \"ENCRYPT_DECRYPT\"; ststest has ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, RSA_2048, RSA_3072, RSA_4096, each for SIGN_VERIFY"`),
		ask("kms:CreateKey", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY","Policy":"{}"}`).
			refuses("MalformedPolicyDocumentException", `"policy: Version is missing; IAM knows \"2012-10-17\" and \"2008-10-17\""`),
		ask("kms:CreateKey", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY","MultiRegion":true}`).
			refuses("ValidationException", `"ststest does not implement the parameter \"MultiRegion\" of kms:CreateKey"`),
	}},
	{"keys that are not there", []step{
		ask("kms:DescribeKey", `{"KeyId":"alias/two"}`).
			refuses("NotFoundException", `"Key \"alias/two\" does not exist in the account 123456789012 and the region us-east-1"`),
		ask("kms:GetPublicKey", `{"KeyId":""}`).
			refuses("NotFoundException", `"Key \"\" does not exist in the account 123456789012 and the region us-east-1"`),
		ask("kms:EnableKey", `{"KeyId":"arn:aws:kms:eu-west-1:123456789012:key/$KEY"}`).
			refuses("NotFoundException", `"Key \"arn:aws:kms:eu-west-1:123456789012:key/00000001-0000-4000-8000-000000000001\" does not exist in the account 123456789012 and the region us-east-1"`),
		ask("kms:DisableKey", "{}").
			refuses("NotFoundException", `"Key \"\" does not exist in the account 123456789012 and the region us-east-1"`),
		ask("kms:GetKeyPolicy", `{"KeyId":"x"}`).
			refuses("NotFoundException", `"Key \"x\" does not exist in the account 123456789012 and the region us-east-1"`),
		ask("kms:PutKeyPolicy", `{"KeyId":"x","Policy":"{}"}`).
			refuses("MalformedPolicyDocumentException", `"policy: Version is missing; IAM knows \"2012-10-17\" and \"2008-10-17\""`),
		ask("kms:Sign", `{"KeyId":"x"}`).
			refuses("NotFoundException", `"Key \"x\" does not exist in the account 123456789012 and the region us-east-1"`),
		ask("kms:Verify", `{"KeyId":"x"}`).
			refuses("NotFoundException", `"Key \"x\" does not exist in the account 123456789012 and the region us-east-1"`),
		ask("kms:CreateAlias", `{"AliasName":"alias/two","TargetKeyId":"x"}`).
			refuses("NotFoundException", `"Key \"x\" does not exist in the account 123456789012 and the region us-east-1"`),
		ask("kms:DeleteAlias", `{"AliasName":"alias/two"}`).
			refuses("NotFoundException", `"Key \"alias/two\" does not exist in the account 123456789012 and the region us-east-1"`),
	}},
	{"a key that is disabled", []step{
		ask("kms:DisableKey", `{"KeyId":"alias/one"}`).
			answers("{}"),
		ask("kms:DescribeKey", `{"KeyId":"alias/one"}`).
			answers(`{"KeyMetadata":{"AWSAccountId":"123456789012","Arn":"arn:aws:kms:us-east-1:123456789012:key/00000001-0000-4000-8000-000000000001","CreationDate":946684800,"CustomerMasterKeySpec":"ECC_NIST_P256","Description":"","Enabled":false,"KeyId":"00000001-0000-4000-8000-000000000001","KeyManager":"CUSTOMER","KeySpec":"ECC_NIST_P256","KeyState":"Disabled","KeyUsage":"SIGN_VERIFY","MultiRegion":false,"Origin":"AWS_KMS","SigningAlgorithms":["ECDSA_SHA_256"]}}`),
		ask("kms:GetPublicKey", `{"KeyId":"alias/one"}`).
			refuses("DisabledException", `"arn:aws:kms:us-east-1:123456789012:key/00000001-0000-4000-8000-000000000001 is disabled."`),
		ask("kms:Sign", `{"KeyId":"alias/one","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256"}`).
			refuses("DisabledException", `"arn:aws:kms:us-east-1:123456789012:key/00000001-0000-4000-8000-000000000001 is disabled."`),
		ask("kms:Verify", `{"KeyId":"alias/one","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256"}`).
			refuses("DisabledException", `"arn:aws:kms:us-east-1:123456789012:key/00000001-0000-4000-8000-000000000001 is disabled."`),
		ask("kms:EnableKey", `{"KeyId":"alias/one"}`).
			answers("{}"),
		ask("kms:DescribeKey", `{"KeyId":"alias/one"}`).
			answers(`{"KeyMetadata":{"AWSAccountId":"123456789012","Arn":"arn:aws:kms:us-east-1:123456789012:key/00000001-0000-4000-8000-000000000001","CreationDate":946684800,"CustomerMasterKeySpec":"ECC_NIST_P256","Description":"","Enabled":true,"KeyId":"00000001-0000-4000-8000-000000000001","KeyManager":"CUSTOMER","KeySpec":"ECC_NIST_P256","KeyState":"Enabled","KeyUsage":"SIGN_VERIFY","MultiRegion":false,"Origin":"AWS_KMS","SigningAlgorithms":["ECDSA_SHA_256"]}}`),
	}},
	{"aliases", []step{
		ask("kms:CreateAlias", `{"AliasName":"alias/one","TargetKeyId":"$KEY"}`).
			refuses("AlreadyExistsException", `"An alias with the name alias/one already exists"`),
		ask("kms:UpdateAlias", `{"AliasName":"alias/two","TargetKeyId":"$KEY"}`).
			refuses("NotFoundException", `"Alias alias/two is not found."`),
		ask("kms:UpdateAlias", `{"AliasName":"alias/one","TargetKeyId":"$KEY"}`).
			answers("{}"),
		ask("kms:CreateAlias", `{"AliasName":"one","TargetKeyId":"$KEY"}`).
			refuses("ValidationException", `"AliasName is \"one\"; want alias/NAME, and not alias/aws/"`),
		ask("kms:CreateAlias", `{"AliasName":"alias/aws/s3","TargetKeyId":"$KEY"}`).
			refuses("ValidationException", `"AliasName is \"alias/aws/s3\"; want alias/NAME, and not alias/aws/"`),
		ask("kms:DeleteAlias", `{"AliasName":"$KEY"}`).
			refuses("ValidationException", `"AliasName is \"00000001-0000-4000-8000-000000000001\"; want alias/NAME"`),
		ask("kms:DeleteAlias", `{"AliasName":"alias/one"}`).
			answers("{}"),
		ask("kms:DescribeKey", `{"KeyId":"alias/one"}`).
			refuses("NotFoundException", `"Key \"alias/one\" does not exist in the account 123456789012 and the region us-east-1"`),
	}},
	{"policies", []step{
		ask("kms:GetKeyPolicy", `{"KeyId":"alias/one","PolicyName":"default"}`).
			answers(`{"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"Enable IAM User Permissions\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::123456789012:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}","PolicyName":"default"}`),
		ask("kms:PutKeyPolicy", `{"KeyId":"alias/one","Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:GetKeyPolicy\",\"Resource\":\"*\"}}"}`).
			answers("{}"),
		ask("kms:GetKeyPolicy", `{"KeyId":"alias/one"}`).
			answers(`{"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:GetKeyPolicy\",\"Resource\":\"*\"}}","PolicyName":"default"}`),
		ask("kms:DescribeKey", `{"KeyId":"alias/one"}`).
			refuses("AccessDeniedException", `"User: arn:aws:iam::123456789012:user/DYNAMOTEST is not authorized to perform: kms:DescribeKey on resource: arn:aws:kms:us-east-1:123456789012:key/00000001-0000-4000-8000-000000000001 because no resource-based policy allows the kms:DescribeKey action"`),
	}},
	{"policies that are none", []step{
		ask("kms:PutKeyPolicy", `{"KeyId":"alias/one","Policy":""}`).
			refuses("MalformedPolicyDocumentException", `"policy: unexpected EOF"`),
		ask("kms:PutKeyPolicy", `{"KeyId":"alias/one","Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Principal\":{\"AWS\":\"arn:aws:iam::123456789012:role/gone\"},\"Action\":\"kms:Sign\",\"Resource\":\"*\"}}"}`).
			refuses("MalformedPolicyDocumentException", `"Invalid principal in policy: \"AWS\":\"arn:aws:iam::123456789012:role/gone\""`),
	}},
	{"messages that are none", []step{
		ask("kms:Verify", `{"KeyId":"alias/one","Message":"AA==","SigningAlgorithm":"ECDSA_SHA_256","Signature":"AAAA"}`).
			refuses("KMSInvalidSignatureException", `""`),
		ask("kms:Sign", `{"KeyId":"alias/one","SigningAlgorithm":"ECDSA_SHA_256"}`).
			refuses("ValidationException", `"the message has 0 bytes and MessageType is \"\"; want 1 to 4096 bytes, RAW or DIGEST"`),
		ask("kms:Sign", `{"KeyId":"alias/one","Message":"aGk=","MessageType":"DIGEST","SigningAlgorithm":"ECDSA_SHA_256"}`).
			refuses("ValidationException", `"Digest is invalid length for algorithm ECDSA_SHA_256."`),
		ask("kms:Sign", `{"KeyId":"alias/one","Message":"aGk=","MessageType":"TEXT","SigningAlgorithm":"ECDSA_SHA_256"}`).
			refuses("ValidationException", `"the message has 2 bytes and MessageType is \"TEXT\"; want 1 to 4096 bytes, RAW or DIGEST"`),
		ask("kms:Sign", `{"KeyId":"alias/one","Message":"`+strings.Repeat("A", 5464)+`","SigningAlgorithm":"ECDSA_SHA_256"}`).
			refuses("ValidationException", `"the message has 4098 bytes and MessageType is \"\"; want 1 to 4096 bytes, RAW or DIGEST"`),
		ask("kms:Sign", `{"KeyId":"alias/one","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_384"}`).
			refuses("InvalidKeyUsageException", `"ECDSA_SHA_384 is incompatible with key spec ECC_NIST_P256"`),
		ask("kms:Sign", `{"KeyId":"alias/one","Message":"aGk="}`).
			refuses("InvalidKeyUsageException", `" is incompatible with key spec ECC_NIST_P256"`),
	}},
	{"a signature that is none", []step{
		ask("kms:Verify", `{"KeyId":"alias/one","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256","Signature":"AAAA"}`).
			refuses("KMSInvalidSignatureException", `""`),
		ask("kms:Verify", `{"KeyId":"alias/one","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256"}`).
			refuses("KMSInvalidSignatureException", `""`),
	}},
	{"JSON that is none", []step{
		ask("kms:Sign", `{"KeyId":1}`).
			refuses("SerializationException", `"the parameter KeyId is a JSON number, which it cannot be"`),
		ask("kms:CreateKey", `{"Tags":[{"TagKey":[]}]}`).
			refuses("SerializationException", `"the parameter Tags.TagKey is a JSON array, which it cannot be"`),
		ask("kms:Sign", "[]").
			refuses("SerializationException", `"the request is a JSON array, which it cannot be"`),
		ask("kms:Sign", `{"KeyId":"alias/one"} x`).
			refuses("SerializationException", `"there is text after the JSON value"`),
		ask("kms:Sign", "{").
			refuses("SerializationException", `"unexpected EOF"`),
		ask("kms:Sign", `{"KeyId":"alias/one","GrantTokens":[]}`).
			refuses("ValidationException", `"ststest does not implement the parameter \"GrantTokens\" of kms:Sign"`),
		ask("kms:Sign", `{"Message":"*"}`).
			refuses("SerializationException", `"illegal base64 data at input byte 0"`),
	}},
	{"an operation that is none", []step{
		ask("kms:Encrypt", "{}").
			refuses("UnknownOperationException", `"ststest does not implement the operation \"TrentService.Encrypt\"; see docs/guide/ststest.md"`),
	}},
}
