import { json, type Leases, type StoredEntry } from "@hotset/core";
import { redis, type RedisBackend } from "@hotset/redis";
import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { makeFull, makeRoom } from "./memory-full.ts";
import { Tracker } from "./tracker.ts";

let backend: RedisBackend;
let leases: Leases;

const open = (url: string): RedisBackend =>
  redis(url).valueFormat(json()).coherence("none").responseTimeout("10s").build();

const server = await startOwnRedis();
// Receives every change; processes receive those below the prefix.
const tracker = await Tracker.open(server.url, "hotset:");
afterAll(async () => {
  tracker.close();
  await server.stop();
});

beforeEach(async () => {
  backend = open(server.url);
  leases = backend.leases!;
  await backend.connect!();
});
afterEach(async () => {
  await backend.close();
  await server.command("FLUSHALL");
  await tracker.received();
});

const KEY = "shop::user:1";
const E = "hotset:shop::user:1";
const L = "hotset~lease:{hotset:shop::user:1}";
/** Announces the end of that lease. */
const FREED = "hotset:~freed:{hotset:shop::user:1}";
/** As text: its first byte begins no UTF-8. */
const placeholderOf = (token: string): string => `\ufffd\0${token}`;
const stored = (data = "new", change: Partial<StoredEntry> = {}): StoredEntry => ({
  data: Buffer.from(data),
  staleInMs: 60_000,
  expiresInMs: 360_000,
  meta: "json none",
  ...change,
});

/** Every key of the server, as bytes. */
async function everything(from = server): Promise<Record<string, unknown>> {
  const keys = (await from.command("KEYS", "*")) as readonly string[];
  return Object.fromEntries(
    await Promise.all(
      keys.map(async (key) => [key, ((await from.commandBytes("DUMP", key)) as Buffer).toString("base64")] as const),
    ),
  );
}

async function hash(): Promise<Record<string, string>> {
  const reply = (await server.command("HGETALL", E)) as readonly string[];
  return Object.fromEntries(Array.from({ length: reply.length / 2 }, (_, i) => [reply[2 * i], reply[2 * i + 1]]));
}

const ttl = async (key: string): Promise<number> => Number(await server.command("PTTL", key));

/** One key of each type there is. */
const TYPES = [
  ["a string", ["SET", E, "x"]],
  ["a list", ["RPUSH", E, "x"]],
  ["a set", ["SADD", E, "x"]],
  ["a sorted set", ["ZADD", E, 1, "x"]],
  ["a stream", ["XADD", E, "1-1", "f", "v"]],
] as const;

/** Entries that cannot be read, and the version that they count as. */
const UNREADABLE = [
  ["a hash without a value", ["HSET", E, "s", "1 w1;"], "w1"],
  ["a hash whose staleness is cut short", ["HSET", E, "d", "x", "s", "5 w1"], "-"],
  ["a hash of another program", ["HSET", E, "name", "Ada"], "-"],
] as const;

