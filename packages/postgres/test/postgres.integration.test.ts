import { createCache, type Backend, type Coherence, type CoherenceListener, type StoredEntry } from "@hotset/core";
import { memory } from "@hotset/memory";
import { postgres, schema as schemaSql, type PostgresOptions, type PostgresPool } from "@hotset/postgres";
import { randomPrefix, startPostgres, until } from "@hotset/test-servers";
import pg from "pg";
import { afterAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";

let schema: string;

const server = await startPostgres();
afterAll(() => server.stop());
beforeEach(() => {
  schema = randomPrefix();
});

function backend(options: PostgresOptions = { url: server.url }): Backend {
  const made = postgres({ schema, ...options });
  onTestFinished(() => made.close());
  return made;
}

function poolOf(url = server.url, options: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 6, ...options });
  pool.on("error", () => undefined);
  onTestFinished(() => pool.end());
  return pool;
}

const attach = (own: Backend, listener: Partial<CoherenceListener>): Promise<() => Promise<void>> =>
  (own.coherence as Coherence).attach(listener as CoherenceListener);

const stored = (text: string): StoredEntry => ({
  data: Buffer.from(text),
  staleInMs: 60_000,
  expiresInMs: 60_000,
  meta: "json none",
  version: "v1",
});

it("a warning has the reason of PostgreSQL: a database that is not there", async () => {
  const lines: string[] = [];
  const warn = (text: string): void => void lines.push(text);
  const url = new URL(server.url);
  url.pathname = "/nodb";
  const cache = createCache({ name: "shop", logger: { info: warn, warn, error: warn } })
    .tier(backend({ url: url.href }))
    .build();
  await cache.getOrSet("k", () => 1);
  await cache.close();
  expect(lines[0]).toMatch(
    /failed; check the name of the database, the user and its password; cause: database "nodb" does not exist/,
  );
});

