import { createCache, json } from "@hotset/core";
import { memory } from "@hotset/memory";
import { startTracing, type Tracing, type TracingOptions } from "@hotset/metrics/otel";
import { redis, single } from "@hotset/redis";
import { createRedis } from "@hotset/redis-toolkit";
import { queue } from "@hotset/redis-toolkit/queue";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";

const exporter = new InMemorySpanExporter();
const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
const tracer = tracerProvider.getTracer("of the test");
let tracing: Tracing;
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
const server = await startOwnRedis();
const client = createRedis({ env: false, url: server.url, clientName: "shop" });
await client.initialize();
afterAll(async () => {
  await client.disconnect();
  await server.stop();
  context.disable();
  propagation.disable();
});
beforeEach(() => {
  exporter.reset();
  tracing = startTracing({ tracerProvider });
});
afterEach(() => tracing.close());

/** Runs `body` below a span of this name. */
const within = <T>(name: string, body: () => Promise<T>): Promise<T> =>
  tracer.startActiveSpan(name, async (span) => {
    try {
      return await body();
    } finally {
      span.end();
    }
  });

const finished = (): readonly ReadableSpan[] => exporter.getFinishedSpans();
const named = (name: string): ReadableSpan => {
  const found = finished().filter((span) => span.name === name);
  expect(found.map((span) => span.name)).toEqual([name]);
  return found[0]!;
};
/** Names from a span up to its root. */
function path(span: ReadableSpan): readonly string[] {
  const parent = finished().find((one) => one.spanContext().spanId === span.parentSpanContext?.spanId);
  return parent === undefined ? [span.name] : [span.name, ...path(parent)];
}

const overRedis = (name: string): ReturnType<ReturnType<typeof builderOf>["build"]> => builderOf(name).build();
const builderOf = (name: string) =>
  createCache({ name })
    .tier(memory())
    .tier(redis(single(server.url)).keyPrefix(randomPrefix()).valueFormat(json()).build());

describe("spans", () => {
  it("are of calls, loads, calls of backends and commands, each below the one that caused it", async () => {
    const cache = overRedis("traced");
    await cache.connect();
    await within("request", async () => {
      await cache.getOrSet("secret key", () =>
        within("query", async () => {
          await client.commands.get("secret other");
          return "secret value";
        }),
      );
      await cache.set("secret key", "secret value");
      await cache.delete("secret key");
      await cache.invalidateTags("secret tag");
    });
    await cache.drain();
    expect(path(named("redis GET"))).toEqual(["redis GET", "query", "cache load", "cache getOrSet", "request"]);
    for (const operation of ["set", "delete", "invalidateTags"])
      expect(path(named(`cache ${operation}`))).toEqual([`cache ${operation}`, "request"]);
    const reads = finished().filter(({ name }) => name === "backend read");
    expect(reads.map(path)).toContainEqual(["backend read", "cache getOrSet", "request"]);
    expect(named("redis GET").attributes).toEqual({
      "db.system.name": "redis",
      "db.operation.name": "GET",
      "hotset.client": "shop",
    });
    expect(named("cache load").attributes).toEqual({
      "hotset.cache": "traced",
      "hotset.load.reason": "miss",
      "hotset.load.background": false,
    });
    for (const { name, kind, attributes, events, status } of finished()) {
      expect(JSON.stringify([name, attributes, events, status])).not.toContain("secret");
      expect(kind).toBe(SpanKind.INTERNAL);
    }
    await cache.close();
  });

  it("of what failed have the code of the error, and no message", async () => {
    const cache = overRedis("failing");
    const load = (): Promise<never> => Promise.reject(new TypeError("secret message"));
    await cache.getOrSet("k", load).catch(() => undefined);
    await within("request", () => client.commands.send(["NONESUCH", "secret"]).catch(() => undefined));
    await cache.close();
    for (const [name, code] of [
      ["cache load", "TypeError"],
      ["cache getOrSet", "TypeError"],
      ["redis NONESUCH", "UNKNOWN_COMMAND"],
    ]) {
      const { attributes, status, events } = named(name!);
      expect([attributes["error.type"], status, events]).toEqual([code, { code: SpanStatusCode.ERROR }, []]);
    }
  });

  it("are not made of a fresh local copy, nor of a command of its own accord, nor once tracing has ended", async () => {
    const cache = createCache({ name: "hits" }).tier(memory()).build();
    await cache.getOrSet("k", () => 1, { ttl: "1m" });
    await cache.drain();
    exporter.reset();
    await within("request", () => cache.getOrSet("k", () => 2));
    await client.commands.get("k");
    expect(finished().map(({ name }) => name)).toEqual(["request"]);
    tracing.close();
    await within("after", async () => {
      await cache.get("other");
      await client.commands.get("k");
    });
    expect(finished().map(({ name }) => name)).toEqual(["request", "after"]);
    await cache.close();
    expect(() => startTracing({ provider: tracerProvider } as TracingOptions)).toThrow('unknown option "provider"');
  });
});

describe("the context of a producer travels", () => {
  it("with a job, through its attempts, to the spans of its handler", async () => {
    const jobs = queue<string>(client, randomPrefix(), { backoff: { type: "fixed", base: 0 } });
    await within("request", () => jobs.add("secret"));
    let attempts = 0;
    await using worker = jobs.worker(async () => {
      await client.commands.get("k");
      attempts += 1;
      if (attempts === 1) throw new Error("once");
    });
    await expect.poll(() => worker.stats.completed).toBe(1);
    const handled = finished().filter(({ name }) => name === "queue handle");
    expect(handled.map(path)).toEqual([
      ["queue handle", "request"],
      ["queue handle", "request"],
    ]);
    const traces = new Set(handled.map((span) => span.spanContext().traceId));
    expect(traces).toEqual(new Set([named("request").spanContext().traceId]));
    const commands = finished().filter(({ name }) => name === "redis GET");
    expect(commands.map(path)).toContainEqual(["redis GET", "queue handle", "request"]);
  });

  it("with an entry, as its field traceparent, and a field of the caller is kept", async () => {
    const stream = streams(client).stream<Record<string, string>>(randomPrefix());
    await within("request", () => stream.append({ order: "7" }));
    await within("request", () => stream.append({ order: "8", traceparent: "of the caller" }));
    await within("request", async () => {
      const [first, second] = await stream.range();
      expect(first!.fields["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
      expect(second!.fields).toEqual({ order: "8", traceparent: "of the caller" });
    });
    const seen: (string | undefined)[] = [];
    const worker = consumer(stream, "group", {}, () => {
      seen.push(trace.getActiveSpan()?.spanContext().traceId);
    });
    await expect.poll(() => seen.length).toBe(2);
    await worker.stop();
    const [first, second] = finished().filter(({ name }) => name === "stream handle");
    expect(path(first!)).toEqual(["stream handle", "request"]);
    expect(seen[0]).toBe(first!.spanContext().traceId);
    expect(path(second!)).toEqual(["stream handle"]);
  });

  it("not where nothing traces: entries and jobs are as they were", async () => {
    const stream = streams(client).stream<Record<string, string>>(randomPrefix());
    await stream.append({ order: "6" });
    expect((await stream.range())[0]!.fields).toEqual({ order: "6" });
    tracing.close();
    await within("request", () => stream.append({ order: "7" }));
    expect((await stream.range())[1]!.fields).toEqual({ order: "7" });
  });
});
