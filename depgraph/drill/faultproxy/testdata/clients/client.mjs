// Reads an item for each line of its input: a program that knows nothing of drills.
import { createInterface } from "node:readline";
import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";

const client = new DynamoDBClient({ requestHandler: { requestTimeout: 2000, throwOnRequestTimeout: true, connectionTimeout: 2000 } });

for await (const _ of createInterface({ input: process.stdin })) {
  try {
    const { Item } = await client.send(new GetItemCommand({ TableName: "sessions", Key: { key: { S: "k" } } }));
    console.log("ok", Item.v.S.slice(0, 4));
  } catch (e) {
    if (e.$response || e.$fault) console.log("error", e.name);
    else if (e.name === "TimeoutError" && e.code !== "ECONNRESET") console.log("error timeout");
    else console.log("error broken", e.code ?? e.name);
  }
}
process.exit(0);
