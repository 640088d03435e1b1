import { createRequire } from "node:module";
import { createCache, json, passthrough, type Cache, type Compressor, type Format, type Policy } from "@hotset/core";
import { gzip } from "@hotset/formats";
import { gate } from "@hotset/testing";
import { memory } from "@hotset/memory";
import { redis, type RedisBackendBuilder } from "@hotset/redis";
import {
  randomPrefix,
  RespClient,
  startOwnRedis,
  startProxy,
  type FaultProxy,
  type OwnRedis,
} from "@hotset/test-servers";
import { zstd } from "@hotset/zstd";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { LAYOUT } from "../support/layout.ts";
import { timed } from "../support/over-redis.ts";
import { failing } from "../support/sources.ts";
import { never } from "../support/stacks.ts";
import { plant, READ, replaceData, storedData, TYPE } from "../support/stored-entries.ts";
import { watch } from "../support/watch.ts";

type Stack = "redis" | "memory over redis";
const STACKS: readonly Stack[] = ["redis", "memory over redis"];
const sourceDown = new Error("the source is down");

interface Options extends Policy {
  readonly version?: string | number;
  readonly compressor?: Compressor;
  readonly alsoReads?: readonly (Format | Compressor)[];
  readonly redis?: (builder: RedisBackendBuilder) => RedisBackendBuilder;
}

const opened: Cache[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((cache) => cache.close({ timeout: 100 })));
});

/** A cache named `shop` over the Redis at `url`, below `prefix`. */
function open(stack: Stack, url: string, prefix: string, options: Options = {}): Cache {
  const {
    version,
    compressor = passthrough(),
    alsoReads = [],
    redis: more = (builder) => builder,
    ...policy
  } = options;
  const backend = more(
    redis(url)
      .layout(LAYOUT)
      .keyPrefix(prefix)
      .valueFormat(json())
      .compressor(compressor)
      .alsoReads(...alsoReads)
      .responseTimeout("20s"),
  ).build();
  const builder = createCache({ name: "shop", ...(version !== undefined && { version }) }).defaults({
    ttl: "1h",
    localTtl: "1h",
    ...policy,
  });
  const cache = (stack === "redis" ? builder.tier(backend) : builder.tier(memory()).tier(backend)).build();
  opened.push(cache);
  return cache;
}

/** Where commands are counted. Strings have tests of their own for that. */
const withHashes = (builder: RedisBackendBuilder): RedisBackendBuilder => builder.layout("full");
/** A heartbeat comes every quarter of this. */
const withoutHeartbeats = (builder: RedisBackendBuilder): RedisBackendBuilder => withHashes(builder).maxStaleness("1h");

