import { readFileSync } from "node:fs";
import { createCache, json, type Leases, type StoredEntry } from "@hotset/core";
import { cluster, redis, type RedisBackend } from "@hotset/redis";
import { startCluster, startOwnRedis, startProxy, until, type FaultProxy } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { afterAll, afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { makeFull, makeRoom } from "./memory-full.ts";
import { RecordingListener } from "./recording-listener.ts";
import { Tracker } from "./tracker.ts";

let proxy: FaultProxy;
let backend: RedisBackend;
let leases: Leases;
let other: RedisBackend;
/** Redis 8.4 and Valkey 8.1 have it. */

const open = (layout: "full" | "string" = "string"): RedisBackend =>
  redis(proxy.url).valueFormat(json()).coherence("none").responseTimeout("10s").layout(layout).build();

const server = await startOwnRedis();
const hasIfeq = await server.command("SET", "ifeq", "", "IFEQ", "").then(
  () => true,
  () => false,
);
const tracker = await Tracker.open(server.url, "hotset:");
afterAll(async () => {
  tracker.close();
  await server.stop();
});

beforeEach(async () => {
  proxy = await startProxy(server.port);
  backend = open();
  other = open();
  leases = backend.leases!;
  await backend.connect!();
  await other.connect!();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await backend.close();
  await other.close();
  await proxy.close();
  await server.command("FLUSHALL");
  await tracker.received();
});

const KEY = "shop::user:1";
const E = "hotset:shop::user:1";
const L = "hotset~lease:{hotset:shop::user:1}";
const MINUTE = 60_000;
const A = "token-of-A------";
const B = "token-of-B------";
const V1 = "version-1_______";
const V2 = "version-2_______";
const PLACEHOLDER = Buffer.from(`\xc1\x00${A}`, "latin1");
const stored = (change: Partial<StoredEntry> = {}): StoredEntry => ({
  data: Buffer.from("new"),
  staleInMs: 60_000,
  expiresInMs: 360_000,
  meta: "json none",
  version: V1,
  ...change,
});

const value = async (key = E): Promise<Buffer | null> => (await server.commandBytes("GET", key)) as Buffer | null;
const keys = async (): Promise<readonly string[]> => ((await server.command("KEYS", "*")) as string[]).toSorted();
const ttl = async (key: string): Promise<number> => Number(await server.command("PTTL", key));

/** The clock of the server, epoch ms. */
async function serverMs(): Promise<number> {
  const [seconds, microseconds] = (await server.command("TIME")) as readonly string[];
  return Number(seconds) * 1_000 + Number(microseconds) / 1_000;
}

/**
 * By how much `left` is more than `ms`, or, below zero, less than what is left of it since `startMs` on the clock of
 * Redis. A reading of that clock counts its own way as passed, too.
 */
async function offBy(left: number, ms: number, startMs: number): Promise<number> {
  const leastMs = ms - 2 * ((await serverMs()) - startMs) - 2;
  return left > ms ? left - ms : Math.min(0, left - leastMs);
}

/** Moves the monotonic clock of this process. */
function later(ms: number): void {
  vi.spyOn(performance, "now").mockImplementation(() => MONOTONIC() + ms);
}

/** Stops it: no reading of the clock of Redis grows old. */
function freeze(): void {
  vi.spyOn(performance, "now").mockReturnValue(MONOTONIC());
}
const MONOTONIC = performance.now.bind(performance);

/** The commands that pass the proxy while `work` runs. */
async function sent(work: () => Promise<unknown>): Promise<Readonly<Record<string, number>>> {
  proxy.resetCounts();
  await work();
  return Object.fromEntries(Object.entries(proxy.counts.commandsByName).filter(([, count]) => count > 0));
}

describe("an entry", () => {
  it.each([
    ["with both times", stored(), 60_000, 360_000],
    ["without an end", stored({ staleInMs: Infinity, expiresInMs: Infinity }), Infinity, Infinity],
    ["that becomes stale and does not end", stored({ expiresInMs: Infinity }), 60_000, Infinity],
    ["that is stale", stored({ staleInMs: -5_000 }), -5_000, 360_000],
  ])("is one string, byte by byte as the reference says: %s", async (_, entry, freshMs, lifeMs) => {
    const before = Math.floor(await serverMs());
    await backend.write(KEY, entry);
    const after = await serverMs();
    const bytes = (await value())!;
    expect(bytes.subarray(0, 3)).toEqual(Buffer.of(0xc1, 0x01, 16));
    expect(bytes.toString("latin1", 3, 19)).toBe(V1);
    for (const [at, ms] of [
      [19, freshMs],
      [25, lifeMs],
    ] as const) {
      const instant = bytes.readUIntBE(at, 6);
      if (ms === Infinity) expect(instant).toBe(2 ** 48 - 1);
      else expect(instant >= before + ms && instant <= after + ms, `${instant - before - ms}`).toBe(true);
    }
    expect(bytes.readUInt16BE(31)).toBe(9);
    expect(bytes.toString("utf8", 33)).toBe("json nonenew");
    const left = await ttl(E);
    if (lifeMs === Infinity) expect(left).toBe(-1);
    else expect(await offBy(left, lifeMs, before)).toBe(0);
    expect(await keys()).toEqual([E]);
  });

  // Redis keeps a hash in one piece (listpack) while its fields have at most 64 bytes each, and spreads it out beyond.
  it.each([
    [20, 1, 168],
    [82, 0.63, 400],
    [200, 0.79, 520],
    [1_000, 1.04, 1_400],
  ])("a value of %i bytes takes %d times the memory of the same entry as a hash", async (size, times, most) => {
    const hash = open("full");
    const entry = stored({ data: Buffer.alloc(size, "x"), meta: '["json",60000,300000]' });
    await backend.write("shop::1", entry);
    await hash.write("shop::2", entry);
    await hash.close();
    const bytes = async (key: string): Promise<number> => Number(await server.command("MEMORY", "USAGE", key));
    const ofHash = await bytes("hotset:shop::2");
    expect(Math.abs((await bytes("hotset:shop::1")) / ofHash - times)).toBeLessThan(0.1);
    expect(ofHash).toBeLessThanOrEqual(most);
  });

  it.each([
    ["a text", ["SET", E, "Ada"]],
    ["a text that begins like an entry and is cut short", ["SET", E, Buffer.from([0xc1, 1, 16, 65])]],
    ["an entry of a later version", ["SET", E, Buffer.concat([Buffer.of(0xc1, 2, 16), Buffer.alloc(40)])]],
    ["an empty text", ["SET", E, ""]],
    ["a hash", ["HSET", E, "d", "x"]],
    ["a list", ["RPUSH", E, "x"]],
  ])("A33: is a miss, and is replaced under a lease: %s", async (_, command) => {
    await server.command(...(command as [string, ...string[]]));
    expect(await backend.read(KEY)).toBe(undefined);
    expect(await backend.batch!.read([KEY])).toEqual([undefined]);
    const answer = await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
    expect(answer.granted).toBe(true);
    expect(await leases.store(KEY, A, "version" in answer ? answer.version : "?", stored({ version: A }))).toBe(true);
    expect((await backend.read(KEY))?.version).toBe(A);
    expect(await keys()).toEqual([E]);
  });

  it.each([
    ["is staged while the time of Redis is not known", 10_001, { EVALSHA: 2, SET: 1 }],
    ["is a SET", 0, { DEL: 1, SET: 1 }],
  ])("of 4 KB and more does not travel through Lua: %s", async (_, laterMs, commands) => {
    freeze();
    const data = Buffer.alloc(1_048_576, "x");
    await backend.write(KEY, stored({ data }));
    later(laterMs);
    expect(await sent(() => backend.write(KEY, stored({ data, version: V2 })))).toEqual(commands);
    expect(await keys()).toEqual([E]);
    const entry = await backend.read(KEY);
    expect(entry).toMatchObject({ version: V2, meta: "json none" });
    expect(Buffer.compare(entry!.data, data)).toBe(0);
    expect(entry!.expiresInMs > 350_000 && entry!.staleInMs > 50_000).toBe(true);
  });
});

describe("a write", () => {
  it("that full memory refuses leaves no entry", async () => {
    await backend.write(KEY, stored());
    await backend.read(KEY);
    await makeFull(server);
    try {
      await expect(backend.write(KEY, stored({ version: V2 }))).rejects.toThrow("OOM");
      expect(await keys()).toEqual([]);
    } finally {
      await makeRoom(server);
    }
  });

  it("that another process replaces before the read behind it is reported as changed", async () => {
    const listener = new RecordingListener();
    const tracking = redis(proxy.url).valueFormat(json()).responseTimeout("10s").layout("string").build();
    onTestFinished(() => tracking.close());
    await tracking.coherence!.attach(listener);
    await tracking.read(KEY);
    const hold = proxy.hold("GETRANGE", "request");
    const writing = tracking.write(KEY, stored());
    await hold.reached;
    await expect.poll(() => listener.received).toEqual([`changed ${KEY}`]);
    await server.command("SET", E, await encoded(V2));
    hold.release();
    await writing;
    expect(listener.received, "that of the other one").toEqual([`changed ${KEY}`, `changed ${KEY}`]);
  });
});

/** The bytes of an entry of that version. */
async function encoded(version: string): Promise<Buffer> {
  await other.write("shop::other", stored({ version }));
  return (await value("hotset:shop::other"))!;
}

describe("a read", () => {
  it("is one GET, many are one MGET; TIME is sent at most once a second, in the same trip", async () => {
    freeze();
    expect(await sent(() => backend.read(KEY)), "the first one").toEqual({ GET: 1, EVALSHA: 1 });
    expect(proxy.counts.roundTrips).toBe(1);
    await backend.write(KEY, stored());
    expect(await sent(() => backend.read(KEY))).toEqual({ GET: 1 });
    const many = Array.from({ length: 100 }, (_, i) => `shop::${i}`);
    expect(await sent(() => backend.batch!.read([KEY, ...many]))).toEqual({ MGET: 1 });
    const [first, second] = await backend.batch!.read([KEY, many[0]!]);
    expect(first).toMatchObject({ version: V1 });
    expect(second).toBe(undefined);
    later(1_001);
    expect(await sent(() => backend.read(KEY)), "a second later").toEqual({ GET: 1, EVALSHA: 1 });
  });

  it("counts by the clock of Redis: the wall clock of this machine makes no entry younger", async () => {
    const startMs = await serverMs();
    await backend.write(KEY, stored());
    const wall = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => wall() - 3_600_000);
    const entry = (await backend.read(KEY))!;
    expect(await offBy(entry.staleInMs, 60_000, startMs)).toBe(0);
    expect(await offBy(entry.expiresInMs, 360_000, startMs)).toBe(0);
  });

  it("never lengthens a life, however slow the link is on which the clock was read", async () => {
    proxy.delay({ toClient: 30 });
    await backend.write(KEY, stored({ staleInMs: 100, expiresInMs: 20_000 }));
    for (let i = 0; i < 10; i += 1) {
      const askedAt = performance.now();
      const entry = await backend.read(KEY);
      const left = await ttl(E);
      // What Redis says afterwards is less by the time of the two exchanges, at most.
      const tookMs = performance.now() - askedAt;
      expect(entry!.expiresInMs <= left + tookMs, `${entry!.expiresInMs} of ${left} after ${tookMs}`).toBe(true);
      expect(20_000 - entry!.expiresInMs).toBe(100 - entry!.staleInMs);
    }
  });

  it("misses an entry whose end has come, also where its TTL was prolonged by hand", async () => {
    // It may end before it is prolonged.
    do await backend.write(KEY, stored({ staleInMs: 50, expiresInMs: 50 }));
    while ((await server.command("PERSIST", E)) !== 1);
    await backend.read("shop::clock");
    await until("the end", async () => (await serverMs()) > (await value())!.readUIntBE(25, 6));
    expect([await backend.read(KEY), await backend.batch!.read([KEY])]).toEqual([undefined, [undefined]]);
    expect(await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await leases.store(KEY, A, "", stored({ version: A }))).toBe(true);
    expect((await backend.read(KEY))?.version).toBe(A);
  });

  it("takes a machine that was suspended for later, not for younger", async () => {
    freeze();
    const startMs = await serverMs();
    await backend.write(KEY, stored());
    await backend.read(KEY);
    const wall = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => wall() + 50_000);
    const { staleInMs } = (await backend.read(KEY))!;
    expect(await offBy(staleInMs, 10_000, startMs)).toBe(0);
  });

  it("fails where the clock cannot be read, unless its last answer counts", async () => {
    await server.command("ACL", "SETUSER", "default", "-evalsha", "-eval");
    try {
      await server.command(
        "SET",
        E,
        Buffer.concat([Buffer.of(0xc1, 1, 1, 65), Buffer.alloc(12, 0xff), Buffer.alloc(2)]),
      );
      await expect(backend.read(KEY)).rejects.toThrow("NOPERM");
      expect(await backend.read("shop::missing")).toBe(undefined);
      await server.command("ACL", "SETUSER", "default", "+@all");
      expect((await backend.read(KEY))?.version).toBe("A");
      await server.command("ACL", "SETUSER", "default", "-evalsha", "-eval");
      later(5_000);
      expect((await backend.read(KEY))?.version).toBe("A");
    } finally {
      await server.command("ACL", "SETUSER", "default", "+@all");
    }
  });
});

