import diagnostics from "node:diagnostics_channel";
import { createCache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { startTracing, type Tracing } from "@hotset/metrics/otel";
import { carrierFor, consuming } from "@hotset/redis-toolkit/module";
import {
  context,
  diag,
  DiagLogLevel,
  propagation,
  trace,
  type DiagLogger,
  type TextMapPropagator,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const exporter = new InMemorySpanExporter();
const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT = `00-${TRACE_ID}-b7ad6b7169203331-01`;
/** Later versions may have more behind it. */
const later = (more: string): string => `01${TRACEPARENT.slice(2)}-${more}`;
const fault = (): never => {
  throw new Error("of the provider");
};
const throwing: TextMapPropagator = { fields: () => ["traceparent"], inject: fault, extract: fault };

let tracing: Tracing | undefined;
let diagnosed: unknown[];
let uncaught: unknown[];
let listeners: NodeJS.UncaughtExceptionListener[];
const onUncaught = (error: unknown): void => void uncaught.push(error);
beforeEach(() => {
  exporter.reset();
  diagnosed = [];
  uncaught = [];
  listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException").on("uncaughtException", onUncaught);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const logger = { error: (...told: unknown[]) => void diagnosed.push(...told) } as unknown as DiagLogger;
  diag.setLogger(logger, { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true });
});
afterEach(async () => {
  tracing?.close();
  await new Promise(setImmediate);
  process.off("uncaughtException", onUncaught);
  for (const listener of listeners) process.on("uncaughtException", listener);
  diag.disable();
  context.disable();
  propagation.disable();
  if (uncaught.length > 0) throw new AggregateError(uncaught, "uncaught exceptions");
});

const names = (): readonly string[] => exporter.getFinishedSpans().map(({ name }) => name);

describe("what comes with a job", () => {
  it.each([
    ["a text", TRACEPARENT, TRACE_ID],
    ["bytes", Buffer.from(TRACEPARENT), TRACE_ID],
    ["an object whose text cannot be made", { toString: 1, valueOf: 1 }, undefined],
    ["a number", 1, undefined],
    ["a text of a later version", later("x"), TRACE_ID],
    ["a text beyond 8 KiB", later("x".repeat(9_000)), undefined],
  ])("is taken if it is short text: %s", async (_what, traceparent, traceId) => {
    tracing = startTracing({ tracerProvider });
    expect(await consuming("queue", { traceparent }, () => "handled")).toBe("handled");
    expect(names()).toEqual(["queue handle"]);
    expect(exporter.getFinishedSpans()[0]!.parentSpanContext?.traceId).toBe(traceId);
  });
});

describe("what throws in a provider or a propagator costs its span, never the call nor the process", () => {
  it("a propagator", async () => {
    tracing = startTracing({ tracerProvider });
    propagation.disable();
    propagation.setGlobalPropagator(throwing);
    expect(await consuming("queue", {}, () => "handled")).toBe("handled");
    expect(carrierFor("queue")).toBe(undefined);
    expect(names()).toEqual([]);
    expect(diagnosed).toEqual(
      Array(2)
        .fill(["hotset: tracing failed", new Error("of the provider")])
        .flat(),
    );
  });

  it("a tracer", async () => {
    tracing = startTracing({ tracerProvider: { getTracer: () => ({ startSpan: fault, startActiveSpan: fault }) } });
    const cache = createCache({ name: "untraced" }).tier(memory()).build();
    expect(await cache.getOrSet("k", () => 1, { ttl: "1m" })).toBe(1);
    await cache.close();
    expect(diagnosed).toContainEqual(new Error("of the provider"));
  });

  it("a span", async () => {
    const span = { ...trace.wrapSpanContext({} as never), setAttribute: fault, setStatus: fault, end: fault };
    const tracer = { startSpan: () => span as never, startActiveSpan: fault };
    tracing = startTracing({ tracerProvider: { getTracer: () => tracer } });
    expect(await consuming("queue", {}, () => "handled")).toBe("handled");
    await expect(consuming("queue", {}, () => Promise.reject(new Error("its own")))).rejects.toThrow("its own");
    expect(diagnosed).toContainEqual(new Error("of the provider"));
  });
});

describe("each span that began ends", () => {
  it("after close, with its work and its error; then nothing listens", async () => {
    tracing = startTracing({ tracerProvider });
    const releases: (() => void)[] = [];
    const held = (): Promise<void> => new Promise((resolve) => releases.push(resolve));
    const works = [
      consuming("queue", {}, held),
      consuming("stream", {}, () => held().then(() => Promise.reject(new TypeError("failed")))),
    ];
    tracing.close();
    tracing.close();
    await consuming("queue", {}, () => "not traced");
    expect(names()).toEqual([]);
    for (const release of releases) release();
    await Promise.allSettled(works.map(async (work) => work));
    expect(names()).toEqual(["queue handle", "stream handle"]);
    expect(exporter.getFinishedSpans()[1]!.attributes).toEqual({ "error.type": "TypeError" });
    expect(diagnostics.tracingChannel("hotset:consume").hasSubscribers).toBe(false);
  });

  it("also of work that throws before it returns", () => {
    tracing = startTracing({ tracerProvider });
    const channel = diagnostics.tracingChannel<string, object>("hotset:consume");
    const work = (): never => {
      throw new TypeError("at once");
    };
    expect(() => channel.tracePromise(work, { source: "queue", carrier: {} })).toThrow("at once");
    expect(names()).toEqual(["queue handle"]);
    expect(exporter.getFinishedSpans()[0]!.attributes).toEqual({ "error.type": "TypeError" });
    tracing.close();
    expect(channel.hasSubscribers).toBe(false);
  });
});
