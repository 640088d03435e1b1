import type { Channel, TracingChannel } from "node:diagnostics_channel";
import type { CacheEvents, Traced } from "../contracts/events.ts";
import { isThenable } from "./once.ts";

// Not imported: docs/decisions/0027.
const diagnostics = process.getBuiltinModule("node:diagnostics_channel");

/**
 * One kind of event: its listeners, and the diagnostics channel `hotset:<name>`, which all caches of the process share.
 * Callers check `isObserved` before they build an event, so unobserved events cost nothing.
 */
export class EventPort<T extends object> {
  readonly #channel: Channel;
  #listeners: readonly ((event: T) => unknown)[] = [];

  constructor(name: string) {
    this.#channel = diagnostics.channel(`hotset:${name}`);
  }

  get isObserved(): boolean {
    return this.#listeners.length !== 0 || this.#channel.hasSubscribers;
  }

  emit(event: T): void {
    for (const listener of this.#listeners) notify(listener, event);
    if (this.#channel.hasSubscribers) this.#channel.publish(event);
  }

  add(listener: (event: T) => unknown): () => void {
    const wrapped = (event: T): unknown => listener(event);
    this.#listeners = [...this.#listeners, wrapped];
    return () => {
      this.#listeners = this.#listeners.filter((each) => each !== wrapped);
    };
  }
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

const ignore = (): void => {};

/** The events of one cache. */
export type Events = { readonly [E in keyof CacheEvents]: EventPort<CacheEvents[E]> };

export function createEvents(): Events {
  return Object.fromEntries(NAMES.map((name) => [name, new EventPort(name)])) as unknown as Events;
}

const NAMES = [
  "hit",
  "stale",
  "miss",
  "load",
  "load:error",
  "store",
  "fenced",
  "coalesced",
  "invalidate",
  "backend:error",
  "backend:state",
  "decode:error",
  "evict",
  "recover",
] as const satisfies readonly (keyof CacheEvents)[];

/** Loads run inside `start`, so a span opened there is the parent of all spans that the loader opens. */
const tracing: { readonly load: TracingChannel<string, Traced>; readonly backend: TracingChannel<string, Traced> } = {
  load: diagnostics.tracingChannel("hotset:load"),
  backend: diagnostics.tracingChannel("hotset:backend"),
};

/**
 * Runs `body` and publishes its start and end on the tracing channel `hotset:<channel>`, without its result, which
 * holds a value. Without subscribers `context` is not called.
 */
export function traced<T>(channel: keyof typeof tracing, body: () => Promise<T>, context: () => Traced): Promise<T> {
  if (!tracing[channel].hasSubscribers) return body();
  let result: T;
  const keepResult = async (): Promise<void> => {
    result = await body();
  };
  return tracing[channel].tracePromise(keepResult, context()).then(() => result);
}
