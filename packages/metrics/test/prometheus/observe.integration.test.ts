import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { observe } from "@hotset/metrics/prometheus";
import { redis, single } from "@hotset/redis";
import { createRedis } from "@hotset/redis-toolkit";
import { queue } from "@hotset/redis-toolkit/queue";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { Gauge, Registry } from "prom-client";
import { afterAll, describe, expect, it } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());

/** The lines of a scrape with this name, such as `cache_size{cache="a",tier="memory"} 1`, without those of buckets. */
async function scraped(register: Registry, name: string): Promise<readonly string[]> {
  const text = await register.metrics();
  return text.split("\n").filter((line) => line.startsWith(name) && !line.includes("_bucket"));
}

const overRedis = (name: string): Cache =>
  createCache({ name })
    .tier(memory({ maxEntries: 2 }))
    .tier(redis(single(server.url)).valueFormat(json()).responseTimeout("15s").build())
    .build();

describe("the metrics of a cache", () => {
  it("are those of its statistics, and of its events", async () => {
    const register = new Registry();
    const cache = overRedis("observed");
    const observation = observe({ register, caches: [cache], backendCalls: true });
    await cache.connect();
    for (const key of ["a", "b", "c", "a"]) await cache.getOrSet(key, () => 1, { ttl: "1m" });
    await cache.getOrSet("a", () => 1, { ttl: "1m" });
    await cache.getOrSet("failing", () => Promise.reject(new Error("of a loader"))).catch(() => undefined);
    await cache.drain();

    expect(await scraped(register, "cache_requests_total")).toEqual([
      'cache_requests_total{cache="observed",result="hit"} 2',
      'cache_requests_total{cache="observed",result="stale"} 0',
      'cache_requests_total{cache="observed",result="miss"} 4',
    ]);
    expect(await scraped(register, "cache_gets_total")).toContain(
      'cache_gets_total{cache="observed",tier="memory",result="hit"} 1',
    );
    expect(await scraped(register, "cache_size")).toEqual(['cache_size{cache="observed",tier="memory"} 2']);
    expect(await scraped(register, "cache_loads_total")).toEqual(['cache_loads_total{cache="observed"} 4']);
    expect(await scraped(register, "cache_load_errors_total")).toEqual(['cache_load_errors_total{cache="observed"} 1']);
    expect(await scraped(register, "cache_load_duration_seconds_count")).toEqual([
      'cache_load_duration_seconds_count{cache="observed",result="stored"} 3',
      'cache_load_duration_seconds_count{cache="observed",result="error"} 1',
    ]);
    expect(await scraped(register, "cache_puts_total")).toContain('cache_puts_total{cache="observed",tier="redis"} 3');
    expect((await scraped(register, "cache_evictions_total"))[0]).toMatch(/tier="memory",reason="entries"\} [1-9]/);
    expect(await scraped(register, "cache_tier_state")).toContain(
      'cache_tier_state{cache="observed",tier="redis",state="up"} 1',
    );
    expect((await scraped(register, "cache_operation_duration_seconds_count")).join()).toMatch(
      /cache="observed",tier="redis",op="read"\} [1-9]/,
    );

    observation.close();
    expect(await register.metrics()).toBe("\n");
    await cache.close();
  });

  it("of several caches have one name each, and no label is a key", async () => {
    const register = new Registry();
    const [one, other] = [overRedis("one"), overRedis("other")];
    observe({ register, caches: [one, other], backendCalls: true });
    await one.getOrSet("secret key", () => 1, { ttl: "1m", tags: ["secret tag"] });
    await one.namespace("secret namespace").get("k");
    await other.get("k");
    const unobserved = overRedis("unobserved");
    await unobserved.get("k");
    const text = await register.metrics();
    expect(text).not.toContain("secret");
    expect(text).not.toContain("unobserved");
    expect(text).toContain('cache_requests_total{cache="one",result="miss"} 2');
    expect(text).toContain('cache_requests_total{cache="other",result="miss"} 1');
    await Promise.all([one.close(), other.close(), unobserved.close()]);
    const twice = (): unknown => observe({ register: new Registry(), caches: [one, one] });
    expect(twice).toThrow('observe: two caches are named "one"');
    expect(() => observe({ register: new Registry() })).toThrow(
      "observe: it observes nothing without caches, redis, queues, consumers, http, followers or process: true",
    );
    observe({ register: new Registry(), caches: [] }).close();
    expect(() => observe({ register, cache: one } as never)).toThrow(
      'unknown option "cache"; did you mean caches?; accepted: register, buckets, caches',
    );
  });
});