describe("the load of a missing entry", () => {
  it("has its lease in the key: a placeholder, which ends by itself and reads as nothing", async () => {
    const startMs = await serverMs();
    expect(await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await value()).toEqual(PLACEHOLDER);
    expect(await offBy(await ttl(E), MINUTE, startMs)).toBe(0);
    expect(await keys()).toEqual([E]);
    expect(await other.read(KEY)).toBe(undefined);
    expect(await other.batch!.read([KEY])).toEqual([undefined]);
    expect(await other.leases!.confirm(KEY)).toBe("");
    expect(await other.leases!.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" })).toMatchObject({
      granted: false,
    });
    expect(
      await other.leases!.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: V1 }),
      "with another version seen",
    ).toMatchObject({
      granted: false,
    });
    expect(await other.remove(KEY), "not an entry").toBe("missing");
    expect(await keys()).toEqual([]);
  });

  it("takes plain commands, and one trip more where another has the lease", async () => {
    const PLAIN = { SET: 1, GETEX: 1, MGET: 1 };
    expect(await sent(() => leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" }))).toEqual(PLAIN);
    expect(proxy.counts.roundTrips).toBe(1);
    expect(await sent(() => other.leases!.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" }))).toEqual({
      ...PLAIN,
      EVALSHA: 1,
    });
  });

  it("is stored by a plain command where the server knows IFEQ, else by a script", async () => {
    // The reads below count by the time that the first of them asked for.
    const startMs = await serverMs();
    await backend.write("shop::clock", stored());
    await backend.read("shop::clock");
    const store = async (key: string): Promise<boolean> => {
      await leases.acquire({ key, token: A, leaseMs: MINUTE, seen: "" });
      return leases.store(key, A, "", stored({ version: A }));
    };
    const BY_IFEQ = { SET: 2, GETEX: 1, MGET: 1 };
    const first = await sent(async () => expect(await store(KEY)).toBe(true));
    expect(first).toEqual(hasIfeq ? BY_IFEQ : { ...BY_IFEQ, EVALSHA: 1 });
    expect((await value())!.toString("latin1", 3, 19)).toBe(A);
    const second = await sent(() => store("shop::user:2"));
    expect(second, "remembered").toEqual(hasIfeq ? BY_IFEQ : { SET: 1, GETEX: 1, MGET: 1, EVALSHA: 1 });
    const third = await backend.read("shop::user:2");
    expect(third).toMatchObject({ version: A, meta: "json none" });
    expect(await offBy(third!.staleInMs, 60_000, startMs)).toBe(0);
    expect(await offBy(third!.expiresInMs, 360_000, startMs)).toBe(0);
    expect(await offBy(await ttl("hotset:shop::user:2"), 360_000, startMs)).toBe(0);
    expect(await keys()).toEqual(["hotset:shop::clock", E, "hotset:shop::user:2"]);
    later(61_000);
    await backend.read(KEY);
    expect(await sent(() => store("shop::user:3")), "tried again a minute later").toEqual(first);
  });

  it.each<[string, string, () => Promise<unknown>]>([
    ["a set", V2, () => other.write(KEY, stored({ version: V2 }))],
    ["a removal", "", () => other.remove(KEY)],
    ["markStale", "", () => other.markStale!(KEY)],
    ["a DEL by another program, also where there was no entry", "", () => server.command("DEL", E)],
    ["a SET by another program", "-", () => server.command("SET", E, "Ada")],
    ["an HSET by another layout", "!", () => open("full").write(KEY, stored())],
    ["a flush", "", () => server.command("FLUSHALL")],
    ["the end of the lease", "", () => server.command("PEXPIRE", E, 0)],
    [
      "the load of a process that came later",
      "",
      () => other.leases!.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "*" }),
    ],
  ])("stores nothing after %s", async (_, left, change) => {
    await backend.write("shop::clock", stored());
    await backend.read("shop::clock");
    await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
    await change();
    const after = await server.commandBytes("DUMP", E);
    expect(await leases.renew(KEY, A, MINUTE)).toBe(false);
    expect(await leases.store(KEY, A, "", stored({ version: A }))).toBe(false);
    expect(await server.commandBytes("DUMP", E)).toEqual(after);
    expect(await leases.confirm(KEY)).toBe(left);
  });

  it("wakes those who wait when it is stored, given up, renewed, or ends", async () => {
    const steps: readonly (() => Promise<unknown>)[] = [
      () => leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" }),
      () => leases.renew(KEY, A, MINUTE),
      () => leases.store(KEY, A, "", stored({ version: A })),
      async () => {
        await server.command("DEL", E);
        await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
        await tracker.received();
        await leases.release(KEY, A);
      },
    ];
    for (const step of steps) {
      await step();
      expect(await tracker.received()).toContain(E);
    }
    expect(await keys()).toEqual([]);
  });

  it("runs once in all processes, and the others get its value as soon as it is stored", async () => {
    const caches = await Promise.all(
      [1, 2, 3].map(async () =>
        createCache({ name: "herd", clock: new TestClock() })
          .tier(redis(server.url).valueFormat(json()).responseTimeout("10s").leaseTime("1m").layout("string").build())
          .defaults({ ttl: "1m" })
          .build(),
      ),
    );
    let loads = 0;
    const load = async (): Promise<string> => {
      loads += 1;
      await new Promise((resolve) => setTimeout(resolve, 150));
      return "loaded";
    };
    // Their clocks stand still: none looks again by itself.
    const values = await Promise.all(caches.flatMap((cache) => [1, 2].map(() => cache.getOrSet("k", load))));
    expect([values, loads]).toEqual([Array.from({ length: 6 }, () => "loaded"), 1]);
    await Promise.all(caches.map((cache) => cache.close()));
  });

  it("is refused with full memory, which leaves neither placeholder nor entry", async () => {
    await backend.write("shop::clock", stored());
    await backend.read("shop::clock");
    await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
    await makeFull(server);
    try {
      await expect(leases.store(KEY, A, "", stored({ version: A }))).rejects.toThrow("OOM");
      expect(await server.command("EXISTS", E, L)).toBe(0);
      expect(await tracker.received()).toContain(E);
      await expect(leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" })).rejects.toThrow("OOM");
    } finally {
      await makeRoom(server);
    }
  });
});

