import { createRequire } from "node:module";
import { createCache, json, passthrough, type Cache, type Compressor, type Format, type Policy } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis, type RedisBackendBuilder } from "@hotset/redis";
import { randomPrefix, startOwnRedis, startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import { outcome } from "@hotset/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it, onTestFinished } from "vitest";
import { LAYOUT } from "../support/layout.ts";
import { READ } from "../support/stored-entries.ts";
import { watch } from "../support/watch.ts";

type Stack = "redis" | "memory over redis";
const STACKS: readonly Stack[] = ["redis", "memory over redis"];

interface Options extends Policy {
  readonly version?: string | number;
  readonly compressor?: Compressor;
  readonly alsoReads?: readonly (Format | Compressor)[];
  readonly redis?: (builder: RedisBackendBuilder) => RedisBackendBuilder;
}

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
  onTestFinished(() => cache.close({ timeout: 100 }));
  return cache;
}

/** Where commands are counted. Strings have tests of their own for that. */
const withHashes = (builder: RedisBackendBuilder): RedisBackendBuilder => builder.layout("full");

it("between the caller of getOrSet and node-redis are at most five frames of the library, with hashes", async () => {
  const cache = open("memory over redis", inject("redisUrl"), randomPrefix(), { redis: withHashes });
  await cache.set("warm", "value");
  await new Promise((resolve) => setImmediate(resolve));
  // The copy of @hotset/redis, which alone depends on it.
  const { RedisClient } = createRequire(new URL("../../../redis/package.json", import.meta.url))("@redis/client") as {
    readonly RedisClient: { readonly prototype: { sendCommand(...args: unknown[]): Promise<unknown> } };
  };
  const { sendCommand } = RedisClient.prototype;
  const { stackTraceLimit } = Error;
  const stacks: string[][] = [];
  RedisClient.prototype.sendCommand = function (...args) {
    const frames = new Error("here").stack!.split("\n");
    // The commands of a read are one for node-redis, and it is sent first.
    if (Buffer.isBuffer((args[0] as readonly unknown[])[0]))
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
  // The read, the request for the lease, and the store.
  expect(stacks.length).toBe(3);
  expect(stacks[0]!.length).toBeGreaterThan(0);
  expect(stacks[0]!.length, stacks[0]!.join("\n")).toBeLessThanOrEqual(5);
});

describe("with a server that is broken", () => {
  let server: OwnRedis;
  let proxy: FaultProxy;
  const RESPONSE_TIMEOUT_MS = 500;
  const quick = (builder: RedisBackendBuilder): RedisBackendBuilder =>
    builder.responseTimeout(RESPONSE_TIMEOUT_MS).connectTimeout(2_000).backoff({ base: 10, factor: 2, max: 100 });

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
      const answer = cache.getOrSet("k", () => "loaded");
      await held.reached;
      expect(await answer).toBe("loaded");
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
  ])("C92 C97 reads go on within their deadline, and later at once: %s", async ([, breakIt, mend]) => {
    const cache = openHere("memory over redis");
    await cache.connect();
    await store(cache, "kept", "value");
    await expect.poll(() => cache.peek("kept")).toBe("value");
    const states = watch(cache, "backend:state");
    await breakIt();
    expect(await cache.get("kept")).toBe("value");
    for (let i = 0; i < 6; i += 1) expect(await cache.getOrSet(`k${i}`, () => "loaded")).toBe("loaded");
    // The connection is given up after a second of silence, so no changes are received; the fifth failure opens the
    // breaker.
    expect(states.map(([, { state }]) => state)).toEqual(["detached", "down"]);
    const calls = Array.from({ length: 1_000 }, (_, i) => cache.getOrSet(`quick ${i}`, () => "loaded"));
    expect(await outcome(Promise.all(calls))).toMatchObject({ status: "fulfilled" });
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
  });
});
