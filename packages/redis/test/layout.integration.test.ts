import { json, type StoredEntry } from "@hotset/core";
import { redis, type RedisBackend } from "@hotset/redis";
import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { RedisClient } from "@redis/client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RedisKeys } from "../src/store/redis-keys.ts";
import { makeFull, makeRoom } from "./memory-full.ts";

let backend: RedisBackend;

const server = await startOwnRedis();
afterAll(() => server.stop());

beforeEach(() => {
  backend = redis(server.url).valueFormat(json()).responseTimeout("10s").build();
});
afterEach(async () => {
  await backend.close();
  await server.command("FLUSHALL");
});

const KEY = "hotset:shop::user:1";
const LEASE = "hotset~lease:{hotset:shop::user:1}";
const stored = (change: Partial<StoredEntry> = {}): StoredEntry => ({
  data: Buffer.from("new"),
  staleInMs: 60_000,
  expiresInMs: 360_000,
  meta: "json none",
  ...change,
});

/** The hash as it lies in Redis. */
async function hash(key = KEY): Promise<Record<string, string>> {
  const reply = (await server.command("HGETALL", key)) as readonly string[];
  return Object.fromEntries(Array.from({ length: reply.length / 2 }, (_, i) => [reply[2 * i], reply[2 * i + 1]]));
}

const ttl = async (key = KEY): Promise<number> => Number(await server.command("PTTL", key));

describe("a write", () => {
  it("R1-09: is a hash of value and staleness, with its lifetime as the TTL", async () => {
    await backend.write("shop::user:1", stored());
    expect(await server.command("TYPE", KEY)).toBe("hash");
    expect(await hash()).toEqual({
      d: "new",
      s: expect.stringMatching(/^300000 [\w-]{16};json none$/),
    });
    expect(await ttl()).toBeGreaterThan(355_000);
    expect(await ttl()).toBeLessThanOrEqual(360_000);
    expect(await server.command("KEYS", "*")).toEqual([KEY]);
  });

  it("A39 R1-09: leaves nothing of the older entry: no staleness, no meta, no TTL, no field of others, no lease", async () => {
    await server.command("HSET", KEY, "d", "old", "s", "5 old;old", "t", "tags of another program", "c", "1");
    await server.command("PEXPIRE", KEY, 60_000);
    await server.command("SET", LEASE, "token");
    await backend.write("shop::user:1", stored({ staleInMs: Infinity, expiresInMs: Infinity, meta: "" }));
    expect(await hash()).toEqual({ d: "new", s: expect.stringMatching(/^0 [\w-]{16};$/) });
    expect(await ttl()).toBe(-1);
    expect(await server.command("EXISTS", LEASE)).toBe(0);
  });

  it("A39: does not pass an end on that another program gave to an endless entry", async () => {
    const lasting = stored({ staleInMs: Infinity, expiresInMs: Infinity });
    await backend.write("shop::user:1", lasting);
    await server.command("PEXPIRE", KEY, 60_000);
    await backend.write("shop::user:1", lasting);
    expect(await ttl()).toBe(-1);
  });

  it("A39 R1-09: keeps a lifetime below a second", async () => {
    const writtenFor = async (): Promise<number> => {
      await backend.write("shop::user:1", stored({ staleInMs: 200, expiresInMs: 900 }));
      return ttl();
    };
    // It is gone already where the server stood still, and is written again.
    await expect.poll(writtenFor).toBeGreaterThan(0);
    expect(await ttl()).toBeLessThanOrEqual(900);
    await expect.poll(() => server.command("EXISTS", KEY)).toBe(0);
  });

  it("keeps milliseconds: 4.99 s are not 4 s", async () => {
    const writtenFor = async (): Promise<number> => {
      await backend.write("shop::user:1", stored({ staleInMs: 4_990, expiresInMs: 4_990 }));
      return ttl();
    };
    await expect.poll(writtenFor).toBeGreaterThan(4_000);
  });

  it("C9: removes the entry and its lease for a life that is over", async () => {
    await backend.write("shop::user:1", stored());
    await server.command("SET", LEASE, "token");
    await backend.write("shop::user:1", stored({ staleInMs: 0, expiresInMs: 0 }));
    expect(await server.command("KEYS", "*")).toEqual([]);
  });

  it.each([
    ["a string", ["SET", KEY, "x"]],
    ["a list", ["RPUSH", KEY, "x"]],
    ["a set", ["SADD", KEY, "x"]],
    ["a sorted set", ["ZADD", KEY, 1, "x"]],
    ["a stream", ["XADD", KEY, "*", "f", "v"]],
  ] as const)("A33: replaces %s in its place, which reads as a miss before", async (_, command) => {
    await server.command(...command);
    expect(await backend.read("shop::user:1")).toBe(undefined);
    expect(await backend.markStale!("shop::user:1")).toBe("missing");
    expect(await server.command("EXISTS", KEY)).toBe(1);
    await backend.write("shop::user:1", stored());
    expect((await backend.read("shop::user:1"))?.data).toEqual(Buffer.from("new"));
    expect(await server.command("TYPE", KEY)).toBe("hash");
  });
});