describe.each(STACKS)("over %s", (stack) => {
  const url = inject("redisUrl");
  let prefix: string;
  let wire: RespClient;
  beforeEach(() => {
    prefix = randomPrefix();
    wire = RespClient.fromUrl(url);
  });
  afterEach(() => wire.close());

  it("C70 markStale begins the stale windows of an endless entry, too", async () => {
    for (const ttl of ["1h", Infinity] as const) {
      const cache = open(stack, url, prefix, { ttl, staleIfError: "1h" });
      await cache.set("k", "value");
      expect(await cache.markStale("k")).toEqual({ status: "stale" });
      expect(await cache.get("k")).toBeUndefined();
      expect(await cache.getOrSet("k", failing())).toBe("value");
      const { expiresInMs } = (await cache.inspect("k"))!;
      expect(expiresInMs).toBeGreaterThan(3_590_000);
      expect(expiresInMs).toBeLessThanOrEqual(3_600_000);
    }
  });

  it("C68 C69 tags and clear hide entries in every process", async () => {
    const here = open(stack, url, prefix, { staleIfError: "1h" });
    const there = open("redis", url, prefix, { staleIfError: "1h" });
    await there.set("a", "A", { tags: ["t"] });
    await there.getOrSet("b", ({ setOptions }) => {
      setOptions({ tags: ["late"] });
      return "B";
    });
    await there.namespace("users").set("c", "C");
    await here.invalidateTags("t");
    expect([await here.get("a", { allowStale: true }), await there.get("a", { allowStale: true })]).toEqual([
      undefined,
      undefined,
    ]);
    await here.markTagsStale("late");
    expect([await there.get("b"), await there.get("b", { allowStale: true })]).toEqual([undefined, "B"]);
    await here.clear();
    expect(await there.getMany(["a", "b"], { allowStale: true })).toEqual(new Map());
    expect(await there.namespace("users").get("c")).toBeUndefined();
    await expect(there.getOrSet("a", failing(sourceDown))).rejects.toBe(sourceDown);
  });

  it("C478 clear({ stale: true }) marks all entries of a namespace stale in every process, and no others", async () => {
    const here = open(stack, url, prefix, { staleIfError: "1h" });
    const there = open("redis", url, prefix, { staleIfError: "1h" });
    const below = (cache: typeof here) => cache.namespace("users").namespace("acme");
    await there.set("k", "kept");
    await below(there).set("k", "old");
    expect([await here.get("k"), await below(here).get("k")]).toEqual(["kept", "old"]);
    expect(await here.namespace("users").clear({ stale: true })).toMatchObject({ status: "done" });
    for (const cache of [here, there])
      expect([
        await cache.get("k"),
        await below(cache).get("k"),
        await below(cache).get("k", { allowStale: true }),
      ]).toEqual(["kept", undefined, "old"]);
    expect(await below(there).getOrSet("k", failing(sourceDown))).toBe("old");
    expect(await here.clear({ stale: true })).toMatchObject({ status: "done" });
    expect([await there.get("k"), await there.get("k", { allowStale: true })]).toEqual([undefined, "kept"]);
    expect(await there.getOrSet("k", () => "new")).toBe("new");
    expect(await here.get("k")).toBe("new");
  });

  it("C112 another version reads nothing of the one before", async () => {
    const before = open(stack, url, prefix, { version: 1 });
    const after = open(stack, url, prefix, { version: 2 });
    await before.set("k", "old", { tags: ["t"] });
    expect(await after.get("k")).toBeUndefined();
    await after.set("k", "new");
    await after.clear();
    expect(await before.get("k")).toBe("old");
    expect(await wire.command("EXISTS", `${prefix}:shop@1::k`, `${prefix}:shop@2::k`, `${prefix}:shop::k`)).toBe(2);
  });

  describe("C98 C113 an entry that does not decode is a miss, reported once, and overwritten by the next load", () => {
    const key = (): string => `${prefix}:shop::k`;
    const put = (data: string | Uint8Array, meta: string) => plant(wire, key(), { data, meta });
    const planted: readonly (readonly [what: string, plant: () => Promise<unknown>, isTold: boolean])[] = [
      ["no JSON", () => put(Uint8Array.of(0xff, 0x00), '{"f":"json","t":1000}'), true],
      ["no bytes", () => put("", '{"f":"json","t":1000}'), true],
      ["an unknown format", () => put('"value"', '{"f":"cbor"}'), true],
      ["an unknown compressor", () => put('"value"', '{"f":"json","c":"lz4"}'), true],
      ["no gzip", () => put('"value"', '{"f":"json","c":"gzip"}'), true],
      ["meta that is not JSON", () => put('"value"', "{{{"), true],
      [
        "meta of another layout",
        () => wire.command("HSET", key(), "d", '"value"', "m", "9 0;{}", "w", "0123456789abcdef"),
        false,
      ],
      ["meta without a head", () => wire.command("HSET", key(), "d", '"value"', "m", "", "w", ""), false],
      ["a prototype", () => put('{"__proto__":{"isAdmin":true}}', '{"f":"json"}'), true],
      ["another program's hash", () => wire.command("HSET", key(), "name", "Ada"), false],
      ["a string", () => wire.command("SET", key(), "value"), false],
      ["a list", () => wire.command("RPUSH", key(), "value"), false],
    ];

    it.for(planted)("%s", async ([, plant, isTold]) => {
      const cache = open(stack, url, prefix, { staleIfError: "1h", alsoReads: [gzip()] });
      await cache.set("sound", "sound");
      const told = watch(cache, "decode:error");
      const states = watch(cache, "backend:state");
      await plant();
      for (let i = 0; i < 7; i += 1) expect(await cache.get("k")).toBeUndefined();
      expect(await cache.getMany(["k", "sound"])).toEqual(new Map([["sound", "sound"]]));
      expect(await cache.inspect("k")).toBeUndefined();
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
      expect(told.map(([, { key: told, tier, error }]) => [told, tier, error.code])).toEqual(
        isTold ? [["k", "redis", "DECODE_FAILED"]] : [],
      );
      expect(states).toEqual([]);
      expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
      expect(await open("redis", url, prefix).get("k")).toBe("loaded");
      expect(await wire.command("TYPE", key())).toBe(TYPE);
    });

    it("cut short", async () => {
      const options: Options = { compressor: zstd({ minBytes: 0 }) };
      const writer = open("redis", url, prefix, options);
      await writer.set("k", "value ".repeat(1_000));
      const bytes = (await storedData(wire, key()))!;
      await replaceData(wire, key(), bytes.subarray(0, bytes.length >> 1));
      const cache = open(stack, url, prefix, options);
      const told = watch(cache, "decode:error");
      expect(await cache.get("k")).toBeUndefined();
      expect(told.length).toBe(1);
      expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
    });

    it("without meta, in a hash, is read with the configured format, and ends with its TTL", async () => {
      await wire.command("HSET", key(), "d", '"theirs"', "s", String(Date.now() + 30_000));
      await wire.command("PEXPIRE", key(), "60000");
      const cache = open(stack, url, prefix, { redis: withHashes });
      expect(await cache.get("k")).toBe("theirs");
      const { freshForMs, expiresInMs } = (await cache.inspect("k"))!;
      expect(freshForMs).toBeGreaterThan(25_000);
      expect(freshForMs).toBeLessThanOrEqual(30_000);
      expect(expiresInMs).toBeGreaterThan(55_000);
      expect(expiresInMs).toBeLessThanOrEqual(60_000);
    });
  });
});

