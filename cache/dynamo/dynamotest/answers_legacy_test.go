package dynamotest_test

var legacyAnswers = []exchange{
	{"values without an operator", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"AttributeValueList":[{"N":"1"}]}}}`).
			refused("One or more parameter values were invalid: AttributeValueList can only be used with a ComparisonOperator for Attribute: a"),
	}},
	{"an operator and Exists", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"EQ","Exists":true,"Value":{"N":"1"}}}}`).
			refused("One or more parameter values were invalid: Exists and ComparisonOperator cannot be used together for Attribute: a"),
	}},
	{"a value and a list", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"EQ","Value":{"N":"1"},"AttributeValueList":[{"N":"1"}]}}}`).
			refused("One or more parameter values were invalid: Value and AttributeValueList cannot be used together for Attribute: a"),
	}},
	{"absent, with a value", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"Exists":false,"Value":{"N":"1"}}}}`).
			refused("One or more parameter values were invalid: Value cannot be used when Exists is false for Attribute: a"),
	}},
	{"neither value nor Exists", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{}}}`).
			refused("One or more parameter values were invalid: Value must be provided when Exists is null for Attribute: a"),
	}},
	{"there, without a value", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"Exists":true}}}`).
			refused("One or more parameter values were invalid: Value must be provided when Exists is true for Attribute: a"),
	}},
	{"a value that is null", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"EQ","AttributeValueList":[null]}}}`).
			refused("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
	}},
	{"an operator that is none", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"==","AttributeValueList":[{"N":"1"}]}}}`).
			refused("1 validation error detected: Value '==' at 'comparisonOperator' failed to satisfy constraint: Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]"),
	}},
	{"EQ of two", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"EQ","AttributeValueList":[{"N":"1"},{"N":"2"}]}}}`).
			refused("One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator"),
	}},
	{"BETWEEN of one", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"}]}}}`).
			refused("One or more parameter values were invalid: Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
	}},
	{"IN of none", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"IN","AttributeValueList":[]}}}`).
			refused("One or more parameter values were invalid: Invalid number of argument(s) for the IN ComparisonOperator"),
	}},
	{"NULL of one", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"NULL","AttributeValueList":[{"N":"1"}]}}}`).
			refused("One or more parameter values were invalid: Invalid number of argument(s) for the NULL ComparisonOperator"),
	}},
	{"nothing expected", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{}}`),
	}},
	{"NOT_NULL", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"NOT_NULL"}}}`).
			conditionFailed(),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"NOT_NULL"}}}`),
	}},
	{"NULL", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"NULL"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"ComparisonOperator":"NULL"}}}`).
			conditionFailed(),
	}},
	{"one of two", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"Value":{"N":"1"}},"b":{"Value":{"N":"1"}}}}`).
			conditionFailed(),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"Value":{"N":"1"}},"b":{"Value":{"N":"1"}}},"ConditionalOperator":"OR"}`),
	}},
	{"both ages", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"Value":{"N":"1"}}},"ConditionExpression":"attribute_exists(a)"}`).
			refused("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}"),
	}},
	{"names", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"Value":{"N":"1"}}},"ExpressionAttributeNames":{"#a":"a"}}`).
			refused("ExpressionAttributeNames can only be specified when using expressions"),
	}},
	{"values", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"Expected":{"a":{"Value":{"N":"1"}}},"ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("ExpressionAttributeValues can only be specified when using expressions"),
	}},
	{"AttributesToGet and a projection", []step{
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"AttributesToGet":["a"],"ProjectionExpression":"a"}`).
			refused("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}"),
	}},
	{"an attribute twice", []step{
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"AttributesToGet":["a","b","a"]}`).
			refused("One or more parameter values were invalid: Duplicate value in attribute name: a"),
	}},
	{"AttributesToGet of a reserved word with a dot", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"name":{"N":"1"},"a.b":{"N":"2"}}}`),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"AttributesToGet":["name","a.b"]}`).
			answers(`{"Item":{"a.b":{"N":"2"},"name":{"N":"1"}}}`),
	}},
	{"an update of nothing", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"AttributeUpdates":{"a":{"Action":"PUT"}}}`).
			refused("One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified"),
	}},
	{"an action that is none", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"AttributeUpdates":{"a":{"Action":"SET","Value":{"N":"1"}}}}`).
			refused("1 validation error detected: Value 'SET' at 'attributeUpdates.a.member.action' failed to satisfy constraint: Member must satisfy enum value set: [DELETE, PUT, ADD]"),
	}},
	{"a removal", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"},"b":{"N":"2"}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"AttributeUpdates":{"a":{"Action":"DELETE"}}}`).
			answers("{}"),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers(`{"Item":{"b":{"N":"2"},"k":{"S":"$K"}}}`),
	}},
	{"all actions", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"},"l":{"L":[{"N":"1"}]},"s":{"SS":["x","y"]},"z":{"N":"9"}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"AttributeUpdates":{"a":{"Action":"ADD","Value":{"N":"2"}},"l":{"Action":"ADD","Value":{"L":[{"N":"2"}]}},"s":{"Action":"DELETE","Value":{"SS":["x"]}},"p":{"Value":{"N":"3"}},"z":{"Action":"DELETE"}},"ReturnValues":"ALL_NEW"}`).
			answers(`{"Attributes":{"a":{"N":"3"},"k":{"S":"$K"},"l":{"L":[{"N":"1"},{"N":"2"}]},"p":{"N":"3"},"s":{"SS":["y"]}}}`),
	}},
	{"no updates", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"AttributeUpdates":{}}`).
			answers("{}"),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers(`{"Item":{"k":{"S":"$K"}}}`),
	}},
	{"updates of both ages", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"N":"1"}},"AttributeUpdates":{"a":{"Value":{"N":"1"}}}}`).
			refused("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {AttributeUpdates} Expression parameters: {UpdateExpression}"),
	}},
	{"a key's conditions in both forms", []step{
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}},"KeyConditions":{"k":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"$K"}]}}}`).
			refused("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {KeyConditions} Expression parameters: {KeyConditionExpression}"),
	}},
	{"a filter beside an expression", []step{
		ask("Query", `{"TableName":"$T","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}},"QueryFilter":{"a":{"ComparisonOperator":"NULL"}}}`).
			refused("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {QueryFilter} Expression parameters: {KeyConditionExpression}"),
	}},
	{"a wrong key condition", []step{
		ask("Query", `{"TableName":"$T","KeyConditions":{"k":{"ComparisonOperator":"EQ","AttributeValueList":[]}}}`).
			refused("One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator"),
	}},
	{"a wrong filter", []step{
		ask("Scan", `{"TableName":"$T","ScanFilter":{"a":{"ComparisonOperator":"EQ","AttributeValueList":[]}}}`).
			refused("One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator"),
	}},
	{"a wrong projection", []step{
		ask("Scan", `{"TableName":"$T","AttributesToGet":["a","a"]}`).
			refused("One or more parameter values were invalid: Duplicate value in attribute name: a"),
	}},
	{"a filter of both ages", []step{
		ask("Scan", `{"TableName":"$T","ScanFilter":{"a":{"ComparisonOperator":"NULL"}},"FilterExpression":"attribute_exists(a)"}`).
			refused("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {ScanFilter} Expression parameters: {FilterExpression}"),
	}},
	{"key conditions with an expression", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"}}}`),
		ask("Query", `{"TableName":"$T","KeyConditions":{"k":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"$K"}]}},"FilterExpression":"a = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			answers(`{"Count":1,"Items":[{"a":{"N":"1"},"k":{"S":"$K"}}],"ScannedCount":1}`),
	}},
	{"a query of the old age", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"},"b":{"N":"2"}}}`),
		ask("Query", `{"TableName":"$T","KeyConditions":{"k":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"$K"}]}},"QueryFilter":{"a":{"ComparisonOperator":"GE","AttributeValueList":[{"N":"1"}]},"b":{"ComparisonOperator":"LT","AttributeValueList":[{"N":"2"}]}},"ConditionalOperator":"OR","AttributesToGet":["b"]}`).
			answers(`{"Count":1,"Items":[{"b":{"N":"2"}}],"ScannedCount":1}`),
	}},
}