describe("a read", () => {
  it.each([
    ["the full layout", undefined],
    ["the plain layout", "plain"],
  ] as const)("A41: freshness and lifetime survive the round trip within 5 ms, in %s", async (_, layout) => {
    const own =
      layout === undefined
        ? backend
        : redis(server.url).valueFormat(json()).layout(layout).responseTimeout("10s").build();
    for (let round = 0; round < 50; round += 1) {
      const sentAt = performance.now();
      await own.write("shop::user:1", stored({ staleInMs: 10_000, expiresInMs: 20_000 }));
      const writtenAt = performance.now();
      const before = await ttl();
      const askedAt = performance.now();
      const entry = await own.read("shop::user:1");
      const readAt = performance.now();
      // By the server's clock, asked before and after, and by the clock of this process.
      // PTTL rounds up; a read rounds down.
      expect(entry!.expiresInMs).toBeLessThanOrEqual(before - 1);
      expect(entry!.expiresInMs).toBeGreaterThanOrEqual((await ttl()) - 1);
      expect(entry!.expiresInMs).toBeGreaterThanOrEqual(20_000 - (readAt - sentAt) - 5);
      expect(entry!.expiresInMs).toBeLessThanOrEqual(20_000 - (askedAt - writtenAt));
      const freshInMs = entry!.staleInMs - (entry!.expiresInMs - 10_000);
      // The plain layout stores instants of the wall clock, in whole milliseconds.
      expect(Math.abs(freshInMs)).toBeLessThanOrEqual(
        layout === undefined ? 0 : 5 + (readAt - askedAt) + (writtenAt - sentAt),
      );
    }
    if (own !== backend) await own.close();
  });

  it("C23 A41: a read never lengthens a life, not even by a part of a millisecond", async () => {
    for (let round = 0; round < 300; round += 1) {
      await backend.write("shop::user:1", stored({ staleInMs: 5, expiresInMs: 10 }));
      const latestEnd = performance.now() + 10;
      for (;;) {
        const askedAt = performance.now();
        const entry = await backend.read("shop::user:1");
        if (entry === undefined) break;
        expect(askedAt + entry.expiresInMs).toBeLessThanOrEqual(latestEnd);
        expect(entry.staleInMs).toBe(entry.expiresInMs - 5);
      }
    }
  });

  it("R1-08: reads what hitbox wrote: value and staleness alone", async () => {
    await server.command("HSET", KEY, "d", "theirs", "s", Date.now() + 30_000);
    await server.command("EXPIRE", KEY, 60);
    const entry = await backend.read("shop::user:1");
    expect(entry).toMatchObject({ data: Buffer.from("theirs"), meta: "" });
    expect(entry!.staleInMs).toBeGreaterThan(25_000);
    expect(entry!.staleInMs).toBeLessThanOrEqual(30_000);
    expect(entry!.expiresInMs).toBeGreaterThan(55_000);
  });

  it("A40 R1-08: never gives a value without its end, at the very moment it ends", async () => {
    let reads = 0;
    let hits = 0;
    const startedAt = performance.now();
    const ranMs = (): number => performance.now() - startedAt;
    for (let round = 0; ranMs() < 1_500 || ((reads <= 1_000 || hits === 0) && ranMs() < 15_000); round++) {
      const readOften = () => Promise.all(Array.from({ length: 100 }, () => backend.read(`shop::${round}`)));
      // The first reads arrive with the write, however late it is answered.
      const written = backend.write(`shop::${round}`, stored({ staleInMs: 2, expiresInMs: 2 }));
      const entries = await Promise.all([readOften(), written.then(readOften)]);
      for (const entry of entries.flat()) {
        reads += 1;
        if (entry === undefined) continue;
        hits += 1;
        expect(entry.expiresInMs).toBeGreaterThanOrEqual(1);
        expect(entry.expiresInMs).toBeLessThanOrEqual(2);
      }
    }
    expect(reads).toBeGreaterThan(1_000);
    expect(hits).toBeGreaterThan(0);
  });

  it("C111: gives back every byte", async () => {
    const data = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) % 256);
    await backend.write("shop::user:1", stored({ data, meta: "é🦊\0\r\n" }));
    const entry = await backend.read("shop::user:1");
    expect(Buffer.compare(Buffer.from(entry!.data), data)).toBe(0);
    expect(entry!.meta).toBe("é🦊\0\r\n");
  });
});