describe("acquire", () => {
  const acquire = (token = "mine", seen = "") => leases.acquire({ key: KEY, token, leaseMs: 10_000, seen });

  it("C52: takes a lease over nothing: the token in the place of the entry, which ends by itself", async () => {
    expect(await acquire()).toEqual({ granted: true, version: "" });
    expect(await server.command("KEYS", "*")).toEqual([E]);
    expect(await server.command("GET", E)).toBe(placeholderOf("mine"));
    expect(await ttl(E)).toBeGreaterThan(5_000);
    expect(await ttl(E)).toBeLessThanOrEqual(10_000);
    expect(await tracker.received()).toEqual([E]);
    expect(await backend.read(KEY)).toBe(undefined);
    expect(await backend.batch!.read([KEY])).toEqual([undefined]);
  });

  it("C52: has one holder: another caller gets the remaining time, and so does the holder itself", async () => {
    await acquire();
    const before = await everything();
    for (const token of ["theirs", "mine"]) {
      const answer = await acquire(token);
      expect(answer).toEqual({ granted: false, heldForMs: expect.any(Number) });
      expect((answer as { heldForMs: number }).heldForMs).toBeGreaterThan(5_000);
      expect((answer as { heldForMs: number }).heldForMs).toBeLessThanOrEqual(10_000);
    }
    expect(await everything()).toEqual(before);
  });

  it("C52: grants one of a hundred at once", async () => {
    const others = Array.from({ length: 10 }, () => open(server.url));
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        others[i % 10]!.leases!.acquire({ key: KEY, token: `token${i}`, leaseMs: 10_000, seen: "" }),
      ),
    );
    expect(answers.filter(({ granted }) => granted)).toEqual([{ granted: true, version: "" }]);
    expect(await server.command("GET", E)).toBe(placeholderOf(`token${answers.findIndex(({ granted }) => granted)}`));
    await Promise.all(others.map((other) => other.close()));
  });

  it("C53: is granted to another once the lease of a dead holder has ended", async () => {
    expect(await leases.acquire({ key: KEY, token: "dead", leaseMs: 100, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    await expect.poll(() => acquire("next"), { interval: 10 }).toEqual({ granted: true, version: "" });
    expect(await server.command("GET", E)).toBe(placeholderOf("next"));
  });

  it("C52: is answered with an entry that was stored since, as a read would be", async () => {
    await backend.write(KEY, stored("theirs", { version: "theirs" }));
    const before = await everything();
    const answer = await acquire();
    expect(answer).toEqual({
      granted: false,
      entry: {
        data: Buffer.from("theirs"),
        meta: "json none",
        version: "theirs",
        staleInMs: expect.any(Number),
        expiresInMs: expect.any(Number),
      },
    });
    const { entry } = answer as { entry: StoredEntry };
    expect(entry.expiresInMs - entry.staleInMs).toBe(300_000);
    expect(entry.expiresInMs).toBeGreaterThan(355_000);
    expect(entry.expiresInMs).toBeLessThanOrEqual(360_000);
    // Also while it is held, and for a caller that has seen an older one.
    expect(await everything()).toEqual(before);
    await server.command("SET", L, "theirs");
    expect(await acquire("mine", "older")).toMatchObject({ granted: false, entry: { version: "theirs" } });
    expect(await server.command("GET", L)).toBe("theirs");
  });

  it("is granted over the entry that was seen, which stays", async () => {
    await backend.write(KEY, stored());
    const { version } = (await backend.read(KEY))!;
    const { [E]: before } = await everything();
    expect(await acquire("mine", version)).toEqual({ granted: true, version });
    expect((await everything())[E]).toBe(before);
    expect(await server.command("GET", L)).toBe("mine");
  });

  it("is granted over nothing where the entry that was seen is gone", async () => {
    expect(await acquire("mine", "gone")).toEqual({ granted: true, version: "" });
  });

  it("gives an entry of another program the version -", async () => {
    await server.command("HSET", E, "d", "theirs", "s", Date.now() + 30_000);
    const read = await backend.read(KEY);
    expect(read).toMatchObject({ version: "-", meta: "" });
    expect((await backend.batch!.read([KEY]))[0]).toMatchObject({ version: "-" });
    expect(await acquire()).toMatchObject({
      granted: false,
      entry: { data: Buffer.from("theirs"), version: "-", expiresInMs: Infinity },
    });
    expect(await acquire("mine", "w1")).toMatchObject({ granted: false, entry: { version: "-" } });
    expect(await acquire("mine", read!.version)).toEqual({ granted: true, version: "-" });
  });

  it("does not take what another program wrote in place of a version for a command", async () => {
    for (const s of ["*", "?", "0 *;", "0 !;", "0 ?;", "0 ;", "0 \xff;", `0 ${"x".repeat(33)};`]) {
      await server.command("DEL", E, L);
      await server.command("HSET", E, "d", "theirs", "s", s);
      expect((await backend.read(KEY))?.version).toBe("-");
      expect(await acquire()).toMatchObject({ granted: false, entry: { version: "-" } });
      expect(await acquire("mine", "-")).toEqual({ granted: true, version: "-" });
      expect(await leases.confirm(KEY)).toBe("-");
    }
  });

  it.each(TYPES)("A33: is granted over %s, for any version seen", async (_, command) => {
    await server.command(...command);
    const before = await everything();
    for (const seen of ["", "-", "!", "w1", "*"]) {
      expect(await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen })).toEqual({
        granted: true,
        version: "!",
      });
      await server.command("DEL", L);
    }
    expect(await everything()).toEqual(before);
  });

  it.each(UNREADABLE)("C98: is granted over %s, for any version seen", async (_, command, version) => {
    await server.command(...command);
    for (const seen of ["", version, "w0", "*"]) {
      expect(await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen })).toEqual({
        granted: true,
        version,
      });
      await server.command("DEL", L);
    }
    expect(await server.command("EXISTS", E)).toBe(1);
  });

  it("C11: takes a lease over from any holder with *: the former holder can do nothing any more", async () => {
    await backend.write(KEY, stored("old", { version: "old" }));
    await leases.acquire({ key: KEY, token: "theirs", leaseMs: 60_000, seen: "old" });
    expect(await acquire("mine", "*")).toEqual({ granted: true, version: "old" });
    const before = await everything();
    expect(await leases.renew(KEY, "theirs", 60_000)).toBe(false);
    expect(await leases.store(KEY, "theirs", "old", stored("theirs"))).toBe(false);
    await leases.release(KEY, "theirs");
    expect(await everything()).toEqual(before);
    expect(await ttl(L)).toBeGreaterThan(5_000);
    expect(await ttl(L)).toBeLessThanOrEqual(10_000);
    expect(await server.command("GET", L)).toBe("mine");
    expect(await leases.store(KEY, "mine", "old", stored("forced"))).toBe(true);
    expect((await backend.read(KEY))?.data).toEqual(Buffer.from("forced"));
  });

  it("is granted with * where there is no lease, and over nothing", async () => {
    expect(await acquire("mine", "*")).toEqual({ granted: true, version: "" });
    expect(await server.command("GET", E)).toBe(placeholderOf("mine"));
  });

  it.each([
    ["without an end", ["SET", L, "x"], undefined],
    ["of another type", ["RPUSH", L, "x"], undefined],
    ["with more time left than any is given", ["SET", L, "x"], 70_000],
    ["whose end the server's clock, set back, has moved an hour away", ["SET", L, "x"], 3_602_000],
  ] as const)("takes over a lease %s", async (_, command, leftMs) => {
    await server.command(...command);
    if (leftMs !== undefined) await server.command("PEXPIRE", L, leftMs);
    expect(await acquire()).toEqual({ granted: true, version: "" });
    expect(await server.command("GET", E)).toBe(placeholderOf("mine"));
    expect(await server.command("EXISTS", L)).toBe(0);
    expect(await ttl(E)).toBeLessThanOrEqual(60_000);
    expect(await acquire("next")).toEqual({ granted: false, heldForMs: expect.any(Number) });
  });

  it("leaves the longest lease that is given to its holder", async () => {
    await server.command("SET", L, "x", "PX", 60_000);
    expect(await acquire()).toEqual({ granted: false, heldForMs: expect.any(Number) });
    expect(await server.command("GET", L)).toBe("x");
  });

  it("gives back every byte of the entry", async () => {
    const data = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) % 256);
    expect(await acquire()).toEqual({ granted: true, version: "" });
    expect(await leases.store(KEY, "mine", "", { ...stored(), data, meta: "é🦊\0\r\n" })).toBe(true);
    const { entry } = (await acquire("next")) as { entry: StoredEntry };
    expect(Buffer.compare(Buffer.from(entry.data), data)).toBe(0);
    expect(entry.meta).toBe("é🦊\0\r\n");
  });
});

