import { json, type StoredEntry } from "@hotset/core";
import { fromClient, redis, type RedisBackend, type RedisBackendSettings } from "@hotset/redis";
import { startOwnRedis, startProxy } from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { WRITE } from "../src/lua/entry-scripts.ts";
import { HASH_LEASES } from "../src/lua/lease-scripts.ts";
import { slotOf } from "../src/primitives/hash-slots.ts";
import { RedisKeys } from "../src/store/redis-keys.ts";
import { makeFull, makeRoom } from "./memory-full.ts";
import { RecordingListener } from "./recording-listener.ts";
import { Tracker } from "./tracker.ts";

const KEY = "hotset:shop::user:1";
const LEASE = "hotset~lease:{hotset:shop::user:1}";
const MB = 1_048_576;

let backend: RedisBackend;

const server = await startOwnRedis();
afterAll(() => server.stop());
beforeEach(() => {
  backend = redis(server.url).valueFormat(json()).coherence("none").responseTimeout("10s").build();
});
afterEach(async () => {
  await backend.close();
  await server.command("FLUSHALL");
});

const large = (bytes = MB, change: Partial<StoredEntry> = {}): StoredEntry => ({
  data: Buffer.alloc(bytes, "x"),
  staleInMs: 60_000,
  expiresInMs: 360_000,
  meta: "json none",
  ...change,
});

const ATTEMPTS = 5;

/** The least that each group of commands took in five attempts: the server may lose its core amid one. */
async function leastTimes(
  step: () => Promise<unknown>,
  groups: readonly (readonly string[])[],
  before = async (): Promise<unknown> => undefined,
): Promise<number[]> {
  let least = groups.map(() => Infinity);
  for (let i = 0; i < ATTEMPTS; i += 1) {
    await before();
    await server.command("CONFIG", "RESETSTAT");
    await step();
    const times = await Promise.all(groups.map((group) => Promise.all(group.map(timeIn))));
    least = least.map((ms, at) =>
      Math.min(
        ms,
        times[at]!.reduce((sum, us) => sum + us),
      ),
    );
  }
  return least;
}

/** Microseconds in one command since the statistics were reset. */
async function timeIn(command: string): Promise<number> {
  const row = (await server.info("commandstats"))[`cmdstat_${command}`] ?? "usec=0,";
  return Number(/usec=(\d+),/.exec(row)![1]);
}

const fieldsOf = async (key: string): Promise<readonly unknown[]> =>
  ((await server.command("HKEYS", key)) as readonly string[]).toSorted();