describe("remove", () => {
  it("takes a key of another type like any other, and counts none: it may be a placeholder", async () => {
    await server.command("SET", KEY, "x");
    expect(await backend.remove("shop::user:1")).toBe("missing");
    expect(await server.command("EXISTS", KEY)).toBe(0);
  });

  it("R1-10 A41: reports deleted or missing, and takes the lease", async () => {
    await backend.write("shop::user:1", stored());
    await server.command("SET", LEASE, "token");
    expect(await backend.remove("shop::user:1")).toBe("deleted");
    expect(await server.command("KEYS", "*")).toEqual([]);
    await server.command("SET", LEASE, "token");
    expect(await backend.remove("shop::user:1")).toBe("missing");
    expect(await server.command("KEYS", "*")).toEqual([]);
  });
});

describe("markStale", () => {
  const mark = () => backend.markStale!("shop::user:1");

  it("C70: ends freshness, and what remains is the stale window", async () => {
    await backend.write("shop::user:1", stored({ staleInMs: 60_000, expiresInMs: 90_000 }));
    await server.command("SET", LEASE, "token");
    expect(await mark()).toBe("stale");
    const entry = await backend.read("shop::user:1");
    expect(entry!.staleInMs).toBeLessThanOrEqual(0);
    expect(entry!.staleInMs).toBeGreaterThan(-5_000);
    expect(entry!.expiresInMs).toBeLessThanOrEqual(30_000);
    expect(entry!.expiresInMs).toBeGreaterThan(25_000);
    expect(await server.command("EXISTS", LEASE)).toBe(0);
  });

  it("C70: prolongs nothing that is stale already", async () => {
    await backend.write("shop::user:1", stored({ staleInMs: -10_000, expiresInMs: 20_000 }));
    expect(await mark()).toBe("stale");
    expect(await ttl()).toBeLessThanOrEqual(20_000);
    expect((await hash())["s"]).toMatch(/^30000 stale-[0-9a-f]{10};/);
  });

  it("C27: without a stale window it removes the entry", async () => {
    await backend.write("shop::user:1", stored({ staleInMs: 60_000, expiresInMs: 60_000 }));
    expect(await mark()).toBe("stale");
    await backend.write("shop::forever", stored({ staleInMs: Infinity, expiresInMs: Infinity }));
    expect(await backend.markStale!("shop::forever")).toBe("stale");
    expect(await server.command("KEYS", "*")).toEqual([]);
  });

  it("leaves an unbounded window unbounded", async () => {
    await backend.write("shop::user:1", stored({ staleInMs: 60_000, expiresInMs: Infinity }));
    expect(await mark()).toBe("stale");
    const entry = await backend.read("shop::user:1");
    expect(entry!.expiresInMs).toBe(Infinity);
    expect(entry!.staleInMs).toBeLessThanOrEqual(0);
    expect(entry!.staleInMs).toBeGreaterThan(-5_000);
  });

  it("gives its window back to an entry whose end was removed", async () => {
    await backend.write("shop::user:1", stored({ staleInMs: 60_000, expiresInMs: 90_000 }));
    await server.command("PERSIST", KEY);
    expect(await mark()).toBe("stale");
    expect(await ttl()).toBeGreaterThan(25_000);
    expect(await ttl()).toBeLessThanOrEqual(30_000);
  });

  it.each([
    ["with both", () => ["s", Date.now() + 600_000], 900, { left: 300_000 }],
    ["without an end", () => ["s", Date.now() + 600_000], undefined, { left: Infinity }],
    ["stale already", () => ["s", 1], 900, { left: 900_000 }],
    ["without staleness", () => [], 900, undefined],
  ] as const)("marks an entry of another program, %s", async (_, staleness, seconds, expected) => {
    await server.command("HSET", KEY, "d", "theirs", ...staleness());
    if (seconds !== undefined) await server.command("EXPIRE", KEY, seconds);
    expect(await mark()).toBe("stale");
    const entry = await backend.read("shop::user:1");
    if (expected === undefined) return expect(entry).toBe(undefined);
    expect(entry!.staleInMs).toBeLessThanOrEqual(0);
    if (expected.left === Infinity) return expect(entry!.expiresInMs).toBe(Infinity);
    expect(Math.abs(entry!.expiresInMs - expected.left)).toBeLessThan(30_000);
  });

  it.each(["-1e999", "-inf", "-Infinity", "-5"])(
    "C70: an entry of another program that turned stale at %s is not fresh",
    async (s) => {
      await server.command("HSET", KEY, "d", "theirs", "s", s);
      expect(await mark()).toBe("stale");
      expect((await backend.read("shop::user:1"))!.staleInMs).toBeLessThanOrEqual(0);
    },
  );

  it.each([
    ["a window that no clock can count", ["d", "v", "s", "99999999999999999999 w1;"], undefined, 2 ** 53 - 1],
    ["a staleness that is not a number", ["d", "v", "s", "nan"], undefined, -2],
    ["a staleness without bounds", ["d", "v", "s", "-inf"], 900_000, 900_000],
  ] as const)("leaves no half-done step for %s", async (_, fields, lifeMs, left) => {
    await server.command("HSET", KEY, ...fields);
    if (lifeMs !== undefined) await server.command("PEXPIRE", KEY, lifeMs);
    expect(await mark()).toBe("stale");
    if (left < 0) return expect(await ttl()).toBe(left);
    expect(Math.abs((await ttl()) - left)).toBeLessThan(5_000);
  });

  it("reports a missing entry, creates nothing, and takes the lease", async () => {
    await server.command("SET", LEASE, "token");
    expect(await mark()).toBe("missing");
    expect(await server.command("KEYS", "*")).toEqual([]);
  });
});

