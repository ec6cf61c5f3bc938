"""The usual calls of boto3, against the endpoint in the environment. Each one
prints a line; the first that goes wrong ends the program."""

import os
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore.config import Config
from botocore.exceptions import ClientError

# An old boto3 does not look for an endpoint in the environment.
where = {"endpoint_url": os.environ["AWS_ENDPOINT_URL"], "config": Config(retries={"max_attempts": 1})}
resource = boto3.resource("dynamodb", **where)
client = boto3.client("dynamodb", **where)


def check(name, got, want=True):
    if got != want:
        raise SystemExit(f"{name}: {got!r}; want {want!r}")
    print("ok", name)


def refused(name, code, call, **parameters):
    try:
        call(**parameters)
    except ClientError as e:
        check(name, e.response["Error"]["Code"], code)
    else:
        raise SystemExit(f"{name}: it was not refused")


table = resource.create_table(
    TableName="sessions",
    BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[
        {"AttributeName": "user", "AttributeType": "S"},
        {"AttributeName": "at", "AttributeType": "N"},
        {"AttributeName": "device", "AttributeType": "S"},
    ],
    KeySchema=[{"AttributeName": "user", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    GlobalSecondaryIndexes=[
        {
            "IndexName": "by-device",
            "KeySchema": [{"AttributeName": "device", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
)
table.wait_until_exists()
check("create", table.table_status, "ACTIVE")

item = {
    "user": "ann", "at": 10, "device": "phone", "n": Decimal("1.5"), "none": None, "yes": True,
    "list": [1, "x", {"m": Binary(b"\x00\xff")}], "ss": {"a", "b"}, "ns": {1, 2}, "bs": {Binary(b"1")},
}
table.put_item(Item=item)
check("get", table.get_item(Key={"user": "ann", "at": 10}, ConsistentRead=True)["Item"], item)
check("get of nothing", "Item" in table.get_item(Key={"user": "bob", "at": 1}), False)
for at in (9, 11, 100):
    table.put_item(Item={"user": "ann", "at": at, "device": "laptop"})


def query(condition, **more):
    return [int(i["at"]) for i in table.query(KeyConditionExpression=condition, **more)["Items"]]


ann = Key("user").eq("ann")
check("query", query(ann), [9, 10, 11, 100])
check("query, backwards", query(ann, ScanIndexForward=False, Limit=2), [100, 11])
check("query, between", query(ann & Key("at").between(10, 11)), [10, 11])
check("query, filter", query(ann, FilterExpression=Attr("n").exists()), [10])
check("query, count", table.query(KeyConditionExpression=ann, Select="COUNT")["Count"], 4)
check("query, index", table.query(IndexName="by-device", KeyConditionExpression=Key("device").eq("laptop"))["Count"], 3)
pages = client.get_paginator("query").paginate(
    TableName="sessions", KeyConditionExpression="#u = :u", ExpressionAttributeNames={"#u": "user"},
    ExpressionAttributeValues={":u": {"S": "ann"}}, PaginationConfig={"PageSize": 1},
)
check("query, pages", sum(p["Count"] for p in pages), 4)
check("scan", table.scan(FilterExpression=Attr("at").gt(10))["Count"], 2)
check(
    "scan, segments",
    sum(table.scan(Segment=s, TotalSegments=3)["Count"] for s in range(3)), 4,
)

updated = table.update_item(
    Key={"user": "ann", "at": 10},
    UpdateExpression="SET #l[0] = :one ADD n :one REMOVE #none",
    ExpressionAttributeNames={"#l": "list", "#none": "none"},
    ExpressionAttributeValues={":one": 1},
    ReturnValues="ALL_NEW",
)["Attributes"]
check("update", (updated["n"], updated["list"][0], "none" in updated), (Decimal("2.5"), 1, False))
refused(
    "condition", "ConditionalCheckFailedException", table.put_item,
    Item={"user": "ann", "at": 10}, ConditionExpression=Attr("user").not_exists(),
)
refused("validation", "ValidationException", table.get_item, Key={"user": "ann"})
refused("no table", "ResourceNotFoundException", client.describe_table, TableName="nonesuch")

with table.batch_writer() as batch:
    for i in range(60):
        batch.put_item(Item={"user": "batch", "at": i})
check("batch write", len(query(Key("user").eq("batch"))), 60)
keys = [{"user": "batch", "at": i} for i in range(60)]
check("batch get", len(resource.batch_get_item(RequestItems={"sessions": {"Keys": keys}})["Responses"]["sessions"]), 60)

key = {"user": {"S": "ann"}, "at": {"N": "11"}}
client.transact_write_items(TransactItems=[
    {"Delete": {"TableName": "sessions", "Key": key}},
    {"ConditionCheck": {"TableName": "sessions", "Key": {"user": {"S": "ann"}, "at": {"N": "9"}}, "ConditionExpression": "attribute_exists(device)"}},
])
check("transaction", client.transact_get_items(TransactItems=[{"Get": {"TableName": "sessions", "Key": key}}])["Responses"], [{}])
client.update_time_to_live(TableName="sessions", TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True})
check("time to live", client.describe_time_to_live(TableName="sessions")["TimeToLiveDescription"]["TimeToLiveStatus"], "ENABLED")
old = table.delete_item(Key={"user": "ann", "at": 10}, ReturnValues="ALL_OLD")["Attributes"]
check("delete", old["user"], "ann")

stranger = boto3.client("dynamodb", **where, aws_secret_access_key="another", aws_access_key_id="DYNAMOTEST")
refused("another secret", "InvalidSignatureException", stranger.list_tables)
table.delete()
table.wait_until_not_exists()
check("delete table", client.list_tables()["TableNames"], [])
