import type { Clock } from "@hotset/core";
import { overdue, overloaded, type Origin } from "../primitives/faults.ts";

/** The part of a node-redis client that calls use. Replies that are blobs come as Buffers. */
export interface RawClient {
  sendCommand(args: (string | Buffer)[]): Promise<unknown>;
}

/** Sends one command on the connection in question. */
export type Send = (args: readonly string[]) => Promise<unknown>;

export interface LaneSettings {
  readonly clock: Clock;
  /** Bound on each call, waiting included. */
  readonly deadlineMs: number;
  /** Commands without a reply; further calls wait. */
  readonly maxInFlight: number;
}

/** How many calls may wait, as a multiple of `maxInFlight`; what comes then is refused at once. */
const MAX_WAITING = 20;

/**
 * The calls of one link: under way, or waiting for room or for the first connection.
 *
 * Each settles once: by its reply, or at its deadline, after which a late reply is ignored. All
 * calls of a lane have the same deadline, so they fall due in the order they began and one timer
 * serves all; it is armed at most once per deadline, not per call.
 */
export class CommandQueue {
  /** Takes commands. `undefined` while there is no connection. */
  client: RawClient | undefined;
  /** Commands without a reply, those included whose call has given up: they occupy the connection. */
  inFlight = 0;
  /** Replies so far, errors included. A link on which this stands still is silent. */
  replies = 0;
  readonly maxInFlight: number;
  readonly deadlineMs: number;
  readonly clock: Clock;
  /** Called for each call that gave up while nothing at all was answered since it was sent, with that instant. */
  onSilence: ((since: number) => void) | undefined;
  /** Called when the last command in flight was answered. */
  onIdle: (() => void) | undefined;
  /** Unsettled calls: the oldest is `next`, the youngest `previous`. */
  readonly #ring: Ring;
  readonly #overloads = new Map<Origin, Error>();
  #isTimed = false;
  #waiting = 0;
  #firstWaiting: Command<never> | undefined;
  #lastWaiting: Command<never> | undefined;

  constructor(settings: LaneSettings) {
    this.clock = settings.clock;
    this.deadlineMs = settings.deadlineMs;
    this.maxInFlight = settings.maxInFlight;
    this.#ring = { next: undefined!, previous: undefined! };
    this.#ring.next = this.#ring.previous = this.#ring;
  }

  get hasRoom(): boolean {
    return this.client !== undefined && this.inFlight < this.maxInFlight;
  }

  /** Starts the clock of a call. */
  begin<T>(origin: Origin): Command<T> {
    const call = new Command<T>(this, origin, this.clock.now() + this.deadlineMs);
    const ring = this.#ring;
    call.next = ring;
    call.previous = ring.previous;
    ring.previous.next = call;
    ring.previous = call;
    if (!this.#isTimed) this.#arm(this.deadlineMs);
    return call;
  }

  /** Calls `send` once there is a connection with room, unless `call` has settled by then. */
  wait<T>(call: Command<T>, send: (client: RawClient) => void): void {
    if (this.#waiting >= MAX_WAITING * this.maxInFlight) return call.fail(this.#overload(call.origin));
    const waiter = call as unknown as Command<never>;
    waiter.send = send;
    if (this.#lastWaiting === undefined) this.#firstWaiting = waiter;
    else this.#lastWaiting.nextWaiting = waiter;
    this.#lastWaiting = waiter;
    this.#waiting += 1;
  }

  /** Sends what waits, as far as there is room. */
  resume(): void {
    while (this.#firstWaiting !== undefined && this.hasRoom) {
      const call = this.#takeWaiting();
      if (!call.isSettled) call.send!(this.client!);
    }
  }

  /** Fails what waits. */
  abandon(fault: (origin: Origin) => Error): void {
    while (this.#firstWaiting !== undefined) {
      const call = this.#takeWaiting();
      call.fail(fault(call.origin));
    }
  }

  /** One command was answered, or will never be. */
  replied(): void {
    this.inFlight -= 1;
    this.replies += 1;
    if (this.#firstWaiting !== undefined) this.resume();
    else if (this.inFlight === 0) this.onIdle?.();
  }

  /** One error for all who come too many: there may be a million of them, and each stack trace costs a kilobyte. */
  #overload(origin: Origin): Error {
    let error = this.#overloads.get(origin);
    if (error === undefined) this.#overloads.set(origin, (error = overloaded(origin, this.maxInFlight)));
    return error;
  }

  #takeWaiting(): Command<never> {
    const call = this.#firstWaiting!;
    this.#firstWaiting = call.nextWaiting;
    if (this.#firstWaiting === undefined) this.#lastWaiting = undefined;
    this.#waiting -= 1;
    return call;
  }

  #arm(delayMs: number): void {
    this.#isTimed = true;
    this.clock.schedule(() => this.#expire(), delayMs);
  }

  #expire(): void {
    this.#isTimed = false;
    const now = this.clock.now();
    for (let oldest = this.#ring.next; oldest !== this.#ring; oldest = this.#ring.next) {
      const call = oldest as Command<never>;
      const leftMs = call.dueAt - now;
      if (leftMs > 0) return this.#arm(leftMs);
      call.fail(overdue(call.origin, this.deadlineMs, call.isSent));
      if (call.isSent && call.repliesBefore === this.replies) this.onSilence?.(call.dueAt - this.deadlineMs);
    }
  }
}

interface Ring {
  next: Ring;
  previous: Ring;
}

/** One call, from the moment it is made. */
export class Command<T> implements Ring {
  readonly promise: Promise<T>;
  readonly origin: Origin;
  readonly dueAt: number;
  isSent = false;
  isSettled = false;
  /** {@link CommandQueue.replies} when it was sent. */
  repliesBefore = 0;
  next!: Ring;
  previous!: Ring;
  send: ((client: RawClient) => void) | undefined;
  nextWaiting: Command<never> | undefined;
  readonly #queue: CommandQueue;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;

  constructor(queue: CommandQueue, origin: Origin, dueAt: number) {
    this.#queue = queue;
    this.origin = origin;
    this.dueAt = dueAt;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** To be called with each batch of commands handed to the client. */
  sent(commands: number): void {
    this.isSent = true;
    this.repliesBefore = this.#queue.replies;
    this.#queue.inFlight += commands;
  }

  /** Sends the one command that this call consists of, and settles it by the bare reply or error. */
  exchange(client: RawClient, args: (string | Buffer)[]): void {
    this.sent(1);
    client.sendCommand(args).then(
      (reply) => {
        this.#queue.replied();
        this.done(reply as T);
      },
      (error: unknown) => {
        this.#queue.replied();
        this.fail(error);
      },
    );
  }

  /** Settles it by what `interpret` makes of a reply; a reply that makes no sense fails it. */
  answer(interpret: () => T): void {
    let value: T;
    try {
      value = interpret();
    } catch (error) {
      return this.fail(error);
    }
    this.done(value);
  }

  done(value: T): void {
    this.#leave();
    this.#resolve(value);
  }

  fail(error: unknown): void {
    this.#leave();
    this.#reject(error);
  }

  #leave(): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.previous.next = this.next;
    this.next.previous = this.previous;
    // A settled call that has grown old would keep all that came after it alive, one by one, until a full collection.
    this.previous = this.next = this;
  }
}
