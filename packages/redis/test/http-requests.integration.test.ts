import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis as overTcp } from "@hotset/redis";
import { http, redis } from "@hotset/redis/http";
import { randomPrefix, startOwnRedis, startRestProxy, type RestFault, type RestProxy } from "@hotset/test-servers";
import { afterAll, beforeAll, beforeEach, expect, inject, it, vi } from "vitest";
import { restCommand, scriptWords, together } from "../src/rest/rest-commands.ts";
import { decoded } from "../src/rest/rest-reply.ts";
import { RestScripts } from "../src/rest/rest-scripts.ts";
import { RecordingListener } from "./recording-listener.ts";

const redisPort = (): number => Number(new URL(inject("redisUrl")).port);

let proxy: RestProxy;
let prefix: string;
beforeAll(async () => {
  proxy = await startRestProxy({ redisPort: redisPort() });
});
beforeEach(() => {
  prefix = randomPrefix();
  proxy.fault = "passes";
  proxy.reset();
});
afterAll(() => proxy.close());

const backendOver = ({ url, token }: Pick<RestProxy, "url" | "token">, layout: "full" | "string" = "full") =>
  redis(http({ url, token })).keyPrefix(prefix).layout(layout).valueFormat(json());

/** Without copies in memory: each call asks. */
const cacheOver = (of: Pick<RestProxy, "url" | "token">, layout?: "full" | "string"): Cache =>
  createCache({ name: "shop" })
    .tier(memory())
    .tier(backendOver(of, layout).build())
    .defaults({ ttl: "10m", localTtl: 0 })
    .build();

/** Requests and commands of a call. */
async function cost(call: () => Promise<unknown>): Promise<string> {
  proxy.reset();
  await call();
  const { requests, commands } = proxy.counts;
  return `${requests} / ${commands}`;
}