describe("the plain layout", () => {
  beforeEach(async () => {
    await backend.close();
    backend = redis(server.url)
      .valueFormat(json())
      .layout("plain")
      .keyPrefix("")
      .coherence("none")
      .responseTimeout("10s")
      .build();
  });

  it("R1-09: writes value and staleness only, under the key that other programs know", async () => {
    await server.command("HSET", "user:1", "d", "theirs", "s", "1", "c", "1");
    await backend.write("::user:1", stored({ data: Buffer.from("{}") }));
    expect(await hash("user:1")).toEqual({ d: "{}", s: expect.stringMatching(/^\d{13}$/) });
    expect(await ttl("user:1")).toBeGreaterThan(355_000);
    const entry = await backend.read("::user:1");
    expect(entry).toMatchObject({ data: Buffer.from("{}"), meta: "" });
    expect(entry!.staleInMs).toBeGreaterThan(55_000);
    expect(entry!.staleInMs).toBeLessThanOrEqual(60_000);
  });

  it.each([
    ["a string", ["SET", "foreign", "theirs"]],
    ["bytes that begin as an entry of the string layout", ["SET", "foreign", Buffer.of(0xc1, 1, 2)]],
    ["a list", ["RPUSH", "foreign", "theirs"]],
    ["a hash of other fields", ["HSET", "foreign", "cart", "theirs"]],
  ] as const)("C146: a key that holds %s is not changed by any call", async (_, command) => {
    await server.command(...command);
    const before = await server.commandBytes("DUMP", "foreign");
    await expect(backend.write("::foreign", stored())).rejects.toThrow(/^WRONGTYPE /);
    await expect(backend.remove("::foreign")).rejects.toThrow(/^WRONGTYPE /);
    expect(await backend.markStale!("::foreign")).toBe("missing");
    const leases = backend.leases!;
    expect(await leases.acquire({ key: "::foreign", token: "token", leaseMs: 10_000, seen: "" })).toMatchObject({
      granted: true,
    });
    await expect(leases.store("::foreign", "token", "!", { ...stored(), version: "token" })).rejects.toThrow(
      /^WRONGTYPE /,
    );
    await leases.release("::foreign", "token");
    expect(await backend.read("::foreign")).toBe(undefined);
    expect(await server.commandBytes("DUMP", "foreign")).toEqual(before);
    expect(await server.command("PTTL", "foreign")).toBe(-1);
    expect(await server.command("DBSIZE")).toBe(1);
  });

  it("marks stale by value and staleness alone", async () => {
    const beganAt = performance.now();
    await backend.write("::user:1", stored({ staleInMs: 60_000, expiresInMs: 90_000 }));
    expect(await backend.markStale!("::user:1")).toBe("stale");
    const entry = await backend.read("::user:1");
    expect(entry!.staleInMs).toBeLessThanOrEqual(0);
    expect(entry!.expiresInMs).toBeGreaterThan(25_000);
    // What was fresh was read a little before it ended.
    expect(entry!.expiresInMs).toBeLessThanOrEqual(30_100 + performance.now() - beganAt);
  });
});