describe("a wrong observation", () => {
  const cache = createCache({ name: "wrong" }).tier(memory()).build();
  const client = createRedis({ env: false, url: "redis://localhost:1" });
  const register = new Registry();

  it.each([
    ["no registry", { caches: [cache] }, "observe: register must be a Registry of prom-client"],
    ["a cache without a list", { register, caches: cache }, "observe: caches must be a list of what createCache()"],
    [
      "a list of something else",
      { register, caches: ["wrong"] },
      "observe: caches must be a list of what createCache()",
    ],
    ["a cache as a client", { register, redis: [cache] }, "observe: redis must be a list of what createRedis()"],
    ["a client as a cache", { register, caches: [client] }, "observe: caches must be a list of what createCache()"],
    [
      "a namespace as a cache",
      { register, caches: [cache.namespace("a")] },
      "observe: caches must be a list of what createCache()",
    ],
    [
      "a tenant as a client",
      { register, redis: [client.tenant("a")] },
      "observe: redis must be a list of what createRedis()",
    ],
    [
      "one bucket without a list",
      { register, caches: [cache], buckets: 5 },
      "observe: buckets must be a list of different, finite numbers of seconds, such as [0.001, 0.01, 0.1], got 5",
    ],
    ["a bucket that is text", { register, buckets: [0.1, "1"] }, 'got [0.1,"1"]'],
    ["a bucket that is there always", { register, buckets: [0.1, Infinity] }, "must be a list of different, finite"],
    ["a bucket twice", { register, buckets: [0.1, 0.1] }, "got [0.1,0.1]"],
    ["a hole among buckets", { register, buckets: [0.1, ,] }, "got [0.1,undefined]"],
    ["a bucket without text", { register, buckets: [Object.create(null) as object] }, "got [an object]"],
    ["null", null, "observe: options must be an object, got null"],
    ["a hole among caches", { register, caches: [, cache] }, "observe: caches must be a list of what createCache()"],
    ["a hole among clients", { register, redis: [,] }, "observe: redis must be a list of what createRedis()"],
    ["queues of null", { register, queues: null }, "observe: queues must be an object, got null"],
    ["a list of queues", { register, queues: [] }, "observe: queues must be an object, got an array"],
    [
      "a queue that is none",
      { register, queues: { jobs: {} } },
      'observe: queues must be an object of queues by their labels, got an object for "jobs"',
    ],
    [
      "a consumer that is none",
      { register, consumers: { jobs: null } },
      'observe: consumers must be an object of consumers by their labels, got null for "jobs"',
    ],
    ["text as a flag", { register, process: "false" }, "observe: process must be true or false"],
    ["null as a flag", { register, backendCalls: null }, "observe: backendCalls must be true or false"],
  ])("%s is refused by name", async (_, options, sentence) => {
    expect(() => observe(options as never)).toThrow(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining(sentence) as string,
      }) as Error,
    );
    expect(await register.metrics()).toBe("\n");
  });

  it("leaves no listener on a cache", async () => {
    const own = new Registry();
    new Gauge({ name: "cache_evictions_total", help: "of the application", registers: [own] });
    let listeners = 0;
    const counting = {
      name: "counting",
      getOrSet: () => undefined,
      stats: () => cache.stats(),
      on() {
        listeners += 1;
        return () => (listeners -= 1);
      },
    };
    const caches = [counting as unknown as Cache];
    expect(() => observe({ register: own, caches })).toThrow("register has a metric cache_evictions_total already");
    expect(listeners).toBe(0);
    const refusing = { ...counting, name: "refusing", on: () => expect.fail("of a cache") } as unknown as Cache;
    expect(() => observe({ register, caches: [...caches, refusing] })).toThrow("of a cache");
    expect(listeners).toBe(0);
    observe({ register, caches }).close();
    expect(listeners).toBe(0);
    expect(await register.metrics()).toBe("\n");
  });

  it("over a registry in use is refused, adds nothing and leaves the first one whole", async () => {
    const first = observe({ register, process: true });
    const before = register.getMetricsAsArray().map(({ name }) => name);
    const second = (): unknown => observe({ register, caches: [cache], process: true });
    expect(second).toThrow(
      "register has a metric nodejs_eventloop_delay_seconds already, of another observe() or of your own; close() that",
    );
    expect(register.getMetricsAsArray().map(({ name }) => name)).toEqual(before);
    first.close();
    const again = observe({ register, caches: [cache], process: true });
    expect(await scraped(register, "cache_size")).toEqual(['cache_size{cache="wrong",tier="memory"} 0']);
    again.close();
    await cache.close();
  });
});