describe("the refresh of an entry", () => {
  beforeEach(() => backend.write(KEY, stored({ staleInMs: -1 })));

  it("has its lease beside the entry, which stays as it is", async () => {
    const before = await value();
    await tracker.received();
    expect(await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 })).toEqual({
      granted: true,
      version: V1,
    });
    expect(await leases.renew(KEY, A, MINUTE)).toBe(true);
    expect([await value(), String(await value(L)), await tracker.received()]).toEqual([before, A, []]);
    expect(await other.leases!.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: V1 })).toMatchObject({
      granted: false,
    });
    expect(await leases.store(KEY, A, V1, stored({ version: A }))).toBe(true);
    expect([(await backend.read(KEY))?.version, await keys()]).toEqual([A, [E]]);
  });

  it("keeps another load away, also when the entry ends meanwhile", async () => {
    const startMs = await serverMs();
    await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 });
    await server.command("DEL", E);
    await tracker.received();
    for (const seen of ["", V1]) {
      const answer = await other.leases!.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen });
      expect(answer).toEqual({ granted: false, heldForMs: expect.any(Number) });
      expect(await offBy((answer as { heldForMs: number }).heldForMs, MINUTE, startMs)).toBe(0);
    }
    expect(await keys()).toEqual([L]);
    expect(await leases.store(KEY, A, V1, stored({ version: A })), "over the entry that was seen alone").toBe(false);
    expect([await keys(), (await tracker.received()).includes(E)]).toEqual([[], true]);
    expect(await other.leases!.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
  });

  it("does not set those who wait for it in motion: after the first look they change nothing", async () => {
    await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 });
    await server.command("DEL", E);
    await other.leases!.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" });
    await tracker.received();
    for (let i = 0; i < 3; i += 1)
      expect(await sent(() => other.leases!.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: "" }))).toEqual({
        EVALSHA: 1,
      });
    expect(await tracker.received()).toEqual([]);
    // Only they: other keys are loaded as ever.
    expect(
      await sent(() => other.leases!.acquire({ key: "shop::user:2", token: B, leaseMs: MINUTE, seen: "" })),
    ).toEqual({
      ...{ SET: 1, GETEX: 1, MGET: 1 },
    });
  });

  it("stores nothing over the placeholder of another load, and leaves it", async () => {
    await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 });
    await server.command("SET", E, Buffer.from(`\xc1\x00${B}`, "latin1"), "PX", MINUTE);
    for (const seen of ["", V1]) expect(await leases.store(KEY, A, seen, stored({ version: A }))).toBe(false);
    expect(await keys()).toEqual([E]);
    expect(await other.leases!.store(KEY, B, "", stored({ version: B }))).toBe(true);
    expect((await backend.read(KEY))?.version).toBe(B);
  });

  it("is forced beside the entry, and in its place where there is none", async () => {
    expect(await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "*" })).toEqual({
      granted: true,
      version: V1,
    });
    expect(await keys()).toEqual([E, L]);
    await backend.remove(KEY);
    expect(await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "*" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await value()).toEqual(PLACEHOLDER);
  });

  it("is removed with its lease where the store is refused", async () => {
    await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1 });
    await makeFull(server);
    try {
      await expect(leases.store(KEY, A, V1, stored({ version: A }))).rejects.toThrow("OOM");
      expect(await keys()).toEqual([]);
    } finally {
      await makeRoom(server);
    }
  });
});

