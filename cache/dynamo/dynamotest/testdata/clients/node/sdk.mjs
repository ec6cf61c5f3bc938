// The usual calls of the AWS SDK for JavaScript and its document client, against
// the endpoint in the environment. Each one prints a line; the first that goes
// wrong ends the program.
import assert from "node:assert/strict";
import { CreateTableCommand, DeleteTableCommand, DynamoDBClient, ListTablesCommand, paginateListTables, waitUntilTableExists, waitUntilTableNotExists } from "@aws-sdk/client-dynamodb";
import { BatchGetCommand, BatchWriteCommand, DeleteCommand, DynamoDBDocumentClient, GetCommand, PutCommand, QueryCommand, ScanCommand, TransactGetCommand, TransactWriteCommand, UpdateCommand, paginateQuery } from "@aws-sdk/lib-dynamodb";

const client = new DynamoDBClient({ maxAttempts: 1 });
const docs = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
const TableName = "sessions";

function check(name, got, want) {
  assert.deepEqual(got, want, name);
  console.log("ok", name);
}

async function refused(name, code, promise) {
  await assert.rejects(promise, (e) => e.name === code, name);
  console.log("ok", name);
}

await client.send(new CreateTableCommand({
  TableName,
  BillingMode: "PAY_PER_REQUEST",
  AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }, { AttributeName: "seq", AttributeType: "N" }],
  KeySchema: [{ AttributeName: "id", KeyType: "HASH" }, { AttributeName: "seq", KeyType: "RANGE" }],
}));
check("create, wait", (await waitUntilTableExists({ client, minDelay: 1, maxWaitTime: 5 }, { TableName })).state, "SUCCESS");

const Item = { id: "a", seq: 10, nothing: null, list: [1, null, { x: "y" }], set: new Set(["a", "b"]), bytes: new Uint8Array([0, 255]) };
await docs.send(new PutCommand({ TableName, Item: { ...Item, gone: undefined } }));
check("put, get", (await docs.send(new GetCommand({ TableName, Key: { id: "a", seq: 10 }, ConsistentRead: true }))).Item, Item);
check("get of nothing", (await docs.send(new GetCommand({ TableName, Key: { id: "b", seq: 1 } }))).Item, undefined);
await docs.send(new BatchWriteCommand({ RequestItems: { [TableName]: [9, 11].map((seq) => ({ PutRequest: { Item: { id: "a", seq } } })) } }));

const query = { TableName, KeyConditionExpression: "id = :id", ExpressionAttributeValues: { ":id": "a" } };
const seqs = (out) => out.Items.map((i) => i.seq);
check("query", seqs(await docs.send(new QueryCommand(query))), [9, 10, 11]);
check("query, backwards", seqs(await docs.send(new QueryCommand({ ...query, ScanIndexForward: false, Limit: 1 }))), [11]);
check("query, sort key and filter", seqs(await docs.send(new QueryCommand({
  TableName, KeyConditionExpression: "id = :id AND seq >= :n", FilterExpression: "attribute_not_exists(#l)",
  ExpressionAttributeNames: { "#l": "list" }, ExpressionAttributeValues: { ":id": "a", ":n": 10 },
}))), [11]);
const pages = [];
for await (const page of paginateQuery({ client: docs, pageSize: 1 }, query)) pages.push(...seqs(page));
check("query, pages", pages, [9, 10, 11]);
check("scan", (await docs.send(new ScanCommand({ TableName, ProjectionExpression: "seq" }))).Count, 3);

check("update", (await docs.send(new UpdateCommand({
  TableName, Key: { id: "a", seq: 10 }, UpdateExpression: "SET hits = if_not_exists(hits, :zero) + :one, #l[2].x = :z",
  ExpressionAttributeNames: { "#l": "list" },
  ExpressionAttributeValues: { ":zero": 0, ":one": 1, ":z": "z" }, ReturnValues: "UPDATED_NEW",
}))).Attributes, { hits: 1, list: [{ x: "z" }] });
await refused("condition", "ConditionalCheckFailedException", docs.send(new PutCommand({ TableName, Item: { id: "a", seq: 10 }, ConditionExpression: "attribute_not_exists(id)" })));
await refused("validation", "ValidationException", docs.send(new GetCommand({ TableName, Key: { id: "a" } })));
await refused("no table", "ResourceNotFoundException", docs.send(new GetCommand({ TableName: "nonesuch", Key: { id: "a" } })));
await refused("another secret", "InvalidSignatureException", new DynamoDBClient({ maxAttempts: 1, credentials: { accessKeyId: "DYNAMOTEST", secretAccessKey: "another" } }).send(new ListTablesCommand({})));

check("batch get", (await docs.send(new BatchGetCommand({ RequestItems: { [TableName]: { Keys: [{ id: "a", seq: 9 }, { id: "b", seq: 9 }] } } }))).Responses[TableName], [{ id: "a", seq: 9 }]);
await docs.send(new TransactWriteCommand({ TransactItems: [{ Put: { TableName, Item: { id: "t", seq: 1 } } }, { Delete: { TableName, Key: { id: "a", seq: 9 } } }] }));
check("transaction", (await docs.send(new TransactGetCommand({ TransactItems: [{ Get: { TableName, Key: { id: "t", seq: 1 } } }, { Get: { TableName, Key: { id: "a", seq: 9 } } }] }))).Responses.map((r) => r.Item), [{ id: "t", seq: 1 }, undefined]);
await refused("transaction, cancelled", "TransactionCanceledException", docs.send(new TransactWriteCommand({ TransactItems: [{ Put: { TableName, Item: { id: "t", seq: 1 }, ConditionExpression: "attribute_not_exists(id)" } }] })));
check("delete", (await docs.send(new DeleteCommand({ TableName, Key: { id: "t", seq: 1 }, ReturnValues: "ALL_OLD" }))).Attributes, { id: "t", seq: 1 });

await client.send(new DeleteTableCommand({ TableName }));
check("delete table, wait", (await waitUntilTableNotExists({ client, minDelay: 1, maxWaitTime: 5 }, { TableName })).state, "SUCCESS");
const names = [];
for await (const page of paginateListTables({ client }, {})) names.push(...page.TableNames);
check("list tables", names, []);