describe("the metrics of the toolkit", () => {
  it("are commands by name with durations and codes, connections, queues and consumers", async () => {
    const register = new Registry();
    await using client = createRedis({ env: false, url: server.url, clientName: "shop" });
    const name = randomPrefix();
    const jobs = queue<number>(client, name);
    const stream = streams(client).stream(name);
    const worker = consumer(stream, "group", {}, () => undefined);
    observe({ register, redis: [client], queues: { emails: jobs }, consumers: { payments: worker } });
    expect(await scraped(register, "redis_up")).toEqual([expect.stringMatching(/^redis_up\{client="shop"\} [01]$/)]);
    await client.initialize();
    await client.commands.set(name + "k", "v", { ttl: "1m" });
    await client.commands.get(name + "k");
    await client.commands.get(name + "k");
    await client.commands.lPush(name + "k", "x").catch(() => undefined);
    await jobs.add(1);
    await stream.append({ field: "value" });
    await expect.poll(() => worker.counts.handled).toBe(1);

    const durations = await scraped(register, "redis_command_duration_seconds_count");
    expect(durations).toContain('redis_command_duration_seconds_count{client="shop",operation="GET"} 2');
    expect(await scraped(register, "redis_command_errors_total")).toContain(
      'redis_command_errors_total{client="shop",operation="LPUSH",code="WRONG_TYPE"} 1',
    );
    expect(await scraped(register, "redis_up")).toEqual(['redis_up{client="shop"} 1']);
    expect(await scraped(register, "redis_pool_connections")).toEqual([
      'redis_pool_connections{client="shop",state="idle"} 0',
      'redis_pool_connections{client="shop",state="in_use"} 0',
    ]);
    expect(await scraped(register, "redis_queue_jobs")).toContain('redis_queue_jobs{queue="emails",state="waiting"} 1');
    expect(await scraped(register, "redis_queue_paused")).toEqual(['redis_queue_paused{queue="emails"} 0']);
    expect(await scraped(register, "redis_consumer_entries_total")).toContain(
      'redis_consumer_entries_total{consumer="payments",outcome="handled"} 1',
    );
    await worker.stop();
  });

  it("are scraped while Redis is away: what cannot be asked is absent, and the rest is there", async () => {
    await using own = await startOwnRedis();
    const register = new Registry();
    const clock = new TestClock();
    await using client = createRedis({ env: false, url: own.url, clock, readRetries: 0 });
    observe({ register, redis: [client], queues: { emails: queue(client, "emails") } });
    expect(await client.initialize()).toBe(true);
    await own.kill();
    await expect.poll(() => client.isReady).toBe(false);
    clock.advance("2s");
    await expect.poll(() => client.stats().losses).toBe(1);
    expect(await client.lenient.get("k")).toBe(undefined);
    expect(await scraped(register, "redis_queue_jobs")).toEqual([]);
    expect(await scraped(register, "redis_up")).toEqual(['redis_up{client="hotset"} 0']);
    expect(await scraped(register, "redis_losses_total")).toEqual(['redis_losses_total{client="hotset"} 1']);
    expect(await scraped(register, "redis_lenient_failures_total")).toEqual([
      'redis_lenient_failures_total{client="hotset",command="get",code="BACKEND_UNAVAILABLE"} 1',
    ]);
  });

  it("have at most 500 names of commands: further ones are one", async () => {
    const register = new Registry();
    await using client = createRedis({ env: false, url: server.url, clientName: "many" });
    observe({ register, redis: [client] });
    for (let i = 0; i < 510; i += 1) await client.commands.send([`NONE${i}`]).catch(() => undefined);
    const counts = await scraped(register, "redis_command_duration_seconds_count");
    expect(counts).toHaveLength(501);
    expect(counts).toContain('redis_command_duration_seconds_count{client="many",operation="other"} 10');
  });
});