it.for(["full", "string"] as const)(
  "C743 a hit is one request, a miss three, a set, a delete, a tag call and a batch one, and nothing while idle: %s",
  async (layout) => {
    await using cache = cacheOver(proxy, layout);
    const tags = ["users"];
    await cache.set("tagged", 1, { tags });
    await cache.delete("tagged");
    await cache.invalidateTags("users");
    await cache.getOrSet("tagged", () => 1, { tags });
    const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`);
    for (const key of keys) await cache.set(key, key);
    const costs = {
      hit: await cost(() => cache.get("key 1")),
      "hit, its tags given": await cost(() => cache.getOrSet("tagged", () => 2, { tags })),
      "hit, its tags not given": await cost(() => cache.get("tagged")),
      miss: await cost(() => cache.getOrSet("new", () => 1)),
      "miss with a tag": await cost(() => cache.getOrSet("newer", () => 1, { tags })),
      set: await cost(() => cache.set("key 1", 2)),
      delete: await cost(() => cache.delete("key 1")),
      invalidateTags: await cost(() => cache.invalidateTags("users")),
      "getMany of 20": await cost(() => cache.getMany(keys)),
      idle: await cost(() => new Promise((resolve) => setTimeout(resolve, 300))),
    };
    // Strings need the time of the server, each second: one more command of a request.
    const requests = Object.fromEntries(Object.entries(costs).map(([call, of]) => [call, of[0]]));
    expect(requests).toEqual({
      hit: "1",
      "hit, its tags given": "1",
      "hit, its tags not given": "2",
      miss: "3",
      "miss with a tag": "3",
      set: "1",
      delete: "1",
      invalidateTags: "1",
      "getMany of 20": "1",
      idle: "0",
    });
    if (layout === "string") return;
    expect(costs).toEqual({
      hit: "1 / 1",
      "hit, its tags given": "1 / 1",
      "hit, its tags not given": "2 / 2",
      miss: "3 / 3",
      "miss with a tag": "3 / 3",
      set: "1 / 3",
      delete: "1 / 1",
      invalidateTags: "1 / 1",
      "getMany of 20": "1 / 1",
      idle: "0 / 0",
    });
  },
);

it("C743 with copies that follow, a hit in memory is free, a miss and what invalidates cost at most one message more, and idling two a second", async () => {
  // No beats while calls are counted.
  const quiet = backendOver(proxy).coherence("pubsub").maxStaleness("1h").build();
  await using cache = createCache({ name: "shop" }).tier(memory()).tier(quiet).defaults({ ttl: "10m" }).build();
  await cache.set("warm", 1, { tags: ["users"] });
  await expect
    .poll(async () => {
      await cache.set("warm", 1, { tags: ["users"] });
      await cache.get("warm");
      const { hits } = cache.stats().tiers[0]!;
      await cache.get("warm");
      return cache.stats().tiers[0]!.hits - hits;
    })
    .toBe(1);
  const other = cacheOver(proxy);
  const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`);
  for (const key of keys) await other.set(key, key);
  await other.close();
  /** With what is done in the background. */
  const whole = (call: () => Promise<unknown>): Promise<string> =>
    cost(async () => {
      await call();
      for (let before = -1; before !== proxy.counts.requests; await new Promise((go) => setTimeout(go, 500)))
        before = proxy.counts.requests;
    });
  await whole(() => Promise.resolve());
  expect({
    "hit in memory": await whole(() => cache.get("warm")),
    hit: await whole(() => cache.get("key 1")),
    miss: await whole(() => cache.getOrSet("new", () => 1)),
    set: await whole(() => cache.set("warm", 2)),
    delete: await whole(() => cache.delete("key 1")),
    invalidateTags: await whole(() => cache.invalidateTags("users")),
    "getMany of 20": await whole(() => cache.getMany(keys)),
  }).toEqual({
    "hit in memory": "0 / 0",
    hit: "1 / 1",
    // The last one confirms what is kept, unless that was confirmed a moment ago.
    miss: expect.stringMatching(/^(?:3 \/ 3|4 \/ 4)$/) as unknown,
    set: "1 / 2",
    delete: expect.stringMatching(/^(?:1 \/ 1|2 \/ 2)$/) as unknown,
    invalidateTags: expect.stringMatching(/^(?:1 \/ 1|2 \/ 2)$/) as unknown,
    "getMany of 20": "1 / 1",
  });
  const beating = backendOver(proxy).coherence("pubsub").build();
  const detach = await beating.coherence!.attach(new RecordingListener());
  proxy.reset();
  await expect.poll(() => proxy.counts.commands, { interval: 5 }).toBe(1);
  const since = performance.now();
  await expect.poll(() => proxy.counts.commands, { interval: 5 }).toBe(5);
  expect(performance.now() - since).toBeGreaterThan(1_900);
  expect(proxy.counts.names).toEqual({ PUBLISH: 5 });
  await detach();
  await beating.close();
});

it("C743 a service that reads from a replica which is behind gives no deleted value, to the deleter or to others", async () => {
  await using primary = await startOwnRedis();
  await using replica = await startOwnRedis();
  const behind = { port: replica.port, lagMs: 1_500 };
  await using lagging = await startRestProxy({ redisPort: primary.port, replica: behind });
  await using cache = cacheOver(lagging);
  await using other = cacheOver(lagging);
  for (let round = 0; round < 3; round += 1) {
    const key = `user ${round}`;
    await cache.set(key, "old", { tags: ["users"] });
    await replica.command("PING");
    expect(await other.get(key)).toBe("old");
    await (round === 2 ? cache.invalidateTags("users") : cache.delete(key));
    expect(await cache.get(key)).toBe(undefined);
    expect(await other.get(key)).toBe(undefined);
    expect(await other.getOrSet(key, () => "new")).toBe("new");
    expect(await cache.get(key)).toBe("new");
  }
  // The proof that this replica is behind.
  await cache.set("proof", 1);
  const answer = await fetch(lagging.url, {
    method: "POST",
    headers: { authorization: "Bearer secret" },
    body: JSON.stringify(["EXISTS", `${prefix}:shop::proof`]),
  });
  expect(await answer.json()).toEqual({ result: 0 });
});

