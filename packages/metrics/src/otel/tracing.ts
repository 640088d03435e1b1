import { AsyncLocalStorage } from "node:async_hooks";
import diagnostics, { type TracingChannel } from "node:diagnostics_channel";
import { InvalidArgumentError } from "@hotset/core";
import { checkNames } from "@hotset/core/internal";
import type { CommandEvent } from "@hotset/redis-toolkit";
import type { Consuming, Producing } from "@hotset/redis-toolkit/module";
import {
  context,
  diag,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
  type Tracer,
  type TracerProvider,
} from "@opentelemetry/api";

/** The context of a trace of a cache: docs/reference/events.md. Its key and its namespaces are left where they are. */
interface Traced {
  readonly cache: string;
  readonly tier?: string;
  readonly operation?: string;
  readonly reason?: string;
  readonly background?: boolean;
}

/** Where spans go. */
export interface TracingOptions {
  /** @default that of `trace.setGlobalTracerProvider` */
  readonly tracerProvider?: TracerProvider | undefined;
}

/** Spans that are being made. */
export interface Tracing {
  /** Ends it: no further span begins. Spans under way end with their work. */
  close(): void;
}

/**
 * Makes spans of all caches and clients of the process: of calls, loads and calls of backends, of commands of the
 * toolkit, and of handlers of streams and queues. The context of a producer travels with its entry or job, by the
 * propagator of the process. All spans are internal; none has a key, a value, a tenant or a user. An error of a
 * provider or a propagator costs its span, never the call, and is logged by `diag` of `@opentelemetry/api`.
 *
 * @throws {ConfigurationError} for an unknown option.
 * @throws {InvalidArgumentError} for what is not a provider.
 */
export function startTracing(options: TracingOptions = {}): Tracing {
  checkNames(options, ["tracerProvider"], { place: "startTracing" });
  const { tracerProvider = trace } = options;
  if (typeof (tracerProvider as TracerProvider | null)?.getTracer !== "function")
    throw new InvalidArgumentError("startTracing: tracerProvider must be a TracerProvider of OpenTelemetry");
  const tracer = tracerProvider.getTracer("@hotset/metrics/otel");
  const ends = [
    spansOf<Traced>("hotset:call", ({ cache, operation = "" }) =>
      begin(tracer, `cache ${operation}`, { "hotset.cache": cache }),
    ),
    spansOf<Traced>("hotset:load", ({ cache, reason = "", background = false }) =>
      begin(tracer, "cache load", {
        "hotset.cache": cache,
        "hotset.load.reason": reason,
        "hotset.load.background": background,
      }),
    ),
    spansOf<Traced>("hotset:backend", ({ cache, tier = "", operation = "" }) =>
      begin(tracer, `backend ${operation}`, { "hotset.cache": cache, "hotset.tier": tier }),
    ),
    spansOf<Consuming>("hotset:consume", ({ source, carrier }) =>
      begin(tracer, `${source} handle`, {}, propagation.extract(ROOT_CONTEXT, textsOf(carrier))),
    ),
    subscribed<Producing>("hotset:produce", ({ carrier }) => propagation.inject(context.active(), carrier)),
    subscribed<CommandEvent>("hotset:redis", (command) => addCommand(tracer, command)),
  ];
  return { close: () => ends.forEach((end) => end()) };
}

const begin = (tracer: Tracer, name: string, attributes: Attributes, parent: Context = context.active()): Begun => {
  const span = tracer.startSpan(name, { kind: SpanKind.INTERNAL, attributes }, parent);
  return { span, active: trace.setSpan(parent, span) };
};

interface Begun {
  readonly span: Span;
  /** The context in which the work runs. */
  readonly active: Context;
}

/** Runs the work of a channel in a context of OpenTelemetry, wherever the SDK keeps that. */
class ContextStorage extends AsyncLocalStorage<Context> {
  override run<R>(active: Context, work: (...args: never[]) => R, ...args: unknown[]): R {
    return context.with(active, work as (...given: unknown[]) => R, undefined, ...args);
  }
}

