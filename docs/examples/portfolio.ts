/**
 * A portfolio with exact decimals: amounts are whole numbers of the smallest unit, as bigint here and as 64-bit
 * integers in Redis, so 0.1 and 0.2 are 0.3. A purchase takes cash and adds to a position in one transaction, or does
 * nothing.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node portfolio.ts
 */
import assert from "node:assert/strict";
import { createRedis, type RedisView } from "@hotset/redis-toolkit";

/** A hundred millionth: 92 billion fit into 64 bits. */
const DECIMALS = 8;

/** @throws {Error} for text that is not a decimal number, or has more decimals than are kept */
function parse(text: string): bigint {
  const parts = /^(-?)(\d+)(?:\.(\d{1,8}))?$/.exec(text);
  if (parts === null) throw new Error(`not a number with at most ${DECIMALS} decimals: ${text}`);
  const [, sign, whole = "", fraction = ""] = parts;
  return BigInt(`${sign}${whole}${fraction.padEnd(DECIMALS, "0")}`);
}

function format(units: bigint): string {
  const digits = String(units < 0n ? -units : units).padStart(DECIMALS + 1, "0");
  const text = `${digits.slice(0, -DECIMALS)}.${digits.slice(-DECIMALS)}`.replace(/\.?0+$/, "");
  return units < 0n ? `-${text}` : text;
}

/** Rounded up: a purchase never costs less than its amount. */
const costOf = (amount: bigint, price: bigint): bigint => {
  const scale = 10n ** BigInt(DECIMALS);
  return (amount * price + scale - 1n) / scale;
};

const keyOf = (user: string): string => `portfolio:${user}`;

async function positionsOf(redis: RedisView, user: string): Promise<ReadonlyMap<string, bigint>> {
  const fields = await redis.commands.hgetAll(keyOf(user));
  return new Map([...fields].map(([asset, units]) => [asset, BigInt(units)]));
}

interface Purchase {
  readonly asset: string;
  readonly amount: string;
  readonly price: string;
}

/** Tries again when another purchase of the same user came in between. */
async function buy(
  redis: RedisView,
  user: string,
  { asset, amount, price }: Purchase,
): Promise<"bought" | "too little cash"> {
  const units = parse(amount);
  const cost = costOf(units, parse(price));
  for (;;) {
    const outcome = await redis.transaction({ watch: [keyOf(user)] }, async ({ commands, queue, discard }) => {
      const cash = BigInt((await commands.hget(keyOf(user), "USD")) ?? "0");
      return cash < cost ? discard() : [queue.hincrMany(keyOf(user), { USD: -cost, [asset]: units })];
    });
    if (outcome.status === "discarded") return "too little cash";
    if (outcome.status === "conflict") continue;
    // A transaction is committed even if a command in it failed: here, for a sum beyond 64 bits.
    const [result] = outcome.results;
    if (!result.ok) throw result.error;
    return "bought";
  }
}

await using redis = createRedis();
const bank = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples").tenant("bank");
await bank.purge();

// Ten deposits of 0.1, which as doubles make 0.9999999999999999.
for (let i = 0; i < 10; i += 1) await bank.commands.hincrMany(keyOf("ada"), { USD: parse("0.1") });
assert.equal(format((await positionsOf(bank, "ada")).get("USD")!), "1");
await bank.commands.hincrMany(keyOf("ada"), { USD: parse("92000000000.12345678") });
assert.equal(format((await positionsOf(bank, "ada")).get("USD")!), "92000000001.12345678");
await bank.commands.hincrMany(keyOf("ada"), { USD: -parse("91999999901.12345678") });

// Twelve purchases at once, and cash for ten.
const purchase = { asset: "BTC", amount: "0.0001", price: "100000" };
const outcomes = await Promise.all(Array.from({ length: 12 }, () => buy(bank, "ada", purchase)));
console.log(`${outcomes.filter((outcome) => outcome === "bought").length} bought`);
const positions = await positionsOf(bank, "ada");
console.log(
  [...positions]
    .map(([asset, units]) => `${format(units)} ${asset}`)
    .toSorted()
    .join(", "),
);

assert.equal(await buy(bank, "ada", { asset: "BTC", amount: "0.00000001", price: "0.1" }), "too little cash");
assert.throws(() => parse("1e3"), /not a number/);
assert.throws(() => parse("0.123456789"), /at most 8 decimals/);
await bank.purge();
