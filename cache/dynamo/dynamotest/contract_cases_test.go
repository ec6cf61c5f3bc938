package dynamotest_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

const validationError = "ValidationException"

// bytesOf is base64 of n bytes.
func bytesOf(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }

// keys is a list of n keys for a batch.
func keys(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"k":{"S":"$K-%d"}}`, i))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func puts(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"PutRequest":{"Item":{"k":{"S":"$K-%d"}}}}`, i))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func putting(attrs string) step {
	return step{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"$K"}` + attrs + `}}`}
}

// conditional puts an item if the condition holds.
func conditional(condition, rest string) step {
	return step{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"$K"},"n":{"N":"2"}},"ConditionExpression":"` + condition + `"` + rest + `}`}
}

func getting(want string) step {
	return step{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ConsistentRead":true}`, want: want}
}

func (s step) fails(status int, code, message string) step {
	s.status, s.code, s.message = status, code, message
	return s
}

func (s step) answers(want string) step {
	s.want = want
	return s
}

func (s step) refused(message string) step { return s.fails(400, validationError, message) }

// conditionFailed is the answer to a condition that does not hold.
func (s step) conditionFailed() step {
	return s.fails(400, "ConditionalCheckFailedException", "The conditional request failed")
}

const (
	missing   = "Requested resource not found"
	badKey    = "The provided key element does not match the schema"
	tooBig    = "Item size has exceeded the maximum allowed size"
	values12  = `,"ExpressionAttributeValues":{":one":{"N":"1"},":two":{"N":"2"}}`
	duplicate = "Provided list of item keys contains duplicates"
)

// contract: the texts are those of the service, as its documentation and the
// public conformance suites record them.
var contract = []contractCase{
	// Items.
	{name: "an item that was never put", steps: []step{getting(`{"Item":null}`)}},
	{name: "an item comes back as it was put", steps: []step{
		putting(`,"s":{"S":"ü"},"b":{"B":"AP8="},"t":{"BOOL":true},"z":{"NULL":true},"l":{"L":[{"S":"a"},{"N":"1"}]},"m":{"M":{"x":{"S":"y"}}},"ss":{"SS":["a","b"]},"ns":{"NS":["1","2"]},"bs":{"BS":["AA=="]},"e":{"S":""}`),
		getting(`{"Item":{"s":{"S":"ü"},"b":{"B":"AP8="},"t":{"BOOL":true},"z":{"NULL":true},"l":{"L":[{"S":"a"},{"N":"1"}]},"m":{"M":{"x":{"S":"y"}}},"ss":{"SS":["a","b"]},"ns":{"NS":["1","2"]},"bs":{"BS":["AA=="]},"e":{"S":""}}}`),
	}},
	{name: "numbers are normalized", steps: []step{
		putting(`,"a":{"N":"007"},"b":{"N":"1.50"},"c":{"N":"-0"},"d":{"N":"1e3"},"e":{"N":"0.0001e-2"},"f":{"N":"-12345678901234567890123456789012345678"}`),
		getting(`{"Item":{"a":{"N":"7"},"b":{"N":"1.5"},"c":{"N":"0"},"d":{"N":"1000"},"e":{"N":"0.000001"},"f":{"N":"-12345678901234567890123456789012345678"}}}`),
	}},
	{name: "39 digits", steps: []step{putting(`,"n":{"N":"123456789012345678901234567890123456789"}`).refused("Attempting to store more than 38 significant digits in a Number")}},
	{name: "a number too large", steps: []step{putting(`,"n":{"N":"1e126"}`).refused("Number overflow. Attempting to store a number with magnitude larger than supported range")}},
	{name: "a number too small", steps: []step{putting(`,"n":{"N":"1e-131"}`).refused("Number underflow. Attempting to store a number with magnitude smaller than supported range")}},
	{name: "not a number", steps: []step{putting(`,"n":{"N":"x"}`).refused("The parameter cannot be converted to a numeric value: x")}},
	{name: "an empty set", steps: []step{putting(`,"n":{"SS":[]}`).refused("One or more parameter values were invalid: An string set  may not be empty")}},
	{name: "a value of two types", steps: []step{putting(`,"n":{"S":"a","N":"1"}`).refused("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")}},
	{name: "a value of no type", steps: []step{putting(`,"n":{}`).refused("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")}},
	{name: "put replaces the whole item", steps: []step{putting(`,"a":{"S":"1"}`), putting(`,"b":{"S":"2"}`), getting(`{"Item":{"a":null,"b":{"S":"2"}}}`)}},
	{name: "put returns the old item", steps: []step{
		putting(`,"a":{"S":"1"}`),
		{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ReturnValues":"ALL_OLD"}`, want: `{"Attributes":{"k":{"S":"$K"},"a":{"S":"1"}}}`},
		{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ReturnValues":"ALL_NEW"}`, status: 400, code: validationError, message: "ReturnValues can only be ALL_OLD or NONE"},
	}},
	{name: "delete", steps: []step{
		putting(""),
		{op: "DeleteItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ReturnValues":"ALL_OLD"}`, want: `{"Attributes":{"k":{"S":"$K"}}}`},
		{op: "DeleteItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ReturnValues":"ALL_OLD"}`, want: `{"Attributes":null}`},
		getting(`{"Item":null}`),
	}},
	{name: "projection", steps: []step{
		putting(`,"a":{"S":"1"},"value":{"S":"2"}`),
		{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ProjectionExpression":"#v","ExpressionAttributeNames":{"#v":"value"}}`, want: `{"Item":{"value":{"S":"2"},"a":null,"k":null}}`},
	}},
	{name: "composite keys", steps: []step{
		{op: "PutItem", body: `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"a"},"v":{"N":"1"}}}`},
		{op: "PutItem", body: `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"b"},"v":{"N":"2"}}}`},
		{op: "GetItem", body: `{"TableName":"$C","Key":{"k":{"S":"$K"},"s":{"S":"a"}}}`, want: `{"Item":{"v":{"N":"1"}}}`},
		step{op: "GetItem", body: `{"TableName":"$C","Key":{"k":{"S":"$K"}}}`}.refused(badKey),
	}},

	{name: "query of a partition", steps: []step{
		{op: "PutItem", body: `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"b"},"v":{"N":"2"}}}`},
		{op: "PutItem", body: `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"a"},"v":{"N":"1"}}}`},
		{op: "PutItem", body: `{"TableName":"$C","Item":{"k":{"S":"$K-other"},"s":{"S":"a"}}}`},
		{op: "Query", body: `{"TableName":"$C","KeyConditionExpression":"#k = :k","ExpressionAttributeNames":{"#k":"k"},"ExpressionAttributeValues":{":k":{"S":"$K"}},"ReturnConsumedCapacity":"TOTAL"}`, want: `{"Items":[{"s":{"S":"a"},"v":{"N":"1"}},{"s":{"S":"b"},"v":{"N":"2"}}],"Count":2,"ScannedCount":2,"ConsumedCapacity":{"CapacityUnits":0.5}}`},
		{op: "Query", body: `{"TableName":"$C","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"$K-none"}}}`, want: `{"Items":[],"Count":0}`},
		step{op: "Query", body: `{"TableName":"$C","KeyConditionExpression":"v = :k","ExpressionAttributeValues":{":k":{"S":"$K"}}}`}.refused("Query condition missed key schema element: k"),
	}},

	{name: "an update makes an item", steps: []step{
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"S":"1"}},"ReturnValues":"ALL_NEW"}`, want: `{"Attributes":{"k":{"S":"$K"},"a":{"S":"1"}}}`},
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"REMOVE a","ReturnValues":"UPDATED_OLD"}`, want: `{"Attributes":{"a":{"S":"1"},"k":null}}`},
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"REMOVE a","ReturnValues":"ALL_NEW"}`, want: `{"Attributes":{"k":{"S":"$K"},"a":null}}`},
	}},
	{name: "an update counts", steps: []step{
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"ADD n :one","ExpressionAttributeValues":{":one":{"N":"1"}}}`},
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"ADD n :one","ExpressionAttributeValues":{":one":{"N":"0.5"}},"ReturnValues":"UPDATED_NEW"}`, want: `{"Attributes":{"n":{"N":"1.5"},"k":null}}`},
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET n = n - :two, m = if_not_exists(m, :two) + :two","ExpressionAttributeValues":{":two":{"N":"2"}},"ReturnValues":"ALL_NEW"}`, want: `{"Attributes":{"n":{"N":"-0.5"},"m":{"N":"4"}}}`},
	}},
	{name: "an update of sets and lists", steps: []step{
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"ADD s :ab SET l = :l","ExpressionAttributeValues":{":ab":{"SS":["a","b"]},":l":{"L":[{"N":"1"},{"N":"2"},{"N":"3"}]}}}`},
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"DELETE s :a SET l = list_append(l, :m)","ExpressionAttributeValues":{":a":{"SS":["a"]},":m":{"L":[{"N":"4"}]}},"ReturnValues":"ALL_NEW"}`, want: `{"Attributes":{"s":{"SS":["b"]},"l":{"L":[{"N":"1"},{"N":"2"},{"N":"3"},{"N":"4"}]}}}`},
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"REMOVE l[1] DELETE s :b","ExpressionAttributeValues":{":b":{"SS":["b"]}},"ReturnValues":"ALL_NEW"}`, want: `{"Attributes":{"l":{"L":[{"N":"1"},{"N":"3"},{"N":"4"}]},"s":null}}`},
	}},
	{name: "an update inside a document", steps: []step{
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET m = :m","ExpressionAttributeValues":{":m":{"M":{"a":{"M":{"b":{"N":"1"}}}}}}}`},
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET m.a.b = m.a.b + :one, m.a.c = :one","ExpressionAttributeValues":{":one":{"N":"1"}},"ReturnValues":"ALL_NEW"}`, want: `{"Attributes":{"m":{"M":{"a":{"M":{"b":{"N":"2"},"c":{"N":"1"}}}}}}}`},
		step{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET m.x.y = :one","ExpressionAttributeValues":{":one":{"N":"1"}}}`}.refused(`The document path provided in the update expression is invalid for update`),
	}},
	{name: "an update with a condition", steps: []step{
		{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a","ConditionExpression":"attribute_exists(k)","ExpressionAttributeValues":{":a":{"S":"1"}}}`, status: 400, code: "ConditionalCheckFailedException", message: "The conditional request failed"},
	}},
	{name: "an update that cannot be", steps: []step{
		step{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = b"}`}.refused(`The provided expression refers to an attribute that does not exist in the item`),
		step{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET k = :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`}.refused(`One or more parameter values were invalid: Cannot update attribute k. This attribute is part of the key`),
		step{op: "UpdateItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET a = :a, a = :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`}.refused(`Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]`),
	}},

	// Keys and limits.
	{name: "an item without its key", steps: []step{step{op: "PutItem", body: `{"TableName":"$T","Item":{"a":{"S":"1"}}}`}.refused("One or more parameter values were invalid: Missing the key k in the item")}},
	{name: "an item whose key has another type", steps: []step{step{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"N":"1"}}}`}.refused("One or more parameter values were invalid: Type mismatch for key k expected: S actual: N")}},
	{name: "a key of another name", steps: []step{step{op: "GetItem", body: `{"TableName":"$T","Key":{"x":{"S":"1"}}}`}.refused(badKey)}},
	{name: "a key of another type", steps: []step{step{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"N":"1"}}}`}.refused(badKey)}},
	{name: "a key with one attribute too many", steps: []step{step{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"1"},"x":{"S":"1"}}}`}.refused(badKey)}},
	{name: "an empty key in a put", steps: []step{step{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":""}}}`}.refused("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: k")}},
	{name: "an empty key in a get", steps: []step{step{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":""}}}`}.refused("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: k")}},
	{name: "a key of 2048 bytes", steps: []step{
		{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"` + strings.Repeat("x", 2048) + `"}}}`},
		step{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"` + strings.Repeat("x", 2049) + `"}}}`}.refused("One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"),
		step{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"` + strings.Repeat("x", 2049) + `"}}}`}.refused("One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"),
	}},
	{name: "a sort key of 1024 bytes", steps: []step{
		{op: "PutItem", body: `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"` + strings.Repeat("x", 1024) + `"}}}`},
		step{op: "PutItem", body: `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"` + strings.Repeat("x", 1025) + `"}}}`}.refused("One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes"),
	}},
	{name: "400 KB", steps: []step{
		putting(`,"b":{"B":"` + bytesOf(409_600-len("k"+"key-123456789012"+"b")) + `"}`),
		putting(`,"b":{"B":"` + bytesOf(409_600-len("k"+"key-123456789012"+"b")+1) + `"}`).refused(tooBig),
	}},

	// Conditions.
	{name: "attribute_not_exists", steps: []step{
		conditional("attribute_not_exists(k)", ""),
		conditional("attribute_not_exists(k)", "").conditionFailed(),
		conditional("attribute_exists(k)", ""),
		conditional("attribute_exists(x)", "").conditionFailed(),
	}},
	{name: "comparisons", steps: []step{
		putting(`,"n":{"N":"1"}`),
		conditional("n < :one OR n > :two", values12).conditionFailed(),
		conditional("n <= :one AND n <> :two", values12),
		conditional("n = :one", `,"ExpressionAttributeValues":{":one":{"N":"1"}}`).conditionFailed(),
		conditional("n BETWEEN :one AND :two", values12),
		conditional("n IN (:one, :two)", values12),
		conditional("NOT (n >= :one AND n <= :two)", values12).conditionFailed(),
		conditional("absent < :one OR absent > :two", values12).conditionFailed(),
		conditional("absent <> :one", `,"ExpressionAttributeValues":{":one":{"N":"1"}}`),
	}},
	{name: "AND binds tighter than OR", steps: []step{conditional("attribute_not_exists(k) OR attribute_exists(k) AND attribute_exists(x)", "")}},
	{name: "keywords in any case", steps: []step{conditional("not attribute_exists(k) aNd attribute_not_exists(x)", "")}},
	{name: "begins_with, contains, size, attribute_type", steps: []step{
		putting(`,"a":{"S":"hello"},"l":{"L":[{"S":"x"}]}`),
		{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"$K"}},"ConditionExpression":"begins_with(a, :he) AND contains(a, :ll) AND size(a) = :5 AND attribute_type(a, :s) AND contains(l, :x) AND l[0] = :x","ExpressionAttributeValues":{":he":{"S":"he"},":ll":{"S":"ll"},":5":{"N":"5"},":s":{"S":"S"},":x":{"S":"x"}}}`},
	}},
	{name: "numbers compare as numbers", steps: []step{
		putting(`,"n":{"N":"10"}`),
		conditional("n > :nine", `,"ExpressionAttributeValues":{":nine":{"N":"9"}}`),
	}},
	{name: "nested paths", steps: []step{
		putting(`,"m":{"M":{"l":{"L":[{"N":"1"},{"M":{"x":{"S":"y"}}}]}}}`),
		conditional("m.l[1].#x = :y AND m.l[0] = :one AND attribute_not_exists(m.l[2])", `,"ExpressionAttributeNames":{"#x":"x"},"ExpressionAttributeValues":{":y":{"S":"y"},":one":{"N":"1"}}`),
	}},
	{name: "the item that failed a condition", steps: []step{
		putting(`,"n":{"N":"1"}`),
		conditional("attribute_not_exists(k)", `,"ReturnValuesOnConditionCheckFailure":"ALL_OLD"`).conditionFailed().answers(`{"Item":{"k":{"S":"$K"},"n":{"N":"1"}}}`),
	}},
	{name: "a conditional delete", steps: []step{
		putting(`,"n":{"N":"1"}`),
		step{op: "DeleteItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ConditionExpression":"n > :one","ExpressionAttributeValues":{":one":{"N":"1"}}}`}.conditionFailed(),
		{op: "DeleteItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ConditionExpression":"n = :one","ExpressionAttributeValues":{":one":{"N":"1"}}}`},
	}},
	{name: "the store's own condition", steps: []step{
		putting(`,"n":{"N":"5"}`),
		conditional("attribute_not_exists(#n) OR #n <= :n OR #n > :future", `,"ExpressionAttributeNames":{"#n":"n"},"ExpressionAttributeValues":{":n":{"N":"4"},":future":{"N":"9"}}`).conditionFailed(),
		conditional("attribute_not_exists(#n) OR #n <= :n OR #n > :future", `,"ExpressionAttributeNames":{"#n":"n"},"ExpressionAttributeValues":{":n":{"N":"6"},":future":{"N":"9"}}`),
	}},
	{name: "an empty expression", steps: []step{conditional("", "").refused("Invalid ConditionExpression: The expression can not be empty;")}},
	{name: "an expression with an error", steps: []step{conditional("n = = n", "").refused(`/Invalid ConditionExpression: Syntax error; token: "=", near: ".*"/`)}, differs: map[string][]step{"dynoxide": {conditional("n = = n", "").refused("/Invalid ConditionExpression: .*/")}}, documented: "the text says where the error is; its words are not documented"},
	{name: "a name that is not defined", steps: []step{conditional("attribute_exists(#x)", "").refused("Invalid ConditionExpression: An expression attribute name used in the document path is not defined; attribute name: #x")}, differs: map[string][]step{"dynoxide": {conditional("attribute_exists(#x)", "").refused("An expression attribute name used in the document path is not defined; attribute name: #x")}}, documented: "the service names the expression first"},
	{name: "a value that is not defined", steps: []step{conditional("n = :x", "").refused("Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :x")}, differs: map[string][]step{"dynoxide": {conditional("n = :x", "").refused("An expression attribute value used in expression is not defined; attribute value: :x")}}, documented: "the service names the expression first"},
	{name: "a name that is not used", steps: []step{conditional("attribute_not_exists(k)", `,"ExpressionAttributeNames":{"#x":"x"}`).refused("Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}")}},
	{name: "a value that is not used", steps: []step{conditional("attribute_not_exists(k)", `,"ExpressionAttributeValues":{":x":{"S":"x"}}`).refused("Value provided in ExpressionAttributeValues unused in expressions: keys: {:x}")}},
	{name: "a reserved word", steps: []step{conditional("attribute_not_exists(value)", "").refused("Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: value")}},
	{name: "a function that is none", steps: []step{conditional("exists(k)", "").refused("Invalid ConditionExpression: Invalid function name; function: exists")}},

	// Batches.
	{name: "a batch of reads", steps: []step{
		{op: "BatchWriteItem", body: `{"RequestItems":{"$T":` + puts(3) + `}}`, want: `{"UnprocessedItems":{}}`},
		{op: "BatchGetItem", body: `{"RequestItems":{"$T":{"Keys":` + keys(5) + `}}}`, want: `{"Responses":{"$T":[{"k":{"S":"$K-0"}},{"k":{"S":"$K-1"}},{"k":{"S":"$K-2"}}]},"UnprocessedKeys":{}}`},
		{op: "BatchWriteItem", body: `{"RequestItems":{"$T":[{"DeleteRequest":{"Key":{"k":{"S":"$K-0"}}}},{"DeleteRequest":{"Key":{"k":{"S":"$K-9"}}}}]}}`},
		{op: "BatchGetItem", body: `{"RequestItems":{"$T":{"Keys":` + keys(1) + `}}}`, want: `{"Responses":{"$T":[]}}`},
	}},
	{name: "100 keys", steps: []step{
		{op: "BatchGetItem", body: `{"RequestItems":{"$T":{"Keys":` + keys(100) + `}}}`, want: `{"Responses":{"$T":[]}}`},
		step{op: "BatchGetItem", body: `{"RequestItems":{"$T":{"Keys":` + keys(101) + `}}}`}.refused("/.*(Too many items requested for the BatchGetItem call|less than or equal to 100).*/"),
	}},
	{name: "25 writes", steps: []step{
		{op: "BatchWriteItem", body: `{"RequestItems":{"$T":` + puts(25) + `}}`},
		step{op: "BatchWriteItem", body: `{"RequestItems":{"$T":` + puts(26) + `}}`}.refused("/.*(Too many items requested for the BatchWriteItem call|less than or equal to 25).*/"),
	}},
	{name: "the same key twice", steps: []step{
		step{op: "BatchGetItem", body: `{"RequestItems":{"$T":{"Keys":[{"k":{"S":"a"}},{"k":{"S":"a"}}]}}}`}.refused(duplicate),
		step{op: "BatchWriteItem", body: `{"RequestItems":{"$T":[{"PutRequest":{"Item":{"k":{"S":"a"}}}},{"DeleteRequest":{"Key":{"k":{"S":"a"}}}}]}}`}.refused(duplicate),
	}},
	{
		name: "an empty batch", documented: "RequestItems has a minimum of one entry; the words are those of the service's generic constraint",
		steps: []step{
			step{op: "BatchGetItem", body: `{"RequestItems":{}}`}.refused("/.*'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1/"),
			step{op: "BatchWriteItem", body: `{"RequestItems":{}}`}.refused("/.*'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1/"),
		},
		differs: map[string][]step{"dynoxide": {
			step{op: "BatchGetItem", body: `{"RequestItems":{}}`}.refused("/.*Member must have length greater than or equal to 1/"),
			step{op: "BatchWriteItem", body: `{"RequestItems":{}}`}.refused("/.*/"),
		}},
	},
	{name: "a batch with one bad key", steps: []step{step{op: "BatchGetItem", body: `{"RequestItems":{"$T":{"Keys":[{"k":{"S":"a"}},{"x":{"S":"a"}}]}}}`}.refused(badKey)}},
	{name: "a batch on a missing table", steps: []step{step{op: "BatchGetItem", body: `{"RequestItems":{"$N":{"Keys":[{"k":{"S":"a"}}]}}}`}.fails(400, "ResourceNotFoundException", missing)}},

	// Capacity.
	{name: "consumed capacity", steps: []step{
		{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"$K"},"b":{"B":"` + bytesOf(5000) + `"}},"ReturnConsumedCapacity":"TOTAL"}`, want: `{"ConsumedCapacity":{"TableName":"$T","CapacityUnits":5}}`},
		{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ReturnConsumedCapacity":"TOTAL"}`, want: `{"ConsumedCapacity":{"CapacityUnits":1}}`},
		{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ConsistentRead":true,"ReturnConsumedCapacity":"TOTAL"}`, want: `{"ConsumedCapacity":{"CapacityUnits":2}}`},
		{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K-none"}},"ReturnConsumedCapacity":"TOTAL"}`, want: `{"ConsumedCapacity":{"CapacityUnits":0.5}}`},
		{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`, want: `{"ConsumedCapacity":null}`},
		{op: "DeleteItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ReturnConsumedCapacity":"INDEXES"}`, want: `{"ConsumedCapacity":{"CapacityUnits":5,"Table":{"CapacityUnits":5}}}`},
	}},

	// Nested projections.
	{name: "projections into documents", steps: []step{
		putting(`,"m":{"M":{"a":{"S":"1"},"b":{"M":{"c":{"S":"2"},"d":{"S":"3"}}}}},"l":{"L":[{"S":"x"},{"M":{"y":{"S":"z"},"w":{"S":"v"}}},{"S":"u"}]}`),
		{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ProjectionExpression":"m.b.c, l[2], l[1].y"}`, want: `{"Item":{"k":null,"m":{"M":{"a":null,"b":{"M":{"c":{"S":"2"},"d":null}}}},"l":{"L":[{"M":{"y":{"S":"z"},"w":null}},{"S":"u"}]}}}`},
		{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ProjectionExpression":"m.nope, l[7], k.x"}`, want: `{"Item":{"k":null,"m":null,"l":null}}`},
		step{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ProjectionExpression":"m, m.a"}`}.refused("/Invalid ProjectionExpression: Two document paths overlap with each other.*/"),
	}},

	// Select.
	{name: "a count", steps: []step{
		{op: "PutItem", body: `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"1"},"x":{"N":"1"}}}`},
		{op: "PutItem", body: `{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"2"},"x":{"N":"2"}}}`},
		{op: "Query", body: `{"TableName":"$C","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}},"Select":"COUNT"}`, want: `{"Count":2,"ScannedCount":2,"Items":null}`},
		{op: "Query", body: `{"TableName":"$C","KeyConditionExpression":"k = :k","FilterExpression":"x > :x","ExpressionAttributeValues":{":k":{"S":"$K"},":x":{"N":"1"}},"ProjectionExpression":"s"}`, want: `{"Count":1,"ScannedCount":2,"Items":[{"s":{"S":"2"},"k":null,"x":null}]}`},
		step{op: "Query", body: `{"TableName":"$C","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}},"Select":"COUNT","ProjectionExpression":"s"}`}.refused("/.*/"),
		step{op: "Query", body: `{"TableName":"$C","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}},"Select":"SOME"}`}.refused("/.*/"),
		step{op: "Query", body: `{"TableName":"$C","IndexName":"none","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"$K"}}}`}.refused("The table does not have the specified index: none"),
	}},

	// Transactions.
	{name: "a transaction of all four", steps: []step{
		{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"$K-a"},"n":{"N":"1"}}}`},
		{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"$K-b"}}}`},
		{op: "TransactWriteItems", body: `{"TransactItems":[
			{"ConditionCheck":{"TableName":"$T","Key":{"k":{"S":"$K-none"}},"ConditionExpression":"attribute_not_exists(k)"}},
			{"Update":{"TableName":"$T","Key":{"k":{"S":"$K-a"}},"UpdateExpression":"SET n = n + :one","ExpressionAttributeValues":{":one":{"N":"1"}}}},
			{"Delete":{"TableName":"$T","Key":{"k":{"S":"$K-b"}}}},
			{"Put":{"TableName":"$C","Item":{"k":{"S":"$K"},"s":{"S":"c"}}}}]}`},
		{
			op: "TransactGetItems", body: `{"TransactItems":[{"Get":{"TableName":"$T","Key":{"k":{"S":"$K-a"}}}},{"Get":{"TableName":"$T","Key":{"k":{"S":"$K-b"}}}},{"Get":{"TableName":"$C","Key":{"k":{"S":"$K"},"s":{"S":"c"}}}}]}`,
			want: `{"Responses":[{"Item":{"n":{"N":"2"}}},{"Item":null},{"Item":{"s":{"S":"c"}}}]}`,
		},
	}},
	{
		name: "a transaction of reads with a projection", documented: "Get has a ProjectionExpression; dynoxide reads the whole item",
		steps: []step{
			putting(`,"n":{"N":"2"}`),
			{op: "TransactGetItems", body: `{"TransactItems":[{"Get":{"TableName":"$T","Key":{"k":{"S":"$K"}},"ProjectionExpression":"n"}}]}`, want: `{"Responses":[{"Item":{"n":{"N":"2"},"k":null}}]}`},
		},
		differs: map[string][]step{"dynoxide": {putting("")}},
	},
	{name: "a transaction that is cancelled changes nothing", steps: []step{
		{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"$K"},"n":{"N":"1"}}}`},
		step{
			op: "TransactWriteItems", body: `{"TransactItems":[
			{"Put":{"TableName":"$T","Item":{"k":{"S":"$K-new"}}}},
			{"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"SET n = :x","ConditionExpression":"n = :x","ExpressionAttributeValues":{":x":{"N":"5"}},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}}]}`,
			want: `{"CancellationReasons":[{"Code":"None"},{"Code":"ConditionalCheckFailed","Message":"The conditional request failed","Item":{"n":{"N":"1"}}}]}`,
		}.fails(400, "TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed]"),
		{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K-new"}}}`, want: `{"Item":null}`},
		{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}}}`, want: `{"Item":{"n":{"N":"1"}}}`},
	}},
	{name: "a transaction with one item twice", steps: []step{
		step{op: "TransactWriteItems", body: `{"TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}}}},{"Delete":{"TableName":"$T","Key":{"k":{"S":"$K"}}}}]}`}.refused("Transaction request cannot include multiple operations on one item"),
	}},
	{name: "a transaction on a missing table", steps: []step{
		step{op: "TransactWriteItems", body: `{"TransactItems":[{"Put":{"TableName":"$N","Item":{"k":{"S":"1"}}}}]}`}.fails(400, "ResourceNotFoundException", missing),
	}},
	{name: "a transaction under one token is made once", steps: []step{
		{op: "TransactWriteItems", body: `{"ClientRequestToken":"$K","TransactItems":[{"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"ADD n :one","ExpressionAttributeValues":{":one":{"N":"1"}}}}]}`},
		{op: "TransactWriteItems", body: `{"ClientRequestToken":"$K","TransactItems":[{"Update":{"TableName":"$T","Key":{"k":{"S":"$K"}},"UpdateExpression":"ADD n :one","ExpressionAttributeValues":{":one":{"N":"1"}}}}]}`},
		{op: "GetItem", body: `{"TableName":"$T","Key":{"k":{"S":"$K"}},"ConsistentRead":true}`, want: `{"Item":{"n":{"N":"1"}}}`},
		step{op: "TransactWriteItems", body: `{"ClientRequestToken":"$K","TransactItems":[{"Put":{"TableName":"$T","Item":{"k":{"S":"$K"}}}}]}`}.fails(400, "IdempotentParameterMismatchException", "/.*/"),
	}},

	// Secondary indexes.
	{name: "a secondary index", steps: []step{
		{op: "CreateTable", body: `{"TableName":"$N-i","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"u","AttributeType":"S"},{"AttributeName":"seq","AttributeType":"N"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],
			"GlobalSecondaryIndexes":[{"IndexName":"by-user","KeySchema":[{"AttributeName":"u","KeyType":"HASH"},{"AttributeName":"seq","KeyType":"RANGE"}],"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["x"]}}]}`, want: `{"TableDescription":{"GlobalSecondaryIndexes":[{"IndexName":"by-user","Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["x"]}}]}}`},
		{op: "PutItem", body: `{"TableName":"$N-i","Item":{"k":{"S":"1"},"u":{"S":"ann"},"seq":{"N":"10"},"x":{"S":"a"},"y":{"S":"b"}}}`},
		{op: "PutItem", body: `{"TableName":"$N-i","Item":{"k":{"S":"2"},"u":{"S":"ann"},"seq":{"N":"9"}}}`},
		{op: "PutItem", body: `{"TableName":"$N-i","Item":{"k":{"S":"3"},"u":{"S":"ann"}}}`},
		{op: "PutItem", body: `{"TableName":"$N-i","Item":{"k":{"S":"4"},"u":{"S":"bob"},"seq":{"N":"1"}}}`},
		{op: "Query", body: `{"TableName":"$N-i","IndexName":"by-user","KeyConditionExpression":"u = :u AND seq > :t","ExpressionAttributeValues":{":u":{"S":"ann"},":t":{"N":"1"}}}`, want: `{"Count":2,"Items":[{"k":{"S":"2"}},{"k":{"S":"1"},"x":{"S":"a"},"y":null}]}`},
		{op: "Query", body: `{"TableName":"$N-i","IndexName":"by-user","Limit":1,"ScanIndexForward":false,"KeyConditionExpression":"u = :u","ExpressionAttributeValues":{":u":{"S":"ann"}}}`, want: `{"Count":1,"Items":[{"k":{"S":"1"}}],"LastEvaluatedKey":{"k":{"S":"1"},"u":{"S":"ann"},"seq":{"N":"10"}}}`},
		{op: "Query", body: `{"TableName":"$N-i","IndexName":"by-user","ScanIndexForward":false,"ExclusiveStartKey":{"k":{"S":"1"},"u":{"S":"ann"},"seq":{"N":"10"}},"KeyConditionExpression":"u = :u","ExpressionAttributeValues":{":u":{"S":"ann"}}}`, want: `{"Count":1,"Items":[{"k":{"S":"2"}}],"LastEvaluatedKey":null}`},
		{op: "Scan", body: `{"TableName":"$N-i","IndexName":"by-user"}`, want: `{"Count":3}`},
		step{op: "Query", body: `{"TableName":"$N-i","IndexName":"by-user","ConsistentRead":true,"KeyConditionExpression":"u = :u","ExpressionAttributeValues":{":u":{"S":"ann"}}}`}.refused("Consistent reads are not supported on global secondary indexes"),
		step{op: "PutItem", body: `{"TableName":"$N-i","Item":{"k":{"S":"5"},"u":{"N":"1"}}}`}.refused("One or more parameter values were invalid: Type mismatch for Index Key u Expected: S Actual: N IndexName: by-user"),
		{op: "DeleteTable", body: `{"TableName":"$N-i"}`},
	}},

	// Tables.
	{name: "a table that is there already", steps: []step{step{op: "CreateTable", body: `{"TableName":"$T","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`}.fails(400, "ResourceInUseException", "/.*Table already exists: $T/")}},
	{name: "a table that is not there", steps: []step{
		step{op: "GetItem", body: `{"TableName":"$N","Key":{"k":{"S":"1"}}}`}.fails(400, "ResourceNotFoundException", missing),
		step{op: "PutItem", body: `{"TableName":"$N","Item":{"k":{"S":"1"}}}`}.fails(400, "ResourceNotFoundException", missing),
		step{op: "DeleteItem", body: `{"TableName":"$N","Key":{"k":{"S":"1"}}}`}.fails(400, "ResourceNotFoundException", missing),
		step{op: "DescribeTable", body: `{"TableName":"$N"}`}.fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $N not found"),
		step{op: "DeleteTable", body: `{"TableName":"$N"}`}.fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $N not found"),
		step{op: "DescribeTimeToLive", body: `{"TableName":"$N"}`}.fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $N not found"),
	}},
	{name: "a table's description", steps: []step{{op: "DescribeTable", body: `{"TableName":"$C"}`, want: `{"Table":{"TableName":"$C","TableStatus":"ACTIVE","TableArn":"*","CreationDateTime":"*","ItemCount":"*","TableSizeBytes":"*","BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"},"KeySchema":[{"AttributeName":"k","KeyType":"HASH"},{"AttributeName":"s","KeyType":"RANGE"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"s","AttributeType":"S"}]}}`}}},
	{name: "a list of tables", steps: []step{{op: "ListTables", body: `{}`, want: `{"TableNames":"*"}`}}},
	{name: "a table's short name", steps: []step{step{op: "CreateTable", body: `{"TableName":"ab","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`}.refused("/.*at least 3 characters long.*|.*length greater than or equal to 3.*/")}},
	{name: "a table's bad name", steps: []step{step{op: "CreateTable", body: `{"TableName":"a b c","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`}.refused("/.*/")}},
	{name: "a definition that no key uses", steps: []step{step{op: "CreateTable", body: `{"TableName":"$N","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"x","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`}.refused("/One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions/")}},
	{name: "a key without a definition", steps: []step{step{op: "CreateTable", body: `{"TableName":"$N","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"x","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`}.refused("/.*/")}},

	// Time to live.
	{name: "time to live", steps: []step{
		{op: "DescribeTimeToLive", body: `{"TableName":"$T"}`, want: `{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}`},
		{op: "UpdateTimeToLive", body: `{"TableName":"$T","TimeToLiveSpecification":{"AttributeName":"ttl","Enabled":true}}`, want: `{"TimeToLiveSpecification":{"AttributeName":"ttl","Enabled":true}}`},
		{op: "DescribeTimeToLive", body: `{"TableName":"$T"}`, want: `{"TimeToLiveDescription":{"AttributeName":"ttl","TimeToLiveStatus":"*"}}`},
	}},
	{
		name: "time to live, enabled twice", documented: "the request is refused with a ValidationException; applications match on the text",
		steps:   []step{step{op: "UpdateTimeToLive", body: `{"TableName":"$T","TimeToLiveSpecification":{"AttributeName":"ttl","Enabled":true}}`}.refused("TimeToLive is already enabled")},
		differs: map[string][]step{"dynoxide": {{op: "UpdateTimeToLive", body: `{"TableName":"$T","TimeToLiveSpecification":{"AttributeName":"ttl","Enabled":true}}`}}},
	},
	{
		name: "an expired item is still there", documented: "items are deleted within a few days of their expiry; until then reads return them",
		steps: []step{putting(`,"ttl":{"N":"1000000000"}`), getting(`{"Item":{"ttl":{"N":"1000000000"}}}`)},
	},

	// The protocol.
	{name: "an unknown operation", steps: []step{{op: "Frobnicate", body: `{}`, status: 400, code: "UnknownOperationException"}}},
	{name: "a body that is not JSON", steps: []step{{op: "GetItem", body: `{"TableName"`, status: 400, code: "SerializationException"}}},
	{name: "a member of the wrong type", steps: []step{{op: "GetItem", body: `{"TableName":["$T"],"Key":{"k":{"S":"1"}}}`, status: 400, code: "SerializationException"}}},
	{name: "an unsigned request", steps: []step{{op: "ListTables", body: `{}`, status: 400, code: "MissingAuthenticationTokenException", mangle: func(r *http.Request) { r.Header.Del("Authorization") }}}},
}
