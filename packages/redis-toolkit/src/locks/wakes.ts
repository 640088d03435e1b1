import type { Clock } from "@hotset/core";
import { keepAlive } from "@hotset/core/internal";
import type { RedisConnection, Subscriber } from "../client/contract.ts";
import type { Module } from "../module/module.ts";

/** Between two attempts of one waiter, however often it is woken: fewer than 20 a second. */
export const PAUSE_MS = 60;

/**
 * Bounds of one turn: how often callers of one process pass a lock on among themselves, and for how long, before callers
 * of other processes are woken.
 */
export const MOST_PASSES = 16;
const TURN_MS = 50;

/** A caller that waits for a lock. It keeps its place in the line from its first pause to the end. */
export class Waiter {
  /** Whether it waits for nothing else than the lock of its line: then a holder may pass that on to it. */
  readonly canTakeOver: boolean;
  readonly #clock: Clock;
  #mayTryAt = 0;
  #end: (() => void) | undefined;
  #cancel: () => void = nothing;
  #isRoused = false;

  constructor(clock: Clock, canTakeOver = false) {
    this.#clock = clock;
    this.canTakeOver = canTakeOver;
  }

  /** Whether waking it would make it try sooner. */
  get isAsleep(): boolean {
    return this.isPausing && !this.#isRoused;
  }

  get isPausing(): boolean {
    return this.#end !== undefined;
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
    const end = (): void => {
      this.#end = undefined;
      resolve();
    };
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

  /** Ends its sleep now, however lately it has tried. */
  takeOver(): void {
    this.#end?.();
  }
}

/** Holders of one process that follow each other. */
interface Turn {
  readonly since: number;
  passes: number;
}

interface Line {
  /** In the order in which they came. */
  readonly waiters: Set<Waiter>;
  unsubscribe: () => void;
  turn: Turn | undefined;
  /** Until when the message of a release that was sent from here may arrive, which wakes no caller of this process. */
  ownMessageBy: number;
}

/**
 * Callers of one connection that wait for locks, and the messages that wake them. A message wakes one caller of each
 * process: the first in line that may try. Messages may be lost, and over HTTP there are none,
 * so waiters also try on their own.
 *
 * A release publishes one, unless a holder passes the lock on to the next caller of its own process, within the bounds
 * of a turn. That caller's attempt is sent right behind the release. Redis knows nothing of it: where another caller
 * comes in between, the attempt is refused as any other.
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

  /**
   * Called in the turn in which the release of a lock is sent.
   *
   * @param heldSince when its holder got it
   * @returns whether a caller of this process tries behind that release; else the release has to wake the others
   */
  static passOn({ connection, clock }: Module, channel: string, heldSince: number): boolean {
    const wakes = all.get(connection);
    const line = wakes === undefined ? undefined : wakes.#lines.get(channel);
    if (line === undefined) return false;
    const turn = (line.turn ??= { since: heldSince, passes: 0 });
    const isOver = turn.passes === MOST_PASSES || clock.now() - turn.since >= TURN_MS;
    const next = isOver ? undefined : successorIn(line.waiters);
    if (next !== undefined) {
      turn.passes += 1;
      next.takeOver();
      return true;
    }
    line.turn = undefined;
    // Callers of other processes come first.
    if (isOver) line.ownMessageBy = clock.now() + PAUSE_MS;
    return false;
  }

  /** After a release that woke no other process: the next turn is one of this process as well. */
  static resume(module: Module, channel: string): void {
    if (!Wakes.passOn(module, channel, module.clock.now())) all.get(module.connection)?.wake(channel);
  }

  /** Whether callers of this process wait for that lock alone: a further one is not to try before them. */
  isWanted(channel: string): boolean {
    const { waiters } = this.#lines.get(channel) ?? EMPTY;
    for (const waiter of waiters) if (waiter.canTakeOver) return true;
    return false;
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

  #hear(channel: string, line: Line): void {
    const isOwn = this.#module.clock.now() < line.ownMessageBy;
    line.ownMessageBy = 0;
    if (!isOwn) this.wake(channel);
  }

  #lineOf(channel: string): Line {
    let line = this.#lines.get(channel);
    if (line === undefined) {
      this.#lines.set(channel, (line = { waiters: new Set(), unsubscribe: nothing, turn: undefined, ownMessageBy: 0 }));
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
      const end = await subscriber.subscribe("channel", channel, () => this.#hear(channel, line));
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

function successorIn(waiters: ReadonlySet<Waiter>): Waiter | undefined {
  for (const waiter of waiters) if (waiter.canTakeOver && waiter.isPausing) return waiter;
  return undefined;
}

const all = new WeakMap<RedisConnection, Wakes>();

const EMPTY: Pick<Line, "waiters"> = { waiters: new Set() };
const nothing = (): void => undefined;
