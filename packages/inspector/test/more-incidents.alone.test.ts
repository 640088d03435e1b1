import { forkScript, RespClient, startOwnRedis, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { handlers } from "./support/watched-service.ts";

// Incidents that leave tiers up and loads well, over real processes and a real Redis. Windows are a fifth of those of
// production.

const MOST_MS = 60_000;
/** Until a process is no longer one that has just started. */
const SETTLED_MS = 32_000;

type Service = ScriptProcess<typeof handlers>;
const SCRIPT = new URL("support/watched-service.ts", import.meta.url);

let redis: OwnRedis;
let admin: RespClient;
let stray: Service | undefined;
const [web1, web2, web3] = Array.from({ length: 3 }, () => forkScript<typeof handlers>(SCRIPT)) as [
  Service,
  Service,
  Service,
];
const all = [web1, web2, web3];

beforeAll(async () => {
  redis = await startOwnRedis();
  admin = RespClient.fromUrl(redis.url);
  await Promise.all(all.map((service, i) => service.call("start", redis.url, `web-${i + 1}`)));
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
  await Promise.all(all.map((service) => service.call("said")));
});
afterAll(async () => {
  await Promise.all([...all, ...(stray === undefined ? [] : [stray])].map((service) => service.kill()));
  admin?.close();
  await redis?.[Symbol.asyncDispose]();
});

interface Incident {
  readonly name: string;
  begin(): unknown;
  readonly seen: RegExp;
}

const HELD_UP =
  "local t=redis.call('TIME') local b=t[1]*1000+t[2]/1000 repeat t=redis.call('TIME') until t[1]*1000+t[2]/1000-b>150";

const INCIDENTS: readonly Incident[] = [
  {
    name: "a release that loads another shape",
    begin: () => web3.call("give", "shape"),
    seen: /web-3 loads values of rows with price and without cents/,
  },
  {
    name: "loaders that return undefined",
    begin: () => web2.call("give", "nothing"),
    seen: /on web-2: \d+ of \d+ loads of rows returned undefined .*"rows › web-2:/,
  },
  {
    name: "loaders that find nothing any more",
    begin: () => web2.call("give", "null"),
    seen: /on web-2: \d+ of \d+ loads of rows returned null .* 0 % before/,
  },
  {
    name: "a value that is too large",
    begin: () => web1.call("largeValue"),
    seen: /on web-1: "report › 1" cannot be stored in redis: 95\d+ bytes/,
  },
  { name: "a value that grows", begin: () => web3.call("grow"), seen: /on web-3: "feed › home" grows: [\d.]+ MB/ },
  {
    name: "a clear by a schedule",
    begin: () => web2.call("clearAgain"),
    seen: /shop: the cache was cleared \d+ times in \d+ s(?:, every 2 s)?, by (?:web-2|this process)/,
  },
  {
    name: "a tag of everything",
    begin: () => web3.call("invalidateAll"),
    seen: /tag all of tagged was invalidated \d+ times in \d+ s/,
  },
  {
    name: "an event loop that is held up",
    begin: () => web2.call("holdLoop"),
    // On a busy machine others are held up as well.
    seen: /on .*web-2.*: the event loop was held up for up to (?:[4-9]\d\d ms|[\d.]+ s)/,
  },
  {
    name: "loads that begin in the same second",
    begin: () => web1.call("spikes"),
    seen: /on web-1: up to [56]\d\d loads began in the same second, 2 times .*"rates › /,
  },
  {
    name: "a slow script of another program",
    begin: async () => {
      for (let i = 0; i < 3; i += 1) await admin.command("EVAL", HELD_UP, "0");
    },
    seen: /Redis 127\.0\.0\.1:\d+: commands held it up 3 times in the last 10 min, for up to 1\d\d ms: EVAL/,
  },
  {
    name: "a FLUSHALL of another program",
    begin: () => admin.command("FLUSHALL"),
    seen: /Redis 127\.0\.0\.1:\d+: FLUSHALL or FLUSHDB removed all keys 1 time in the last 10 min/,
  },
  {
    name: "a process with another database number",
    begin: async () => {
      stray = forkScript<typeof handlers>(SCRIPT);
      await stray.call("start", `${redis.url.replace(/\/$/, "")}/1`, "web-5");
    },
    seen: /shop: 1 process uses database 1 of Redis, and this one database 0/,
  },
  {
    name: "a process that is restarted again and again",
    begin: async () => {
      for (let i = 0; i < 4; i += 1) {
        const service = forkScript<typeof handlers>(SCRIPT);
        await service.call("start", redis.url, "web-4");
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        await service.kill();
      }
    },
    seen: /shop: web-4 has started [34] times in \d+ s, the last time \d+ s ago: it ends soon after each start/,
  },
];

it.each(INCIDENTS)("$name is found, with the process", async ({ begin, seen }) => {
  const texts: string[] = [];
  try {
    await begin();
    const until = performance.now() + MOST_MS;
    while (!texts.some((text) => seen.test(text)) && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      texts.push(...(await Promise.all(all.map((service) => service.call("said")))).flat());
    }
  } finally {
    await Promise.all(all.map((service) => service.call("end")));
  }
  expect(texts.filter((text) => seen.test(text)).length, texts.join("\n")).toBeGreaterThan(0);
});
