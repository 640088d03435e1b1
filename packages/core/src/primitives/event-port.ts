import type { Channel, TracingChannel } from "node:diagnostics_channel";
import { systemClock, type Clock } from "../contracts/clock.ts";
import { CacheError, type CacheErrorCode } from "../contracts/errors.ts";
import type { CacheEvents, Traced } from "../contracts/events.ts";
import { EventLimit } from "./event-limit.ts";
import { ignore } from "./ignore.ts";
import { builtin } from "./platform.ts";
import { isThenable } from "./thenable.ts";

type Diagnostics = Pick<typeof import("node:diagnostics_channel"), "channel" | "tracingChannel">;

/** Replaces diagnostics channels in runtimes without them: it has no subscribers. */
const NO_CHANNELS = {
  channel: () => ({ hasSubscribers: false }),
  tracingChannel: () => ({ hasSubscribers: false }),
} as unknown as Diagnostics;

const diagnostics: Diagnostics = builtin("node:diagnostics_channel") ?? NO_CHANNELS;

/** How the events of one cache are shown. */
export interface EventSettings {
  /** @default the system's */
  readonly clock?: Clock;
  /** Replaces keys and tags before they leave the cache. @default none */
  readonly redactKey?: ((key: string) => string) | undefined;
}

/**
 * One kind of event: its listeners, and the diagnostics channel `hotset:<name>`, which all caches of the process share.
 * Callers check `isObserved` before they build an event, so unobserved events cost nothing.
 *
 * Events of trouble are limited, since trouble comes in storms: see {@link EventLimit}.
 */
export class EventPort<T extends object> {
  readonly #channel: Channel;
  readonly #redactKey: ((key: string) => string) | undefined;
  readonly #clock: Clock;
  /** Limits by the code of the error, so that a storm of one code hides no event of another. `undefined`: no limit. */
  readonly #limits: Map<CacheErrorCode | undefined, EventLimit<T>> | undefined;
  #listeners: readonly Listener<T>[] = [];
  #unobserved: ((event: T) => void) | undefined;

  constructor(name: keyof CacheEvents, { clock = systemClock, redactKey }: EventSettings = {}) {
    this.#channel = diagnostics.channel(`hotset:${name}`);
    this.#redactKey = redactKey;
    this.#clock = clock;
    if (TROUBLE.has(name)) this.#limits = new Map();
  }

  get isObserved(): boolean {
    return this.#listeners.length !== 0 || this.#channel.hasSubscribers;
  }

  emit(event: T): void {
    if (this.#limits === undefined) this.#deliver(event);
    else this.#limitOf(event, this.#limits).offer(event);
  }

  /** @param accepts the events that it is called on. @default all */
  add(listener: (event: T) => unknown, accepts?: (event: T) => boolean): () => void {
    const added: Listener<T> = { listener, accepts };
    this.#listeners = [...this.#listeners, added];
    return () => {
      this.#listeners = this.#listeners.filter((each) => each !== added);
    };
  }

  /** Calls `listener` on each event that no listener accepts and no subscriber observes. It does not count as one. */
  whenUnobserved(listener: (event: T) => void): void {
    this.#unobserved = listener;
  }

  /** Emits what the limit holds back. */
  flush(): void {
    for (const limit of this.#limits?.values() ?? []) limit.flush();
  }

  #limitOf(event: T, limits: Map<CacheErrorCode | undefined, EventLimit<T>>): EventLimit<T> {
    const code = codeOf(event);
    const known = limits.get(code);
    if (known !== undefined) return known;
    const limit = new EventLimit<T>(this.#clock, (passed, omitted) =>
      this.#deliver(omitted === 0 ? passed : { ...passed, omitted }),
    );
    limits.set(code, limit);
    return limit;
  }

  #deliver(given: T): void {
    const event = this.#redactKey === undefined ? given : redacted(given, this.#redactKey);
    let isObserved = this.#channel.hasSubscribers;
    for (const { listener, accepts } of this.#listeners) {
      if (accepts !== undefined && !accepts(event)) continue;
      isObserved = true;
      notify(listener, event);
    }
    if (!isObserved && this.#unobserved !== undefined) notify(this.#unobserved, event);
    if (this.#channel.hasSubscribers) this.#channel.publish(event);
  }
}

/** `undefined` for errors that are not of hotset, such as those of loaders: their codes are unlimited. */
const codeOf = ({ error }: { readonly error?: unknown }): CacheErrorCode | undefined =>
  error instanceof CacheError ? error.code : undefined;

interface Listener<T> {
  readonly listener: (event: T) => unknown;
  readonly accepts: ((event: T) => boolean) | undefined;
}

/** `event` with its key and tags replaced, where it has them. */
export function redacted<T extends { readonly key?: string; readonly tags?: readonly string[] }>(
  event: T,
  redactKey: (key: string) => string,
): T {
  const { key, tags } = event;
  return { ...event, ...(key !== undefined && { key: redactKey(key) }), ...(tags && { tags: tags.map(redactKey) }) };
}

/**
 * Calls a function of the user that only observes. An error that it throws, or that its promise rejects with, is
 * ignored and reported nowhere: observing a cache must not change it.
 */
export function notify<T>(observer: (given: T) => unknown, given: T): void {
  try {
    const outcome = observer(given);
    if (isThenable(outcome)) void outcome.then(undefined, ignore);
  } catch {
    return;
  }
}

/** The events of one cache. */
export type Events = { readonly [E in keyof CacheEvents]: EventPort<CacheEvents[E]> };

export function createEvents(settings: EventSettings = {}): Events {
  const port = <E extends keyof CacheEvents>(name: E): EventPort<CacheEvents[E]> => new EventPort(name, settings);
  return {
    hit: port("hit"),
    stale: port("stale"),
    miss: port("miss"),
    load: port("load"),
    "load:error": port("load:error"),
    "load:unleased": port("load:unleased"),
    "load:unadmitted": port("load:unadmitted"),
    store: port("store"),
    fenced: port("fenced"),
    coalesced: port("coalesced"),
    mismatch: port("mismatch"),
    invalidate: port("invalidate"),
    "backend:error": port("backend:error"),
    "backend:state": port("backend:state"),
    "decode:error": port("decode:error"),
    evict: port("evict"),
    "pending:overflow": port("pending:overflow"),
    "pending:lost": port("pending:lost"),
    recover: port("recover"),
  };
}

/** Kinds that come in storms: decision 0091. */
const TROUBLE: ReadonlySet<keyof CacheEvents> = new Set([
  "load:error",
  "load:unleased",
  "load:unadmitted",
  "backend:error",
  "decode:error",
]);

/** Work runs inside `start`, so a span opened there is the parent of all spans that the work opens. */
const tracing: { readonly [name in "call" | "load" | "backend"]: TracingChannel<string, Traced> } = {
  call: diagnostics.tracingChannel("hotset:call"),
  load: diagnostics.tracingChannel("hotset:load"),
  backend: diagnostics.tracingChannel("hotset:backend"),
};

/** Whether a tracing channel has subscribers. */
export const isTraced = (channel: keyof typeof tracing): boolean => tracing[channel].hasSubscribers;

/**
 * Runs `body` and publishes its start and end on the tracing channel `hotset:<channel>`, without its result, which
 * holds a value. Without subscribers `context` is not called.
 */
export function traced<T>(channel: keyof typeof tracing, body: () => Promise<T>, context: () => Traced): Promise<T> {
  if (!isTraced(channel)) return body();
  let result: T;
  const keepResult = async (): Promise<void> => {
    result = await body();
  };
  return tracing[channel].tracePromise(keepResult, context()).then(() => result);
}