describe("A43 round trips of a cache over Redis, with hashes", () => {
  let proxy: FaultProxy;
  let prefix: string;
  let cache: Cache;
  beforeEach(async () => {
    const { port } = new URL(inject("redisUrl"));
    proxy = await startProxy(Number(port));
    prefix = randomPrefix();
    cache = open("redis", proxy.url, prefix, { redis: withoutHeartbeats });
    await cache.connect();
  });
  afterEach(() => proxy.close());

  /**
   * Waits until the messages of earlier writes have arrived, and the version of the root namespace is known if there is
   * one.
   */
  const catchUp = async (near = cache): Promise<void> => {
    // The first read is answered after those messages; it then asks again for a version that they changed.
    for (let i = 0; i < 2; i += 1) await near.get("none");
  };

  const count = async (work: () => Promise<unknown>) => {
    proxy.resetCounts();
    await work();
    const { roundTrips, commandsByName } = proxy.counts;
    return { roundTrips, commandsByName };
  };

  it("one for a hit of an untagged entry", async () => {
    await cache.set("k", "value");
    await catchUp();
    for (const read of [() => cache.get("k"), () => cache.has("k"), () => cache.getOrSet("k", never)])
      expect(await count(read)).toEqual({ roundTrips: 1, commandsByName: { PTTL: 1, HMGET: 1 } });
  });

  it("one for a hit of an entry with the tags of the call", async () => {
    const users = cache.namespace("users");
    await users.getOrSet("k", () => "value", { tags: ["a", "b"] });
    // Its versions were issued for it: the message arrives, and they are asked for once more.
    await users.get("k");
    await users.get("k");
    expect(
      await count(async () => expect(await users.getOrSet("k", never, { tags: ["a", "b"] })).toBe("value")),
    ).toEqual({ roundTrips: 1, commandsByName: { PTTL: 1, HMGET: 1 } });
  });

  it("one while versions are not known yet: they are read beside the entry, once", async () => {
    const there = open("redis", inject("redisUrl"), prefix, { redis: withHashes }).namespace("users");
    await there.set("k", "value", { tags: ["a"] });
    await catchUp();
    const read = () => cache.namespace("users").getOrSet("k", never, { tags: ["a"] });
    expect(await count(async () => expect(await read()).toBe("value"))).toEqual({
      roundTrips: 1,
      commandsByName: { PTTL: 1, HMGET: 1, MGET: 1 },
    });
    expect(await count(read)).toEqual({ roundTrips: 1, commandsByName: { PTTL: 1, HMGET: 1 } });
    // Another process renews one of them: the message arrives, and it is asked for once.
    await there.markTagsStale("a");
    await catchUp();
    await cache.namespace("users").get("other");
    await there.set("k", "newer", { tags: ["a"] });
    await catchUp();
    expect(await count(async () => expect(await read()).toBe("newer"))).toEqual({
      roundTrips: 1,
      commandsByName: { PTTL: 1, HMGET: 1, MGET: 1 },
    });
    expect(await count(read)).toEqual({ roundTrips: 1, commandsByName: { PTTL: 1, HMGET: 1 } });
  });

  it("two for a hit of an entry with tags that the call does not name", async () => {
    const there = open("redis", inject("redisUrl"), prefix, { redis: withHashes });
    await there.set("k", "value", { tags: ["a"] });
    await catchUp();
    expect(await count(() => cache.get("k"))).toEqual({
      roundTrips: 2,
      commandsByName: { PTTL: 1, HMGET: 1, MGET: 1 },
    });
    // From then on its versions are known here.
    expect(await count(() => cache.get("k"))).toEqual({ roundTrips: 1, commandsByName: { PTTL: 1, HMGET: 1 } });
  });

  it("one for a hundred hits in one call", async () => {
    const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
    await cache.setMany(keys.map((key) => [key, key]));
    await catchUp();
    expect(await count(async () => expect((await cache.getMany(keys)).size).toBe(100))).toEqual({
      roundTrips: 1,
      commandsByName: { PTTL: 100, HMGET: 100 },
    });
    expect(await count(() => cache.getOrSetMany(keys, (key) => key, never))).toEqual({
      roundTrips: 1,
      commandsByName: { PTTL: 100, HMGET: 100 },
    });
  });

  it("one for a set whose tag versions were seen before, two for the first", async () => {
    expect(await count(() => cache.set("k", "value", { tags: ["a"] }))).toMatchObject({ roundTrips: 2 });
    expect(await count(() => cache.set("k", "newer", { tags: ["a"] }))).toMatchObject({ roundTrips: 1 });
    expect(await count(() => cache.set("j", "other", { tags: ["a"] }))).toMatchObject({ roundTrips: 1 });
    expect(await cache.get("k")).toBe("newer");
  });

  it("three for a set whose tag versions another process has renewed meanwhile", async () => {
    await cache.set("k", "value", { tags: ["a"] });
    const there = open("redis", inject("redisUrl"), prefix, { redis: withHashes });
    await there.invalidateTags("a");
    expect(await count(() => cache.set("k", "newer", { tags: ["a"] }))).toMatchObject({ roundTrips: 3 });
    expect(await there.get("k")).toBe("newer");
    expect(await count(() => cache.set("k", "newest", { tags: ["a"] }))).toMatchObject({ roundTrips: 1 });
  });

  it("one for a removal, for a tag call and for clear", async () => {
    await cache.set("k", "value", { tags: ["a"] });
    await cache.invalidateTags("warm");
    for (const call of [
      () => cache.delete("k"),
      () => cache.markStale("k"),
      () => cache.invalidateTags("a", "b"),
      () => cache.markTagsStale("a"),
      () => cache.clear(),
    ])
      expect((await count(call)).roundTrips).toBe(1);
  });

  it("three for a load: read, lease and versions, store", async () => {
    await cache.getOrSet("warm", () => "value", { tags: ["a"] });
    // One more read for the versions that were issued with it.
    for (let i = 0; i < 2; i += 1) await cache.getOrSet("warm", never, { tags: ["a"] });
    expect(await count(() => cache.getOrSet("k", () => "value", { tags: ["a"] }))).toEqual({
      roundTrips: 3,
      commandsByName: { PTTL: 1, HMGET: 1, SET: 1, GETEX: 1, GET: 1, EVALSHA: 2 },
    });
  });

  it("no more for a load over memory: its copy needs no confirmation (C450)", async () => {
    const near = open("memory over redis", proxy.url, prefix, { redis: withoutHeartbeats });
    await near.connect();
    await near.getOrSet("warm", () => "value");
    await catchUp(near);
    const { commandsByName } = await count(() => near.getOrSet("k", () => "value"));
    expect([near.peek("k"), commandsByName]).toEqual([
      "value",
      { PTTL: 1, HMGET: 1, SET: 1, GETEX: 1, GET: 1, EVALSHA: 2 },
    ]);
    // Every message until now arrives, and none of them is a reason to ask.
    await catchUp(near);
    expect([near.peek("k"), proxy.counts.commandsByName["HGET"]]).toEqual(["value", undefined]);
  });

  it("none for a hit in memory", async () => {
    const near = open("memory over redis", proxy.url, randomPrefix(), { redis: withoutHeartbeats });
    await near.connect();
    await near.set("k", "value", { tags: ["a"] });
    // The message of its own write arrives like all others, and the copy is confirmed afterwards.
    await expect.poll(() => near.peek("k")).toBe("value");
    expect(
      await count(async () => {
        expect(await near.get("k")).toBe("value");
        expect(await near.getOrSet("k", never, { tags: ["a"] })).toBe("value");
        expect(near.peek("k")).toBe("value");
      }),
    ).toEqual({ roundTrips: 0, commandsByName: {} });
  });
});

