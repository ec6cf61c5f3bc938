package dynamotest_test

import "strings"

var updateAnswers = []exchange{
	{"an update expression that is empty", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":""}`).
			refused("Invalid UpdateExpression: The expression can not be empty;"),
	}},
	{"a clause twice", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a SET b = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused(`Invalid UpdateExpression: The "SET" section can only be used once in an update expression;`),
	}},
	{"a clause that is none", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"PUT a = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused(`Invalid UpdateExpression: Syntax error; token: "PUT", near: "PUT a"`),
	}},
	{"two paths, one in the other", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a, a.b = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a, b]"),
	}},
	{"a list and a map at once", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a.b = :a, a[0] = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("Invalid UpdateExpression: Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a, [0]]"),
	}},
	{"part of the key", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET k = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("One or more parameter values were invalid: Cannot update attribute k. This attribute is part of the key"),
	}},
	{"an operand that is not there", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = b + :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("The provided expression refers to an attribute that does not exist in the item"),
	}},
	{"the second operand that is not there", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a + b","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("The provided expression refers to an attribute that does not exist in the item"),
	}},
	{"a sum of text", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a + :b","ExpressionAttributeValues":{":a":{"N":"1"},":b":{"S":"x"}}}`).
			refused("An operand in the update expression has an incorrect data type"),
	}},
	{"a sum with too many digits", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a + :b","ExpressionAttributeValues":{":a":{"N":"1e38"},":b":{"N":"1"}}}`).
			refused("Attempting to store more than 38 significant digits in a Number"),
	}},
	{"list_append of a number", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = list_append(:a, :b)","ExpressionAttributeValues":{":a":{"N":"1"},":b":{"L":[]}}}`).
			refused("An operand in the update expression has an incorrect data type"),
	}},
	{"list_append without its list", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = list_append(b, :b)","ExpressionAttributeValues":{":b":{"L":[]}}}`).
			refused("The provided expression refers to an attribute that does not exist in the item"),
	}},
	{"list_append to what is not there", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = list_append(:b, b)","ExpressionAttributeValues":{":b":{"L":[]}}}`).
			refused("The provided expression refers to an attribute that does not exist in the item"),
	}},
	{"a function that is none in SET", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = size(b)"}`).
			refused("Invalid UpdateExpression: Invalid function name; function: size"),
	}},
	{"a path through a number", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a.b = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("The document path provided in the update expression is invalid for update"),
	}},
	{"a path through a list", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"L":[]}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a[0].b = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("The document path provided in the update expression is invalid for update"),
	}},
	{"ADD of text", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"ADD a :a","ExpressionAttributeValues":{":a":{"S":"x"}}}`).
			refused("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: STRING"),
	}},
	{"ADD to another type", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"S":"x"}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"ADD a :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("An operand in the update expression has an incorrect data type"),
	}},
	{"ADD of an attribute", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"ADD a b"}`).
			refused(`Invalid UpdateExpression: Syntax error; token: "b", near: "a b"`),
	}},
	{"DELETE of a number", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"DELETE a :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`).
			refused("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER"),
	}},
	{"DELETE from another type", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"SS":["x"]}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"DELETE a :a","ExpressionAttributeValues":{":a":{"NS":["1"]}}}`).
			refused("An operand in the update expression has an incorrect data type"),
	}},
	{"DELETE of what is not there", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"DELETE a :a","ExpressionAttributeValues":{":a":{"SS":["x"]}}}`).
			answers("{}"),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers(`{"Item":{"k":{"S":"$K"}}}`),
	}},
	{"DELETE of all", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"SS":["x","y"]}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"DELETE a :a","ExpressionAttributeValues":{":a":{"SS":["y","x","z"]}}}`).
			answers("{}"),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers(`{"Item":{"k":{"S":"$K"}}}`),
	}},
	{"ADD to a set", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"NS":["1","2"]}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"ADD a :a","ExpressionAttributeValues":{":a":{"NS":["2.0","3"]}}}`).
			answers("{}"),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers(`{"Item":{"a":{"NS":["1","2","3"]},"k":{"S":"$K"}}}`),
	}},
	{"removals keep their indexes", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"l":{"L":[{"M":{"x":{"N":"0"},"y":{"N":"0"}}},{"M":{"x":{"N":"1"},"y":{"N":"1"}}},{"M":{"x":{"N":"2"},"y":{"N":"2"}}}]}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"REMOVE l[0], l[1].x","ReturnValues":"ALL_NEW"}`).
			answers(`{"Attributes":{"k":{"S":"$K"},"l":{"L":[{"M":{"y":{"N":"1"}}},{"M":{"x":{"N":"2"},"y":{"N":"2"}}}]}}}`),
	}},
	{"removals in lists of lists keep theirs", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"l":{"L":[{"L":[{"N":"0"}]},{"L":[{"N":"10"},{"N":"11"}]},{"L":[{"N":"20"},{"N":"21"}]},{"L":[{"N":"30"},{"N":"31"}]}]}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"REMOVE l[1], l[2][0], m, l[3][1], l[0]","ReturnValues":"ALL_NEW"}`).
			answers(`{"Attributes":{"k":{"S":"$K"},"l":{"L":[{"L":[{"N":"21"}]},{"L":[{"N":"30"}]}]}}}`),
	}},
	{"an index beyond the end appends", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"l":{"L":[{"N":"0"}]}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET l[7] = :a","ExpressionAttributeValues":{":a":{"N":"1"}},"ReturnValues":"ALL_NEW"}`).
			answers(`{"Attributes":{"k":{"S":"$K"},"l":{"L":[{"N":"0"},{"N":"1"}]}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"REMOVE l[9]","ReturnValues":"ALL_NEW"}`).
			answers(`{"Attributes":{"k":{"S":"$K"},"l":{"L":[{"N":"0"},{"N":"1"}]}}}`),
	}},
	{"a difference", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"0.1"}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = a - :a, b = (:a - a)","ExpressionAttributeValues":{":a":{"N":"0.30"}},"ReturnValues":"UPDATED_NEW"}`).
			answers(`{"Attributes":{"a":{"N":"-0.2"},"b":{"N":"0.2"}}}`),
	}},
	{"brackets", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = ((:a) + (:b))","ExpressionAttributeValues":{":a":{"N":"1"},":b":{"N":"2"}},"ReturnValues":"ALL_NEW"}`).
			answers(`{"Attributes":{"a":{"N":"3"},"k":{"S":"$K"}}}`),
	}},
	{"ALL_OLD of nothing", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"N":"1"}},"ReturnValues":"ALL_OLD"}`).
			answers("{}"),
	}},
	{"UPDATED_OLD", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"N":"1"},"b":{"N":"2"}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a, c = :a","ExpressionAttributeValues":{":a":{"N":"3"}},"ReturnValues":"UPDATED_OLD"}`).
			answers(`{"Attributes":{"a":{"N":"1"}}}`),
	}},
	{"no expression at all", []step{
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers("{}"),
		ask("GetItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`).
			answers(`{"Item":{"k":{"S":"$K"}}}`),
	}},
	{"too large", []step{
		ask("PutItem", `{"TableName":"$T","Item":{"k":{"S":"$K"},"a":{"S":"`+strings.Repeat("x", 300000)+`"}}}`),
		ask("UpdateItem", `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET b = :b","ExpressionAttributeValues":{":b":{"S":"`+strings.Repeat("x", 120000)+`"}}}`).
			refused("Item size to update has exceeded the maximum allowed size"),
	}},
}