describe("renew", () => {
  it("C54: prolongs the holder's lease, and no other", async () => {
    for (const seen of ["", "old"]) {
      if (seen !== "") await backend.write(KEY, stored("old", { version: seen }));
      const key = seen === "" ? E : L;
      await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen });
      await tracker.received();
      expect(await leases.renew(KEY, "theirs", 60_000)).toBe(false);
      expect(await ttl(key)).toBeLessThanOrEqual(10_000);
      expect(await leases.renew(KEY, "mine", 60_000)).toBe(true);
      expect(await ttl(key)).toBeGreaterThan(50_000);
      expect(await ttl(key)).toBeLessThanOrEqual(60_000);
      expect(await server.command("GET", key)).toBe(seen === "" ? placeholderOf("mine") : "mine");
      // Those who wait for a placeholder look again.
      expect(await tracker.received()).toEqual(seen === "" ? [E] : []);
    }
  });

  it("makes no lease where there is none, or a key of another type", async () => {
    expect(await leases.renew(KEY, "mine", 60_000)).toBe(false);
    expect(await everything()).toEqual({});
    await server.command("RPUSH", L, "mine");
    expect(await leases.renew(KEY, "mine", 60_000)).toBe(false);
    expect(await ttl(L)).toBe(-1);
  });
});

