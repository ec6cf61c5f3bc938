package dynamotest_test

import "strings"

var readAnswers = []exchange{
	{"a query without a condition", []step{
		ask("Query", `{"TableName":"$T"}`).
			refused("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."),
	}},
	{"a projection that is wrong", []step{
		ask("Scan", `{"TableName":"$T","ProjectionExpression":"a..b"}`).
			refused(`Invalid ProjectionExpression: Syntax error; token: ".", near: "..b"`),
	}},
	{"names that nothing uses", []step{
		ask("Scan", `{"TableName":"$T","ExpressionAttributeNames":{"#a":"a"}}`).
			refused("ExpressionAttributeNames can only be specified when using expressions"),
	}},
	{"SPECIFIC_ATTRIBUTES of none", []step{
		ask("Scan", `{"TableName":"$T","Select":"SPECIFIC_ATTRIBUTES"}`).
			refused("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"),
	}},
	{"COUNT of some", []step{
		ask("Scan", `{"TableName":"$T","Select":"COUNT","ProjectionExpression":"a"}`).
			refused("Cannot specify the AttributesToGet when choosing to get COUNT"),
	}},
	{"ALL_PROJECTED_ATTRIBUTES of a table", []step{
		ask("Scan", `{"TableName":"$T","Select":"ALL_PROJECTED_ATTRIBUTES"}`).
			refused("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"),
	}},
	{"a selection that is none", []step{
		ask("Scan", `{"TableName":"$T","Select":"SOME"}`).
			refused("1 validation error detected: Value 'SOME' at 'select' failed to satisfy constraint: Member must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"),
	}},
	{"two constraints at once", []step{
		ask("Scan", `{"TableName":"$T","Select":"SOME","ReturnConsumedCapacity":"ALL"}`).
			refused("2 validation errors detected: Value 'ALL' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]; Value 'SOME' at 'select' failed to satisfy constraint: Member must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"),
	}},
	{"no items", []step{
		ask("Scan", `{"TableName":"$T","Limit":0}`).
			refused("1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"),
	}},
	{"no items of a query", []step{
		ask("Query", `{"TableName":"$T","Limit":0,"KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}}}`).
			refused("1 validation error detected: Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1"),
	}},
	{"too many segments", []step{
		ask("Scan", `{"TableName":"$T","Segment":0,"TotalSegments":1000001}`).
			refused("1 validation error detected: Value '1000001' at 'totalSegments' failed to satisfy constraint: Member must have value less than or equal to 1000000"),
	}},
	{"no segments", []step{
		ask("Scan", `{"TableName":"$T","Segment":-1,"TotalSegments":0}`).
			refused("2 validation errors detected: Value '0' at 'totalSegments' failed to satisfy constraint: Member must have value greater than or equal to 1; Value '-1' at 'segment' failed to satisfy constraint: Member must have value greater than or equal to 0"),
	}},
	{"a segment without their number", []step{
		ask("Scan", `{"TableName":"$T","Segment":0}`).
			refused("The TotalSegments parameter is required but was not present in the request when Segment parameter is present"),
	}},
	{"a number without the segment", []step{
		ask("Scan", `{"TableName":"$T","TotalSegments":2}`).
			refused("The Segment parameter is required but was not present in the request when parameter TotalSegments is present"),
	}},
	{"a segment beyond the last", []step{
		ask("Scan", `{"TableName":"$T","Segment":2,"TotalSegments":2}`).
			refused("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is not less than TotalSegments: 2"),
	}},
	{"an index that is not there", []step{
		ask("Scan", `{"TableName":"$T","IndexName":"by-a"}`).
			refused("The table does not have the specified index: by-a"),
	}},
	{"an index's name that is none", []step{
		ask("Scan", `{"TableName":"$T","IndexName":"a"}`).
			refused("1 validation error detected: Value 'a' at 'indexName' failed to satisfy constraint: Member must have 3 to 255 letters, digits and _.-"),
	}},
	{"a start key of other attributes", []step{
		ask("Scan", `{"TableName":"$T","ExclusiveStartKey":{"x":{"S":"a"}}}`).
			refused("The provided starting key is invalid: The provided key element does not match the schema"),
	}},
	{"a start key of another type", []step{
		ask("Scan", `{"TableName":"$T","ExclusiveStartKey":{"k":{"N":"1"}}}`).
			refused("The provided starting key is invalid: The provided key element does not match the schema"),
	}},
	{"a start key of too much", []step{
		ask("Scan", `{"TableName":"$T","ExclusiveStartKey":{"k":{"S":"a"},"a":{"N":"1"}}}`).
			refused("The provided starting key is invalid: The provided key element does not match the schema"),
	}},
	{"a start key that is empty", []step{
		ask("Scan", `{"TableName":"$T","ExclusiveStartKey":{"k":{"S":""}}}`).
			refused("The provided starting key is invalid: One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: k"),
	}},
	{"a start key that is too long", []step{
		ask("Scan", `{"TableName":"$T","ExclusiveStartKey":{"k":{"S":"`+strings.Repeat("x", 2049)+`"}}}`).
			refused("The provided starting key is invalid: One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"),
	}},
	{"a start key of another partition", []step{
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}},"ExclusiveStartKey":{"k":{"S":"$K-2"}}}`).
			refused("The provided starting key is outside query boundaries based on provided conditions"),
	}},
	{"after the only item", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}}}`),
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}},"ExclusiveStartKey":{"k":{"S":"$K"}}}`).
			answers(`{"Count":0,"Items":[],"ScannedCount":0}`),
	}},
	{"a limit that is reached at the end", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}}}`),
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}},"Limit":1}`).
			answers(`{"Count":1,"Items":[{"k":{"S":"$K"}}],"LastEvaluatedKey":{"k":{"S":"$K"}},"ScannedCount":1}`),
	}},
	{"a key condition of another attribute", []step{
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = :k AND a = :k","ExpressionAttributeValues":{":k":{"S":"$K"}}}`).
			refused("Query condition missed key schema element: k"),
	}},
	{"a key condition twice", []step{
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = :k AND k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}}}`).
			refused("Query key condition not supported"),
	}},
	{"a partition in a range", []step{
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k > :k","ExpressionAttributeValues":{":k":{"S":"$K"}}}`).
			refused("Query key condition not supported"),
	}},
	{"a sort key twice", []step{
		ask("Query", `{"TableName":"$C","KeyConditionExpression":"k = :k AND s > :k AND s < :k","ExpressionAttributeValues":{":k":{"S":"$K"}}}`).
			refused("KeyConditionExpressions must only contain one condition per key"),
	}},
	{"a sort key alone", []step{
		ask("Query", `{"TableName":"$C","KeyConditionExpression":"s = :k","ExpressionAttributeValues":{":k":{"S":"$K"}}}`).
			refused("Query condition missed key schema element: k"),
	}},
	{"a key of another type", []step{
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"N":"1"}}}`).
			refused("One or more parameter values were invalid: Condition parameter type does not match schema type"),
	}},
	{"OR in a key condition", []step{
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = :k OR k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}}}`).
			refused("Invalid operator used in KeyConditionExpression: OR"),
	}},
	{"a function in a key condition", []step{
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = :k AND contains(k, :k)","ExpressionAttributeValues":{":k":{"S":"$K"}}}`).
			refused("Invalid operator used in KeyConditionExpression: contains"),
	}},
	{"an attribute for a key's value", []step{
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = a"}`).
			refused("Invalid operator used in KeyConditionExpression: want an equality of the partition key, and =, <, <=, >, >=, BETWEEN or begins_with of the sort key"),
	}},
	{"a filter on the key", []step{
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = :k","FilterExpression":"k <> :k","ExpressionAttributeValues":{":k":{"S":"$K"}}}`).
			refused("Filter Expression can only contain non-primary key attributes: Primary key attribute: k"),
	}},
	{"a sort key between", []step{
		ask("PutItem", `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"a"}}}`),
		ask("PutItem", `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"b"}}}`),
		ask("PutItem", `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"c"}}}`),
		ask("Query", `{"TableName":"$C","KeyConditionExpression":"(k = :k) and (#s between :a AND :b)","ExpressionAttributeNames":{"#s":"s"},"ExpressionAttributeValues":{":k":{"S":"$K"},":a":{"S":"b"},":b":{"S":"z"}},"ScanIndexForward":false,"Limit":1}`).
			answers(`{"Count":1,"Items":[{"k":{"S":"$K"},"s":{"S":"c"}}],"LastEvaluatedKey":{"k":{"S":"$K"},"s":{"S":"c"}},"ScannedCount":1}`),
	}},
	{"a sort key that begins", []step{
		ask("PutItem", `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"ab"}}}`),
		ask("PutItem", `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"b"}}}`),
		ask("Query", `{"TableName":"$C","KeyConditionExpression":"begins_with(s, :a) AND k = :k","ExpressionAttributeValues":{":k":{"S":"$K"},":a":{"S":"a"}}}`).
			answers(`{"Count":1,"Items":[{"k":{"S":"$K"},"s":{"S":"ab"}}],"ScannedCount":1}`),
	}},
}
