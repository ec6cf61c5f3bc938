package dynamotest_test

import "strings"

var tableAnswers = []exchange{
	{"a name that is too short", []step{
		ask("CreateTable", `{"TableName":"ab","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"),
	}},
	{"a name of nothing", []step{
		ask("CreateTable", `{"TableName":"","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("1 validation error detected: Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1"),
	}},
	{"a name with a slash", []step{
		ask("CreateTable", `{"TableName":"a/b/c","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("1 validation error detected: Value 'a/b/c' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
	}},
	{"a name that is too long", []step{
		ask("CreateTable", `{"TableName":"`+strings.Repeat("x", 256)+`","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("1 validation error detected: Value '" + strings.Repeat("x", 256) + "' at 'tableName' failed to satisfy constraint: Member must have length less than or equal to 255"),
	}},
	{"no key", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("1 validation error detected: Value '[]' at 'keySchema' failed to satisfy constraint: Member must have length greater than or equal to 1"),
		ask("CreateTable", `{"TableName":"$T-new","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("1 validation error detected: Value null at 'keySchema' failed to satisfy constraint: Member must not be null"),
	}},
	{"three keys", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"},{"AttributeName":"k","KeyType":"HASH"},{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("1 validation error detected: Value at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2"),
	}},
	{"the sort key alone", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"RANGE"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
	}},
	{"two partition keys", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"},{"AttributeName":"a","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"),
	}},
	{"one attribute for both keys", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"},{"AttributeName":"k","KeyType":"RANGE"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("Invalid KeySchema: Some index key attribute have no definition"),
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"},{"AttributeName":"k","KeyType":"RANGE"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("Both the Hash Key and the Range Key element in the KeySchema have the same name"),
	}},
	{"a key that is not defined", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"x","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [x], AttributeDefinitions: [k]"),
	}},
	{"an attribute that is no key", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"),
	}},
	{"a type that is none", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"SS"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("1 validation error detected: Value 'SS' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member must satisfy enum value set: [B, N, S]"),
	}},
	{"an attribute without a name", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("1 validation error detected: Value '' at 'attributeDefinitions.1.member.attributeName' failed to satisfy constraint: Member must have length greater than or equal to 1"),
	}},
	{"an attribute with a long name", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"`+strings.Repeat("x", 256)+`","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			refused("1 validation error detected: Value '" + strings.Repeat("x", 256) + "' at 'keySchema.1.member.attributeName' failed to satisfy constraint: Member must have length less than or equal to 255"),
	}},
	{"a billing mode that is none", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"FREE"}`).
			refused("1 validation error detected: Value 'FREE' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]"),
	}},
	{"provisioned without throughput", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}]}`).
			refused("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"),
	}},
	{"throughput on demand", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}`).
			refused("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"),
	}},
	{"half of the throughput", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PROVISIONED","ProvisionedThroughput":{"ReadCapacityUnits":0}}`).
			refused("2 validation errors detected: Value '0' at 'provisionedThroughput.readCapacityUnits' failed to satisfy constraint: Member must have value greater than or equal to 1; Value null at 'provisionedThroughput.writeCapacityUnits' failed to satisfy constraint: Member must not be null"),
	}},
	{"encryption that is none", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","SSESpecification":{"Enabled":true,"SSEType":"ROT13"}}`).
			refused("1 validation error detected: Value 'ROT13' at 'sSESpecification.sSEType' failed to satisfy constraint: Member must satisfy enum value set: [AES256, KMS]"),
	}},
	{"a class that is none", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","TableClass":"FIRST"}`).
			refused("1 validation error detected: Value 'FIRST' at 'tableClass' failed to satisfy constraint: Member must satisfy enum value set: [STANDARD, STANDARD_INFREQUENT_ACCESS]"),
	}},
	{"an index without a key", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":[{"IndexName":"by-a","KeySchema":[],"Projection":{"ProjectionType":"ALL"}}]}`).
			refused("1 validation error detected: Value at 'keySchema' of the index by-a failed to satisfy constraint: Member must have length 1 or 2"),
	}},
	{"an index with a short name", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":[{"IndexName":"ab","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}]}`).
			refused("1 validation error detected: Value 'ab' at 'indexName' failed to satisfy constraint: Member must have 3 to 255 letters, digits and _.-"),
	}},
	{"an index twice", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":[{"IndexName":"by-a","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}},{"IndexName":"by-a","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}]}`).
			refused("One or more parameter values were invalid: Duplicate index name: by-a"),
	}},
	{"an index without a projection", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":[{"IndexName":"by-a","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}]}]}`).
			refused("One or more parameter values were invalid: Unknown ProjectionType: null"),
	}},
	{"a projection that is none", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":[{"IndexName":"by-a","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"SOME"}}]}`).
			refused("One or more parameter values were invalid: Unknown ProjectionType: SOME"),
	}},
	{"INCLUDE of nothing", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":[{"IndexName":"by-a","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"INCLUDE"}}]}`).
			refused("One or more parameter values were invalid: ProjectionType is INCLUDE, but NonKeyAttributes is not specified"),
	}},
	{"ALL and more", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":[{"IndexName":"by-a","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL","NonKeyAttributes":["b"]}}]}`).
			refused("One or more parameter values were invalid: ProjectionType is ALL, but NonKeyAttributes is specified"),
	}},
	{"an index on what is not defined", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":[{"IndexName":"by-a","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}]}`).
			refused("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [a], AttributeDefinitions: [k]"),
	}},
	{"more than 20 indexes", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":`+indexes(21)+"}").
			refused("One or more parameter values were invalid: GlobalSecondaryIndex count exceeds the per-table limit of 20"),
	}},
	{"a table that is there", []step{
		ask("CreateTable", `{"TableName":"$T","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`).
			fails(400, "ResourceInUseException", "Table already exists: $T"),
	}},
	{"a table that is not there", []step{
		ask("DescribeTable", `{"TableName":"$N"}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $N not found"),
		ask("DeleteTable", `{"TableName":"$N"}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $N not found"),
	}},
	{"all settings", []step{
		ask("CreateTable", `{"TableName":"$T-new","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST","TableClass":"STANDARD_INFREQUENT_ACCESS","OnDemandThroughput":{"MaxReadRequestUnits":5},"SSESpecification":{"Enabled":true,"KMSMasterKeyId":"arn:aws:kms:us-east-1:123456789012:key/1"},"DeletionProtectionEnabled":true,"GlobalSecondaryIndexes":[{"IndexName":"by-a","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["b"]}}]}`).
			answers(`{"TableDescription":{"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},{"AttributeName":"k","AttributeType":"S"}],"BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"},"CreationDateTime":946684800,"DeletionProtectionEnabled":true,"GlobalSecondaryIndexes":[{"IndexArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T-new/index/by-a","IndexName":"by-a","IndexSizeBytes":0,"IndexStatus":"ACTIVE","ItemCount":0,"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"NonKeyAttributes":["b"],"ProjectionType":"INCLUDE"},"ProvisionedThroughput":{"NumberOfDecreasesToday":0,"ReadCapacityUnits":0,"WriteCapacityUnits":0}}],"ItemCount":0,"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"OnDemandThroughput":{"MaxReadRequestUnits":5},"ProvisionedThroughput":{"NumberOfDecreasesToday":0,"ReadCapacityUnits":0,"WriteCapacityUnits":0},"SSEDescription":{"KMSMasterKeyArn":"arn:aws:kms:us-east-1:123456789012:key/1","SSEType":"KMS","Status":"ENABLED"},"TableArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T-new","TableClassSummary":{"TableClass":"STANDARD_INFREQUENT_ACCESS"},"TableName":"$T-new","TableSizeBytes":0,"TableStatus":"ACTIVE"}}`),
		ask("DescribeTable", `{"TableName":"$T-new"}`).
			answers(`{"Table":{"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},{"AttributeName":"k","AttributeType":"S"}],"BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"},"CreationDateTime":946684800,"DeletionProtectionEnabled":true,"GlobalSecondaryIndexes":[{"IndexArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T-new/index/by-a","IndexName":"by-a","IndexSizeBytes":0,"IndexStatus":"ACTIVE","ItemCount":0,"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"NonKeyAttributes":["b"],"ProjectionType":"INCLUDE"},"ProvisionedThroughput":{"NumberOfDecreasesToday":0,"ReadCapacityUnits":0,"WriteCapacityUnits":0}}],"ItemCount":0,"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"OnDemandThroughput":{"MaxReadRequestUnits":5},"ProvisionedThroughput":{"NumberOfDecreasesToday":0,"ReadCapacityUnits":0,"WriteCapacityUnits":0},"SSEDescription":{"KMSMasterKeyArn":"arn:aws:kms:us-east-1:123456789012:key/1","SSEType":"KMS","Status":"ENABLED"},"TableArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T-new","TableClassSummary":{"TableClass":"STANDARD_INFREQUENT_ACCESS"},"TableName":"$T-new","TableSizeBytes":0,"TableStatus":"ACTIVE"}}`),
		ask("DeleteTable", `{"TableName":"$T-new"}`).
			refused("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."),
		ask("UpdateTable", `{"TableName":"$T-new","DeletionProtectionEnabled":false,"TableClass":"STANDARD","SSESpecification":{"Enabled":false},"OnDemandThroughput":{"MaxWriteRequestUnits":7}}`).
			answers(`{"TableDescription":{"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},{"AttributeName":"k","AttributeType":"S"}],"BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"},"CreationDateTime":946684800,"DeletionProtectionEnabled":false,"GlobalSecondaryIndexes":[{"IndexArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T-new/index/by-a","IndexName":"by-a","IndexSizeBytes":0,"IndexStatus":"ACTIVE","ItemCount":0,"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"NonKeyAttributes":["b"],"ProjectionType":"INCLUDE"},"ProvisionedThroughput":{"NumberOfDecreasesToday":0,"ReadCapacityUnits":0,"WriteCapacityUnits":0}}],"ItemCount":0,"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"OnDemandThroughput":{"MaxWriteRequestUnits":7},"ProvisionedThroughput":{"NumberOfDecreasesToday":0,"ReadCapacityUnits":0,"WriteCapacityUnits":0},"TableArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T-new","TableClassSummary":{"TableClass":"STANDARD"},"TableName":"$T-new","TableSizeBytes":0,"TableStatus":"ACTIVE"}}`),
		ask("DeleteTable", `{"TableName":"$T-new"}`).
			answers(`{"TableDescription":{"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},{"AttributeName":"k","AttributeType":"S"}],"BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"},"CreationDateTime":946684800,"DeletionProtectionEnabled":false,"GlobalSecondaryIndexes":[{"IndexArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T-new/index/by-a","IndexName":"by-a","IndexSizeBytes":0,"IndexStatus":"ACTIVE","ItemCount":0,"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"NonKeyAttributes":["b"],"ProjectionType":"INCLUDE"},"ProvisionedThroughput":{"NumberOfDecreasesToday":0,"ReadCapacityUnits":0,"WriteCapacityUnits":0}}],"ItemCount":0,"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"OnDemandThroughput":{"MaxWriteRequestUnits":7},"ProvisionedThroughput":{"NumberOfDecreasesToday":0,"ReadCapacityUnits":0,"WriteCapacityUnits":0},"TableArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T-new","TableClassSummary":{"TableClass":"STANDARD"},"TableName":"$T-new","TableSizeBytes":0,"TableStatus":"DELETING"}}`),
		ask("DescribeTable", `{"TableName":"$T-new"}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $T-new not found"),
	}},
	{"an update of nothing", []step{
		ask("UpdateTable", `{"TableName":"$T"}`).
			refused("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required"),
	}},
	{"an update without throughput", []step{
		ask("UpdateTable", `{"TableName":"$T","BillingMode":"PROVISIONED"}`).
			refused("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"),
	}},
	{"throughput for a table on demand", []step{
		ask("UpdateTable", `{"TableName":"$T","BillingMode":"PAY_PER_REQUEST","ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}`).
			refused("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"),
	}},
	{"two indexes at once", []step{
		ask("UpdateTable", `{"TableName":"$T","GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"by-a"}},{"Delete":{"IndexName":"by-b"}}]}`).
			refused("Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"),
	}},
	{"the deletion of an index that is not there", []step{
		ask("UpdateTable", `{"TableName":"$T","GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"by-a"}}]}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found"),
	}},
	{"an update that is none", []step{
		ask("UpdateTable", `{"TableName":"$T","GlobalSecondaryIndexUpdates":[{}]}`).
			refused("an update of an index is either Create or Delete"),
	}},
	{"another type for the key", []step{
		ask("UpdateTable", `{"TableName":"$T","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"N"}],"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"by-a","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}}]}`).
			refused("One or more parameter values were invalid: the attribute k is of type S in a key, and N in AttributeDefinitions"),
	}},
	{"a wrong index", []step{
		ask("UpdateTable", `{"TableName":"$T","GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"by-a","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}}]}`).
			refused("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [a], AttributeDefinitions: []"),
	}},
	{"a page of tables that is too long", []step{
		ask("ListTables", `{"Limit":101}`).
			refused("1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: Member must have value between 1 and 100"),
		ask("ListTables", `{"Limit":0}`).
			refused("1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value between 1 and 100"),
	}},
	{"time to live of nothing", []step{
		ask("UpdateTimeToLive", `{"TableName":"$T"}`).
			refused("1 validation error detected: Value null at 'timeToLiveSpecification.attributeName' failed to satisfy constraint: Member must not be null"),
		ask("UpdateTimeToLive", `{"TableName":"$T","TimeToLiveSpecification":{"AttributeName":"","Enabled":true}}`).
			refused("1 validation error detected: Value null at 'timeToLiveSpecification.attributeName' failed to satisfy constraint: Member must not be null"),
	}},
	{"time to live twice", []step{
		ask("UpdateTimeToLive", `{"TableName":"$T","TimeToLiveSpecification":{"AttributeName":"e","Enabled":false}}`).
			refused("TimeToLive is already disabled"),
		ask("UpdateTimeToLive", `{"TableName":"$T","TimeToLiveSpecification":{"AttributeName":"e","Enabled":true}}`).
			answers(`{"TimeToLiveSpecification":{"AttributeName":"e","Enabled":true}}`),
		ask("UpdateTimeToLive", `{"TableName":"$T","TimeToLiveSpecification":{"AttributeName":"e","Enabled":true}}`).
			refused("TimeToLive is already enabled"),
		ask("UpdateTimeToLive", `{"TableName":"$T","TimeToLiveSpecification":{"AttributeName":"f","Enabled":false}}`).
			refused("TimeToLive is active on a different AttributeName: current AttributeName is e"),
		ask("DescribeTimeToLive", `{"TableName":"$T"}`).
			answers(`{"TimeToLiveDescription":{"AttributeName":"e","TimeToLiveStatus":"ENABLED"}}`),
		ask("UpdateTimeToLive", `{"TableName":"$T","TimeToLiveSpecification":{"AttributeName":"e","Enabled":false}}`).
			answers(`{"TimeToLiveSpecification":{"AttributeName":"e","Enabled":false}}`),
		ask("DescribeTimeToLive", `{"TableName":"$T"}`).
			answers(`{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}`),
	}},
	{"time to live of no table", []step{
		ask("UpdateTimeToLive", `{"TableName":"$N","TimeToLiveSpecification":{"AttributeName":"e","Enabled":true}}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $N not found"),
		ask("DescribeTimeToLive", `{"TableName":"$N"}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $N not found"),
	}},
	{"tags", []step{
		ask("TagResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T","Tags":[{"Key":"b","Value":"1"},{"Key":"a","Value":"2"}]}`).
			answers("{}"),
		ask("TagResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T","Tags":[{"Key":"b","Value":"3"}]}`).
			answers("{}"),
		ask("ListTagsOfResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T"}`).
			answers(`{"Tags":[{"Key":"a","Value":"2"},{"Key":"b","Value":"3"}]}`),
		ask("UntagResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T","TagKeys":["b","none"]}`).
			answers("{}"),
		ask("ListTagsOfResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T"}`).
			answers(`{"Tags":[{"Key":"a","Value":"2"}]}`),
	}},
	{"tags of no table", []step{
		ask("TagResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$Tx","Tags":[]}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $Tx not found"),
		ask("UntagResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T/index/x","TagKeys":[]}`).
			refused(`Invalid ResourceArn: "arn:aws:dynamodb:us-east-1:123456789012:table/$T/index/x"; dynamotest knows tables, arn:aws:dynamodb:us-east-1:123456789012:table/NAME`),
		ask("ListTagsOfResource", `{"ResourceArn":"$T"}`).
			refused(`Invalid ResourceArn: "$T"; dynamotest knows tables, arn:aws:dynamodb:us-east-1:123456789012:table/NAME`),
	}},
	{"a policy that is none", []step{
		ask("PutResourcePolicy", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T","Policy":"{}"}`).
			refused(`Invalid policy document: policy: Version is missing; IAM knows "2012-10-17" and "2008-10-17"`),
	}},
	{"a policy of no table", []step{
		ask("PutResourcePolicy", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$Tx","Policy":"{\"Version\": \"2012-10-17\", \"Statement\": {\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"dynamodb:GetItem\", \"Resource\": \"*\"}}"}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $Tx not found"),
		ask("GetResourcePolicy", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$Tx"}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $Tx not found"),
		ask("DeleteResourcePolicy", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$Tx"}`).
			fails(400, "ResourceNotFoundException", "Requested resource not found: Table: $Tx not found"),
	}},
	{"a policy's revisions", []step{
		ask("GetResourcePolicy", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T"}`).
			fails(400, "PolicyNotFoundException", "Resource-based policy not found for the provided ResourceArn: Requested policy update on arn:aws:dynamodb:us-east-1:123456789012:table/$T was not found or its revision did not match"),
		ask("DeleteResourcePolicy", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T"}`).
			answers(`{"RevisionId":""}`),
		ask("DeleteResourcePolicy", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T","ExpectedRevisionId":"1"}`).
			fails(400, "PolicyNotFoundException", "Resource-based policy not found for the provided ResourceArn: Requested policy update on arn:aws:dynamodb:us-east-1:123456789012:table/$T was not found or its revision did not match"),
		ask("PutResourcePolicy", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T","Policy":"{\"Version\": \"2012-10-17\", \"Statement\": {\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"dynamodb:GetItem\", \"Resource\": \"*\"}}","ExpectedRevisionId":"1"}`).
			fails(400, "PolicyNotFoundException", "Resource-based policy not found for the provided ResourceArn: Requested policy update on arn:aws:dynamodb:us-east-1:123456789012:table/$T was not found or its revision did not match"),
		ask("PutResourcePolicy", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T","Policy":"{\"Version\": \"2012-10-17\", \"Statement\": {\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"dynamodb:GetItem\", \"Resource\": \"*\"}}","ExpectedRevisionId":"NO_POLICY"}`).
			answers(`{"RevisionId":"946684800000-7"}`),
		ask("PutResourcePolicy", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T","Policy":"{\"Version\": \"2012-10-17\", \"Statement\": {\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"dynamodb:GetItem\", \"Resource\": \"*\"}}","ExpectedRevisionId":"NO_POLICY"}`).
			fails(400, "PolicyNotFoundException", "Resource-based policy not found for the provided ResourceArn: Requested policy update on arn:aws:dynamodb:us-east-1:123456789012:table/$T was not found or its revision did not match"),
		ask("PutResourcePolicy", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/$T","Policy":"{\"Version\": \"2012-10-17\", \"Statement\": {\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"dynamodb:GetItem\", \"Resource\": \"*\"}}"}`).
			fails(400, "ResourceInUseException", "The resource-based policy of arn:aws:dynamodb:us-east-1:123456789012:table/$T was changed less than 15 seconds ago"),
	}},
	{"an operation that is none", []step{
		ask("ExecuteStatement", "{}").
			fails(400, "UnknownOperationException", `dynamotest does not implement the operation "ExecuteStatement"; see docs/guide/dynamotest.md`),
	}},
	{"a table in another region", []step{
		ask("GetItem", `{"TableName":"arn:aws:dynamodb:eu-west-1:123456789012:table/$T","Key":{"k":{"S":"$K"}}}`).
			refused(`Invalid TableArn: "arn:aws:dynamodb:eu-west-1:123456789012:table/$T"; dynamotest knows tables of the account 123456789012 and the region of the request`),
	}},
}