describe("store", () => {
  const store = (token = "mine", seen = "", entry = stored()) => leases.store(KEY, token, seen, entry);

  it("stores under the lease, ends it, and is pushed", async () => {
    await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "" });
    expect(await tracker.received()).toEqual([E]);
    expect(await store("mine", "", stored("new", { version: "mine" }))).toBe(true);
    expect(await hash()).toEqual({ d: "new", s: "300000 mine;json none" });
    expect(await ttl(E)).toBeGreaterThan(355_000);
    expect(await ttl(E)).toBeLessThanOrEqual(360_000);
    expect(await server.command("KEYS", "*")).toEqual([E]);
    expect(await tracker.received()).toEqual([E]);
    expect(await leases.confirm(KEY)).toBe("mine");
  });

  it("leaves nothing of the older entry: no staleness, no TTL, no field of others", async () => {
    await server.command("HSET", E, "d", "old", "s", "5 old;old", "t", "tags of another program");
    await server.command("PEXPIRE", E, 50_000);
    expect(await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "old" })).toEqual({
      granted: true,
      version: "old",
    });
    expect(await store("mine", "old", stored("new", { staleInMs: Infinity, expiresInMs: Infinity, meta: "" }))).toBe(
      true,
    );
    expect(await hash()).toEqual({ d: "new", s: expect.stringMatching(/^0 [\w-]{16};$/) });
    expect(await ttl(E)).toBe(-1);
    expect(await server.command("EXISTS", L)).toBe(0);
  });

  it("does not pass an end on that another program gave to an endless entry", async () => {
    const lasting = { staleInMs: Infinity, expiresInMs: Infinity };
    await backend.write(KEY, stored("old", { ...lasting, version: "old" }));
    await server.command("PEXPIRE", E, 60_000);
    await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "old" });
    expect(await store("mine", "old", stored("new", lasting))).toBe(true);
    expect(await ttl(E)).toBe(-1);
  });

  it.each([
    ["without a lease", async () => undefined],
    ["with a lease of another", () => server.command("SET", L, "theirs", "PX", 60_000)],
    ["with a lease key of another type", () => server.command("RPUSH", L, "mine")],
  ])("C53: %s touches nothing, and pushes nothing", async (_, arrange) => {
    await arrange();
    for (const entry of [
      undefined,
      ["HSET", E, "d", "old", "s", "0 old;"],
      ...TYPES.map(([, command]) => command),
    ] as const) {
      await server.command("DEL", E);
      if (entry !== undefined) await server.command(...entry);
      const before = await everything();
      await tracker.received();
      for (const seen of ["", "old", "-", "!"]) expect(await store("mine", seen)).toBe(false);
      expect(await everything()).toEqual(before);
      expect(await tracker.received()).toEqual([]);
    }
  });

  it("is refused after the lease has ended by itself", async () => {
    await leases.acquire({ key: KEY, token: "mine", leaseMs: 20, seen: "" });
    await expect.poll(() => server.command("EXISTS", E), { interval: 5 }).toBe(0);
    expect(await store()).toBe(false);
    expect(await everything()).toEqual({});
  });

  it.each([
    ["C61 after a removal", (other: RedisBackend, _seen: string) => other.remove(KEY), undefined],
    ["C61 after a write", (other: RedisBackend) => other.write(KEY, stored("newer", { version: "newer" })), "newer"],
    // The beginning of the SHA-1 of what it was.
    ["C61 after an end of freshness", (other: RedisBackend) => other.markStale!(KEY), "stale-c00dbbc9da"],
    ["after FLUSHALL", () => server.command("FLUSHALL"), undefined],
    [
      "after the eviction of the lease",
      (_: RedisBackend, seen: string) => server.command("DEL", seen === "" ? E : L),
      "old",
    ],
  ])("%s by another process is refused, over an entry and over nothing", async (_, meanwhile, left) => {
    const other = open(server.url);
    for (const seen of ["old", ""]) {
      await server.command("FLUSHALL");
      if (seen !== "") await backend.write(KEY, stored("old", { version: seen }));
      expect(await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen })).toEqual({
        granted: true,
        version: seen,
      });
      await meanwhile(other, seen);
      const before = await everything();
      expect(await store("mine", seen)).toBe(false);
      expect(await everything()).toEqual(before);
      expect((await backend.read(KEY))?.version).toBe(seen === "" && left !== "newer" ? undefined : left);
      expect(await server.command("EXISTS", L)).toBe(0);
    }
    await other.close();
  });

  it.each([
    ["a removal", ["DEL", E], "old"],
    ["a hash of its own", ["HSET", E, "d", "theirs", "s", "0 theirs;"], "old"],
    ["one without s", ["HDEL", E, "s"], "old"],
    ["one where there was none", ["HSET", E, "d", "theirs"], ""],
    ["another type where there was none", ["SET", E, "theirs"], ""],
  ] as const)(
    "C61: is refused over a change by a program without the library, %s: the lease ends, and that is pushed",
    async (_, command, seen) => {
      if (seen !== "") await backend.write(KEY, stored("old", { version: seen }));
      expect(await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen })).toEqual({
        granted: true,
        version: seen,
      });
      // Over a placeholder a program can write no hash.
      if (seen === "") await server.command("DEL", E);
      await server.command(...command);
      const { [L]: lease, ...rest } = await everything();
      expect(lease === undefined).toBe(seen === "");
      const life = await ttl(E);
      await tracker.received();
      expect(await store("mine", seen)).toBe(false);
      expect(await everything()).toEqual(rest);
      expect(Math.abs((await ttl(E)) - life)).toBeLessThan(5_000);
      expect(await tracker.received()).toEqual(seen === "" ? [] : [E]);
    },
  );

  it("compares the granted version: -, and another type, which is replaced", async () => {
    for (const [command, seen] of [
      [["HSET", E, "d", "theirs", "x", "1"], "-"],
      ...TYPES.map(([, type]) => [type, "!"] as const),
    ] as const) {
      await server.command("DEL", E);
      await server.command(...command);
      await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen });
      await tracker.received();
      for (const other of ["", "w1"]) {
        await leases.acquire({ key: KEY, token: "second", leaseMs: 10_000, seen: "*" });
        const { [E]: before } = await everything();
        expect(await store("second", other)).toBe(false);
        expect(await everything()).toEqual({ [E]: before });
      }
      await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen });
      await tracker.received();
      expect(await store("mine", seen, stored("new", { version: "mine" }))).toBe(true);
      expect(await hash()).toEqual({ d: "new", s: "300000 mine;json none" });
      expect(await ttl(E)).toBeGreaterThan(355_000);
      expect(await server.command("KEYS", "*")).toEqual([E]);
      expect(await tracker.received()).toEqual([E]);
    }
  });

  it("stores, under the lease of a forced load, over the entry it was granted over, never over a newer one", async () => {
    await backend.write(KEY, stored("old", { version: "old" }));
    expect(await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "*" })).toEqual({
      granted: true,
      version: "old",
    });
    await server.command("HSET", E, "d", "newer", "s", "0 newer;");
    await server.command("DEL", E);
    expect(await store("mine", "old")).toBe(false);
    expect(await everything()).toEqual({});
  });

  it("C9: removes entry and lease for a life that is over, and is pushed", async () => {
    for (const before of [undefined, "old"]) {
      if (before !== undefined) await backend.write(KEY, stored(before, { version: before }));
      await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: before ?? "" });
      await tracker.received();
      expect(await store("mine", before ?? "", stored("new", { staleInMs: 0, expiresInMs: 0 }))).toBe(true);
      expect(await everything()).toEqual({});
      expect(await tracker.received()).toEqual([E]);
    }
  });

  it("rounds a lifetime to whole milliseconds", async () => {
    await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_500.5, seen: "" });
    expect(await store("mine", "", stored("new", { staleInMs: 10_000.7, expiresInMs: 20_000.9 }))).toBe(true);
    expect(await ttl(E)).toBeGreaterThan(15_000);
    expect(await ttl(E)).toBeLessThanOrEqual(20_000);
    expect((await hash())["s"]).toMatch(/^10000 [\w-]{16};json none$/);
  });
});

