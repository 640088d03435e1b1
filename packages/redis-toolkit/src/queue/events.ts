import { BackendUnavailableError, type Duration } from "@hotset/core";
import { keepAlive } from "@hotset/core/internal";
import type { RedisConnection, Subscriber } from "../client/contract.ts";
import { checkOptions, checkSignal, durationMs, type Module } from "../module/module.ts";
import { JobTimeoutError } from "./errors.ts";
import { decodeJson } from "./job.ts";
import type { QueueStore } from "./store.ts";

/** From any process. A lost connection misses some: `gap` says so. */
export type QueueEvent =
  /** A new job: by `add`, by a schedule, or once more by `replay`. Not for duplicates, and jobs that replace others. */
  | { readonly kind: "added"; readonly id: string }
  /** Delivered to a worker: the attempt begins. */
  | { readonly kind: "active"; readonly id: string; readonly attempt: number }
  /** The lease of the attempt has ended: the job waits again, or is dead. */
  | { readonly kind: "stalled"; readonly id: string; readonly attempt: number }
  /** A worker has taken the last job that waited; others may be delayed. */
  | { readonly kind: "drained" }
  /** A result of more than 8 KB of JSON is left out, and `resultBytes` is its size: `get` and `finished` have it. */
  | { readonly kind: "completed"; readonly id: string; readonly result?: unknown; readonly resultBytes?: number }
  | { readonly kind: "retrying" | "dead"; readonly id: string; readonly reason: string }
  /** A value of more than 8 KB of JSON is left out, and `progressBytes` is its size. */
  | { readonly kind: "progress"; readonly id: string; readonly progress?: unknown; readonly progressBytes?: number }
  /** By `remove`, `drain` or `clean`; or a failed job whose place a newer one of its `dedupId` has taken. */
  | { readonly kind: "removed"; readonly id: string }
  /** The connection was lost and is back: events in between were missed. */
  | { readonly kind: "gap" };

/** A listener to the events of a queue, until it is closed. */
export interface QueueListening extends AsyncDisposable {
  /** Events whose listener threw or rejected. */
  readonly failures: number;
  /** Ends it. */
  close(): Promise<void>;
}

/** How a job ended. `gone`: it is not there, because it has ended and was not kept, was removed, or never was. */
export type Finished<R = unknown> =
  /** `resultBytes`: there is a result of more than 8 KB, and the job was not kept long enough to read it. */
  | { readonly status: "completed"; readonly result?: R; readonly resultBytes?: number }
  | { readonly status: "dead"; readonly reason: string }
  | { readonly status: "gone" };

type Listener = (event: QueueEvent) => unknown;

/** For a queue that was obliterated, or evicted. */
const RECHECK_MS = 5_000;
/** An event that was sent before a reply comes at most so much later. */
const EVENT_MS = 20;

/** How long a subscription without listeners is kept. */
const LINGER_MS = 30_000;

/** Listeners to the events of one queue. */
export class QueueEvents {
  readonly #module: Module;
  readonly #store: QueueStore;

  constructor(module: Module, store: QueueStore) {
    this.#module = module;
    this.#store = store;
  }

