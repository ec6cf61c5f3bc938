package dynamotest_test

import "strings"

var decodingAnswers = []exchange{
	{"a boolean for text", []step{
		ask("GetItem", `{"TableName":true}`).
			fails(400, "SerializationException", "TRUE_VALUE cannot be converted to String"),
		ask("GetItem", `{"TableName":false}`).
			fails(400, "SerializationException", "FALSE_VALUE cannot be converted to String"),
	}},
	{"a number for text", []step{
		ask("GetItem", `{"TableName":1}`).
			fails(400, "SerializationException", "NUMBER_VALUE cannot be converted to String"),
		ask("GetItem", `{"TableName":1.5}`).
			fails(400, "SerializationException", "DECIMAL_VALUE cannot be converted to String"),
	}},
	{"a list for text", []step{
		ask("GetItem", `{"TableName":[]}`).
			fails(400, "SerializationException", "Unrecognized collection type class java.lang.String"),
		ask("GetItem", `{"TableName":{}}`).
			fails(400, "SerializationException", "Start of structure or map found where not expected"),
	}},
	{"text for a boolean", []step{
		ask("GetItem", `{"TableName":"$T","ConsistentRead":"true"}`).
			fails(400, "SerializationException", "Unexpected token received from parser"),
	}},
	{"text for a number", []step{
		ask("Scan", `{"TableName":"$T","Limit":"1"}`).
			fails(400, "SerializationException", "STRING_VALUE cannot be converted to Long"),
		ask("Scan", `{"TableName":"$T","Limit":1.5}`).
			fails(400, "SerializationException", "DECIMAL_VALUE cannot be converted to Long"),
		ask("ListTables", `{"Limit":true}`).
			fails(400, "SerializationException", "TRUE_VALUE cannot be converted to Integer"),
	}},
	{"a list for a map", []step{
		ask("GetItem", `{"TableName":"$T","ExpressionAttributeNames":[]}`).
			fails(400, "SerializationException", "Unrecognized collection type java.util.Map"),
		ask("GetItem", `{"TableName":"$T","ExpressionAttributeNames":1}`).
			fails(400, "SerializationException", "Unexpected field type"),
		ask("BatchWriteItem", `{"RequestItems":{"$T":{}}}`).
			fails(400, "SerializationException", "Start of structure or map found where not expected"),
	}},
	{"text after the end", []step{
		ask("GetItem", `{"TableName":"$T"} x`).
			fails(400, "SerializationException", "there is text after the JSON value"),
		ask("GetItem", `{"TableName":"$T"`).
			fails(400, "SerializationException", "Unexpected end or character in the JSON of the request: unexpected EOF"),
	}},
	{"nothing", []step{
		ask("GetItem", ``).
			fails(400, "SerializationException", "Unexpected end or character in the JSON of the request: EOF"),
	}},
	{"a parameter that is none", []step{
		ask("GetItem", `{"TableName":"$T","Keys":{}}`).
			refused(`dynamotest does not implement the parameter "Keys" of GetItem`),
	}},
	{"no table", []step{
		ask("GetItem", "{}").
			refused("1 validation error detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null"),
		ask("GetItem", `{"TableName":null}`).
			refused("1 validation error detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null"),
		ask("GetItem", `{"TableName":""}`).
			refused("1 validation error detected: Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1"),
	}},
	{"a key that is null", []step{
		ask("GetItem", `{"TableName":"$T","Key":{"k":null}}`).
			refused("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
	}},
	{"a value that is text", []step{
		ask("GetItem", `{"TableName":"$T","Key":{"k":"$K"}}`).
			fails(400, "SerializationException", "Unexpected value type in payload"),
	}},
	{"a number that is a number", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"n":{"N":1}}}`).
			fails(400, "SerializationException", "NUMBER_VALUE cannot be converted to String"),
	}},
	{"base64 that is none", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"b":{"B":"*"}}}`).
			fails(400, "SerializationException", "Invalid Base64 in a value of type B"),
	}},
	{"a null that is false", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"z":{"NULL":false}}}`).
			refused("One or more parameter values were invalid: Null attribute value types must have the value of true"),
	}},
	{"a type that is none", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"z":{"T":"x"}}}`).
			refused("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
	}},
	{"sets with duplicates", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"z":{"SS":["x","y","x"]}}}`).
			refused("One or more parameter values were invalid: Input collection [x, y, x] contains duplicates."),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"z":{"NS":["1","1.0"]}}}`).
			refused("Input collection contains duplicates"),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"z":{"BS":["AA==","AA=="]}}}`).
			refused("One or more parameter values were invalid: Input collection [AA==, AA==]of type BS contains duplicates."),
	}},
	{"sets of nothing", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"z":{"NS":[]}}}`).
			refused("One or more parameter values were invalid: An number set  may not be empty"),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"z":{"BS":[]}}}`).
			refused("One or more parameter values were invalid: Binary sets should not be empty"),
	}},
	{"a number of nothing", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"n":{"N":""}}}`).
			refused("The parameter cannot be converted to a numeric value"),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"n":{"N":"1e"}}}`).
			refused("The parameter cannot be converted to a numeric value: 1e"),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"n":{"N":"1.2.3"}}}`).
			refused("The parameter cannot be converted to a numeric value: 1.2.3"),
	}},
	{"an attribute without a name", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"":{"N":"1"}}}`).
			refused("One or more parameter values were invalid: an attribute name may not be empty"),
	}},
	{"keys that are empty", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":""}}}`).
			refused("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: k"),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"N":"1"}}}`).
			refused("One or more parameter values were invalid: Type mismatch for key k expected: S actual: N"),
	}},
	{"keys that are too long", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"`+strings.Repeat("x", 2049)+`"}}}`).
			refused("One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"),
		ask("PutItem", `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"`+strings.Repeat("x", 1025)+`"}}}`).
			refused("One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes"),
	}},
}