describe("markStale", () => {
  it.each([
    ["cuts the life to the window", stored(), 0, 300_000],
    ["leaves an entry without an end", stored({ expiresInMs: Infinity }), 0, Infinity],
    ["leaves what is stale already", stored({ staleInMs: -1_000, expiresInMs: 10_000 }), -1_000, 10_000],
  ])("%s, and gives it another version", async (_, entry, freshMs, lifeMs) => {
    const startMs = await serverMs();
    await backend.write(KEY, entry);
    expect(await backend.markStale!(KEY)).toBe("stale");
    const marked = (await backend.read(KEY))!;
    expect(marked.version).toMatch(/^stale-[0-9a-f]{10}$/);
    expect(await offBy(marked.staleInMs, freshMs, startMs)).toBe(0);
    if (lifeMs === Infinity) expect([marked.expiresInMs, await ttl(E)]).toEqual([Infinity, -1]);
    else expect(await offBy(marked.expiresInMs, lifeMs, startMs)).toBe(0);
    expect([String(marked.data), marked.meta]).toEqual(["new", "json none"]);
  });

  /** Gives the entry another end in Redis: by hand, or as where the clock of its server was not known well. */
  const heldOn = (): Promise<unknown> => server.command("PEXPIRE", E, 600_000);

  it("is missing for an entry that has ended by its own instant, and removes it", async () => {
    // It may end before it is prolonged.
    do await backend.write(KEY, stored({ staleInMs: 10, expiresInMs: 50 }));
    while ((await heldOn()) !== 1);
    for (const hold of [heldOn, () => server.command("PERSIST", E)]) {
      await hold();
      await until("the end", async () => (await serverMs()) > ((await value())?.readUIntBE(25, 6) ?? 0));
    }
    expect(await keys()).toEqual([E]);
    expect(await backend.markStale!(KEY)).toBe("missing");
    expect([await backend.read(KEY), await keys()]).toEqual([undefined, []]);
  });

  it("never lengthens a life, also where the TTL in Redis is longer", async () => {
    for (const hold of [heldOn, () => server.command("PERSIST", E)]) {
      await backend.write(KEY, stored({ staleInMs: -50_000, expiresInMs: 10_000 }));
      const endAt = (await value())!.readUIntBE(25, 6);
      await hold();
      expect(await backend.markStale!(KEY)).toBe("stale");
      expect((await value())!.readUIntBE(25, 6)).toBe(endAt);
      const left = await ttl(E);
      expect(left > 5_000 && left <= 10_000, `${left}`).toBe(true);
    }
  });

  it("removes an entry without a window", async () => {
    await backend.write(KEY, stored({ staleInMs: 60_000, expiresInMs: 60_000 }));
    expect(await backend.markStale!(KEY)).toBe("stale");
    expect(await keys()).toEqual([]);
  });
});

