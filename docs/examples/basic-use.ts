/**
 * Basic use: settings from the environment, values with types, commands in one trip, and a connection for oneself.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_HOST=localhost REDIS_COMMAND_TIMEOUT=5 node basic-use.ts
 */
import assert from "node:assert/strict";
import { CommandError, createRedis } from "@hotset/redis-toolkit";

// Variables, or a .env file: REDIS_URL, or REDIS_HOST, REDIS_PORT, REDIS_PASSWORD ... Nothing is opened yet.
await using redis = createRedis({ commandTimeout: "5s", pool: { max: 10 } });

// Optional, since the first command connects by itself: false says that Redis is away, and it goes on trying.
if (!(await redis.initialize())) console.error("Redis is away");

const trading = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
const { commands } = trading;
await trading.purge(); // what an earlier run may have left

// A number comes back as a number. An absent one is undefined, so 0 is a value like any other.
await commands.set("price:BTCUSD", 50_000.5, { ttl: "1m" });
await commands.set("price:LUNA", 0, { ttl: "1m" });
const prices = await Promise.all(["BTCUSD", "LUNA", "XRPUSD"].map((symbol) => commands.getNumber(`price:${symbol}`)));
console.log(prices.map((price) => price ?? "absent").join(", "));

// Text that is not a number is an error with a code, never NaN.
await commands.set("price:ETHUSD", "soon", { ttl: "1m" });
const failure = await commands.getNumber("price:ETHUSD").catch((error: unknown) => error);
assert.ok(failure instanceof CommandError);
console.log(failure.code, failure.operation);

// Many commands in one trip, each with a result of its own.
const results = await trading.pipeline((batch) => [
  batch.incr("orders:today", { ttl: "1d" }),
  batch.hset("order:1", { symbol: "BTCUSD", quantity: "1.5" }, { ttl: "1h" }),
  batch.incr("price:ETHUSD"),
]);
console.log(results.map((result) => (result.ok ? result.value : result.error.name)).join(", "));

// Commands share one connection. Code that needs one for itself borrows it, and it goes back when the task ends.
const order = await trading.pool.use(async (own) => {
  assert.equal(trading.pool.status.inUse, 1);
  return own.hgetAll("order:1");
});
assert.equal(trading.pool.status.inUse, 0);
console.log(Object.fromEntries(order));
await trading.purge();