describe("statements", () => {
  /** A pool that records what is sent, and whether a connection ever had two statements. */
  const recorded = (sent: string[], overlaps: string[] = []): PostgresPool => {
    const pool = poolOf();
    return {
      connect: async () => {
        const client = await pool.connect();
        let running = 0;
        return new Proxy(client, {
          get(target, name) {
            const member = Reflect.get(target, name) as unknown;
            if (name === "query")
              return (query: { readonly text: string }) => {
                sent.push(query.text);
                if ((running += 1) > 1) overlaps.push(query.text);
                return target.query(query).finally(() => (running -= 1));
              };
            return typeof member === "function" ? member.bind(target) : member;
          },
        });
      },
      end: () => pool.end(),
    };
  };

  it("a batch of 100 is one statement, and so are 64 misses of one turn at each of their steps", async () => {
    const sent: string[] = [];
    const own = backend({ pool: recorded(sent) });
    const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
    await own.write("k7", stored("seven"));
    sent.length = 0;
    const found = await own.batch!.read(keys);
    expect(found.map((each) => (each as StoredEntry | undefined)?.data.toString())).toEqual(
      keys.map((key) => (key === "k7" ? "seven" : undefined)),
    );
    expect(sent.length).toBe(1);

    const cache = createCache({ name: "shop" }).tier(own).defaults({ ttl: "1m" }).build();
    await cache.getOrSet("first", () => 1);
    sent.length = 0;
    const loads = await Promise.all(keys.slice(0, 64).map((key) => cache.getOrSet(key, () => `value of ${key}`)));
    expect(loads).toEqual(keys.slice(0, 64).map((key) => `value of ${key}`));
    // On a slow machine leases are renewed meanwhile.
    const steps = sent
      .filter((text) => text.includes(schema) && !/tag_versions|renew\(/.test(text))
      .map((text) => /entries|acquire|store|pin/.exec(text)?.[0]);
    // Versions are not asked for if a sign of life has come since they were read last.
    expect(new Set(["pin", ...steps])).toEqual(new Set(["entries", "acquire", "pin", "store"]));
    expect(steps.length).toBeLessThan(12);
    await cache.close();
  });

  it("4,000 confirmations of one turn are one statement, and no connection has two at a time", async () => {
    const [sent, overlaps]: [string[], string[]] = [[], []];
    const own = backend({ pool: recorded(sent, overlaps) });
    const seen: string[] = [];
    const listener = {
      now: () => performance.now(),
      changed: (keys: readonly string[]) => void seen.push(...keys),
      leaseChanged: () => undefined,
      alive: () => undefined,
      lost: () => void seen.push("lost"),
    };
    const detach = await attach(own, listener);
    await own.write("k7", stored("seven"));
    await server.query(`select ${schema}.write('k8', '\\x0031', '\\x0031', 60000, 60000, 'theirs')`);
    // A key whose change is reported meanwhile is asked for again.
    await Promise.all(["k7", "k8"].map((key) => own.leases!.confirm(key)));
    sent.length = 0;
    const versions = await Promise.all(Array.from({ length: 4_000 }, (_, i) => own.leases!.confirm(`k${i}`)));
    expect(versions.slice(6, 10)).toEqual(["", "v1", "theirs", ""]);
    expect(seen).toEqual(["k7", "k8"]);
    expect(sent.filter((text) => text.includes(schema)).length).toBe(1);
    expect(sent.length).toBeLessThanOrEqual(3);
    await Promise.all(Array.from({ length: 3 }, async () => (await attach(own, listener))()));
    expect(overlaps).toEqual([]);
    await detach();
  });

  it("processes that change the same keys in different orders do not wait for each other", async () => {
    const [own, other] = [backend(), backend()];
    const keys = Array.from({ length: 60 }, (_, i) => `k${i}`);
    for (let round = 0; round < 10; round += 1)
      await Promise.all([
        ...keys.map((key) => own.write(key, stored(`${round}`))),
        ...keys.toReversed().map((key) => other.write(key, stored(`${round}`))),
      ]);
    expect((await own.read("k0"))?.data.toString()).toBe("9");
  });
});

describe("reports of changes", () => {
  it.each(["listen", "poll"] as const)(
    "cost a process no copy of what it stored, touched or tagged itself, and no event: %s",
    async (changes) => {
      const [here, there] = [1, 2].map(() => backend({ url: server.url, changes }));
      const open = (own: Backend) =>
        createCache({ name: "shop" }).tier(memory()).tier(own).defaults({ ttl: "1h" }).build();
      await using cache = open(here!);
      await using peer = open(there!);
      // What is stored before changes are reported is read again.
      await Promise.all([cache.connect(), peer.connect()]);
      const foreign: unknown[] = [];
      cache.on("invalidate", ({ origin, ...of }) => origin === "elsewhere" && foreign.push("key" in of ? of.key : of));
      // Changes from before it are reported before its answer.
      const reported = (): Promise<string> => here!.leases!.confirm("none");
      const tierOf = async (key: string): Promise<unknown> => {
        let tier: unknown;
        await cache.getOrSet(key, () => "again", { tags: ["t"], onServed: (served) => (tier = served.tier) });
        return tier;
      };
      await cache.getOrSet("loaded", () => 1, { tags: ["t"] });
      await cache.set("set", 1, { tags: ["t"] });
      await cache.set("touched", 1, { tags: ["t"] });
      await reported();
      await cache.touch("touched", { ttl: "2h" });
      await cache.invalidateTags("other");
      await reported();
      const keys = ["loaded", "set", "touched"];
      // The confirmation of what was stored last may be on another connection of the pool. A copy that went stays away.
      await expect.poll(() => keys.map((key) => cache.peek(key))).toEqual(keys.map(() => 1));
      expect(await Promise.all(keys.map(tierOf))).toEqual(keys.map(() => "memory"));
      expect(foreign).toEqual([]);
      await peer.getOrSet("touched", () => 0);
      await peer.touch("touched", { ttl: "3h" });
      await peer.set("set", 2);
      await reported();
      expect(foreign.toSorted()).toEqual(["set", "touched"]);
    },
  );
});

describe("the schema", () => {
  it("a role with the rights that schema() grants makes every call, and can neither read nor make anything else", async () => {
    const role = `${schema}_app`;
    await server.query(`create role ${role} login password 'secret'; create table ${schema}_private (n int)`);
    await server.query(schemaSql({ schema, role }));
    const url = new URL(server.url);
    [url.username, url.password] = [role, "secret"];
    const own = backend({ url: url.href, createSchema: false });
    await own.write("k", { ...stored("1"), expiresInMs: 90_000 });
    expect(await own.markStale!("k")).toBe("stale");
    expect(await own.leases!.acquire({ key: "j", token: "token", leaseMs: 1_000, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await own.leases!.store("j", "token", "", stored("2"))).toBe(true);
    await own.tagVersions!.renew(["t"], "hard");
    expect((await own.tagVersions!.pin(["t", "u"])).versions.length).toBe(2);
    const polling = backend({ url: url.href, createSchema: false, changes: "poll" });
    const cache = createCache({ name: "shop" }).tier(memory()).tier(polling).defaults({ ttl: "1m" }).build();
    onTestFinished(() => cache.close());
    expect(await cache.getOrSet("a", () => 1)).toBe(1);
    expect(await own.remove("k")).toBe("deleted");

    const client = new pg.Client({ connectionString: url.href });
    await client.connect();
    await expect(client.query(`select * from ${schema}_private`)).rejects.toMatchObject({ code: "42501" });
    await expect(client.query(`create table ${schema}.more (n int)`)).rejects.toMatchObject({ code: "42501" });
    await expect(client.query(`drop table ${schema}.entries`)).rejects.toMatchObject({ code: "42501" });
    await client.end();
  });

  it("is made once by many processes at the same time, and again after it was dropped", async () => {
    const all = Array.from({ length: 5 }, () => backend());
    await Promise.all(all.map((each, i) => each.write(`k${i}`, stored(`${i}`))));
    expect((await all[0]!.read("k4"))?.data.toString()).toBe("4");
    await server.query(`drop schema ${schema} cascade`);
    await all[0]!.read("k4").catch(() => undefined);
    expect(await all[0]!.read("k4")).toBe(undefined);
  });

  it("must be there where it is not to be made, and have this layout", async () => {
    await expect(backend({ url: server.url, createSchema: false }).read("k")).rejects.toThrow(/run the SQL of schema/);
    await server.query(
      `create schema ${schema}; create function ${schema}.layout() returns int language sql as 'select 99'`,
    );
    await expect(backend().read("k")).rejects.toThrow(/has layout 99, and this version needs 3/);
  });

  it("has unlogged tables, or logged ones", async () => {
    const kinds = async (name: string): Promise<unknown> =>
      (
        await server.query(`select distinct relpersistence as kind from pg_class
        where relnamespace = '${name}'::regnamespace and relkind = 'r'`)
      ).map(({ kind }) => kind);
    await backend().read("k");
    expect(await kinds(schema)).toEqual(["u"]);
    await backend({ url: server.url, schema: `${schema}_l`, tables: "logged" }).read("k");
    expect(await kinds(`${schema}_l`)).toEqual(["p"]);
  });
});

describe("a pool of the program", () => {
  it("stays open, and its connections are given back", async () => {
    const pool = poolOf();
    const own = postgres({ pool, schema });
    const cache = createCache({ name: "shop" }).tier(memory()).tier(own).defaults({ ttl: "1m" }).build();
    expect(await cache.getOrSet("k", () => 1)).toBe(1);
    await cache.close();
    expect(pool.totalCount - pool.idleCount).toBe(0);
    expect((await pool.query("select 2 as n")).rows).toEqual([{ n: 2 }]);
  });

  it("is refused if it has one connection, unless changes are polled", async () => {
    const pool = poolOf(server.url, { max: 1 });
    expect(() => postgres({ pool })).toThrow(/pool must be of 2 connections or more/);
    const own = backend({ pool, changes: "poll" });
    await own.write("k", stored("1"));
    expect((await own.read("k"))?.version).toBe("v1");
  });

  it("is refused where its transactions would not see what others have committed", async () => {
    const url = new URL(server.url);
    url.searchParams.set("options", "-c default_transaction_isolation=repeatable\\ read");
    await expect(backend({ pool: poolOf(url.href) }).read("k")).rejects.toThrow(/"repeatable read"/);
  });
});

describe("sessions that a program has changed", () => {
  const data = [
    '{"text":"é, €, 😀"}',
    "",
    "A",
    "é",
    "\0",
    "a\0b",
    "line\nline\\",
    Buffer.of(0xff, 0x00, 0xc3),
    Buffer.from(Uint8Array.from({ length: 700 }, (_, i) => i % 256)),
  ].map((each) => Buffer.from(each));

  it.each([
    "set bytea_output = escape",
    "set extra_float_digits = -15",
    "set datestyle = 'SQL, DMY'; set timezone = 'Asia/Kolkata'; set intervalstyle = sql_standard",
    "set search_path = ''",
    "set array_nulls = off; set standard_conforming_strings = off",
    "set client_encoding = 'SQL_ASCII'",
  ])("%s: entries come back as they were, one by one and in batches", async (settings) => {
    const pool = poolOf(server.url, { onConnect: (client) => client.query(settings) as never });
    const own = backend({ pool });
    const entryOf = (i: number): StoredEntry => ({
      ...stored(""),
      data: data[i]!,
      meta: `{"é\0":${i}}`,
      version: `v${i}`,
    });
    await Promise.all(data.map((_, i) => own.write(`k${i}`, entryOf(i))));
    await own.write("alone", { ...entryOf(0), expiresInMs: Infinity, staleInMs: Infinity });
    const alone = await own.read("alone");
    expect(alone).toEqual({ ...entryOf(0), expiresInMs: Infinity, staleInMs: Infinity });
    const found = (await own.batch!.read(data.map((_, i) => `k${i}`))) as readonly (StoredEntry | undefined)[];
    expect(found.map((each) => [each?.data, each?.meta, each?.version])).toEqual(
      data.map((each, i) => [each, entryOf(i).meta, entryOf(i).version]),
    );
    for (const each of found) expect(60_000 - each!.expiresInMs).toBeLessThan(30_000);
    const seen = await own.leases!.acquire({ key: "k8", token: "token", leaseMs: 1_000, seen: "" });
    expect(seen).toMatchObject({ granted: false, entry: { data: data[8], version: "v8" } });
    expect(await own.leases!.acquire({ key: "j", token: "token", leaseMs: 5_000, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await own.leases!.acquire({ key: "j", token: "other", leaseMs: 5_000, seen: "" })).toMatchObject({
      granted: false,
    });
  });

  it.each([
    ["prepared statements were dropped", "discard all"],
    ["prepared statements were dropped, each", "deallocate all"],
    ["a transaction was left open", "begin"],
    ["a transaction was left failed", "begin; select 1 / 0"],
    ["transactions are read-only", "set default_transaction_read_only = on"],
    ["the role is another one", "set role pg_read_all_stats"],
    ["the encoding is another one", "set client_encoding = latin1"],
  ])("%s: the session is ended, and the call answered by another", async (_, text) => {
    const pool = poolOf();
    const own = backend({ pool });
    await own.write("k", stored("é"));
    await own.read("k");
    await own.leases!.acquire({ key: "j", token: "token", leaseMs: 1_000, seen: "" });
    // The one that the pool gives next.
    const spoil = async (): Promise<void> => {
      const client = await pool.connect();
      await client.query(text).catch(() => undefined);
      client.release();
    };
    await spoil();
    expect((await own.read("k"))?.data.toString()).toBe("é");
    await spoil();
    expect(await own.remove("k")).toBe("deleted");
    const count = `select count(*)::int as n from ${schema}.entries`;
    expect(await server.query(count)).toEqual([{ n: 0 }]);
    await spoil();
    await own.write("k", stored("€"));
    await spoil();
    expect(await own.leases!.acquire({ key: "l", token: "token", leaseMs: 1_000, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await server.query(count)).toEqual([{ n: 1 }]);
    expect((await own.read("k"))?.data.toString()).toBe("€");
  });
});

it.each([
  "set default_transaction_isolation = serializable",
  "set session characteristics as transaction isolation level repeatable read",
])("%s: a step that waited for another process sees its change", async (text) => {
  const [pool, other] = [poolOf(), new pg.Client(server.url)];
  onTestFinished(() => other.end());
  await other.connect();
  const own = backend({ pool });
  await own.connect!();
  const spoiled = await pool.connect();
  await spoiled.query(text);
  spoiled.release();
  await other.query("begin");
  await other.query(`select ${schema}.write('k', '\\x0031', '\\x0031', 60000, 60000, 'theirs')`);
  const asked = own.leases!.acquire({ key: "k", token: "token", leaseMs: 1_000, seen: "" });
  const waits = "select 1 from pg_stat_activity where wait_event = 'advisory' and query like '%acquire%'";
  await until("it to wait", async () => (await server.query(waits)).length === 1);
  await other.query("commit");
  expect(await asked).toMatchObject({ granted: false, entry: { version: "theirs" } });
});

it("a process that stands still while it opens connections fails no call for that", async () => {
  const own = backend({ url: server.url, deadline: 500 });
  await own.connect!();
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const calls = [own.read("k"), own.write("w", stored("text")), own.markStale!("s"), own.remove("r")];
  for (let turns = 0; turns < 6; turns += 1) {
    await turn();
    if (turns > 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
  }
  expect(await Promise.all(calls)).toEqual([undefined, undefined, "missing", "missing"]);
});

it("a call over a pool without timeouts ends at its deadline while the server is silent at the first one", async () => {
  const gate = Promise.withResolvers<pg.PoolClient>();
  const pool = poolOf();
  const own = backend({ pool: { connect: () => gate.promise, end: () => pool.end() }, deadline: 1_000 });
  const large = { ...stored(""), data: Buffer.alloc(30_000_000) };
  const calls = [
    own.read("k"),
    own.remove("k"),
    own.leases!.acquire({ key: "k", token: "token", leaseMs: 1_000, seen: "" }),
    own.write("l", large),
  ];
  const answers = await Promise.allSettled(calls);
  expect(answers.map((each) => (each.status === "rejected" ? (each.reason as Error).message : ""))).toEqual([
    ...["read", "remove", "acquire"].map((call) => `postgres: ${call} was not answered within 1000 ms`),
    "postgres: write was not answered within 1000 ms; it has 30.0 MB: raise deadline",
  ]);
  gate.resolve(await pool.connect());
});

/** As PgBouncer in transaction mode: each statement goes to any connection, and the process is another one. */
function pooler(): PostgresPool {
  const pool = poolOf();
  return {
    async connect() {
      const listeners = new Map<unknown, unknown>();
      return {
        processID: 4_000_000,
        query: (query: pg.QueryConfig) => pool.query({ ...query, name: undefined } as pg.QueryConfig),
        release: () => undefined,
        on: (event: string, listener: unknown) => listeners.set(event, listener),
        off: (event: string) => listeners.delete(event),
      } as never;
    },
    end: () => pool.end(),
  };
}

describe("behind a pooler", () => {
  it("changes are polled, with one warning, and a delete reaches the copies of a process that listens, and back", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
    try {
      const make = (tier: Backend) => {
        const cache = createCache({ name: "shop" }).tier(memory()).tier(tier).defaults({ ttl: "10m" }).build();
        onTestFinished(() => cache.close());
        return cache;
      };
      const polling = make(backend({ pool: pooler() }));
      const listening = make(backend());
      expect(await polling.getOrSet("k", () => 1)).toBe(1);
      expect(await listening.getOrSet("k", () => 2)).toBe(1);
      expect(warned.mock.calls.map(([, options]) => (options as { readonly code?: string }).code)).toEqual([
        "HOTSET_POSTGRES_POLLING",
      ]);
      await listening.delete("k");
      await until("the report", async () => (await polling.getOrSet("k", () => 3)) === 3);
      expect(await listening.getOrSet("k", () => 4)).toBe(3);
      await polling.set("k", 5);
      await until("the notification", async () => (await listening.get("k")) === 5);
      await polling.getOrSet("tagged", () => "old", { tags: ["t"] });
      await listening.invalidateTags(["t"]);
      await until("the tag", async () => (await polling.getOrSet("tagged", () => "new", { tags: ["t"] })) === "new");
    } finally {
      warned.mockRestore();
    }
  });

  it("a connection that is said to listen, and on which nothing arrives, is an error and no silent cache", async () => {
    const own = backend({ pool: pooler(), changes: "listen" });
    const listener = { now: () => performance.now() };
    await expect(attach(own, listener)).rejects.toThrow(/a notification did not arrive.*set changes: "poll"/);
  });
});

it.each([2, 3])("works with %s connections, where the server gives no more", async (limit) => {
  const role = `${schema}_few`;
  await server.query(`create role ${role} login password 'secret' connection limit ${limit}`);
  await server.query(schemaSql({ schema, role }));
  const url = new URL(server.url);
  [url.username, url.password] = [role, "secret"];
  const own = backend({ url: url.href, deadline: "10s", connections: 4 });
  const lost = vi.fn();
  const listener = { now: () => performance.now(), changed: vi.fn(), leaseChanged: vi.fn(), alive: vi.fn(), lost };
  // Four kinds of statements at a time, before and while one connection listens.
  const round = (): Promise<unknown> =>
    Promise.all([
      own.write("k", stored("1")),
      own.read("j"),
      own.tagVersions!.pin(["t"]),
      own.leases!.acquire({ key: "l", token: "token", leaseMs: 60_000, seen: "" }),
      own.tagVersions!.read(["u"]),
    ]);
  await round();
  const detach = await attach(own, listener);
  for (let i = 0; i < 3; i += 1) await round();
  expect(await own.leases!.confirm("k")).toBe("v1");
  expect(lost).not.toHaveBeenCalled();
  await detach();
});

it("reclaims ended rows while it writes, also if several do so at the same time", async () => {
  const all = [backend(), backend(), backend()];
  const ended = Array.from({ length: 300 }, (_, i) =>
    all[i % 3]!.write(`ended${i}`, { ...stored(""), expiresInMs: 1 }),
  );
  await Promise.all(ended);
  await Promise.all(Array.from({ length: 600 }, (_, i) => all[i % 3]!.write(`k${i % 20}`, stored(""))));
  await until("the rows to go", async () => {
    const [row] = await server.query(`select count(*)::int as n from ${schema}.entries`);
    return (row?.["n"] as number) <= 40;
  });
  expect((await all[0]!.read("k7"))?.version).toBe("v1");
});

it.each([200, 1_500, 3_500])(
  "entries of %s bytes that are written again and again take the room that they had",
  async (bytes) => {
    const own = backend();
    const size = async (): Promise<number> =>
      Number((await server.query(`select pg_total_relation_size('${schema}.entries')::int as n`))[0]!["n"]);
    const round = async (i: number): Promise<void> => {
      const keys = Array.from({ length: 100 }, (_, j) => `k${j}`);
      await Promise.all(keys.map((key) => own.write(key, { ...stored("x".repeat(bytes)), version: `v${i}` })));
      for (const key of keys.slice(0, 20)) await own.leases!.touch(key, `v${i}`, { ...stored(""), staleInMs: 50_000 });
    };
    await round(0);
    const before = await size();
    for (let i = 1; i <= 20; i += 1) await round(i);
    expect((await size()) / before).toBeLessThan(1.5);
  },
);

it("sends no write that waited for a connection while the process was suspended", async () => {
  const pool = poolOf();
  const { promise, resolve } = Promise.withResolvers<void>();
  let isOpen = true;
  const connect = async (): Promise<pg.PoolClient> => {
    if (!isOpen) await promise;
    return pool.connect();
  };
  const own = backend({ pool: { connect, end: () => pool.end() }, deadline: "60s" });
  await own.connect!();
  isOpen = false;
  const writing = own.write("k", stored("old")).catch((error: unknown) => error);
  await new Promise((turn) => setImmediate(() => setImmediate(turn)));
  const clock = vi.spyOn(Date, "now").mockReturnValue(Date.now() + 120_000);
  resolve();
  // With BACKEND_UNAVAILABLE a cache would serve older copies of its own.
  expect(await writing).toMatchObject({ name: "StandstillError" });
  clock.mockRestore();
  expect(await own.read("k")).toBe(undefined);
});

it("stores values of 30 MB, as text and as bytes", async () => {
  const own = backend({ url: server.url, deadline: "60s", maxEntryBytes: 64 * 2 ** 20, maxDecodedBytes: 64 * 2 ** 20 });
  for (const data of [Buffer.alloc(30_000_000, "xyzé"), Buffer.alloc(30_000_000, Buffer.of(0, 1, 0xff))]) {
    await own.write("k", { ...stored(""), data });
    expect(data.equals((await own.read("k"))!.data)).toBe(true);
  }
});

it("keeps NUL bytes in keys, meta and tags apart", async () => {
  const [own, other] = [backend(), backend()];
  await own.write("k\0a", { ...stored("with"), meta: "m\0n" });
  expect(await other.read("k")).toBe(undefined);
  expect((await other.read("k\0a"))?.meta).toBe("m\0n");
  const { versions } = await own.tagVersions!.pin(["t\0", "t"]);
  await own.tagVersions!.renew(["t\0"], "hard");
  const after = await other.tagVersions!.read(["t\0", "t"]);
  expect([after[0]!.hard === versions[0]!.hard, after[1]]).toEqual([false, versions[1]]);
});