describe("two layouts below one prefix", () => {
  const both = (run: (string: RedisBackend, hash: RedisBackend) => Promise<void>) => async (): Promise<void> => {
    const hash = open("full");
    await run(backend, hash);
    await run(hash, backend);
    await hash.close();
  };

  it(
    "miss each other's entries, and overwrite them",
    both(async (one, two) => {
      await one.write(KEY, stored());
      expect(await two.read(KEY)).toBe(undefined);
      expect(await two.batch!.read([KEY])).toEqual([undefined]);
      const granted = await two.leases!.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
      expect(granted).toEqual({ granted: true, version: "!" });
      expect(await two.leases!.store(KEY, A, "!", stored({ version: A }))).toBe(true);
      expect([(await two.read(KEY))?.version, await one.read(KEY)]).toEqual([A, undefined]);
    }),
  );

  it(
    "remove and mark each other's entries, so neither serves what the other has ended",
    both(async (one, two) => {
      await one.write(KEY, stored());
      // Another type counts as missing to one of hashes: it may be a placeholder.
      expect(await two.remove(KEY)).toBe(two === backend ? "deleted" : "missing");
      expect(await one.read(KEY)).toBe(undefined);
      await one.write(KEY, stored());
      await two.markStale!(KEY);
      const left = await one.read(KEY);
      expect(left === undefined || left.staleInMs <= 0).toBe(true);
      await one.remove(KEY);
    }),
  );

  it(
    "refuse the store of a load that the other has overtaken",
    both(async (one, two) => {
      for (const change of [() => two.write(KEY, stored({ version: V2 })), () => two.remove(KEY)]) {
        await one.remove(KEY);
        await one.leases!.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" });
        await change();
        expect(await one.leases!.store(KEY, A, "", stored({ version: A }))).toBe(false);
      }
      await one.remove(KEY);
    }),
  );
});

