/**
 * Market data: the last price of each symbol, with an end, so an old price is absent and not wrong. Feeds come out of
 * order and twice; a tick counts only if it is newer than the one that is there. Subscribers get each that counts.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node market-data.ts
 */
import assert from "node:assert/strict";
import { createRedis } from "@hotset/redis-toolkit";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { defineScript } from "@hotset/redis-toolkit/scripts";

interface Tick {
  readonly symbol: string;
  /** A decimal number as text: a double would round it. */
  readonly price: string;
  /** Given by the exchange, growing by symbol. */
  readonly sequence: number;
}

/**
 * KEYS: the symbol. ARGV: price, sequence, life in milliseconds. Sequences are below 2^53, so Lua compares them
 * exactly.
 */
const keepNewest = defineScript({
  keys: 1,
  args: ["text", "integer", "integer"],
  reply: "boolean",
  lua: `
    local before = redis.call("HGET", KEYS[1], "sequence")
    if before and tonumber(before) >= tonumber(ARGV[2]) then return false end
    redis.call("HSET", KEYS[1], "price", ARGV[1], "sequence", ARGV[2])
    redis.call("PEXPIRE", KEYS[1], ARGV[3])
    return true`,
});

await using redis = createRedis();
const trading = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples").tenant("trading");
await trading.purge();
const events = pubsub(trading).channel<Tick>("trading:events");

async function publish(tick: Tick): Promise<boolean> {
  const counts = await keepNewest(trading, [`market:${tick.symbol}`], [tick.price, tick.sequence, 60_000]);
  if (counts) await events.publish(tick);
  return counts;
}

const seen: string[] = [];
await using _listening = await events.listen((event) => {
  // After a lost connection some may have been missed: read the prices again.
  if (event.kind === "message") seen.push(`${event.message.symbol} ${event.message.price}`);
});

const BTC = "BTCUSD";
assert.ok(await publish({ symbol: BTC, price: "97250.10", sequence: 7 }));
assert.ok(await publish({ symbol: "ETHUSD", price: "3310.05", sequence: 3 }));
assert.ok(await publish({ symbol: BTC, price: "97251.00", sequence: 9 }));
// Late, and repeated.
assert.ok(!(await publish({ symbol: BTC, price: "97249.90", sequence: 8 })));
assert.ok(!(await publish({ symbol: BTC, price: "97251.00", sequence: 9 })));

const symbols = [BTC, "ETHUSD", "XRPUSD"];
const prices = await trading.pipeline((commands) =>
  symbols.map((symbol) => commands.hget(`market:${symbol}`, "price")),
);
console.log(
  symbols.map((symbol, i) => `${symbol} ${prices[i]!.ok ? (prices[i]!.value ?? "absent") : "unknown"}`).join(", "),
);

const life = await trading.commands.ttlMs(`market:${BTC}`);
assert.ok(typeof life === "number" && life > 50_000 && life <= 60_000);
while (seen.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
console.log(seen.join(", "));
await trading.purge();
