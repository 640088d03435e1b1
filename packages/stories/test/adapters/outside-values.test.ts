/** Values that frameworks compute between a `get` and a `set`, by each adapter, over two processes. */
import { json, type Cache } from "@hotset/core";
import { drizzleCache } from "@hotset/drizzle";
import { graphqlCache } from "@hotset/graphql";
import { keyvStore } from "@hotset/keyv";
import { computationsAfterFailures, lateValues, Random, type Guest, type Guests } from "@hotset/test-servers";
import { createTestCache, flush, scriptedBackend, TestClock } from "@hotset/testing";
import { hotsetDriver } from "@hotset/unstorage";
import { createCache as createManager } from "cache-manager";
import { Cacheable } from "cacheable";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/pg-proxy";
import { Keyv } from "keyv";
import { Keyv as Keyv6 } from "keyv6";
import { createStorage } from "unstorage";
import { describe, expect, it } from "vitest";

/** The common part of these frameworks. */
interface KeyValue {
  get(key: string): Promise<unknown>;
  set(key: string, value: string): Promise<unknown>;
  delete(key: string): Promise<unknown>;
}

const byKey = (store: KeyValue): Guest => ({
  async request(compute) {
    const found = await store.get("k");
    if (found === undefined || found === null) await store.set("k", await compute());
  },
  write: (value) => store.set("k", value),
  read: () => store.get("k"),
  change: () => store.delete("k"),
});

function byResponses(cache: Cache): Guest {
  const responses = graphqlCache(cache);
  const set = (made: string): Promise<void> => responses.set("q", { data: { made } }, [{ typename: "User" }], Infinity);
  return {
    async request(compute) {
      if ((await responses.get("q")) === undefined) await set(await compute());
    },
    write: set,
    read: async () => (await responses.get("q"))?.data?.["made"],
    change: () => responses.invalidate([{ typename: "User" }]),
  };
}

const users = pgTable("users", { id: integer(), name: text() });

function byQueries(cache: Cache): Guest {
  const rows = drizzleCache(cache, { settleAfter: 0 });
  const selectBy = async (compute: () => Promise<string>): Promise<string | null | undefined> => {
    const answer = async (): Promise<{ rows: never[] }> => ({ rows: [[1, await compute()]] as never[] });
    return (
      await rows
        .watch(drizzle(answer, { cache: rows }))
        .select()
        .from(users)
        .$withCache()
    )[0]?.name;
  };
  const none = new Error("none");
  return {
    request: selectBy,
    read: () => selectBy(() => Promise.reject(none)).catch(() => undefined),
    change: () => rows.onMutate({ tables: users }),
  };
}

/** Computations after some that failed and a change: one more where the framework loses the context. */
const GUESTS: readonly (readonly [name: string, computations: 1 | 2, (cache: Cache) => Guest])[] = [
  ["Keyv 5", 1, (cache) => byKey(new Keyv({ store: keyvStore(cache) }))],
  ["Keyv 6", 2, (cache) => byKey(new Keyv6({ store: keyvStore(cache) as never }))],
  ["cache-manager", 1, byManager],
  ["cacheable", 2, (cache) => byKey(new Cacheable({ primary: new Keyv({ store: keyvStore(cache) }) }))],
  ["unstorage", 1, byStorage],
  ["GraphQL", 1, byResponses],
  ["Drizzle", 1, byQueries],
];

function byManager(cache: Cache): Guest {
  const manager = createManager({ stores: [new Keyv({ store: keyvStore(cache) })] });
  return byKey({
    get: (key) => manager.get(key),
    set: (key, value) => manager.set(key, value),
    delete: (key) => manager.del(key),
  });
}

function byStorage(cache: Cache): Guest {
  const storage = createStorage({ driver: hotsetDriver(cache) });
  return byKey({
    get: (key) => storage.getItem(key),
    set: (key, value) => storage.setItem(key, value),
    delete: (key) => storage.removeItem(key),
  });
}

function processes(open: (cache: Cache) => Guest): Guests {
  const clock = new TestClock();
  const backend = scriptedBackend({
    ...{ clock, format: json(), leases: true, tagVersions: true, coherence: "reported" },
  });
  const caches = [backend, backend.peer()].map((each) => createTestCache({ clock, ttl: "1h", backend: each }));
  const [a, b] = caches.map(open) as [Guest, Guest];
  return { a, b, probes: caches.map(open), settled: flush };
}

describe.each(GUESTS)("%s", (_, computations, open) => {
  it.each(["a", "b"] as const)(
    "C610: after computations that failed and a change by %s, the cache is filled",
    async (by) => {
      expect(await computationsAfterFailures(processes(open), by)).toBe(computations);
    },
  );

  it("C611: a slow request stores nothing from before a change, also after others stored it in between", async () => {
    for (const by of ["a", "b"] as const) {
      const guests = processes(open);
      const leave = Promise.withResolvers<string>();
      const slow = guests.a.request(() => leave.promise);
      await flush();
      await guests.a.request(async () => "old");
      await guests[by].change();
      await flush();
      leave.resolve("old");
      await slow;
      await flush();
      for (const probe of guests.probes) expect(await probe.read()).toBeFalsy();
    }
  });
});

// Where the framework loses the context, a `set` may look like another's: the page of Keyv says when.
it.each(GUESTS.filter(([, computations]) => computations === 1))(
  "C611: requests that end in any order, writes and changes leave nothing old: %s",
  async (_name, _computations, open) => {
    let all = 0;
    for (let seed = 0; seed < 60; seed += 1) {
      const { old, found } = await lateValues(processes(open), new Random(seed));
      expect({ seed, old }).toEqual({ seed, old: [] });
      all += found;
    }
    expect(all).toBeGreaterThan(500);
  },
);
