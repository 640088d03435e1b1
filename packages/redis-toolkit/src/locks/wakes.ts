import type { Clock } from "@hotset/core";
import { keepAlive } from "@hotset/core/internal";
import type { RedisConnection, Subscriber } from "../client/contract.ts";
import type { Module } from "../module/module.ts";

/** Between two attempts of one waiter, however often it is woken: fewer than 20 a second. */
export const PAUSE_MS = 60;

/** A caller that waits for a lock. It keeps its place in the line from its first pause to the end. */
export class Waiter {
  readonly #clock: Clock;
  #mayTryAt = 0;
  #end: (() => void) | undefined;
  #cancel: () => void = nothing;
  #isRoused = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether waking it would make it try sooner. */
  get isAsleep(): boolean {
    return this.#end !== undefined && !this.#isRoused;
  }

  get mayTry(): boolean {
    return this.#clock.now() >= this.#mayTryAt;
  }

  /** Called before each attempt. */
  tries(): void {
    this.#mayTryAt = this.#clock.now() + PAUSE_MS;
  }

  /** Until `ms` have passed, it is roused, or the signal is aborted. Keeps the process alive. */
  async sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = (): void => resolve();
    this.#end = end;
    this.#cancel = this.#clock.schedule(end, ms);
    signal?.addEventListener("abort", end);
    await keepAlive(this.#clock, promise);
    signal?.removeEventListener("abort", end);
    this.#cancel();
    this.#end = undefined;
    this.#isRoused = false;
  }

  /** Ends its sleep, as soon as it may try. */
  rouse(): void {
    if (!this.isAsleep) return;
    this.#isRoused = true;
    if (this.mayTry) return this.#end?.();
    this.#cancel();
    this.#cancel = this.#clock.schedule(() => this.#end?.(), this.#mayTryAt - this.#clock.now());
  }
}

interface Line {
  /** In the order in which they came. */
  readonly waiters: Set<Waiter>;
  unsubscribe: () => void;
}

/**
 * Callers of one connection that wait for locks, and the messages that wake them: one for each release. It wakes one
 * caller of each process: the first in line that may try. Messages may be lost, and over HTTP there are none, so waiters
 * also try on their own.
 */
export class Wakes {
  readonly #module: Module;
  readonly #lines = new Map<string, Line>();
  #subscriber: Promise<Subscriber> | undefined;
  isClosed = false;

  private constructor(module: Module) {
    this.#module = module;
    module.onDisconnect(async () => {
      this.isClosed = true;
      for (const { waiters } of this.#lines.values()) for (const waiter of waiters) waiter.rouse();
    }, "waits");
  }

  static of(module: Module): Wakes {
    const { connection } = module;
    let wakes = all.get(connection);
    if (wakes === undefined) all.set(connection, (wakes = new Wakes(module)));
    return wakes;
  }

  /** @param channels as Redis has them. @returns a function that leaves the line */
  join(channels: readonly string[], waiter: Waiter): () => void {
    for (const channel of channels) this.#lineOf(channel).waiters.add(waiter);
    return () => {
      for (const channel of channels) this.#leave(channel, waiter);
    };
  }

  /** Lets the first one in line try. */
  wake(channel: string): void {
    const { waiters } = this.#lines.get(channel) ?? EMPTY;
    let first: Waiter | undefined;
    for (const waiter of waiters) {
      if (!waiter.isAsleep) continue;
      if (waiter.mayTry) return waiter.rouse();
      first ??= waiter;
    }
    first?.rouse();
  }

  #lineOf(channel: string): Line {
    let line = this.#lines.get(channel);
    if (line === undefined) {
      this.#lines.set(channel, (line = { waiters: new Set(), unsubscribe: nothing }));
      if (!this.#module.isHttp) void this.#subscribe(channel, line);
    }
    return line;
  }

  #leave(channel: string, waiter: Waiter): void {
    const line = this.#lines.get(channel);
    if (line === undefined || !line.waiters.delete(waiter) || line.waiters.size !== 0) return;
    this.#lines.delete(channel);
    line.unsubscribe();
  }

  /** Behind the back of the waiters: they are bounded without it. */
  async #subscribe(channel: string, line: Line): Promise<void> {
    try {
      const subscriber = await this.#opened();
      const end = await subscriber.subscribe("channel", channel, () => this.wake(channel));
      const unsubscribe = (): void => void end().catch((error: unknown) => this.#module.report("lock wake", error));
      if (this.#lines.get(channel) !== line) return unsubscribe();
      line.unsubscribe = unsubscribe;
      // It may have been released before the server confirmed this.
      this.wake(channel);
    } catch (error) {
      if (!this.isClosed) this.#module.report("lock wake", error);
    }
  }

  /** One socket for all locks of a connection. It is closed with the connection. */
  async #opened(): Promise<Subscriber> {
    this.#subscriber ??= this.#module.connection.open({ role: "subscriber" }).then((subscriber) => {
      subscriber.on("gap", () => this.#wakeAll());
      return subscriber;
    });
    try {
      return await this.#subscriber;
    } catch (error) {
      this.#subscriber = undefined;
      throw error;
    }
  }

  #wakeAll(): void {
    for (const channel of this.#lines.keys()) this.wake(channel);
  }
}

const all = new WeakMap<RedisConnection, Wakes>();

const EMPTY: Pick<Line, "waiters"> = { waiters: new Set() };
const nothing = (): void => undefined;
