import { setTimeout as sleep } from "node:timers/promises";
/** One process whose cache over a new Redis is filled from an old one, as on the page of recipes. */
import { answerCalls, RespClient } from "@hotset/test-servers";
import { createCache, memory, redis, type Cache } from "hotset";

let cache: Cache;
let old: Cache;
let source: RespClient;
let loads = 0;
let held: PromiseWithResolvers<void> | undefined;

const get = (key: string): Promise<number> =>
  cache.getOrSet(key, async (context) => {
    let ttl = 0;
    const kept = await old.get<number>(key, { onServed: ({ freshForMs }) => (ttl = freshForMs) });
    await held?.promise;
    if (kept !== undefined) {
      context.setOptions({ ttl });
      return kept;
    }
    loads += 1;
    return Number((await source.command("GET", key)) ?? 0);
  });

async function remove(key: string): Promise<void> {
  await cache.delete(key);
  while ((await old.delete(key)).status === "pending") await sleep(100);
  await cache.delete(key);
}

const handlers = {
  async open(urls: Readonly<Record<"old" | "next" | "source", string>>) {
    source = RespClient.fromUrl(urls.source);
    const over = (url: string) => redis(url).responseTimeout("1s").backoff({ base: 10, max: 200 }).build();
    old = createCache({ name: "shop", logger: SILENT }).tier(over(urls.old)).defaults({ ttl: "1h" }).build();
    cache = createCache({ name: "shop", logger: SILENT })
      .tier(memory())
      .tier(over(urls.next))
      .defaults({ ttl: "1h" })
      .build();
    await Promise.all([cache.connect(), old.connect()]);
  },
  get,
  remove,
  keepInOld: (key: string, value: number) => old.set(key, value, { ttl: "10m" }),
  freshForMs: async (key: string) => (await cache.inspect(key))?.freshForMs,
  loads: () => loads,
  hold() {
    held = Promise.withResolvers();
  },
  release() {
    held?.resolve();
    held = undefined;
  },
};

const SILENT = { error: () => undefined, warn: () => undefined, info: () => undefined };

export type Handlers = typeof handlers;
answerCalls(handlers);