it("C743 a write that was given up, and arrives behind a delete, stores nothing", async () => {
  const backend = backendOver(proxy).responseTimeout("3s").build();
  const entry = { data: Buffer.from("late"), staleInMs: 60_000, expiresInMs: 60_000, meta: "" };
  await backend.write("shop::key", entry);
  proxy.fault = "keeps";
  await expect(backend.write("shop::key", entry)).rejects.toMatchObject({ maybeExecuted: true });
  proxy.fault = "passes";
  expect(await backend.remove("shop::key")).toBe("deleted");
  await proxy.release();
  expect(await backend.read("shop::key")).toBe(undefined);
  await backend.close();
});

it("C743 the first call of a process may be a write: the server is asked for its time before it", async () => {
  await using cache = cacheOver(proxy);
  const writer = backendOver(proxy).build();
  await cache.set("warm", 1);
  expect(
    await cost(() => writer.write("shop::k", { data: Buffer.of(1), staleInMs: 1, expiresInMs: 60_000, meta: "" })),
  ).toBe("2 / 3");
  await writer.close();
});

it.for<[RestFault, object]>([
  ["cuts answer", { maybeExecuted: true }],
  ["cuts body", { maybeExecuted: true }],
  [500, { maybeExecuted: true }],
  [502, { maybeExecuted: true }],
  [503, { maybeExecuted: true }],
  [429, { maybeExecuted: false, retryable: true }],
  [404, { maybeExecuted: false, retryable: false }],
])(
  "C743 a lost request is told from an error reply, is not sent again and quotes no body: %s",
  async ([fault, details]) => {
    const backend = backendOver(proxy).build();
    await backend.write("shop::key", { data: Buffer.of(1), staleInMs: 1, expiresInMs: 60_000, meta: "" });
    proxy.reset();
    proxy.fault = fault;
    const error = await backend.markStale!("shop::key").catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", operation: "markStale", ...details });
    expect(String(error)).not.toMatch(/secret|<html>/);
    expect(proxy.counts.requests).toBe(1);
    proxy.fault = "passes";
    expect(await backend.markStale!("shop::key")).toBe("stale");
    await backend.close();
  },
);

it("C743 during an outage a cache works without Redis, and the state says so until a request is answered again", async () => {
  await using cache = cacheOver(proxy);
  await cache.set("key", 1);
  expect(cache.stats().tiers[1]).toMatchObject({ state: "up" });
  proxy.fault = 503;
  expect(await cache.getOrSet("key", () => "from the source")).toBe("from the source");
  expect(await cache.delete("key")).toEqual({ status: "pending" });
  proxy.fault = "passes";
  await expect.poll(() => cache.get("key"), { timeout: 10_000 }).toBe(undefined);
  await expect.poll(() => cache.stats().tiers[1]?.state, { timeout: 10_000 }).toBe("up");
});

it("C743 an error reply is one of its command alone, and says what Redis said", async () => {
  const [backend, other] = [
    backendOver(proxy).build(),
    overTcp(inject("redisUrl")).keyPrefix(prefix).valueFormat(json()).build(),
  ];
  const entry = { data: Buffer.from("x"), staleInMs: 1, expiresInMs: 60_000, meta: "" };
  await other.write("shop::there", entry);
  await expect(
    Promise.all([
      backend.read("shop::there"),
      backend.leases!.acquire({ key: "shop::there", token: "token", leaseMs: NaN, seen: "" }),
    ]),
  ).rejects.toThrow("leaseMs must be a number");
  expect((await backend.read("shop::there"))?.data).toEqual(Buffer.from("x"));
  await Promise.all([backend.close(), other.close()]);
});