describe("release", () => {
  it("C54: ends the holder's lease, and no other", async () => {
    await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "" });
    const before = await everything();
    await tracker.received();
    await leases.release(KEY, "theirs");
    expect(await everything()).toEqual(before);
    expect(await tracker.received()).toEqual([]);
    await leases.release(KEY, "mine");
    expect(await everything()).toEqual({});
  });

  it("C56: is pushed to waiters where there is no entry", async () => {
    await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "" });
    await tracker.received();
    await leases.release(KEY, "mine");
    expect(await tracker.received()).toEqual([E]);
    await leases.release(KEY, "mine");
    expect(await tracker.received()).toEqual([]);
  });

  it.each([...TYPES, ["a hash", ["HSET", E, "d", "v", "s", "0 w1;"]]] as const)(
    "C56: is pushed where there is %s, which it leaves as it is",
    async (_, command) => {
      for (const lifeMs of [undefined, 3_600_000]) {
        await server.command("DEL", E);
        await server.command(...command);
        if (lifeMs !== undefined) await server.command("PEXPIRE", E, lifeMs);
        await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "*" });
        const { [E]: before } = await everything();
        const endsAt = Number(await server.command("PEXPIRETIME", E));
        await tracker.received();
        const startedAt = performance.now();
        await leases.release(KEY, "mine");
        // Redis 7.0 reads its clock for each command of a script.
        const mostMs = lifeMs === undefined ? 0 : 2 + performance.now() - startedAt;
        expect(await tracker.received()).toEqual([FREED]);
        expect(await everything()).toEqual({ [E]: before });
        const movedMs = Number(await server.command("PEXPIRETIME", E)) - endsAt;
        expect(movedMs >= 0 && movedMs <= mostMs, `${movedMs}`).toBe(true);
      }
    },
  );

  it("is refused by a lease key of another type", async () => {
    await server.command("RPUSH", L, "mine");
    await leases.release(KEY, "mine");
    expect(await server.command("LRANGE", L, 0, -1)).toEqual(["mine"]);
  });
});

