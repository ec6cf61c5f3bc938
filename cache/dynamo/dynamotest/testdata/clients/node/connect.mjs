// connect-dynamodb, the session store of Express, against the endpoint in the
// environment: what express-session asks of a store, and its reaper.
import assert from "node:assert/strict";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import connect from "connect-dynamodb";
import session from "express-session";

const Store = connect(session);
const store = new Store({ client: new DynamoDBClient({ maxAttempts: 1 }), table: "connect", initialized: false });
await store.initialize();
console.log("ok initialize");

// call turns the store's callbacks into a promise.
const call = (method, ...args) => new Promise((resolve, reject) => store[method](...args, (err, out) => (err ? reject(err) : resolve(out))));

function check(name, got, want) {
  assert.deepEqual(got, want, name);
  console.log("ok", name);
}

const alive = (maxAge) => ({ cookie: { originalMaxAge: maxAge, maxAge, expires: new Date(Date.now() + maxAge) }, user: "ann" });
check("get of nothing", (await call("get", "none")) ?? null, null);
await call("set", "one", alive(100_000));
check("set, get", (await call("get", "one")).user, "ann");
await call("set", "one", { ...alive(100_000), user: "bob" });
check("set again", (await call("get", "one")).user, "bob");
await call("touch", "one", alive(200_000));
check("touch", (await call("get", "one")).user, "bob");
await call("set", "old", alive(-100_000));
check("an expired one", (await call("get", "old")) ?? null, null);
await call("reap");
check("reap", (await call("get", "one")).user, "bob");
await call("destroy", "one");
check("destroy", (await call("get", "one")) ?? null, null);
