package dynamotest_test

import "strings"

var transactionAnswers = []exchange{
	{"no part", []step{
		ask("TransactWriteItems", `{"TransactItems":[]}`).
			refused("1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1"),
		ask("TransactGetItems", `{"TransactItems":[]}`).
			refused("1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1"),
	}},
	{"more than 100", []step{
		ask("TransactGetItems", `{"TransactItems":[`+strings.Repeat("{\"Get\":{\"TableName\":\"$T\",\"Key\":{\"k\":{\"S\":\"$K\"}}}},", 100)+`{"Get":{"TableName":"$T","Key":{"k":{"S":"$K"}}}}]}`).
			refused("1 validation error detected: Value '[101 members]' at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100"),
	}},
	{"a part of nothing", []step{
		ask("TransactWriteItems", `{"TransactItems":[{}]}`).
			refused("TransactItems can only contain one of Check, Put, Update or Delete"),
		ask("TransactGetItems", `{"TransactItems":[{}]}`).
			refused("TransactItems has a member without Get"),
	}},
	{"a part of two", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}}},"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}}]}`).
			refused("TransactItems can only contain one of Check, Put, Update or Delete"),
	}},
	{"a check without its condition", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"ConditionCheck":{"TableName":"$T","Key":{"k":{"S":"$K"}}}}]}`).
			refused("1 validation error detected: Value null at 'transactItems.conditionCheck.conditionExpression' failed to satisfy constraint: Member must not be null"),
	}},
	{"one item twice", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}}}},{"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}}]}`).
			refused("Transaction request cannot include multiple operations on one item"),
		ask("TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"$T","Key":{"k":{"S":"$K"}}}},{"Get":{"TableName":"arn:aws:dynamodb:us-east-1:123456789012:table/$T","Key":{"k":{"S":"$K"}}}}]}`).
			refused("Transaction request cannot include multiple operations on one item"),
	}},
	{"no table's name", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"Item":{"k":{"S":"$K"}}}}]}`).
			refused("1 validation error detected: Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1"),
	}},
	{"a missing table", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}}}},{"Delete":{"TableName":"$N","Key":{"k":{"S":"$K"}}}}]}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found"),
		ask("TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"$N","Key":{"k":{"S":"$K"}}}}]}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found"),
	}},
	{"a wrong condition", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a ="}}]}`).
			refused(`Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="`),
		ask("TransactWriteItems", `{"TransactItems":[{"Delete":{"TableName":"$T","Key":{"k":{"S":"$K"}},"ConditionExpression":"("}}]}`).
			refused(`Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "("`),
		ask("TransactWriteItems", `{"TransactItems":[{"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"N":"1"}},"ConditionExpression":"a"}}]}`).
			refused(`Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "a"`),
	}},
	{"a wrong update", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET","ExpressionAttributeValues":{":a":{"N":"1"}}}}]}`).
			refused(`Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "SET"`),
	}},
	{"a key of another schema", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"Delete":{"TableName":"$T","Key":{"x":{"S":"a"}}}}]}`).
			refused("The provided key element does not match the schema"),
		ask("TransactWriteItems", `{"TransactItems":[{"Update":{"TableName":"$T","Key":{"x":{"S":"a"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}}]}`).
			refused("The provided key element does not match the schema"),
		ask("TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"$T","Key":{"k":{"S":"$K"}}}},{"Get":{"TableName":"$T","Key":{"x":{"S":"a"}}}}]}`).
			fails(400, "TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ValidationError]").
			answers(`{"CancellationReasons":[{"Code":"None"},{"Code":"ValidationError","Message":"The provided key element does not match the schema"}],"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"Transaction cancelled, please refer cancellation reasons for specific reasons [None, ValidationError]"}`),
	}},
	{"a wrong projection", []step{
		ask("TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"$T","Key":{"k":{"S":"$K"}},"ProjectionExpression":""}}]}`).
			refused("Invalid ProjectionExpression: The expression can not be empty;"),
		ask("TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"$T","Key":{"k":{"S":"$K"}},"ExpressionAttributeNames":{"#a":"a"}}}]}`).
			refused("ExpressionAttributeNames can only be specified when using expressions"),
	}},
	{"parameters that a part has not", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}},"ReturnValues":"ALL_OLD"}}]}`).
			refused("transactItems.1.member.put has no parameter ReturnValues"),
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}},"ReturnConsumedCapacity":"TOTAL"}}]}`).
			refused("transactItems.1.member.put has no parameter ReturnConsumedCapacity"),
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}},"ReturnItemCollectionMetrics":"SIZE"}}]}`).
			refused("transactItems.1.member.put has no parameter ReturnItemCollectionMetrics"),
		ask("TransactWriteItems", `{"TransactItems":[{"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"N":"1"}},"AttributeUpdates":{"b":{"Value":{"N":"1"}}}}}]}`).
			refused("transactItems.1.member.update has no parameter AttributeUpdates"),
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionalOperator":"OR"}}]}`).
			refused("transactItems.1.member.put has no parameter ConditionalOperator"),
		ask("TransactWriteItems", `{"TransactItems":[{"Delete":{"TableName":"$T","Key":{"k":{"S":"$K"}},"Expected":{"a":{"Exists":false}}}}]}`).
			refused("transactItems.1.member.delete has no parameter Expected"),
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}}}},{"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"N":"1"}},"ReturnValuesOnConditionCheckFailure":"ALL_NEW"}}]}`).
			refused("1 validation error detected: Value 'ALL_NEW' at 'transactItems.2.member.update.returnValuesOnConditionCheckFailure' failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, NONE]"),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers("{}"),
	}},
	{"a token that is too long", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}}}}],"ClientRequestToken":"`+strings.Repeat("x", 37)+`"}`).
			refused("1 validation error detected: Value at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 36"),
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}}}}],"ClientRequestToken":""}`).
			refused("1 validation error detected: Value '' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 1"),
	}},
	{"a token twice", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}}}}],"ClientRequestToken":"$K"}`).
			answers("{}"),
		ask("DeleteItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers("{}"),
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}}}}],"ClientRequestToken":"$K"}`).
			answers("{}"),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers("{}"),
		ask("TransactWriteItems", `{"TransactItems":[{"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}}],"ClientRequestToken":"$K"}`).
			fails(400, "IdempotentParameterMismatchException", "The provided client token was used with a different request"),
	}},
	{"a check that fails", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"}}}`),
		ask("TransactWriteItems", `{"TransactItems":[{"ConditionCheck":{"TableName":"$T","Key":{"k":{"S":"$K"}},"ConditionExpression":"attribute_not_exists(a)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-2"}}}}]}`).
			fails(400, "TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed, None]").
			answers(`{"CancellationReasons":[{"Code":"ConditionalCheckFailed","Message":"The conditional request failed","Item":{"a":{"N":"1"},"k":{"S":"$K"}}},{"Code":"None"}],"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed, None]"}`),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K-2"}}}`).
			answers("{}"),
	}},
	{"an update that fails", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"S":"x"}}}`),
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-2"}}}},{"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"ADD a :a","ExpressionAttributeValues":{":a":{"N":"1"}}}}]}`).
			fails(400, "TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ValidationError]").
			answers(`{"CancellationReasons":[{"Code":"None"},{"Code":"ValidationError","Message":"An operand in the update expression has an incorrect data type"}],"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"Transaction cancelled, please refer cancellation reasons for specific reasons [None, ValidationError]"}`),
	}},
	{"what it costs", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"S":"`+strings.Repeat("x", 1500)+`"}}}`),
		ask("TransactWriteItems", `{"TransactItems":[{"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-3"}}}},{"Put":{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"a"}}}}],"ReturnConsumedCapacity":"TOTAL"}`).
			answers(`{"ConsumedCapacity":[{"CapacityUnits":6,"TableName":"$T"},{"CapacityUnits":2,"TableName":"$C"}]}`),
		ask("TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"$T","Key":{"k":{"S":"$K"}},"ProjectionExpression":"a"}},{"Get":{"TableName":"$T","Key":{"k":{"S":"$K-none"}}}}],"ReturnConsumedCapacity":"TOTAL"}`).
			answers(`{"ConsumedCapacity":[{"CapacityUnits":4,"TableName":"$T"}],"Responses":[{"Item":{"a":{"N":"1"}}},{}]}`),
	}},
	{"too large a transaction", []step{
		ask("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-0"},"a":{"S":"`+strings.Repeat("x", 400000)+`"}}}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-1"},"a":{"S":"`+strings.Repeat("x", 400000)+`"}}}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-2"},"a":{"S":"`+strings.Repeat("x", 400000)+`"}}}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-3"},"a":{"S":"`+strings.Repeat("x", 400000)+`"}}}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-4"},"a":{"S":"`+strings.Repeat("x", 400000)+`"}}}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-5"},"a":{"S":"`+strings.Repeat("x", 400000)+`"}}}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-6"},"a":{"S":"`+strings.Repeat("x", 400000)+`"}}}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-7"},"a":{"S":"`+strings.Repeat("x", 400000)+`"}}}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-8"},"a":{"S":"`+strings.Repeat("x", 400000)+`"}}}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-9"},"a":{"S":"`+strings.Repeat("x", 400000)+`"}}}},{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-10"},"a":{"S":"`+strings.Repeat("x", 400000)+`"}}}}]}`).
			refused("Transaction request size exceeds the limit of 4 MB"),
	}},
}