it("C743 what is called while a request is under way goes together in the next one, in order", async () => {
  const backend = backendOver(proxy).build();
  await backend.read("shop::first");
  proxy.reset();
  const entry = (text: string) => ({ data: Buffer.from(text), staleInMs: 60_000, expiresInMs: 60_000, meta: "" });
  const first = backend.read("shop::first");
  await new Promise((resolve) => setImmediate(resolve));
  const rest = [
    backend.write("shop::key", entry("one")),
    backend.write("shop::key", entry("two")),
    backend.remove("shop::other"),
    backend.write("shop::key", entry("three")),
    backend.read("shop::key"),
  ];
  await first;
  expect(((await Promise.all(rest)).at(-1) as unknown as { data: Buffer }).data.toString()).toBe("three");
  expect(proxy.counts.requests).toBe(2);
  await backend.close();
});

it("C743 requests are divided where the service bounds them, and an entry that fits in none is refused before", async () => {
  await using small = await startRestProxy({ redisPort: redisPort(), maxRequestBytes: 200_000 });
  const backend = redis(http({ url: small.url, token: small.token, maxRequestBytes: 200_000 }))
    .keyPrefix(prefix)
    .valueFormat(json())
    .build();
  expect(backend.maxEntryBytes).toBe(80_000);
  const data = Buffer.from('"'.repeat(80_000));
  const keys = Array.from({ length: 6 }, (_, i) => `shop::${i}`);
  await Promise.all(keys.map((key) => backend.write(key, { data, staleInMs: 60_000, expiresInMs: 60_000, meta: "" })));
  const found = await backend.batch!.read(keys);
  expect(found.map((entry) => (entry as { data: Uint8Array }).data.length)).toEqual(keys.map(() => 80_000));
  expect(small.counts.largestBytes).toBeLessThanOrEqual(200_000);
  await backend.close();
});

it("a service that gives bytes as text is refused with a sentence, and so is a token that is wrong", async () => {
  await using asText = await startRestProxy({ redisPort: redisPort(), answersAsText: true });
  const backend = backendOver(asText).build();
  await expect(backend.read("shop::key")).rejects.toThrow("use one that knows Upstash-Encoding: base64");
  await backend.close();
  const stranger = backendOver({ url: proxy.url, token: "wrong" }).build();
  await expect(stranger.connect!()).rejects.toMatchObject({
    code: "BACKEND_UNAVAILABLE",
    retryable: false,
    message: expect.stringContaining("refused the token (401)"),
  });
  await stranger.close();
});

it("any bytes reach Redis as they are, in plain commands and in scripts", async () => {
  const scripts = new RestScripts();
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const values = [
    all,
    Buffer.of(0xc1, 0),
    Buffer.of(0xc4, 0x80, 0xff),
    Buffer.from("ké \u{1f600}"),
    Buffer.alloc(20_000, 7),
  ];
  const commands = values.flatMap((value, i) => [
    restCommand(["SET", `${prefix}:${i}`, value], scripts),
    restCommand(["GET", `${prefix}:${i}`], scripts),
  ]);
  const words = scriptWords(together(commands as never, scripts.plain), "", "text");
  const answer = await fetch(proxy.url, {
    method: "POST",
    headers: { authorization: "Bearer secret", "upstash-encoding": "base64" },
    body: JSON.stringify(words),
  });
  const [[replies, errors]] = decoded(((await answer.json()) as { result: unknown }).result) as [[Buffer[], unknown[]]];
  expect(errors).toEqual([]);
  expect(replies.filter((_, i) => i % 2 === 1)).toEqual(values);
});

it("url and token come from the environment variables of such services, where they are not given", async () => {
  vi.stubEnv("KV_REST_API_URL", proxy.url);
  vi.stubEnv("KV_REST_API_TOKEN", proxy.token);
  const backend = redis(http()).keyPrefix(prefix).valueFormat(json()).build();
  vi.stubEnv("UPSTASH_REDIS_REST_URL", "http://127.0.0.1:1");
  vi.stubEnv("UPSTASH_REDIS_REST_TOKEN", "other");
  const other = redis(http()).keyPrefix(prefix).valueFormat(json()).build();
  vi.unstubAllEnvs();
  expect(await backend.read("shop::key")).toBe(undefined);
  await expect(other.read("shop::key")).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  await Promise.all([backend.close(), other.close()]);
});
