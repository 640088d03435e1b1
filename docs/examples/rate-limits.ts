/**
 * Rate limits: passwords are guessed slowly, an API bears bursts, reports run two at a time, and all of it holds over
 * many processes. While Redis is away each process counts its share.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node rate-limits.ts
 */
import { createRedis } from "@hotset/redis-toolkit";
import { concurrency, rateLimit, slidingLog, tokenBucket, type RateLimit } from "@hotset/redis-toolkit/rate-limit";

await using redis = createRedis();
const shop = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
await shop.purge(); // what an earlier run may have left

const times = async (count: number, limit: RateLimit, key: string): Promise<string> => {
  const results = await Promise.all(Array.from({ length: count }, () => limit.consume(key)));
  return `${results.filter(({ allowed }) => allowed).length} of ${count} allowed`;
};

// At most 5 in any 15 minutes, exactly, and then a rest of an hour. Keys are compared as a whole.
const logins = rateLimit(shop, {
  name: "logins",
  rules: [slidingLog({ limit: 5, window: "15m" })],
  blockFor: "1h",
  allow: ["monitoring"],
});
console.log("guesses:", await times(8, logins, "ada"), "| monitoring:", await times(8, logins, "monitoring"));
const refused = await logins.consume("ada");
console.log(refused.reason, refused.retryAfterMs > 3_500_000, "Retry-After" in refused.headers);
await logins.reset("ada"); // she has a new password
console.log("after a reset:", (await logins.peek("ada")).remaining, "left");

// 100 an hour, 20 of them at once; an export costs as much as ten calls.
const api = rateLimit(shop, { name: "api", rules: [tokenBucket({ limit: 100, refill: "1h", burst: 20 })] });
const call = await api.consume("key-1");
const exported = await api.consume("key-1", 10);
console.log(
  `calls left: ${call.remaining}, ${exported.remaining}; another export: ${(await api.consume("key-1", 10)).allowed}`,
);
await api.reward("key-1", 10); // it failed, and not by the fault of the caller
console.log("after a reward:", (await api.peek("key-1")).remaining, "left");

// Two at a time; one that ends makes room, and one whose process died does so after `hold`.
const reports = rateLimit(shop, {
  name: "reports",
  rules: [concurrency({ limit: 2, hold: "5m" })],
  rememberRefusals: 0,
});
const [first] = await Promise.all([reports.consume("ada"), reports.consume("ada")]);
const third = await reports.consume("ada");
if (first.lease !== undefined) await reports.release("ada", first.lease);
console.log("a third report:", third.allowed, "| after one has ended:", (await reports.consume("ada")).allowed);

// No server listens on this port. Four processes share the limit, so each allows a quarter of it, and says so.
const logger = { error: () => {}, warn: () => {}, info: () => {} }; // yours gets one line a second
await using away = createRedis({ url: "redis://localhost:1", logger });
const rules = [slidingLog({ limit: 8, window: "15m" })];
const alone = rateLimit(away, { name: "logins", rules, whenAway: "memory", processes: 4 });
console.log("without Redis:", await times(8, alone, "ada"), (await alone.peek("ada")).degraded);
const careful = rateLimit(away, { name: "transfers", rules, whenAway: "closed" });
console.log("closed:", await times(8, careful, "ada"), (await careful.consume("ada")).reason);
await shop.purge();