describe("a lease is ended by", () => {
  it.each([
    ["write", () => backend.write(KEY, stored())],
    ["remove", () => backend.remove(KEY)],
    ["markStale", () => backend.markStale!(KEY)],
  ] as const)("C56: %s, over any type of key, and that is pushed", async (_, call) => {
    for (const command of [
      undefined,
      ["HSET", E, "d", "v", "s", "300000 w1;"],
      ["HSET", E, "name", "Ada"],
      ...TYPES.map(([, type]) => type),
    ] as const) {
      await server.command("DEL", E);
      if (command !== undefined) await server.command(...command);
      await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "*" });
      await tracker.received();
      await call();
      expect(await server.command("EXISTS", L)).toBe(0);
      expect(await tracker.received()).toEqual([E]);
    }
  });

  it("C81: remove, and the key is pushed also without an entry: a load may run under that lease", async () => {
    await server.command("SET", L, "theirs");
    expect(await backend.remove(KEY)).toBe("missing");
    expect(await tracker.received()).toEqual([E]);
    expect(await everything()).toEqual({});
    // A load may run whose lease has just ended, and a process may keep what Redis refused to store.
    expect(await backend.remove(KEY), "without any lease").toBe("missing");
    expect(await tracker.received()).toEqual([E]);
    await leases.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "" });
    expect(await backend.remove(KEY), "a placeholder").toBe("missing");
    expect(await everything()).toEqual({});
  });

  it.each([
    ["full", ["HSET", E, "d", Buffer.of(0xc1, 0)]],
    ["string", ["SETRANGE", E, 0, Buffer.of(0xc1)]],
  ] as const)("C81: the first command of a removal, in layout %s, which leaves no entry", async (layout, begin) => {
    const own = redis(server.url).valueFormat(json()).coherence("none").responseTimeout("10s").layout(layout).build();
    await tracker.received();
    await server.command(...begin);
    expect(await tracker.received(), "there was nothing").toEqual([E]);
    expect(await own.read(KEY)).toBeUndefined();
    const { version } = (await own.leases!.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "" })) as {
      version: string;
    };
    await server.command("DEL", E, L);
    expect(await own.leases!.store(KEY, "mine", version, stored("old")), "behind the second one").toBe(false);
    await server.command(...begin);
    const again = (await own.leases!.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "" })) as {
      version: string;
    };
    expect(await own.leases!.store(KEY, "mine", again.version, stored("new")), "that never came").toBe(true);
    await server.command(...begin);
    expect((await own.read(KEY))?.data.toString()).toBe(layout === "full" ? undefined : "new");
    expect(await own.remove(KEY)).toBe("deleted");
    await tracker.received();
    expect([await own.remove(KEY), await tracker.received()]).toEqual(["missing", [E]]);
    expect(await everything()).toEqual({});
    await own.close();
  });

  it.each(["full", "string"] as const)("C81: remove with memory full, in layout %s", async (layout) => {
    await using full = await startOwnRedis();
    const own = redis(full.url).valueFormat(json()).coherence("none").responseTimeout("10s").layout(layout).build();
    await own.write(KEY, stored());
    await makeFull(full);
    const other = await Tracker.open(full.url, "hotset:");
    for (const status of ["deleted", "missing"]) {
      expect(await own.remove(KEY)).toBe(status);
      expect(await other.received()).toContain(E);
    }
    expect(await everything(full)).toEqual({});
    other.close();
    await own.close();
  });

  it.each([...TYPES, ["a hash without a value", ["HSET", E, "name", "Ada"]]] as const)(
    "markStale, which leaves %s as it is",
    async (_, command) => {
      await server.command(...command);
      await server.command("PEXPIRE", E, 3_600_000);
      const before = await everything();
      expect(await backend.markStale!(KEY)).toBe("missing");
      expect(await everything()).toEqual(before);
      expect(await ttl(E)).toBeGreaterThan(3_500_000);
    },
  );

  it("C70: markStale, which is pushed where less than the stale window remains, and prolongs nothing", async () => {
    await backend.write(KEY, stored("v", { staleInMs: -10_000, expiresInMs: 20_000 }));
    await tracker.received();
    expect(await backend.markStale!(KEY)).toBe("stale");
    expect(await tracker.received()).toEqual([E]);
    expect(await ttl(E)).toBeLessThanOrEqual(20_000);
  });
});

describe("confirm", () => {
  it("C82: returns the version of the entry that is there now", async () => {
    expect(await leases.confirm(KEY)).toBe("");
    await backend.write(KEY, stored("v", { version: "mine" }));
    expect(await leases.confirm(KEY)).toBe("mine");
    await server.command("HDEL", E, "s");
    expect(await leases.confirm(KEY)).toBe("-");
    for (const [, command] of TYPES) {
      await server.command("DEL", E);
      await server.command(...command);
      expect(await leases.confirm(KEY)).toBe("!");
    }
  });
});

