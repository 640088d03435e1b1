/**
 * Signal state of a strategy: indicators vote, each for a time, and engines turn the votes into a position. Two engines
 * that decide at once make one decision, and an indicator that falls silent loses its vote.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node signal-state.ts
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis } from "@hotset/redis-toolkit";

type Side = "long" | "short" | "flat";

interface Decision {
  readonly side: Side;
  readonly votes: Readonly<Record<string, number>>;
}

const INDICATORS = ["rsi", "macd", "volume"];

await using redis = createRedis();
const engine = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples").tenant("signals");
await engine.purge(); // what an earlier run may have left

/** All keys of a symbol have one hash tag, so in a cluster they lie in one slot. */
const keysOf = (symbol: string) => ({
  side: `{${symbol}}:side`,
  history: `{${symbol}}:history`,
  votes: INDICATORS.map((indicator) => `{${symbol}}:vote:${indicator}`),
});

/** From -1, sell, to 1, buy. It counts for `lifeMs`. */
const vote = (symbol: string, indicator: string, strength: number, lifeMs = 60_000): Promise<unknown> =>
  engine.commands.set(`{${symbol}}:vote:${indicator}`, strength, { ttl: `${lifeMs}ms` });

const sideOf = (strength: number): Side => (strength >= 0.5 ? "long" : strength <= -0.5 ? "short" : "flat");

/** Reads the votes, and changes the side if nothing else has changed it meanwhile. */
async function decide(symbol: string): Promise<"changed" | "unchanged" | "another engine decided"> {
  const { side, history, votes } = keysOf(symbol);
  const outcome = await engine.transaction({ watch: [side, ...votes] }, async ({ commands, queue, discard }) => {
    const [before, ...strengths] = await commands.getMany([side, ...votes]);
    const counted = INDICATORS.flatMap((name, i) => (strengths[i] === undefined ? [] : [[name, Number(strengths[i])]]));
    const after = sideOf(counted.reduce((sum, [, strength]) => sum + Number(strength), 0));
    if (after === (before ?? "flat")) return discard();
    const decision: Decision = { side: after, votes: Object.fromEntries(counted) };
    return [queue.set(side, after), queue.rPush(history, JSON.stringify(decision)), queue.lTrim(history, -1_000, -1)];
  });
  if (outcome.status === "conflict") return "another engine decided";
  return outcome.status === "committed" ? "changed" : "unchanged";
}

await vote("BTCUSD", "rsi", 0.4);
console.log(await decide("BTCUSD"));
await vote("BTCUSD", "macd", 0.3, 2_000);
// Both engines see the vote, and one of them acts on it.
const outcomes = await Promise.all([decide("BTCUSD"), decide("BTCUSD")]);
console.log(outcomes.filter((outcome) => outcome === "changed").length, "of 2 engines changed the side");

while (await engine.commands.exists("{BTCUSD}:vote:macd")) await sleep(50); // macd falls silent
console.log(await decide("BTCUSD"));
await vote("BTCUSD", "volume", -1);
console.log(await decide("BTCUSD"));

for (const line of await engine.commands.lRange(keysOf("BTCUSD").history, 0, -1)) {
  const { side, votes } = JSON.parse(line) as Decision;
  console.log(side, votes);
}
await engine.purge();
