/** Small programs, each run over the memory of hotset and of each other cache, by default options. */

import { cachified, type CacheEntry } from "@epic-web/cachified";
import { BentoCache, bentostore } from "bentocache";
import { memoryDriver } from "bentocache/drivers/memory";
import { createCache as createManager } from "cache-manager";
import { Cacheable } from "cacheable";
import { createCache, memory } from "hotset";
import { Keyv } from "keyv";
import { Loader } from "layered-loader";
import { LRUCache } from "lru-cache";

type Load = () => Promise<unknown>;

interface Subject {
  getOrSet(key: string, load: Load): Promise<unknown>;
  delete(key: string): Promise<unknown>;
}

const TTL_MS = 60_000;

const SUBJECTS: Readonly<Record<string, () => Subject>> = {
  hotset: () => {
    const cache = createCache({ name: "probe", freezeShared: false }).tier(memory()).defaults({ ttl: TTL_MS }).build();
    return { getOrSet: (key, load) => cache.getOrSet(key, load), delete: (key) => cache.delete(key) };
  },
  bentocache: () => {
    const stores = { probe: bentostore().useL1Layer(memoryDriver({ maxItems: 100 })) };
    const bento = new BentoCache({ default: "probe", stores });
    return {
      getOrSet: (key, load) => bento.getOrSet({ key, factory: load, ttl: TTL_MS }),
      delete: (key) => bento.delete({ key }),
    };
  },
  cacheable: () => {
    const cache = new Cacheable({ ttl: TTL_MS });
    cache.on("error", () => undefined);
    return { getOrSet: (key, load) => cache.getOrSet(key, load), delete: (key) => cache.delete(key) };
  },
  "cache-manager": () => {
    const cache = createManager({ ttl: TTL_MS, stores: [new Keyv()] });
    return { getOrSet: (key, load) => cache.wrap(key, load), delete: (key) => cache.del(key) };
  },
  "@epic-web/cachified": () => {
    const cache = new LRUCache<string, CacheEntry>({ max: 100 });
    return {
      getOrSet: (key, load) => cachified({ key, cache, ttl: TTL_MS, getFreshValue: load }),
      delete: async (key) => cache.delete(key),
    };
  },
  "layered-loader": () => {
    // Its source is one function for all calls.
    let current: Load = async () => undefined;
    const loader = new Loader<unknown>({
      inMemoryCache: { ttlInMsecs: TTL_MS, maxItems: 100 },
      dataSourceGetOneFn: () => current(),
    });
    return {
      getOrSet: (key, load) => {
        current = load;
        return loader.get(key);
      },
      delete: (key) => loader.invalidateCacheFor(key),
    };
  },
};

const CALLERS = 10;

const PROBES: Readonly<Record<string, (subject: Subject) => Promise<string>>> = {
  callers: async (subject) => `${await loadsOf(subject, async () => "value")}`,
  "failing-callers": async (subject) =>
    `${await loadsOf(subject, () => Promise.reject(new Error("the source is down")))}`,
  failing: async (subject) => {
    const failure = new Error("the source is down");
    const result = await subject.getOrSet("key", () => Promise.reject(failure)).catch((error: unknown) => error);
    if (result === failure) return "its error";
    return result instanceof Error ? "an error" : String(result);
  },
  "delete-during-load": async (subject) => {
    const gate = Promise.withResolvers<string>();
    const loading = subject.getOrSet("key", () => gate.promise);
    await nextTick();
    await subject.delete("key");
    gate.resolve("old");
    await loading;
    await nextTick();
    return (await subject.getOrSet("key", async () => "new")) === "old" ? "the old value" : "nothing";
  },
  null: async (subject) => {
    let loads = 0;
    const load = async (): Promise<null> => {
      loads += 1;
      return null;
    };
    await subject.getOrSet("key", load);
    await subject.getOrSet("key", load);
    return loads === 1 ? "yes" : "no";
  },
  identity: async (subject) => {
    const load = async (): Promise<object> => ({ name: "Ada" });
    await subject.getOrSet("key", load);
    return (await subject.getOrSet("key", load)) === (await subject.getOrSet("key", load)) ? "one object" : "copies";
  },
};

/** What `probe` gives for hotset, or for the package `name`. */
export async function runProbe(probe: string, name: string): Promise<string> {
  return PROBES[probe]!(SUBJECTS[name]!());
}

/** How often a load that takes a while is run for ten callers at once. */
async function loadsOf(subject: Subject, load: Load): Promise<number> {
  let loads = 0;
  const counted = async (): Promise<unknown> => {
    loads += 1;
    await new Promise((resolve) => setTimeout(resolve, 20));
    return load();
  };
  await Promise.allSettled(Array.from({ length: CALLERS }, () => subject.getOrSet("key", counted)));
  return loads;
}

const nextTick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));
