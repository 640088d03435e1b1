/**
 * A cache that may be missing: reads answer "nothing" and writes answer false while Redis is away, without a wait, and
 * what was swallowed is counted and logged.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node robust-cache.ts
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis, type LenientCommands, type Redis, type RedisView } from "@hotset/redis-toolkit";

interface Report {
  readonly total: number;
}

/** `undefined`: not there, or Redis is away. A value that is 0, "", false or {} is a value. */
const robustGet = (cache: LenientCommands, key: string): Promise<Report | undefined> => cache.getJson<Report>(key);

/** Whether it was stored. */
const robustSet = (cache: LenientCommands, key: string, value: Report): Promise<boolean> =>
  cache.setJson(key, value, { ttl: "1h" });

let computed = 0;
async function reportOf(cache: LenientCommands, month: string): Promise<Report> {
  const cached = await robustGet(cache, `report:${month}`);
  if (cached !== undefined) return cached;
  computed += 1;
  await sleep(20); // an expensive query
  const report = { total: 0 };
  await robustSet(cache, `report:${month}`, report);
  return report;
}

async function readTwice(title: string, { lenient }: RedisView): Promise<void> {
  computed = 0;
  await reportOf(lenient, "2026-11");
  await reportOf(lenient, "2026-11");
  const swallowed = [...lenient.failures].map(([failure, times]) => `${times} × ${failure}`);
  console.log(`${title}: computed ${computed} of 2, ${swallowed.join(", ") || "no failure"}`);
}

const prefix = process.env["KEY_PREFIX"] ?? "hotset-examples";
const lines: string[] = [];
const log = (line: string): void => void lines.push(line);
const logger = { error: log, warn: log, info: () => {} };

await using here: Redis = createRedis();
await here.tenant(prefix).purge();
await readTwice("Redis is up", here.tenant(prefix));
console.log("an hour to live:", (await here.tenant(prefix).lenient.ttl("report:2026-11")) > 3_500);
await here.tenant(prefix).purge();

// No server listens on this port. Nothing waits for it.
await using away: Redis = createRedis({ url: "redis://localhost:1", logger, envFile: false, env: {} });
await readTwice("Redis is away", away.tenant(prefix));
console.log(`isEnabled ${away.isEnabled}, isReady ${away.isReady}; ${lines[0]}`);

await using disabled: Redis = createRedis({ enabled: false });
await readTwice("Redis is disabled", disabled.tenant(prefix));