describe("memory full", () => {
  let full: OwnRedis;
  let tracker: Tracker;
  let own: RedisBackend;

  beforeAll(async () => {
    full = await startOwnRedis();
    tracker = await Tracker.open(full.url, "hotset:");
    own = open(full.url);
    await own.connect!();
  });
  afterAll(async () => {
    tracker.close();
    await own.close();
    await full.stop();
  });

  const makeItFull = async (): Promise<void> => {
    await makeFull(full);
    await tracker.received();
  };
  beforeEach(async () => {
    await makeRoom(full);
    await full.command("FLUSHALL");
    await tracker.received();
  });

  it("A94: refuses acquire, also with a take-over", async () => {
    await makeItFull();
    for (const seen of ["", "*"])
      await expect(own.leases!.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen })).rejects.toThrow(/^OOM /);
    expect(await full.command("EXISTS", E, L)).toBe(0);
  });

  it("A94: answers acquire with the entry that is there, and for a held lease with the time left", async () => {
    await own.write(KEY, stored("v", { version: "w1" }));
    await own.leases!.acquire({ key: "shop::held", token: "theirs", leaseMs: 60_000, seen: "" });
    await makeItFull();
    expect(await own.leases!.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "" })).toMatchObject({
      granted: false,
      entry: { version: "w1" },
    });
    expect(await own.leases!.acquire({ key: "shop::held", token: "mine", leaseMs: 10_000, seen: "" })).toEqual({
      granted: false,
      heldForMs: expect.any(Number),
    });
  });

  it.each([
    ["over an entry", ["HSET", E, "d", "old", "s", "0 old;"], "old"],
    ["over another type", ["SET", E, "x"], "!"],
  ] as const)(
    "A94: refuses a store %s in the server's words; entry and lease are gone, and that is pushed",
    async (_, command, seen) => {
      await full.command(...command);
      expect(await own.leases!.acquire({ key: KEY, token: "mine", leaseMs: 60_000, seen: "*" })).toEqual({
        granted: true,
        version: seen,
      });
      await makeItFull();
      const refusal: unknown = await own.leases!.store(KEY, "mine", seen, stored("x".repeat(50_000))).then(
        () => "stored",
        (error: unknown) => error,
      );
      expect((refusal as Error).message).toMatch(/^OOM /);
      expect(refusal).not.toHaveProperty("code", "BACKEND_UNAVAILABLE");
      expect(await full.command("EXISTS", E, L)).toBe(0);
      expect(await tracker.received()).toEqual([E]);
    },
  );

  it("A94: stores in the place of a placeholder, since that is what memory that is full refuses", async () => {
    await own.leases!.acquire({ key: KEY, token: "mine", leaseMs: 60_000, seen: "" });
    await makeItFull();
    expect(await own.leases!.store(KEY, "mine", "", stored("value"))).toBe(true);
    expect(await full.command("HGET", E, "d")).toBe("value");
  });

  it("A94: refuses a write over nothing; it ends the lease of another, and is pushed", async () => {
    await own.leases!.acquire({ key: KEY, token: "theirs", leaseMs: 60_000, seen: "" });
    await makeItFull();
    await expect(own.write(KEY, stored("x".repeat(50_000)))).rejects.toThrow(/^OOM /);
    expect(await full.command("EXISTS", E, L)).toBe(0);
    expect(await tracker.received()).toEqual([E]);
  });

  it("A94: renews and releases leases, and goes on refusing a store without the lease", async () => {
    await full.command("SET", E, "x");
    await own.leases!.acquire({ key: KEY, token: "mine", leaseMs: 60_000, seen: "" });
    await own.leases!.acquire({ key: "shop::none", token: "mine", leaseMs: 60_000, seen: "" });
    await makeItFull();
    expect(await own.leases!.renew(KEY, "mine", 90_000)).toBe(true);
    expect(await own.leases!.store(KEY, "theirs", "!", stored())).toBe(false);
    expect(await own.leases!.store(KEY, "mine", "w1", stored())).toBe(false);
    expect(await full.command("GET", E)).toBe("x");
    await own.leases!.release("shop::none", "mine");
    expect(await full.command("EXISTS", L, "hotset~lease:{hotset:shop::none}", "hotset:shop::none")).toBe(0);
    expect((await tracker.received()).toSorted()).toEqual(["hotset:shop::none", E]);
  });
});