/**
 * A span for each trace of a tracing channel, in whose context the traced work runs.
 *
 * @returns a function after which none begins; those that have begun end with their work
 */
function spansOf<C extends object>(channel: string, start: (traced: C) => Begun): () => void {
  const tracing: TracingChannel<Context, C> = diagnostics.tracingChannel<Context, C>(channel);
  const spans = new WeakMap<C, Span>();
  const storage = new ContextStorage();
  let open = 0;
  let isClosed = false;
  tracing.start.bindStore(storage, (traced) => {
    const begun = attempt(() => start(traced));
    if (begun === undefined) return context.active();
    spans.set(traced, begun.span);
    open += 1;
    return begun.active;
  });
  const endSpan = (traced: C): void => {
    const span = spans.get(traced);
    if (span === undefined) return;
    spans.delete(traced);
    open -= 1;
    attempt(() => span.end());
    if (isClosed && open === 0) tracing.unsubscribe(handlers);
  };
  const handlers = {
    start: ignore,
    // Work that throws immediately has no asynchronous end.
    end: (traced: C) => void ("error" in traced && endSpan(traced)),
    asyncStart: ignore,
    asyncEnd: endSpan,
    error: (traced: C) =>
      attempt(() => failed(spans.get(traced), codeOf((traced as { readonly error?: unknown }).error))),
  };
  tracing.subscribe(handlers);
  return () => {
    isClosed = true;
    tracing.start.unbindStore(storage);
    if (open === 0) tracing.unsubscribe(handlers);
  };
}

function subscribed<E>(channel: string, listener: (event: E) => void): () => void {
  const listen = (event: unknown): void => attempt(() => listener(event as E));
  diagnostics.subscribe(channel, listen);
  return () => void diagnostics.unsubscribe(channel, listen);
}

/** Node ends the process for what a subscriber throws: what a provider or a propagator throws costs only a span. */
function attempt<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    diag.error("hotset: tracing failed", error);
    return undefined;
  }
}

/** Made when the command has ended: no span can be below it. Without a span around it, such as for a probe, none. */
function addCommand(tracer: Tracer, { operation, client, durationMs, code }: CommandEvent): void {
  const parent = context.active();
  if (trace.getSpan(parent) === undefined) return;
  const endedAt = performance.timeOrigin + performance.now();
  const attributes = { "db.system.name": "redis", "db.operation.name": operation, "hotset.client": client };
  const span = tracer.startSpan(
    `redis ${operation}`,
    { kind: SpanKind.INTERNAL, startTime: endedAt - durationMs, attributes },
    parent,
  );
  if (code !== undefined) failed(span, code);
  span.end(endedAt);
}

/** Messages may quote values, so only the code of the error is kept. */
function failed(span: Span | undefined, code: string): void {
  span?.setAttribute("error.type", code);
  span?.setStatus({ code: SpanStatusCode.ERROR });
}

const codeOf = (error: unknown): string => {
  const { code, name } = (error ?? {}) as { readonly code?: unknown; readonly name?: unknown };
  return typeof code === "string" ? code : typeof name === "string" ? name : "UNKNOWN";
};

/** Characters or bytes, all together: what the W3C asks for baggage. */
const MAX_CARRIED_LENGTH = 8_192;

/** Anyone who may write to Redis can have written the carrier: only short texts and Buffers are taken. */
function textsOf(carrier: Readonly<Record<string, unknown>>): Record<string, string> {
  const texts: Record<string, string> = {};
  let room = MAX_CARRIED_LENGTH;
  for (const field of propagation.fields()) {
    const value = carrier[field];
    if ((typeof value !== "string" && !Buffer.isBuffer(value)) || value.length > room) continue;
    texts[field] = value.toString();
    room -= value.length;
  }
  return texts;
}

const ignore = (): void => undefined;