describe("the builder", () => {
  it("refuses strings in keys of other programs", () => {
    expect(() =>
      redis(server.url).valueFormat(json()).coherence("none").keyPrefix("").layout("string").build(),
    ).toThrow(
      'redis: layout("string") puts placeholders in keys that other programs read with keyPrefix(""); set a ' +
        'prefix, or layout("full")',
    );
  });
});

it("a value that was stored is kept in the local tier, and another process's change is pushed", async () => {
  const { memory } = await import("@hotset/memory");
  const link = redis(proxy.url).valueFormat(json()).responseTimeout("10s").layout("string").build();
  const cache = createCache({ name: "kept" }).tier(memory()).tier(link).defaults({ ttl: "1m" }).build();
  await cache.connect();
  expect(await cache.getOrSet("k", async () => "one")).toBe("one");
  await until("a copy", async () => cache.peek("k") === "one");
  await server.command("DEL", "hotset:kept::k");
  await until("the push", async () => cache.peek("k") === undefined);
  expect(await cache.getOrSet("k", async () => "two")).toBe("two");
  await cache.close();
});

describe("at its edges", () => {
  it("a write that a missing right stops half-way leaves nothing without an end", async () => {
    await server.command("ACL", "SETUSER", "default", "-setrange");
    try {
      await expect(backend.write(KEY, stored({ expiresInMs: 60_000 }))).rejects.toThrow();
      const left = await ttl(E);
      expect(left > 0 && left <= 60_000, `${left}`).toBe(true);
    } finally {
      await server.command("ACL", "SETUSER", "default", "+@all");
    }
  });

  it("an entry that a process takes as over is removed with the grant, unless the lease is held", async () => {
    await backend.write(KEY, stored({ version: V1 }));
    await leases.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: V1 });
    expect(await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1, isOver: true })).toMatchObject({
      granted: false,
    });
    expect(await leases.store(KEY, B, V1, stored({ version: V2 }))).toBe(true);
    expect(
      await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V1, isOver: true }),
      "another one",
    ).toMatchObject({ entry: { version: V2 } });
    expect(await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: V2, isOver: true })).toEqual({
      granted: true,
      version: "",
    });
    expect((await value())?.[1]).toBe(0);
    expect(await leases.store(KEY, A, "", stored({ version: A }))).toBe(true);
  });

  it.each(["full", "string"] as const)(
    "over 60 ms of way the end of a value costs one load, and it is stored, in layout %s",
    async (layout) => {
      const link = open(layout);
      const cache = createCache({ name: "far" }).tier(link).defaults({ ttl: 2_500 }).build();
      await cache.connect();
      proxy.delay(30);
      const loads: number[] = [];
      const load = async (): Promise<number> => loads.push(performance.now());
      const caller = async (): Promise<void> => {
        while (loads.length < 4) await cache.getOrSet("k", load);
      };
      await Promise.all([caller(), caller()]);
      proxy.delay(0);
      await cache.close();
      const gaps = loads.slice(1).map((at, i) => Math.round(at - loads[i]!));
      // A value that was stored lives for 2.5 s; readers take it as over up to two trips earlier.
      expect(gaps.filter((gap) => gap < 800)).toEqual([]);
    },
  );

  it("an entry that is cut within its times is removed when it is marked stale", async () => {
    await server.command("SET", E, Buffer.from("c1010141", "hex"));
    expect(await backend.markStale!(KEY)).toBe("missing");
    expect(await keys()).toEqual([]);
  });

  it("the user cache of docs/operations/users.acl may do all that strings need", async () => {
    const file = readFileSync(new URL("../../../docs/operations/users.acl", import.meta.url), "utf8");
    const [, name, ...rights] = file
      .split("\n")
      .find((line) => line.startsWith("user cache "))!
      .split(" ");
    await server.command("ACL", "SETUSER", name!, ...rights, ">secret");
    await server.command("ACL", "LOG", "RESET");
    const own = redis(server.url.replace("://", "://cache:secret@"))
      .valueFormat(json())
      .responseTimeout("10s")
      .layout("string")
      .build();
    try {
      await own.write(KEY, stored());
      expect([(await own.read(KEY))?.version, await own.markStale!(KEY), await own.remove(KEY)]).toEqual([
        V1,
        "stale",
        "deleted",
      ]);
      expect(await own.leases!.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" })).toEqual({
        granted: true,
        version: "",
      });
      expect(await own.leases!.renew(KEY, A, MINUTE)).toBe(true);
      expect(await own.leases!.store(KEY, A, "", stored({ version: A }))).toBe(true);
      expect([
        await own.leases!.confirm(KEY),
        await own.leases!.acquire({ key: KEY, token: B, leaseMs: MINUTE, seen: A }),
      ]).toEqual([A, { granted: true, version: A }]);
      await own.leases!.release(KEY, B);
      // Redis 7.0 does not know the command, so the file cannot name it.
      const refused = ((await server.command("ACL", "LOG")) as unknown[][]).filter(
        (one) => !one.includes("client|setinfo"),
      );
      expect(refused).toEqual([]);
    } finally {
      await own.close();
      await server.command("ACL", "DELUSER", name!);
    }
  });

  it("a store that is refused for want of memory says nothing about IFEQ", async () => {
    await backend.read("shop::clock");
    const load = async (key: string): Promise<void> => {
      const { granted } = await leases.acquire({ key, token: A, leaseMs: MINUTE, seen: "" });
      if (granted) await leases.store(key, A, "", stored({ version: A }));
    };
    expect(await leases.acquire({ key: KEY, token: A, leaseMs: MINUTE, seen: "" })).toMatchObject({ granted: true });
    await makeFull(server);
    await leases.store(KEY, A, "", stored({ version: A })).catch(() => undefined);
    await makeRoom(server);
    // The placeholder, and the entry in its place.
    expect((await sent(() => load("shop::2")))["SET"]).toBe(2);
    expect((await sent(() => load("shop::3")))["SET"]).toBe(hasIfeq ? 2 : 1);
  });
});

it("in a cluster each command of strings goes to the node of its key", async () => {
  const nodes = await startCluster({ replicas: 0 });
  const shards = redis(cluster(nodes.nodes.map(({ url }) => url)))
    .valueFormat(json())
    .coherence("none")
    .responseTimeout("10s")
    .layout("string")
    .build();
  for (let i = 0; i < 30; i += 1) {
    const key = `shop::${i}`;
    expect(await shards.leases!.acquire({ key, token: A, leaseMs: MINUTE, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await shards.leases!.store(key, A, "", stored({ version: A }))).toBe(true);
    expect([await shards.leases!.confirm(key), (await shards.read(key))?.version]).toEqual([A, A]);
    expect([await shards.markStale!(key), await shards.remove(key)]).toEqual(["stale", "deleted"]);
  }
  for (const node of nodes.nodes) expect((await node.info("errorstats"))["errorstat_MOVED"]).toBe(undefined);
  await shards.close();
  await nodes.stop();
});
