// A service of several kinds of loads whose findings are collected, and one way each to spoil it. Driven by a test.

import { createCache, json, type Cache } from "@hotset/core";
import { heartbeat } from "@hotset/core/inspect";
import { inspector } from "@hotset/inspector";
import { memory } from "@hotset/memory";
import { redis, single } from "@hotset/redis";
import { createRedis } from "@hotset/redis-toolkit";
import { answerCalls } from "@hotset/test-servers";

const SILENT = { error: () => {}, warn: () => {}, info: () => {} };
/** Five times as fast as in production, where it is a minute. */
const WINDOW = "12s";

let shop: Cache;
const said: string[] = [];
const incident: NodeJS.Timeout[] = [];
type Kind = "well" | "nothing" | "null" | "shape";
let kind: Kind = "well";

const every = (ms: number, call: (n: number) => unknown): NodeJS.Timeout => {
  let n = 0;
  return setInterval(() => void Promise.resolve(call((n += 1))).catch(() => {}), ms);
};

/** A row, as its incident has it. */
function rowOf(n: number): unknown {
  if (kind === "nothing") return undefined;
  if (kind === "null") return null;
  return kind === "shape" ? { id: n, price: { cents: n } } : { id: n, cents: n };
}

export const handlers = {
  async start(redisUrl: string, name: string): Promise<void> {
    shop = createCache({ name: "shop", logger: SILENT })
      .tier(memory())
      .tier(redis(single(redisUrl)).valueFormat(json()).build())
      .defaults({ ttl: "500ms", staleIfError: 0, negativeTtl: "500ms" })
      .build();
    await shop.connect();
    const toolkit = createRedis({ url: redisUrl, logger: SILENT });
    await toolkit.initialize();
    heartbeat(shop, { name, every: "1s", window: WINDOW });
    inspector(shop, { toolkit, window: WINDOW, onFinding: ({ text }) => void said.push(text) });
    const rows = shop.namespace("rows");
    every(20, (n) => rows.getOrSet(`${name}:${n % 100}`, () => rowOf(n % 100) as {}));
    every(100, (n) => shop.namespace("tagged").getOrSet(`${name}:${n % 40}`, () => n, { ttl: "1h", tags: ["all"] }));
  },

  /** By `onFinding`, since the last call. */
  said: () => said.splice(0),

  give: (given: Kind) => void (kind = given),
  largeValue: () => shop.namespace("report").getOrSet("1", () => "x".repeat(9_500_000)),
  grow: () => void incident.push(every(300, (n) => shop.namespace("feed").set("home", "x".repeat(300_000 * n)))),
  clearAgain: () => void incident.push(every(2_000, () => shop.clear())),
  invalidateAll: () => void incident.push(every(1_500, () => shop.namespace("tagged").invalidateTags("all"))),
  holdLoop(): void {
    incident.push(
      every(700, () => {
        // It is measured by a timer of 50 ms, so up to 50 ms less are seen.
        const until = performance.now() + 450;
        while (performance.now() < until);
      }),
    );
  },
  /** At the same second, again and again. */
  spikes(): void {
    incident.push(
      every(9_000, (n) =>
        Promise.all(Array.from({ length: 600 }, (_, i) => shop.namespace("rates").getOrSet(`${n}:${i}`, () => i))),
      ),
    );
  },
  end(): void {
    kind = "well";
    for (const timer of incident.splice(0)) clearInterval(timer);
  },
};

answerCalls(handlers);
