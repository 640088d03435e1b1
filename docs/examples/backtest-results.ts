/**
 * Results of backtests: each takes minutes, so all processes share them. The key is made of all parameters, in any
 * order; a new version of a strategy, or new prices, invalidates its results.
 *
 *     npm install hotset
 *     REDIS_URL=redis://localhost:6379 node backtest-results.ts
 */
import assert from "node:assert/strict";
import { createCache, keyOf, memory, redis, type Cache } from "hotset";

interface Backtest {
  readonly strategy: string;
  readonly symbol: string;
  readonly from: string;
  readonly to: string;
  readonly parameters: Readonly<Record<string, number>>;
}

interface Result {
  readonly trades: number;
  readonly profit: string;
}

const url = process.env["REDIS_URL"] ?? "redis://localhost:6379";
const keyPrefix = process.env["KEY_PREFIX"] ?? "hotset-examples";

const openCache = (): Cache =>
  createCache({ name: "backtests" })
    .tier(memory({ maxEntries: 1_000 }))
    .tier(redis(url).keyPrefix(keyPrefix).build())
    .defaults({ ttl: "7d", loadTimeout: "1h" })
    .build();

const runs: string[] = [];
async function run({ strategy, parameters }: Backtest): Promise<Result> {
  runs.push(strategy);
  return { trades: 40 + (parameters["fast"] ?? 0), profit: "1234.50" };
}

const runsSoFar = (): number => runs.length;

const resultOf = (cache: Cache, backtest: Backtest): Promise<Result> =>
  cache.getOrSet(keyOf("backtest", { ...backtest }), () => run(backtest), {
    tags: [`strategy:${backtest.strategy}`, `prices:${backtest.symbol}`],
  });

await using one = openCache();
await using other = openCache();
await Promise.all([one.connect(), other.connect()]);
await one.clear(); // from an earlier run

const backtest: Backtest = {
  strategy: "mean-reversion",
  symbol: "BTCUSD",
  from: "2025-01-01",
  to: "2025-12-31",
  parameters: { fast: 5, slow: 20 },
};
// The same parameters in another order are the same key.
const again: Backtest = { ...backtest, parameters: { slow: 20, fast: 5 } };

// Both processes want it at once, and one of them runs it.
const [first, second] = await Promise.all([resultOf(one, backtest), resultOf(other, again)]);
assert.deepEqual(first, second);
assert.equal(runsSoFar(), 1);

await resultOf(other, { ...backtest, parameters: { fast: 6, slow: 20 } });
assert.equal(runsSoFar(), 2);

// A new version of the strategy; results of others stay.
await resultOf(one, { ...backtest, strategy: "momentum" });
await one.invalidateTags("strategy:mean-reversion");
await resultOf(other, { ...backtest, strategy: "momentum" });
assert.equal(runsSoFar(), 3);
const fresh = await resultOf(other, backtest);
console.log(`${runsSoFar()} runs, ${fresh.trades} trades, profit ${fresh.profit}`);