  async listen(listener: Listener): Promise<QueueListening> {
    let failures = 0;
    const own: Listener = (event) => {
      void (async () => listener(event))().catch(() => (failures += 1));
    };
    const close = await this.#open(own);
    return {
      get failures() {
        return failures;
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  }

  /** @returns what ends it. `listener` must not throw. */
  async #open(listener: Listener): Promise<() => Promise<void>> {
    const feed = Feed.of(this.#module, this.#store.channel);
    try {
      await feed.add(listener);
    } catch (error) {
      throw this.#module.errorOf("SSUBSCRIBE", error);
    }
    return async () => feed.remove(listener);
  }

  async finished(
    id: string,
    options: { readonly timeout?: Duration | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Finished> {
    checkOptions("finished(id, options)", options, ["timeout", "signal"]);
    const { timeout = "30s", signal } = options;
    const timeoutMs = durationMs("timeout", timeout);
    checkSignal("finished: signal", signal);
    signal?.throwIfAborted();
    const ended = Promise.withResolvers<Finished>();
    const look = (failed: (error: unknown) => void): void =>
      void this.#endOf(id).then((end) => end && ended.resolve(end), failed);
    const lookAgain = (): void => look((error) => this.#module.report("queue: finished", error));
    const close = await this.#open((event) => {
      if (event.kind === "gap") lookAgain();
      else if (event.kind !== "drained" && event.id === id) {
        if (event.kind === "completed") void this.#completed(event).then(ended.resolve);
        else if (event.kind === "dead") ended.resolve({ status: "dead", reason: event.reason });
        else if (event.kind === "removed") ended.resolve({ status: "gone" });
      }
    });
    const abort = (): void => ended.reject(signal?.reason);
    const { clock } = this.#module;
    const cancelTimeout = clock.schedule(
      () => ended.reject(new JobTimeoutError(`finished(id): the job had not ended after ${timeoutMs} ms`)),
      timeoutMs,
    );
    let cancelLook: () => void = () => undefined;
    const lookLater = (): void => {
      cancelLook = clock.schedule(() => (lookAgain(), lookLater()), RECHECK_MS);
    };
    const forget = this.#module.onDisconnect(async () => ended.reject(disconnected()), "waits");
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    look(ended.reject);
    lookLater();
    try {
      return await keepAlive(clock, ended.promise);
    } finally {
      cancelTimeout();
      cancelLook();
      forget();
      signal?.removeEventListener("abort", abort);
      await close();
    }
  }

  /** Large results are not in events. Never rejects. */
  async #completed({ id, result, resultBytes }: QueueEvent & { readonly kind: "completed" }): Promise<Finished> {
    // The event is one for all callers of this process.
    if (resultBytes === undefined) return completed(structuredClone(result));
    try {
      const job = await this.#store.get(id);
      if (job?.state === "completed") return completed(job.result);
    } catch (error) {
      this.#module.report("queue: finished", error);
    }
    return { status: "completed", resultBytes };
  }

  async #endOf(id: string): Promise<Finished | undefined> {
    const job = await this.#store.get(id);
    if (job === undefined) {
      // Its event may be on its way: it comes over another connection.
      await new Promise<void>((resolve) => this.#module.clock.schedule(resolve, EVENT_MS));
      return { status: "gone" };
    }
    if (job.state === "completed") return completed(job.result);
    return job.state === "dead" ? { status: "dead", reason: job.reason ?? "" } : undefined;
  }
}

/**
 * The events of one queue in this process: one subscription for all objects of the queue over a connection. It is kept
 * for a while after the last listener, since a process that waits for one job often waits for the next one.
 */
class Feed {
  readonly #module: Module;
  readonly #channel: string;
  readonly #listeners = new Set<Listener>();
  #subscriber: Promise<Subscriber> | undefined;
  #cancelClose: () => void = () => undefined;

  constructor(module: Module, channel: string) {
    this.#module = module;
    this.#channel = channel;
  }

  static of(module: Module, channel: string): Feed {
    const { connection } = module;
    const ofConnection = feeds.get(connection) ?? new Map<string, Feed>();
    feeds.set(connection, ofConnection);
    const feed = ofConnection.get(channel) ?? new Feed(module, channel);
    ofConnection.set(channel, feed);
    return feed;
  }

  async add(listener: Listener): Promise<void> {
    this.#cancelClose();
    this.#listeners.add(listener);
    const attempt = (this.#subscriber ??= this.#subscribe());
    try {
      await attempt;
    } catch (error) {
      if (this.#subscriber === attempt) this.#subscriber = undefined;
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) void this.#close();
      throw error;
    }
  }

  remove(listener: Listener): void {
    if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
    this.#cancelClose = this.#module.clock.schedule(() => void this.#close(), LINGER_MS);
  }

  /** Never rejects. The next listener opens another one. */
  async #close(): Promise<void> {
    const subscriber = this.#subscriber;
    this.#subscriber = undefined;
    feeds.get(this.#module.connection)?.delete(this.#channel);
    await subscriber?.then((open) => open.close()).catch(() => undefined);
  }

  async #subscribe(): Promise<Subscriber> {
    let subscriber: Subscriber | undefined;
    try {
      subscriber = await this.#module.connection.open({ role: "subscriber", key: this.#channel });
      subscriber.on("gap", () => this.#tell({ kind: "gap" }));
      await subscriber.subscribe("shard", this.#channel, (message) => this.#receive(message));
      return subscriber;
    } catch (error) {
      await subscriber?.close();
      throw error;
    }
  }

  #receive(message: Buffer): void {
    try {
      this.#tell(decodeJson(message) as QueueEvent);
    } catch (error) {
      this.#module.report("queue: events", error);
    }
  }

  #tell(event: QueueEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

const feeds = new WeakMap<RedisConnection, Map<string, Feed>>();

const disconnected = (): BackendUnavailableError =>
  new BackendUnavailableError("finished(id): redis.disconnect() was called before the job had ended", {
    operation: "finished",
    retryable: false,
    maybeExecuted: false,
  });

const completed = (result: unknown): Finished => ({
  status: "completed",
  ...(result === undefined ? undefined : { result }),
});