describe("a large value", () => {
  it.each([
    ["write", async (): Promise<void> => undefined, (): Promise<unknown> => backend.write("shop::user:1", large())],
    [
      "store",
      async (): Promise<void> => {
        await server.command("DEL", KEY);
        await backend.leases!.acquire({ key: "shop::user:1", token: "token", leaseMs: 10_000, seen: "" });
      },
      () => backend.leases!.store("shop::user:1", "token", "", large(MB, { version: "token" })),
    ],
  ] as const)(
    "does not travel through Lua: %s takes one trip, and Redis at most three times as long as its HSET",
    async (_, before, step) => {
      await using proxy = await startProxy(server.port);
      await backend.close();
      backend = redis(proxy.url).valueFormat(json()).coherence("none").responseTimeout("10s").build();
      await backend.connect!();
      const [script, hset] = await leastTimes(step, [["evalsha"], ["hset"]], before);
      // Through Lua it takes thirty times as long.
      expect(script).toBeLessThan(hset! * 2);
      expect(proxy.counts.commandsByName).toMatchObject({ HSET: 2 * ATTEMPTS, PEXPIRE: ATTEMPTS });

      const entry = await backend.read("shop::user:1");
      expect(Buffer.compare(entry!.data, large().data)).toBe(0);
      expect(entry!.expiresInMs).toBeGreaterThan(350_000);
      expect(await fieldsOf(KEY)).toEqual(["d", "s"]);
      expect(await server.command("KEYS", "*")).toEqual([KEY]);
    },
  );

  it.each(["full", "string"] as const)(
    "stays where it is while its freshness ends, in layout(%o): Redis is not stopped for a copy",
    async (layout) => {
      await backend.close();
      backend = redis(server.url).valueFormat(json()).coherence("none").layout(layout).responseTimeout("10s").build();
      await backend.write("shop::user:1", large(16 * MB));
      // GET of Valkey 9 copies nothing.
      const read = layout === "full" ? ["HGET", KEY, "d"] : ["GETRANGE", KEY, "0", "-1"];
      const [reading] = await leastTimes(() => server.command(...read), [["hget", "getrange"]]);
      const [marking] = await leastTimes(
        async () => expect(await backend.markStale!("shop::user:1")).toBe("stale"),
        [["evalsha"]],
      );
      // A plain read of these bytes takes milliseconds, and one in a script ten times as long.
      expect(marking! * 2).toBeLessThan(reading!);

      const entry = await backend.read("shop::user:1");
      expect(Buffer.compare(entry!.data, large(16 * MB).data)).toBe(0);
      expect(entry!.staleInMs).toBeLessThanOrEqual(0);
    },
  );

  it("an empty one is an entry, too", async () => {
    await backend.write("shop::user:1", large(0));
    expect(await backend.markStale!("shop::user:1")).toBe("stale");
    expect((await backend.read("shop::user:1"))!.staleInMs).toBeLessThanOrEqual(0);
  });

  it("replaces what was there, of any type, ends the lease, and may have no end", async () => {
    await server.command("SET", LEASE, "token");
    for (const before of [
      ["SET", KEY, "text"],
      ["HSET", KEY, "other", "field"],
    ] as const) {
      await server.command("DEL", KEY);
      await server.command(...before);
      await backend.write("shop::user:1", large(MB, { staleInMs: Infinity, expiresInMs: Infinity }));
      expect(await fieldsOf(KEY)).toEqual(["d", "s"]);
      expect(await server.command("PTTL", KEY)).toBe(-1);
      expect(await server.command("KEYS", "*")).toEqual([KEY]);
    }
  });

  it("small ones stay one command", async () => {
    await using proxy = await startProxy(server.port);
    await backend.close();
    backend = redis(proxy.url).valueFormat(json()).coherence("none").responseTimeout("10s").build();
    await backend.write("shop::user:1", large(4_095));
    expect(proxy.counts.commandsByName).toMatchObject({ EVALSHA: 1 });
    expect(proxy.counts.commandsByName["HSET"] ?? 0).toBe(0);
  });

  it("is pushed as one change of the entry", async () => {
    const tracker = await Tracker.open(server.url, "hotset");
    await backend.write("shop::user:1", large());
    expect((await tracker.received()).filter((key) => key!.startsWith("hotset:"))).toEqual([KEY]);
    tracker.close();
  });
});

