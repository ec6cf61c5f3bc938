package dynamotest_test

import "strings"

var batchAnswers = []exchange{
	{"reads: no key", []step{
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[]}}}`).
			refused("1 validation error detected: Value '[]' at 'requestItems.$T.member.keys' failed to satisfy constraint: Member must have length greater than or equal to 1"),
	}},
	{"reads: null for a table", []step{
		ask("BatchGetItem", `{"RequestItems":{"$T":null}}`).
			refused("1 validation error detected: Value '[]' at 'requestItems.$T.member.keys' failed to satisfy constraint: Member must have length greater than or equal to 1"),
	}},
	{"reads: more than 100 of two tables", []step{
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":`+keys(60)+`},"$C":{"Keys":`+keys(41)+"}}}").
			refused("Too many items requested for the BatchGetItem call"),
	}},
	{"reads: a wrong projection", []step{
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[{"k":{"S":"$K"}}],"ProjectionExpression":"a,"}}}`).
			refused(`Invalid ProjectionExpression: Syntax error; token: "<EOF>", near: ","`),
	}},
	{"reads: names without an expression", []step{
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[{"k":{"S":"$K"}}],"ExpressionAttributeNames":{"#a":"a"}}}}`).
			refused("ExpressionAttributeNames can only be specified when using expressions"),
	}},
	{"reads: a name that nothing uses", []step{
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[{"k":{"S":"$K"}}],"ProjectionExpression":"a","ExpressionAttributeNames":{"#a":"a"}}}}`).
			refused("Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}"),
	}},
	{"reads: both ages", []step{
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[{"k":{"S":"$K"}}],"ProjectionExpression":"a","AttributesToGet":["a"]}}}`).
			refused("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}"),
	}},
	{"reads: an attribute twice", []step{
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[{"k":{"S":"$K"}}],"AttributesToGet":["a","a"]}}}`).
			refused("One or more parameter values were invalid: Duplicate value in attribute name: a"),
	}},
	{"reads: names beside AttributesToGet", []step{
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[{"k":{"S":"$K"}}],"AttributesToGet":["a"],"ExpressionAttributeNames":{"#a":"a"}}}}`).
			refused("ExpressionAttributeNames can only be specified when using expressions"),
	}},
	{"reads: AttributesToGet", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"},"b":{"N":"2"}}}`),
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[{"k":{"S":"$K"}}],"AttributesToGet":["a"]}}}`).
			answers(`{"Responses":{"$T":[{"a":{"N":"1"}}]},"UnprocessedKeys":{}}`),
	}},
	{"reads: the order of errors", []step{
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[{"x":{"S":"a"}}]},"$N":{"Keys":[{"k":{"S":"$K"}}],"ProjectionExpression":"a,"}}}`).
			refused(`Invalid ProjectionExpression: Syntax error; token: "<EOF>", near: ","`),
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[{"x":{"S":"a"}}]},"$N":{"Keys":[{"k":{"S":"$K"}}]}}}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found"),
	}},
	{"reads: a key by the name and by the ARN", []step{
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[{"k":{"S":"$K"}}]},"arn:aws:dynamodb:us-east-1:123456789012:table/$T":{"Keys":[{"k":{"S":"$K"}}]}}}`).
			refused("Provided list of item keys contains duplicates"),
	}},
	{"reads: what they cost", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"S":"`+strings.Repeat("x", 5000)+`"}}}`),
		ask("BatchGetItem", `{"RequestItems":{"$T":{"Keys":[{"k":{"S":"$K"}},{"k":{"S":"$K-none"}}]},"$C":{"Keys":[{"k":{"S":"$K"},"s":{"S":"a"}}],"ConsistentRead":true}},"ReturnConsumedCapacity":"INDEXES"}`).
			answers(`{"ConsumedCapacity":[{"CapacityUnits":1,"Table":{"CapacityUnits":1},"TableName":"$C"},{"CapacityUnits":1.5,"Table":{"CapacityUnits":1.5},"TableName":"$T"}],"Responses":{"$C":[],"$T":[{"a":{"S":"` + strings.Repeat("x", 5000) + `"},"k":{"S":"$K"}}]},"UnprocessedKeys":{}}`),
	}},
	{"writes: none", []step{
		ask("BatchWriteItem", `{"RequestItems":{"$T":[]}}`).
			refused("1 validation error detected: Value '[]' at 'requestItems.$T.member' failed to satisfy constraint: Member must have length greater than or equal to 1"),
	}},
	{"writes: more than 25 of two tables", []step{
		ask("BatchWriteItem", `{"RequestItems":{"$T":`+puts(20)+`,"$C":[{"DeleteRequest":{"Key":{"k":{"S":"$K-0"},"s":{"S":"a"}}}},{"DeleteRequest":{"Key":{"k":{"S":"$K-1"},"s":{"S":"a"}}}},{"DeleteRequest":{"Key":{"k":{"S":"$K-2"},"s":{"S":"a"}}}},{"DeleteRequest":{"Key":{"k":{"S":"$K-3"},"s":{"S":"a"}}}},{"DeleteRequest":{"Key":{"k":{"S":"$K-4"},"s":{"S":"a"}}}},{"DeleteRequest":{"Key":{"k":{"S":"$K-5"},"s":{"S":"a"}}}}]}}`).
			refused("Too many items requested for the BatchWriteItem call"),
	}},
	{"writes: on a missing table", []step{
		ask("BatchWriteItem", `{"RequestItems":{"$N":[{"PutRequest":{"Item":{"k":{"S":"$K"}}}}]}}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found"),
	}},
	{"writes: without a key", []step{
		ask("BatchWriteItem", `{"RequestItems":{"$T":[{"PutRequest":{"Item":{"k":{"S":"$K"}}}},{"PutRequest":{"Item":{"a":{"N":"1"}}}}]}}`).
			refused("One or more parameter values were invalid: Missing the key k in the item"),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers("{}"),
	}},
	{"writes: a key of another schema", []step{
		ask("BatchWriteItem", `{"RequestItems":{"$T":[{"DeleteRequest":{"Key":{"x":{"S":"$K"}}}}]}}`).
			refused("The provided key element does not match the schema"),
	}},
	{"writes: both", []step{
		ask("BatchWriteItem", `{"RequestItems":{"$T":[{"PutRequest":{"Item":{"k":{"S":"$K"}}},"DeleteRequest":{"Key":{"k":{"S":"$K"}}}}]}}`).
			refused("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"),
	}},
	{"writes: neither", []step{
		ask("BatchWriteItem", `{"RequestItems":{"$T":[{}]}}`).
			refused("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"),
	}},
	{"writes: one item by the name and by the ARN", []step{
		ask("BatchWriteItem", `{"RequestItems":{"$T":[{"PutRequest":{"Item":{"k":{"S":"$K"}}}}],"arn:aws:dynamodb:us-east-1:123456789012:table/$T":[{"DeleteRequest":{"Key":{"k":{"S":"$K"}}}}]}}`).
			refused("Provided list of item keys contains duplicates"),
	}},
	{"writes: what they cost", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"S":"`+strings.Repeat("x", 3000)+`"}}}`),
		ask("BatchWriteItem", `{"RequestItems":{"$T":[{"DeleteRequest":{"Key":{"k":{"S":"$K"}}}},{"PutRequest":{"Item":{"k":{"S":"$K-2"}}}}]},"ReturnConsumedCapacity":"TOTAL"}`).
			answers(`{"ConsumedCapacity":[{"CapacityUnits":4,"TableName":"$T"}],"UnprocessedItems":{}}`),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers("{}"),
	}},
}
