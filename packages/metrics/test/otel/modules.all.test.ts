import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { observe } from "@hotset/metrics/otel";
import { observe as observeForPrometheus } from "@hotset/metrics/prometheus";
import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { queue } from "@hotset/redis-toolkit/queue";
import { fixedWindow, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { lines, sdk } from "./sdk.ts";

const valueOf = (all: readonly string[], series: string): number => {
  const line = all.find((one) => one.startsWith(`${series} `));
  expect(line, series).toBeDefined();
  return Number(line!.split(" ").at(-1));
};

it("locks, limits, sessions, subscriptions, queues and streams are counted, in both alike", async () => {
  await using server = await startOwnRedis();
  await using client = createRedis({ env: false, url: server.url, clientName: "shop" });
  const name = randomPrefix();
  const jobs = queue<number>(client, name);
  const stream = streams(client).stream(name);
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const worker = consumer(stream, "group", { count: 1 }, () => held);
  const { meterProvider, text } = sdk();
  const register = new Registry();
  const observed = { redis: [client], queues: { emails: jobs }, consumers: { payments: worker } };
  observeForPrometheus({ register, ...observed });
  observe({ meterProvider, ...observed });

  const ours = locks(client);
  const lease = await ours.acquire(`${name}a`);
  expect(await ours.tryAcquire(`${name}a`)).toBe(undefined);
  const waiting = ours.acquire(`${name}a`, { wait: "5s" });
  await client.commands.delete(...(await client.commands.keys("*lock*")));
  expect(await lease.release()).toBe("lost");
  await (await waiting).release();

  const limit = rateLimit(client, { name: "api", rules: [fixedWindow({ limit: 1, window: "1h" })], deadline: "1m" });
  expect((await limit.consume(name)).allowed).toBe(true);
  expect((await limit.consume(name)).allowed).toBe(false);

  const store = sessions(client);
  const session = await store.create({});
  await store.read(session.id);
  await store.destroy(session.id);
  await store.read(session.id);

  const channel = pubsub(client).channel<string>(name, { buffer: 1 });
  const subscription = await channel.subscribe();
  for (const message of ["one", "two", "three"]) await channel.publish(message);
  await expect.poll(() => subscription.dropped).toBe(2);
  await subscription.close();

  await jobs.add(1, { priority: 9 });
  const { id } = await jobs.add(2);
  const { addedAt } = (await jobs.get(id))!;
  for (const order of ["1", "2", "3"]) await stream.append({ order });
  await expect.poll(async () => (await worker.status()).pending).toBe(1);

  const [prometheus, otel] = [lines(await register.metrics()), lines(await text())];
  const counted = {
    'redis_locks_total{client="shop",outcome="acquired"}': 2,
    'redis_locks_total{client="shop",outcome="unavailable"}': 1,
    'redis_locks_total{client="shop",outcome="lost"}': 1,
    'redis_limit_decisions_total{client="shop",outcome="allowed"}': 1,
    'redis_limit_decisions_total{client="shop",outcome="refused"}': 1,
    'redis_limit_degraded_total{client="shop"}': 0,
    'redis_sessions_total{client="shop",outcome="created"}': 1,
    'redis_sessions_total{client="shop",outcome="found"}': 1,
    'redis_sessions_total{client="shop",outcome="ended"}': 1,
    'redis_sessions_total{client="shop",outcome="missing"}': 1,
    'redis_pubsub_dropped_total{client="shop",reason="overflow"}': 2,
    'redis_consumer_lag{consumer="payments"}': 2,
    'redis_consumer_pending{consumer="payments"}': 1,
    'redis_queue_jobs{queue="emails",state="waiting"}': 2,
  };
  for (const all of [prometheus, otel]) {
    for (const [series, value] of Object.entries(counted))
      expect([series, valueOf(all, series)]).toEqual([series, value]);
    const age = valueOf(all, 'redis_queue_oldest_job_seconds{queue="emails"}');
    expect(age * 1_000).toBeGreaterThanOrEqual(0);
    expect(age * 1_000).toBeLessThanOrEqual(Date.now() - addedAt + 5_000);
    expect(valueOf(all, 'redis_lock_wait_seconds_total{client="shop"}')).toBeGreaterThan(0);
  }
  release();
  await worker.stop();
});

it("bytes, retries and reconnects are those of the connection", async () => {
  await using server = await startOwnRedis();
  await using client = createRedis({ env: false, url: server.url, clientName: "shop" });
  const register = new Registry();
  observeForPrometheus({ register, redis: [client] });
  await client.initialize();
  const before = client.stats().connection;
  await client.commands.set("k", "x".repeat(100_000));
  const written = client.stats().connection;
  await client.commands.get("k");
  const read = client.stats().connection;
  expect(written.bytesSent - before.bytesSent).toBeGreaterThan(100_000);
  expect(written.bytesSent - before.bytesSent).toBeLessThan(101_000);
  expect(read.bytesReceived - written.bytesReceived).toBeGreaterThan(100_000);
  expect(read.bytesReceived - written.bytesReceived).toBeLessThan(101_000);

  for (let i = 0; i < 3; i += 1) await client.commands.get("k");
  // It waits for the reply of a server that stands still, until the connection is lost.
  server.pause();
  const reading = client.commands.get("k").catch(() => undefined);
  await server.kill();
  await expect.poll(() => client.isReady).toBe(false);
  await server.start();
  await reading;
  await expect.poll(() => client.isReady).toBe(true);
  const after = client.stats().connection;
  expect(after.reconnects).toBe(1);
  expect(after.bytesReceived).toBeGreaterThanOrEqual(read.bytesReceived);
  const all = lines(await register.metrics());
  expect(valueOf(all, 'redis_reconnects_total{client="shop"}')).toBe(1);
  expect(valueOf(all, 'redis_retries_total{client="shop"}')).toBe(after.retries);
  expect(after.retries).toBeGreaterThan(0);
  expect(valueOf(all, 'redis_received_bytes_total{client="shop"}')).toBeGreaterThan(400_000);
});

it("with process: true garbage collection, the event loop and memory are measured", async () => {
  const register = new Registry();
  const { meterProvider, text } = sdk();
  const ends = [observeForPrometheus({ register, process: true }), observe({ meterProvider, process: true })];
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const until = performance.now() + 60;
  while (performance.now() < until) collect();
  await expect.poll(async () => lines(await register.metrics()).join()).toContain("v8js_gc_duration_seconds_count");
  await new Promise((resolve) => setTimeout(resolve, 30));
  const until2 = performance.now() + 70;
  while (performance.now() < until2);
  await new Promise((resolve) => setTimeout(resolve, 30));
  for (const all of [lines(await register.metrics()), lines(await text())]) {
    expect(valueOf(all, 'v8js_gc_duration_seconds_count{kind="major"}')).toBeGreaterThan(0);
    expect(valueOf(all, "v8js_memory_heap_used_bytes{}")).toBeGreaterThan(1e6);
    expect(valueOf(all, "process_memory_usage_bytes{}")).toBeGreaterThan(1e7);
    const lag = valueOf(all, 'nodejs_eventloop_delay_seconds{quantile="0.99"}');
    expect(lag).toBeGreaterThan(0.03);
    // In milliseconds it would be more.
    expect(lag).toBeLessThan(30);
  }
  for (const end of ends) end.close();
});