describe("a large write that does not succeed", () => {
  it("with memory full is refused as a whole: no entry, no lease, nothing beside it", async () => {
    await backend.write("shop::user:1", large(100));
    await server.command("SET", LEASE, "token");
    await makeFull(server);
    try {
      await expect(backend.write("shop::user:1", large())).rejects.toThrow(/OOM/);
      expect(await server.command("KEYS", "*")).toEqual([]);
    } finally {
      await makeRoom(server);
    }
  });

  it("a store without its lease, or over another version, changes nothing and leaves nothing beside", async () => {
    const leases = backend.leases!;
    expect(await leases.store("shop::user:1", "token", "", large())).toBe(false);
    expect(await server.command("KEYS", "*")).toEqual([]);
    await leases.acquire({ key: "shop::user:1", token: "token", leaseMs: 10_000, seen: "" });
    await server.command("DEL", KEY);
    await server.command("HSET", KEY, "d", "theirs", "s", "0 theirs;");
    expect(await leases.store("shop::user:1", "token", "", large())).toBe(false);
    expect(await server.command("KEYS", "*")).toEqual([KEY]);
    expect(await server.command("HGET", KEY, "d")).toBe("theirs");
  });

  it("one whose staged value is gone changes nothing, and says so", async () => {
    await backend.write("shop::user:1", large(100));
    await server.command("SET", LEASE, "token");
    const staged = new RedisKeys({ prefix: "hotset", format: "readable" }).staged(KEY, "write");
    const before = await server.command("HGETALL", KEY);
    for (const [{ text }, ...args] of [
      [WRITE, "60000"],
      [HASH_LEASES.store, "token", "?", "60000"],
    ] as const) {
      // Gone; and refused, after its key was made.
      for (const made of [0, 1]) {
        if (made === 1) await server.command("HSET", staged, "d", "");
        expect(await server.command("EVAL", text, 3, KEY, LEASE, staged, ...args, "", "")).toBe(2);
        expect(await server.command("HGETALL", KEY)).toEqual(before);
        expect(await server.command("GET", LEASE)).toBe("token");
      }
    }
  });

  it("of a process that dies before its script leaves nothing that stays", async () => {
    const staged = new RedisKeys({ prefix: "hotset", format: "readable" }).staged(KEY, "write");
    await backend.connect!();
    await server.command("ACL", "SETUSER", "default", "-evalsha", "-eval");
    await expect(backend.write("shop::user:1", large())).rejects.toThrow(/NOPERM/);
    await server.command("ACL", "SETUSER", "default", "+evalsha", "+eval");
    const left = (await server.command("KEYS", "*")) as readonly string[];
    expect(left).toHaveLength(1);
    expect(left[0]!.slice(0, staged.length - 5)).toBe(staged.slice(0, -5));
    const life = Number(await server.command("PTTL", left[0]!));
    expect(life).toBeGreaterThan(0);
    expect(life).toBeLessThanOrEqual(10_000);
  });

  it("the staged key lies in the slot of its entry, and outside what is tracked", () => {
    const keys = new RedisKeys({ prefix: "hotset", format: "readable" });
    for (const user of ["user:1", "{user}:1", "a}b", "{}x", ""]) {
      const entry = keys.entry(`shop::${user}`);
      const staged = keys.staged(entry, "abcdefgh_-123456");
      expect(slotOf(staged)).toBe(slotOf(entry));
      expect(staged.startsWith(keys.tracked)).toBe(false);
      expect(staged).not.toBe(keys.lease(entry));
    }
  });
});

describe("the channel", () => {
  const own = async (RESP: 2 | 3): Promise<RedisBackendSettings> => {
    const client = createClient({ url: server.url, RESP }).on("error", () => undefined);
    onTestFinished(() => client.destroy());
    await client.connect();
    return redis(fromClient(client));
  };
  beforeAll(() => server.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0"));
  afterAll(() => server.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60"));

  it.each([
    ["RESP3", () => redis(server.url)],
    ["RESP2", () => redis(server.url).protocol(2)],
    ["a client of the user", () => own(3)],
    ["a client of the user over RESP2", () => own(2)],
  ] as const)("over %s large values are read beside it, and it is not lost", async (_, make) => {
    const subscribed = (await make()).valueFormat(json()).coherence("pubsub").responseTimeout("10s").build();
    const listener = new RecordingListener();
    await subscribed.coherence!.attach(listener);
    const keys = ["shop::1", "shop::2", "shop::3"];
    for (const key of keys) await backend.write(key, large(2 * MB));
    expect((await subscribed.read(keys[0]!))?.data).toHaveLength(2 * MB);
    const found = await Promise.all(keys.map((key) => subscribed.read(key)));
    expect(found.map((entry) => entry?.data.byteLength)).toEqual([2 * MB, 2 * MB, 2 * MB]);
    const other = redis(server.url).valueFormat(json()).coherence("pubsub").responseTimeout("10s").build();
    await other.remove("shop::1");
    await expect.poll(() => listener.received).toEqual(["changed shop::1"]);
    await Promise.all([other.close(), subscribed.close()]);
  });
});
