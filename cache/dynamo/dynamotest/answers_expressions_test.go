package dynamotest_test

import "strings"

var expressionAnswers = []exchange{
	{"names without an expression", []step{
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ExpressionAttributeNames":{"#a":"a"}}`).
			refused("ExpressionAttributeNames can only be specified when using expressions"),
	}},
	{"values without an expression", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null"),
	}},
	{"no names", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"attribute_exists(a)","ExpressionAttributeNames":{}}`).
			refused("ExpressionAttributeNames must not be empty"),
	}},
	{"no values", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"attribute_exists(a)","ExpressionAttributeValues":{}}`).
			refused("ExpressionAttributeValues must not be empty"),
	}},
	{"a name of nothing", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"attribute_exists(#a)","ExpressionAttributeNames":{"#a":""}}`).
			refused(`ExpressionAttributeNames contains invalid value: an attribute name may not be empty; key: "#a"`),
	}},
	{"a name without its sign", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"attribute_exists(a)","ExpressionAttributeNames":{"a":"a"}}`).
			refused(`ExpressionAttributeNames contains invalid key: Syntax error; key: "a"`),
	}},
	{"a value without its sign", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a = :a","ExpressionAttributeValues":{"a":{"N":"1"}}}`).
			refused(`ExpressionAttributeValues contains invalid key: Syntax error; key: "a"`),
	}},
	{"a value that is not defined", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a = :b","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :b"),
	}},
	{"a name that is not defined", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"#b = :a","ExpressionAttributeValues":{":a":{"N":"1"}},"ExpressionAttributeNames":{"#a":"a"}}`).
			refused("Invalid ConditionExpression: An expression attribute name used in the document path is not defined; attribute name: #b"),
	}},
	{"text after the end", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a = :a b","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused(`Invalid ConditionExpression: Syntax error; token: "b", near: ":a b"`),
	}},
	{"an operator that is none", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a ! :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused(`Invalid ConditionExpression: Syntax error; token: "!", near: "a ! :a"`),
	}},
	{"a bracket that does not open", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a = :a)","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused(`Invalid ConditionExpression: Syntax error; token: ")", near: ":a)"`),
	}},
	{"a bracket that does not close", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"(a = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused(`Invalid ConditionExpression: Syntax error; token: "<EOF>", near: ":a"`),
	}},
	{"redundant brackets", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"((a = :a))","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("Invalid ConditionExpression: The expression has redundant parentheses;"),
	}},
	{"an index that is none", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"attribute_exists(a[x])"}`).
			refused(`Invalid ConditionExpression: Syntax error; token: "x", near: "[x]"`),
	}},
	{"a negative index", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"attribute_exists(a[-1])"}`).
			refused(`Invalid ConditionExpression: Syntax error; token: "-", near: "[-1"`),
	}},
	{"a function that is none", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"ATTRIBUTE_EXISTS(a)"}`).
			refused("Invalid ConditionExpression: Invalid function name; function: ATTRIBUTE_EXISTS"),
	}},
	{"a type that is none", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"attribute_type(a, :t)","ExpressionAttributeValues":{":t":{"S":"X"}}}`).
			refused("Invalid ConditionExpression: Invalid attribute type name found; type: X, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"),
	}},
	{"a type that is a number", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"attribute_type(a, :t)","ExpressionAttributeValues":{":t":{"N":"1"}}}`).
			refused("Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N"),
	}},
	{"a type that is an attribute", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"attribute_type(a, b)"}`).
			refused("Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}"),
	}},
	{"begins_with a number", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"begins_with(a, :a)","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"),
	}},
	{"an attribute that contains itself", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"contains(a, a)"}`).
			refused("Invalid ConditionExpression: The first operand must be distinct from the remaining operands for this operator or function; operator: contains, first operand: [a]"),
	}},
	{"bounds in the wrong order", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a BETWEEN :b AND :a","ExpressionAttributeValues":{":a":{"N":"1"},":b":{"N":"2"}}}`).
			refused("Invalid ConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}"),
	}},
	{"bounds of two types", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a BETWEEN :a AND :b","ExpressionAttributeValues":{":a":{"N":"1"},":b":{"S":"2"}}}`).
			refused("Invalid ConditionExpression: The BETWEEN operator requires same data type for lower and upper bounds"),
	}},
	{"an order of booleans", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a < :a","ExpressionAttributeValues":{":a":{"BOOL":true}}}`).
			refused("Invalid ConditionExpression: Incorrect operand type for operator or function; operator: <, operand type: BOOL"),
	}},
	{"too many operands", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a IN (`+strings.Repeat(":a, ", 100)+`:a)","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("Invalid ConditionExpression: Incorrect number of operands for operator or function; operator or function: IN, number of operands: 101"),
	}},
	{"as many as may be", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a IN (`+strings.Repeat(":a, ", 99)+`:a)","ExpressionAttributeValues":{":a":{"N":"1"}}}`),
	}},
	{"too deep", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"`+strings.Repeat("NOT ", 300)+`attribute_exists(a)"}`).
			refused("Invalid ConditionExpression: The expression has too many levels of nesting;"),
	}},
	{"too long", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"`+strings.Repeat("a", 4097)+`"}`).
			refused("Invalid ConditionExpression: Expression size has exceeded the maximum allowed size; expression size: 4097"),
	}},
	{"only white space", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":" \t\n"}`).
			refused("Invalid ConditionExpression: The expression can not be empty;"),
	}},
	{"a reserved word", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"attribute_exists(Status)"}`).
			refused("Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: Status"),
	}},
	{"bounds that are attributes", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"2"},"lo":{"N":"1"},"hi":{"N":"3"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a BETWEEN lo AND hi"}`),
	}},
	{"binary in binary", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"B":"AQID"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"contains(a, :a)","ExpressionAttributeValues":{":a":{"B":"AgM="}}}`),
	}},
	{"not in it", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"B":"AQID"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"contains(a, :a)","ExpressionAttributeValues":{":a":{"B":"AwI="}}}`).
			conditionFailed(),
	}},
	{"the size of a map", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"M":{"x":{"N":"1"},"y":{"N":"2"}}}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"size(a) = :n","ExpressionAttributeValues":{":n":{"N":"2"}}}`),
	}},
	{"the size of a number", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"size(a) >= :n","ExpressionAttributeValues":{":n":{"N":"0"}}}`).
			conditionFailed(),
	}},
	{"an index beyond the end", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"L":[{"N":"1"}]}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"attribute_exists(a[1])"}`).
			conditionFailed(),
	}},
	{"a number that is no text", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"}}}`),
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"a = :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`).
			conditionFailed(),
	}},
}