it("between the caller of getOrSet and node-redis are at most four frames of the library, with hashes", async () => {
  const cache = open("memory over redis", inject("redisUrl"), randomPrefix(), { redis: withHashes });
  await cache.set("warm", "value");
  // The copy of @hotset/redis, which alone depends on it.
  const { RedisClient } = createRequire(new URL("../../../redis/package.json", import.meta.url))("@redis/client") as {
    readonly RedisClient: { readonly prototype: { sendCommand(...args: unknown[]): Promise<unknown> } };
  };
  const { sendCommand } = RedisClient.prototype;
  const { stackTraceLimit } = Error;
  const stacks: string[][] = [];
  RedisClient.prototype.sendCommand = function (...args) {
    const frames = new Error("here").stack!.split("\n");
    if ((args[0] as readonly string[])[0] === "HMGET")
      stacks.push(frames.filter((frame) => /packages\/[^/]+\/src\//.test(frame)));
    return sendCommand.apply(this, args);
  };
  Error.stackTraceLimit = Infinity;
  try {
    expect(await cache.getOrSet("k", () => "loaded", { tags: ["t"] })).toBe("loaded");
  } finally {
    RedisClient.prototype.sendCommand = sendCommand;
    Error.stackTraceLimit = stackTraceLimit;
  }
  expect(stacks.length).toBe(1);
  expect(stacks[0]!.length).toBeGreaterThan(0);
  expect(stacks[0]!.length, stacks[0]!.join("\n")).toBeLessThanOrEqual(4);
});

describe("with a server that is broken", () => {
  let server: OwnRedis;
  let proxy: FaultProxy;
  const RESPONSE_TIMEOUT_MS = 500;
  const quick = (builder: RedisBackendBuilder): RedisBackendBuilder =>
    builder.responseTimeout(RESPONSE_TIMEOUT_MS).connectTimeout(2_000).backoff({ base: 10, factor: 2, max: 100 });
  /** A call that takes longer than this was not bounded by its deadline; it may meet two of them. */
  const LATE_MS = 2 * RESPONSE_TIMEOUT_MS + 200;

  beforeAll(async () => {
    server = await startOwnRedis();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    await server.start();
    await server.command("FLUSHALL");
    proxy = await startProxy(server.port);
  });
  afterEach(async () => {
    if (server.state === "paused") server.resume();
    await proxy.close();
  });

  const openHere = (stack: Stack, options: Options = {}): Cache =>
    open(stack, proxy.url, "hotset", { ...options, redis: quick });
  /** On a busy machine a call may take longer than the short deadline: repeated until it is answered. */
  const store = (cache: Cache, key: string, value: string) =>
    expect.poll(async () => (await cache.set(key, value)).status).toBe("stored");

  it.for(STACKS)(
    "C43 a read that takes longer than its limit is a miss, and its late answer overwrites nothing: %s",
    async (stack) => {
      const there = open("redis", server.url, "hotset");
      expect(await there.set("k", "old")).toMatchObject({ status: "stored" });
      const cache = openHere(stack);
      await cache.connect();
      const held = proxy.hold(READ, "reply");
      const startedAt = performance.now();
      const answer = timed(
        cache.getOrSet("k", () => "loaded"),
        LATE_MS,
      );
      await held.reached;
      expect(await answer).toEqual({ value: "loaded", isLate: false });
      expect(performance.now() - startedAt).toBeGreaterThanOrEqual(RESPONSE_TIMEOUT_MS - 5);
      held.release();
      // A value loaded while Redis is silent is served only meanwhile: now the value of Redis counts.
      await expect.poll(async () => (await cache.inspect("k"))?.tier).toBe("redis");
      expect(cache.peek("k")).toBe(undefined);
      let found: unknown;
      await expect.poll(async () => (found = await cache.get("k"))).toBeDefined();
      expect([found, await there.get("k")]).toEqual(["old", "old"]);
    },
  );

  it.for(STACKS)("C43 a read that takes longer gives way to a stale copy: %s", async (stack) => {
    const cache = openHere(stack, { ttl: 1, localTtl: Infinity, staleWhileRevalidate: "1h" });
    await cache.connect();
    await store(cache, "k", "old");
    if (stack === "memory over redis") await expect.poll(async () => (await cache.inspect("k"))?.tier).toBe("memory");
    await new Promise((resolve) => setTimeout(resolve, 5));
    const held = proxy.hold(READ, "reply");
    const answer = timed(
      cache.getOrSet("k", () => "loaded"),
      stack === "redis" ? LATE_MS : RESPONSE_TIMEOUT_MS / 2,
    );
    expect(await answer).toEqual({ value: stack === "redis" ? "loaded" : "old", isLate: false });
    held.release();
    await cache.drain();
  });

  it.for<readonly [string, breakIt: () => Promise<unknown> | void, mend: () => Promise<unknown> | void]>([
    ["killed", () => server.kill(), () => server.start()],
    ["frozen", () => server.pause(), () => server.resume()],
    ["behind a link that swallows everything", () => proxy.swallow(), () => proxy.pass()],
    [
      "refusing connections",
      async () => {
        await proxy.refuse();
        proxy.cut();
      },
      () => proxy.pass(),
    ],
  ])(
    "C92 C97 reads go on within their deadline, and later at once: %s",
    { timeout: 60_000 },
    async ([, breakIt, mend]) => {
      const cache = openHere("memory over redis");
      await cache.connect();
      await store(cache, "kept", "value");
      await expect.poll(() => cache.peek("kept")).toBe("value");
      const states = watch(cache, "backend:state");
      await breakIt();
      expect(await cache.get("kept")).toBe("value");
      for (let i = 0; i < 6; i += 1) {
        const answer = timed(
          cache.getOrSet(`k${i}`, () => "loaded"),
          LATE_MS,
        );
        expect(await answer).toEqual({ value: "loaded", isLate: false });
      }
      // The connection is given up after a second of silence, so no changes are received; the fifth failure opens the
      // breaker.
      expect(states.map(([, { state }]) => state)).toEqual(["detached", "down"]);
      const { isLate } = await timed(
        Promise.all(Array.from({ length: 1_000 }, (_, i) => cache.getOrSet(`quick ${i}`, () => "loaded"))),
        RESPONSE_TIMEOUT_MS / 2,
      );
      expect(isLate).toBe(false);
      expect(await cache.delete("kept")).toEqual({ status: "pending" });
      expect(await cache.get("kept")).toBeUndefined();

      await mend();
      // The probe comes after a second, and succeeds once there is a connection again.
      await expect
        .poll(
          async () => {
            await cache.get("probe");
            return cache.stats().tiers.at(-1)!.state;
          },
          { interval: 100 },
        )
        .toBe("up");
      await expect.poll(() => cache.stats().pending, { interval: 100 }).toBe(0);
      expect(await cache.get("kept")).toBeUndefined();
      expect(await open("redis", server.url, "hotset").get("kept", { allowStale: true })).toBeUndefined();
      await store(cache, "k", "stored");
      expect(await open("redis", server.url, "hotset").get("k")).toBe("stored");
    },
  );

  it("C101 a thousand random faults between a cache and Redis leave no rejection unhandled and no call unanswered", async () => {
    const unhandled: unknown[] = [];
    const collect = (reason: unknown): void => void unhandled.push(reason);
    process.on("unhandledRejection", collect);
    let state = 20_261_121;
    const below = (bound: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return (state >>> 8) % bound;
    };
    const cache = openHere("memory over redis", {
      ttl: 200,
      staleWhileRevalidate: 200,
      staleIfError: 1_000,
      errorBackoff: 10,
      loadTimeout: 100,
      hardTimeout: 500,
    });
    const key = (): string => `k${below(10)}`;
    const load = async (): Promise<unknown> => {
      if (below(4) === 0) throw new Error("the source is down");
      return below(10) === 0 ? 1n : below(1_000);
    };
    const calls: readonly (() => Promise<unknown>)[] = [
      () => cache.getOrSet(key(), load, { tags: ["t"] }),
      () => cache.getOrSet(key(), load, { forceRefresh: true }),
      () =>
        cache.getOrSetMany(
          [key(), key()],
          (item) => item,
          (items) => items.map((item) => [item, 1]),
        ),
      () => cache.get(key()),
      () => cache.getMany([key(), key(), key()]),
      () => cache.set(key(), below(1_000), { tags: ["t"] }),
      () => cache.delete(key()),
      () => cache.markStale(key()),
      () => cache.invalidateTags("t"),
      () => cache.clear(),
      () => cache.inspect(key()),
    ];
    const faults: readonly (() => Promise<unknown> | void)[] = [
      () => proxy.cut(),
      () => proxy.limit(1 + below(300), "toServer"),
      () => proxy.limit(1 + below(300), "toClient"),
      () => proxy.refuse(below(2) === 0 ? "closed" : "reset"),
      () => proxy.delay(below(10)),
      () => proxy.swallow(below(2) === 0 ? "toServer" : "toClient"),
      () => proxy.stall(),
      () => server.command("SCRIPT", "FLUSH"),
      () => server.command("FLUSHALL"),
      () => server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
      () => proxy.pass(),
      () => proxy.pass(),
      () => proxy.pass(),
    ];
    let slowestMs = 0;
    const underWay: Promise<unknown>[] = [];
    for (let i = 0; i < 1_000; i += 1) {
      await faults[below(faults.length)]!();
      for (let n = 0; n < 3; n += 1) {
        const startedAt = performance.now();
        underWay.push(
          calls[below(calls.length)]!()
            .catch(() => undefined)
            .then(() => {
              slowestMs = Math.max(slowestMs, performance.now() - startedAt);
            }),
        );
      }
      await new Promise((resolve) => setTimeout(resolve, below(4)));
    }
    await Promise.all(underWay);
    // Writes of one key wait in a queue, and the breaker ends the queue: five deadlines at most, and what a busy
    // machine adds.
    expect(slowestMs).toBeLessThan(6 * RESPONSE_TIMEOUT_MS + 5_000);
    await proxy.pass();
    await expect
      .poll(
        async () => {
          await cache.delete("sound");
          return [
            await cache.getOrSet("sound", () => "sound"),
            await open("redis", server.url, "hotset").get("sound"),
            cache.stats().pending,
          ];
        },
        { timeout: 40_000, interval: 500 },
      )
      .toEqual(["sound", "sound", 0]);
    process.off("unhandledRejection", collect);
    expect(unhandled).toEqual([]);
  }, 90_000);

  it("C41 C59 a delete during a load is not undone, here or in Redis", async () => {
    const cache = open("memory over redis", proxy.url, "hotset");
    const loading = gate<string>();
    const waiter = cache.getOrSet("k", loading.pass);
    await loading.arrived();
    await cache.delete("k");
    loading.open("old");
    expect(await waiter).toBe("old");
    expect(await cache.get("k")).toBeUndefined();
    expect(await open("redis", server.url, "hotset").get("k")).toBeUndefined();
  });
});