describe("memory full", () => {
  let full: OwnRedis;

  beforeAll(async () => {
    full = await startOwnRedis();
  });
  afterAll(() => full.stop());

  it("A94: refuses a write in the server's words; nothing older survives it, and reads and removals go on", async () => {
    const own = redis(full.url).valueFormat(json()).responseTimeout("10s").build();
    await own.write("shop::user:1", stored({ data: Buffer.from("old") }));
    await own.write("shop::user:2", stored({ data: Buffer.from("other") }));
    await full.command("SET", LEASE, "token");
    await makeFull(full);
    const refusal: unknown = await own.write("shop::none", stored()).catch((error: unknown) => error);
    expect((refusal as Error).message).toMatch(/^OOM /);
    // The server works: the breaker must not count this.
    expect(refusal).not.toHaveProperty("code", "BACKEND_UNAVAILABLE");

    await expect(own.write("shop::user:1", stored({ data: Buffer.alloc(50_000) }))).rejects.toThrow(/^OOM /);
    expect(await own.read("shop::user:1")).toBe(undefined);
    expect(await full.command("EXISTS", KEY, LEASE)).toBe(0);
    expect((await own.read("shop::user:2"))?.data).toEqual(Buffer.from("other"));
    expect(await own.markStale!("shop::user:2")).toBe("stale");
    expect(await own.remove("shop::user:2")).toBe("deleted");
    await own.close();
  });
});

describe("a client that tracks a key", () => {
  it("receives each change, also the removal of a missing key", async () => {
    const full = await startOwnRedis();
    const received: string[] = [];
    const tracker = new RedisClient({ url: full.url, emitInvalidate: true });
    tracker.on("error", () => undefined).on("invalidate", (key: Buffer | null) => received.push(String(key)));
    await tracker.connect();
    await tracker.sendCommand(["CLIENT", "TRACKING", "OFF"]);
    await tracker.sendCommand(["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "hotset:"]);
    const own = redis(full.url).valueFormat(json()).responseTimeout("10s").build();
    const receives = async (call: () => Promise<unknown>): Promise<string[]> => {
      await call().catch(() => undefined);
      await tracker.sendCommand(["PING"]);
      return received.splice(0);
    };
    await own.connect!();
    expect(await receives(() => own.remove("shop::none"))).toEqual(["hotset:shop::none"]);
    expect(await receives(() => own.markStale!("shop::none"))).toEqual(["hotset:shop::none"]);
    expect(await receives(() => own.write("shop::1", stored()))).toEqual(["hotset:shop::1"]);
    expect(await receives(() => own.markStale!("shop::1"))).toEqual(["hotset:shop::1"]);
    expect(await receives(() => own.remove("shop::1"))).toEqual(["hotset:shop::1"]);
    await makeFull(full);
    expect(await receives(() => own.write("shop::none", stored({ data: Buffer.alloc(50_000) })))).toEqual([
      "hotset:shop::none",
    ]);
    // Leases are not tracked.
    await makeRoom(full);
    expect(await receives(() => full.command("SET", LEASE, "token"))).toEqual([]);
    tracker.destroy();
    await own.close();
    await full.stop();
  });
});

describe("slots", () => {
  it("are equal for an entry and its lease, for any key", async () => {
    await using node = await startOwnRedis({ config: ["cluster-enabled yes"] });
    const alphabet = ["{", "}", "{}", "%", "%7B", "a", "b", ":", "#", "é", "🦊", "{tag}"];
    let random = 12_345;
    const next = (below: number): number => (random = (random * 1_103_515_245 + 12_345) % 2 ** 31) % below;
    for (const prefix of ["hotset", "", "{app}", "a{b}c"]) {
      const keys = new RedisKeys({ prefix, format: "readable" });
      const entries = Array.from({ length: 1_000 }, () => {
        const user = Array.from({ length: 1 + next(6) }, () => alphabet[next(alphabet.length)]).join("");
        const spaces = prefix === "" ? ["", "{~}"] : ["", "shop", "shop:a", "{~shop}:a"];
        return keys.entry(`${spaces[next(spaces.length)]}::${user}`);
      });
      const slot = (key: string) => node.command("CLUSTER", "KEYSLOT", key);
      const slots = await Promise.all(
        entries.map(async (key) => [key, await slot(key), await slot(keys.lease(key))] as const),
      );
      for (const [key, ofKey, ofLease] of slots) expect(ofLease, `${key} and ${keys.lease(key)}`).toBe(ofKey);
    }
  });
});
