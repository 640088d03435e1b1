import { createCache, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { postgres } from "@hotset/postgres";
import { answerCalls } from "@hotset/test-servers";

let cache: Cache;
let loads = 0;

/** The steps that the process tests run in another process. */
export const handlers = {
  async open(url: string, schema: string): Promise<void> {
    cache = createCache({ name: "shop" })
      .tier(memory())
      .tier(postgres({ url, schema }))
      .defaults({ ttl: "10m" })
      .build();
    await cache.connect();
    await cache.getOrSet("first", () => 0);
  },

  /** Loads take `ms`. */
  load(keys: readonly string[], value: string, ms: number): Promise<readonly string[]> {
    return Promise.all(
      keys.map((key) =>
        cache.getOrSet(key, async () => {
          loads += 1;
          await new Promise((resolve) => setTimeout(resolve, ms));
          return value;
        }),
      ),
    );
  },

  loads: (): number => loads,

  async remove(keys: readonly string[]): Promise<void> {
    await Promise.all(keys.map((key) => cache.delete(key)));
  },

  /** Whether it has one of them, in memory or in the database. */
  async has(keys: readonly string[]): Promise<boolean> {
    const found = await Promise.all(keys.map((key) => cache.get(key)));
    return found.some((value) => value !== undefined);
  },

  invalidate: async (tag: string): Promise<void> => void (await cache.invalidateTags([tag])),

  close: (): Promise<void> => cache.close(),
};

answerCalls(handlers);