describe("the plain layout", () => {
  it("has leases, compares nothing and confirms nothing", async () => {
    const plain = redis(server.url)
      .valueFormat(json())
      .layout("plain")
      .coherence("none")
      .responseTimeout("10s")
      .build();
    const { leases: own } = plain;
    expect(await own!.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await own!.acquire({ key: KEY, token: "theirs", leaseMs: 10_000, seen: "" })).toEqual({
      granted: false,
      heldForMs: expect.any(Number),
    });
    expect(await own!.store(KEY, "theirs", "", stored())).toBe(false);
    expect(await own!.store(KEY, "mine", "", stored())).toBe(true);
    expect(await hash()).toEqual({ d: "new", s: expect.any(String) });
    expect(await plain.read(KEY)).not.toHaveProperty("version");
    expect(await own!.acquire({ key: KEY, token: "mine", leaseMs: 10_000, seen: "" })).toEqual({
      granted: true,
      version: "",
    });
    expect(await own!.confirm(KEY)).toBe("");
    expect(await own!.acquire({ key: KEY, token: "theirs", leaseMs: 10_000, seen: "*" })).toEqual({
      granted: true,
      version: "",
    });
    await plain.write(KEY, stored());
    expect(await own!.store(KEY, "theirs", "", stored())).toBe(false);
    await plain.close();
  });
});

describe("an entry that a process takes as over", () => {
  it("is removed with the grant, so that its end during the load changes nothing", async () => {
    await backend.write(KEY, stored("old", { version: "V1" }));
    expect(await leases.acquire({ key: KEY, token: "mine", leaseMs: 60_000, seen: "V1", isOver: true })).toEqual({
      granted: true,
      version: "",
    });
    expect(await backend.read(KEY)).toBe(undefined);
    expect(await leases.store(KEY, "mine", "", stored())).toBe(true);
  });

  it("stays where the lease is held, and for its holder", async () => {
    await backend.write(KEY, stored("old", { version: "V1" }));
    await leases.acquire({ key: KEY, token: "theirs", leaseMs: 60_000, seen: "V1" });
    expect(await leases.acquire({ key: KEY, token: "mine", leaseMs: 60_000, seen: "V1", isOver: true })).toMatchObject({
      granted: false,
    });
    expect(await leases.store(KEY, "theirs", "V1", stored())).toBe(true);
  });

  it("stays where it is another one by now, and where it has no version", async () => {
    await backend.write(KEY, stored("old", { version: "V2" }));
    expect(await leases.acquire({ key: KEY, token: "mine", leaseMs: 60_000, seen: "V1", isOver: true })).toMatchObject({
      entry: { version: "V2" },
    });
    await backend.remove(KEY);
    await server.command("HSET", E, "d", "theirs");
    expect(await leases.acquire({ key: KEY, token: "mine", leaseMs: 60_000, seen: "-", isOver: true })).toEqual({
      granted: true,
      version: "-",
    });
    expect(await hash()).toEqual({ d: "theirs" });
  });
});

it("C52: a load that begins in the last millisecond of an entry is stored", async () => {
  for (let i = 0; i < 40; i += 1) {
    let version = "";
    // A round in which this process stands still for the whole life does not count: no read was near its end.
    while (version === "") {
      await backend.write(KEY, stored("old", { staleInMs: 4, expiresInMs: 4 }));
      for (let read = await backend.read(KEY); read !== undefined; read = await backend.read(KEY))
        version = read.version!;
    }
    expect(await leases.acquire({ key: KEY, token: `token-${i}`, leaseMs: 60_000, seen: "" })).toMatchObject({
      granted: true,
      version: "",
    });
    expect(await backend.read(KEY)).toBe(undefined);
    expect(await leases.store(KEY, `token-${i}`, "", stored())).toBe(true);
  }
});

describe("the error statistics of the server", () => {
  const errors = async (): Promise<unknown> => (await server.info("errorstats"))["errorstat_WRONGTYPE"];

  it.each<["full" | "plain" | "string"]>([["full"], ["plain"], ["string"]])(
    "count none for what is stored, refreshed and removed, in the %s layout",
    async (layout) => {
      const own = redis(server.url).valueFormat(json()).layout(layout).coherence("none").responseTimeout("10s").build();
      await server.command("CONFIG", "RESETSTAT");
      const seen = layout === "plain" ? "" : "first";
      await own.leases!.acquire({ key: KEY, token: "a", leaseMs: 1_000, seen: "" });
      expect(await own.leases!.store(KEY, "a", "", stored("1", { version: "first" }))).toBe(true);
      expect(await own.leases!.acquire({ key: KEY, token: "b", leaseMs: 1_000, seen })).toEqual({
        granted: true,
        version: seen,
      });
      expect(await own.leases!.store(KEY, "b", seen, stored("2"))).toBe(true);
      expect(await own.remove(KEY)).toBe("deleted");
      expect(await own.remove(KEY)).toBe("missing");
      expect(await errors()).toBe(undefined);
      await own.close();
    },
  );
});
