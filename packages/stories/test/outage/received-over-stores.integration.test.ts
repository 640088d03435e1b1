/** What a process received of another one before it lost its store: each store that reports changes, each in its way. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Backend, BackendUnavailableError, type Cache, createCache, json } from "@hotset/core";
import { fromSwap, type SwapRecord, type SwapStore } from "@hotset/core/stores";
import { memory } from "@hotset/memory";
import { postgres } from "@hotset/postgres";
import { redis } from "@hotset/redis";
import { sqlite, type SqliteDatabase } from "@hotset/sqlite";
import { type FaultProxy, randomPrefix, startPostgres, startProxy, until } from "@hotset/test-servers";
import { afterAll, describe, expect, inject, it, onTestFinished } from "vitest";

const server = await startPostgres();
const folder = mkdtempSync(join(tmpdir(), "hotset-received-"));
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** One store as two processes have it, of which the first can lose it. */
interface Shared {
  readonly first: Backend;
  readonly second: Backend;
  readonly cut: () => Promise<void> | void;
}

/** New connections are refused, and those that are open end. */
async function cutting(proxy: FaultProxy): Promise<void> {
  await proxy.refuse();
  proxy.cut();
}

async function overRedis(how: "tracking" | "pubsub"): Promise<Shared> {
  const url = new URL(inject("redisUrl"));
  const proxy = await startProxy({ host: url.hostname, port: Number(url.port) });
  onTestFinished(() => proxy.close());
  const prefix = randomPrefix();
  const over = (at: string): Backend =>
    redis(at).keyPrefix(prefix).valueFormat(json()).coherence(how).responseTimeout("5s").build();
  return { first: over(proxy.url), second: over(url.href), cut: () => cutting(proxy) };
}

async function overPostgres(changes: "listen" | "poll"): Promise<Shared> {
  const url = new URL(server.url);
  const proxy = await startProxy({ host: url.hostname, port: Number(url.port) });
  onTestFinished(() => proxy.close());
  const schema = randomPrefix();
  const proxied = new URL(url);
  proxied.host = `127.0.0.1:${proxy.port}`;
  const over = (at: URL): Backend => postgres({ url: at.href, schema, changes, deadline: "5s", maxStaleness: "5s" });
  return { first: over(proxied), second: over(url), cut: () => cutting(proxy) };
}

function overSqlite(): Shared {
  const file = join(folder, `${randomPrefix()}.db`);
  let isCut = false;
  /** The disk fails whatever is asked of it. */
  const unlessCut = <T>(work: () => T): T => {
    if (isCut) throw Object.assign(new Error("disk I/O error"), { code: "SQLITE_IOERR" });
    return work();
  };
  const open = (path: string): SqliteDatabase => {
    const database = unlessCut(() => new DatabaseSync(path));
    return {
      exec: (sql) => unlessCut(() => database.exec(sql)),
      close: () => database.close(),
      prepare: (sql) => {
        const statement = unlessCut(() => database.prepare(sql));
        return {
          get: (...values) => unlessCut(() => statement.get(...values)),
          all: (...values) => unlessCut(() => statement.all(...values)),
          run: (...values) => unlessCut(() => statement.run(...values)),
        };
      },
    };
  };
  return { first: sqlite(file, { open }), second: sqlite(file), cut: () => void (isCut = true) };
}

/** A store of one record a name. */
class Records implements SwapStore<number> {
  isCut = false;
  readonly #records: Map<string, SwapRecord<number>>;

  constructor(records: Map<string, SwapRecord<number>>) {
    this.#records = records;
  }

  async get(name: string): Promise<SwapRecord<number> | undefined> {
    this.#answer();
    return this.#records.get(name);
  }

  async swap(name: string, bytes: Uint8Array, expected: number | undefined): Promise<number | undefined> {
    this.#answer();
    if (this.#records.get(name)?.version !== expected) return undefined;
    const version = (Records.#last += 1);
    this.#records.set(name, { bytes: bytes.slice(), version });
    return version;
  }

  async delete(name: string, expected: number): Promise<boolean> {
    this.#answer();
    return this.#records.get(name)?.version === expected && this.#records.delete(name);
  }

  close(): void {}

  #answer(): void {
    if (this.isCut) throw new BackendUnavailableError("the store is unreachable");
  }

  static #last = 0;
}

function overLog(): Shared {
  const records = new Map<string, SwapRecord<number>>();
  const own = new Records(records);
  const over = (store: Records): Backend => fromSwap(store, { label: "records", log: true });
  return { first: over(own), second: over(new Records(records)), cut: () => void (own.isCut = true) };
}

const STORES: Readonly<Record<string, () => Promise<Shared> | Shared>> = {
  "Redis, tracking": () => overRedis("tracking"),
  "Redis, pub/sub": () => overRedis("pubsub"),
  "PostgreSQL, listening": () => overPostgres("listen"),
  "PostgreSQL, polling": () => overPostgres("poll"),
  SQLite: overSqlite,
  "a log that is polled": overLog,
};

const CHANGES: Readonly<Record<string, (cache: Cache) => Promise<unknown>>> = {
  invalidateTags: (cache) => cache.invalidateTags("t"),
  markTagsStale: (cache) => cache.markTagsStale("t"),
  clear: (cache) => cache.clear(),
  delete: (cache) => cache.delete("k"),
};

const OPTIONS = { tags: ["t"], staleIfError: "1h" } as const;
const load = (cache: Cache, value: string): Promise<string> => cache.getOrSet("k", () => value, OPTIONS);

function cacheOver(backend: Backend): Cache {
  const cache = createCache({ name: "shop" }).tier(memory()).tier(backend).defaults({ ttl: "1h" }).build();
  onTestFinished(() => cache.close());
  return cache;
}

describe.each(Object.entries(STORES))("C740 over %s, a change that was received before the cut", (_, open) => {
  it.for(Object.entries(CHANGES))("is obeyed as long as the outage lasts: %s", async ([name, change]) => {
    const { first, second, cut } = await open();
    const [p1, p2] = [cacheOver(first), cacheOver(second)];
    await Promise.all([p1.connect(), p2.connect()]);
    await load(p1, "old");
    await until("a copy", async () => p1.peek("k") === "old");

    const received = Promise.withResolvers<void>();
    p1.on("invalidate", ({ origin }) => {
      if (origin === "elsewhere") received.resolve();
    });
    expect(await change(p2)).toMatchObject({ status: expect.stringMatching(/^(done|deleted)$/) });
    await received.promise;
    await cut();

    expect([await p1.get("k"), p1.peek("k")]).toEqual([undefined, undefined]);
    if (name !== "markTagsStale") expect(await p1.get("k", { allowStale: true })).toBe(undefined);
    expect(await load(p1, "new")).toBe("new");
    expect(await load(p1, "newer")).toBe("new");
  });

  it("is one of an entry alone: another copy is served", async () => {
    const { first, second, cut } = await open();
    const [p1, p2] = [cacheOver(first), cacheOver(second)];
    await Promise.all([p1.connect(), p2.connect()]);
    await load(p1, "old");
    await p1.getOrSet("other", () => "kept", { tags: ["u"] });
    const received = Promise.withResolvers<void>();
    p1.on("invalidate", ({ origin }) => {
      if (origin === "elsewhere") received.resolve();
    });
    await p2.invalidateTags("t");
    await received.promise;
    await cut();
    expect(await p1.getOrSet("other", () => "loaded again", { tags: ["u"] })).toBe("kept");
  });
});
