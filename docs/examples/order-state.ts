/**
 * The state of an order with the history of its status, by the rules of a state machine. Each change is one step in
 * Redis, so of two processes that race one wins, a repeated report changes nothing, and status and history agree.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node order-state.ts
 */
import assert from "node:assert/strict";
import { createRedis, type RedisView } from "@hotset/redis-toolkit";
import { defineScript } from "@hotset/redis-toolkit/scripts";

type Status = "new" | "accepted" | "partly-filled" | "filled" | "cancelled" | "rejected";

/** From which status each one may be reached. */
const FROM: Readonly<Record<Status, readonly Status[]>> = {
  new: [],
  accepted: ["new"],
  rejected: ["new"],
  "partly-filled": ["accepted", "partly-filled"],
  filled: ["accepted", "partly-filled"],
  cancelled: ["new", "accepted", "partly-filled"],
};

interface Change {
  readonly status: Status;
  /** The id of the report: the same one changes an order once. */
  readonly report: string;
  /** Milliseconds since 1970, by the clock of Redis. */
  readonly at: number;
}

/** KEYS: state, history, reports. ARGV: status, report, then every status that it may follow. */
const advance = defineScript({
  keys: 3,
  args: ["text", "text", "text"],
  reply: "text",
  lua: `
    local status = redis.call("HGET", KEYS[1], "status") or ""
    if redis.call("SISMEMBER", KEYS[3], ARGV[2]) == 1 then return "repeated" end
    local isAllowed = string.find("," .. ARGV[3] .. ",", "," .. status .. ",", 1, true)
    if not isAllowed then return "refused: " .. status end
    local time = redis.call("TIME")
    local at = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call("HSET", KEYS[1], "status", ARGV[1], "changedAt", at)
    redis.call("RPUSH", KEYS[2], cjson.encode({status = ARGV[1], report = ARGV[2], at = at}))
    redis.call("SADD", KEYS[3], ARGV[2])
    return "changed"`,
});

/** All keys of an order have one hash tag, so in a cluster they lie in one slot. */
const keysOf = (order: string): readonly string[] =>
  ["state", "history", "reports"].map((part) => `order:{${order}}:${part}`);

async function move(redis: RedisView, order: string, status: Status, report: string): Promise<string> {
  const from = status === "new" ? "" : FROM[status].join(",");
  return advance(redis, keysOf(order), [status, report, from]);
}

async function historyOf(redis: RedisView, order: string): Promise<readonly Change[]> {
  const lines = await redis.commands.lRange(keysOf(order)[1]!, 0, -1);
  return lines.map((line) => JSON.parse(line) as Change);
}

await using redis = createRedis();
const shop = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples").tenant("orders");
await shop.purge();

assert.equal(await move(shop, "42", "new", "r1"), "changed");
assert.equal(await move(shop, "42", "new", "r9"), "refused: new");
assert.equal(await move(shop, "42", "accepted", "r2"), "changed");
// The exchange sends a report again: its reply was lost.
assert.equal(await move(shop, "42", "accepted", "r2"), "repeated");
assert.equal(await move(shop, "42", "partly-filled", "r3"), "changed");
assert.equal(await move(shop, "42", "partly-filled", "r4"), "changed");

// A fill and a cancellation at the same time: one of them is too late.
const race = await Promise.all([move(shop, "42", "filled", "r5"), move(shop, "42", "cancelled", "r6")]);
assert.equal(race.filter((outcome) => outcome === "changed").length, 1);
const last = await shop.commands.hget("order:{42}:state", "status");
assert.equal(await move(shop, "42", "accepted", "r7"), `refused: ${last}`);

const history = await historyOf(shop, "42");
assert.equal(history.at(-1)?.status, last);
assert.ok(history.every(({ at }, i) => i === 0 || at >= history[i - 1]!.at));
console.log(
  history
    .map(({ status }) => status)
    .slice(0, -1)
    .join(" > "),
);
console.log(`${history.length} changes, and one end`);
await shop.purge();
