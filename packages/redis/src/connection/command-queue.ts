import type { Clock } from "@hotset/core";
import { Deadlines, inThisContext, Reply, type Deadline } from "@hotset/core/internal";
import { isNoScript, overdue, overloaded, type Origin } from "../primitives/faults.ts";

/** Next to the arguments of a command. Absent for commands of the cache. */
export interface SendOptions {
  /** Decides the node in a cluster. */
  readonly key?: string | Buffer | undefined;
  /** Bound on the exchange with the node. */
  readonly deadlineMs?: number | undefined;
  /**
   * What is left until the caller gives the command up. Absent where it has not waited for room: the whole deadline.
   * Over HTTP, a request that arrives later does nothing.
   */
  readonly leftMs?: number | undefined;
  /** How replies are decoded, in place of blobs as Buffers. */
  readonly typeMapping?: object;
}

/** Where a command is under way. It changes when the command is redirected. */
export interface Route {
  /** Host and port, or several of them. `undefined` where that is not known. */
  readonly server: string | undefined;
}

/** The part of a node-redis client that commands use. Blob replies come as Buffers. */
export interface RawClient {
  sendCommand(args: readonly (string | Buffer)[], options?: SendOptions): Promise<unknown>;
  /**
   * Sends EVALSHA, and sees to it that the server knows the script. Absent where the server says that it does not, and
   * the caller sends the text.
   */
  sendScript?(args: readonly (string | Buffer)[], text: string, options?: SendOptions): Promise<unknown>;
  /**
   * Sends commands one right after another to the node of one key. Settles with a reply or an error for each. Absent
   * where all commands go to one server.
   */
  sendBurst?(commands: readonly (readonly (string | Buffer)[])[], options: SendOptions): Promise<readonly unknown[]>;
  /** Takes the commands of one turn together, while it is open. Absent where they may go to several servers. */
  lane?: object;
  /** The route of the last command that was sent, for errors. Absent if all commands go to one server. */
  readonly lastRoute?: Route | undefined;
}

/** A command, or the arguments of a script. */
export type Args = readonly (string | Buffer)[];

/** Sends one command on a given connection. */
export type Send = (args: readonly string[]) => Promise<unknown>;

export interface CommandQueueSettings {
  readonly clock: Clock;
  /**
   * Bound on each command from when it is sent, in time in which the event loop ran; also on its wait for a connection,
   * but not for the socket of the first one. The wait for room is bounded apart: it ends when nothing was answered for
   * as long, and after ten times as long. A command may begin with `room: "counts"`: then it is part of this bound.
   */
  readonly deadlineMs: number;
  /** Commands without a reply; further ones wait. */
  readonly maxInFlight: number;
  /** Commands that wait; further ones are refused immediately. @default 40 times `maxInFlight` */
  readonly maxWaiting?: number | undefined;
}

/** How many commands may wait, as a multiple of `maxInFlight`. */
export const MAX_WAITING = 40;

/** How long a command may wait for room while others are answered, as a multiple of the deadline. */
const MAX_WAITS = 10;

/**
 * The commands of one link: in flight, or waiting for room or for the first connection.
 *
 * Each settles once: by its reply, or at its deadline, after which a late reply is ignored.
 */
export class CommandQueue {
  /** The client of the current connection. `undefined` while there is none. */
  client: RawClient | undefined;
  /** Commands without a reply, those past their deadline included: they occupy the connection. */
  inFlight = 0;
  /** Counts replies, errors included. A link whose count does not change is silent. */
  replies = 0;
  /** When the last command began, by the clock. */
  lastBeganAt: number = -Infinity;
  readonly maxInFlight: number;
  readonly #maxWaiting: number;
  readonly deadlineMs: number;
  readonly clock: Clock;
  /**
   * Called for each overdue command if nothing at all was answered since it was sent, with the instant at which it
   * began, by the time in which the event loop ran.
   */
  onSilence: ((since: number) => void) | undefined;
  /** Where its commands go, for errors; a {@link Route} says it better. `undefined` while that is not known. */
  server: (() => string | undefined) | undefined;
  /** Called when the last command in flight has been answered. */
  onIdle: (() => void) | undefined;
  /**
   * Whether the first connection has not reached its server. The attempt bounds the wait for that, as this process may
   * still be loading the client, or shares its CPU with others that start. Afterwards the deadline of a command counts.
   */
  isOpening = false;
  readonly #deadlines: Deadlines;
  readonly #overloads = new Map<Origin, Error>();
  #waiting = 0;
  #firstWaiting: Command<never> | undefined;
  #lastWaiting: Command<never> | undefined;

  constructor(settings: CommandQueueSettings) {
    this.clock = settings.clock;
    this.deadlineMs = settings.deadlineMs;
    this.maxInFlight = settings.maxInFlight;
    this.#maxWaiting = settings.maxWaiting ?? MAX_WAITING * settings.maxInFlight;
    this.#deadlines = Deadlines.of(settings.clock, settings.deadlineMs);
  }

  get hasRoom(): boolean {
    return this.client !== undefined && this.inFlight < this.maxInFlight;
  }

  /** Whether one more command would have to wait for others. */
  get isFull(): boolean {
    return this.inFlight + this.#waiting >= this.maxInFlight;
  }

  /**
   * Creates a command; its deadline starts now.
   *
   * @param deadlineMs bounds all of it, the wait for room too. Absent: that of the queue.
   * @param room without `deadlineMs`: whether the wait for room extends the deadline of the queue, or counts
   */
  begin<T>(origin: Origin, deadlineMs?: number, room: "extends" | "counts" = "extends"): Command<T> {
    const command = new Command<T>(this, origin, deadlineMs);
    command.mayExtend = room === "extends";
    this.start(command, deadlineMs);
    return command;
  }

  /** Starts the deadline of `command`, of the length that it was made with. */
  start(command: Deadline, deadlineMs?: number): void {
    this.lastBeganAt = this.#deadlines.start(command, deadlineMs);
  }

  /** Calls `send` once there is a connection with room, unless `command` has settled by then. */
  enqueue<T>(command: Command<T>, send: (client: RawClient) => void): void {
    if (this.#waiting >= this.#maxWaiting) return command.fail(this.#overload(command.origin));
    const waiter = command as unknown as Command<never>;
    // Sent when another call is answered.
    waiter.send = inThisContext(send);
    waiter.repliesBefore = this.replies;
    waiter.waitsToOpen = this.isOpening;
    if (this.#lastWaiting === undefined) this.#firstWaiting = waiter;
    else this.#lastWaiting.nextWaiting = waiter;
    this.#lastWaiting = waiter;
    this.#waiting += 1;
  }

  /** Sends waiting commands while there is room. */
  sendWaiting(): void {
    while (this.#firstWaiting !== undefined && this.hasRoom) {
      const command = this.#takeWaiting();
      if (!command.isOver) command.send!(this.client!);
    }
  }

  /** Fails all waiting commands. */
  failWaiting(fault: (origin: Origin) => Error): void {
    while (this.#firstWaiting !== undefined) {
      const command = this.#takeWaiting();
      command.fail(fault(command.origin));
    }
  }

  /** To be called for each command that was answered, or never will be. */
  replied(count = 1): void {
    this.inFlight -= count;
    this.replies += count;
    if (this.#firstWaiting !== undefined) this.sendWaiting();
    else if (this.inFlight === 0) this.onIdle?.();
  }

  /** `command` has its whole deadline again: what it waited for was room, and others were answered meanwhile. */
  restart(command: Deadline): void {
    this.#deadlines.end(command);
    this.#deadlines.start(command);
  }

  /**
   * One error for all commands refused for lack of room: there may be a million, and each stack trace costs a kilobyte.
   */
  #overload(origin: Origin): Error {
    let error = this.#overloads.get(origin);
    if (error === undefined) this.#overloads.set(origin, (error = overloaded(origin, this.#maxWaiting / MAX_WAITING)));
    return error;
  }

  #takeWaiting(): Command<never> {
    const command = this.#firstWaiting!;
    this.#firstWaiting = command.nextWaiting;
    if (this.#firstWaiting === undefined) this.#lastWaiting = undefined;
    this.#waiting -= 1;
    return command;
  }
}

/** In place of a result: the call continues with another command, within its deadline. */
export class Further {
  /** Name and arguments of the next command. */
  readonly args: readonly (string | Buffer)[];

  constructor(args: readonly (string | Buffer)[]) {
    this.args = args;
  }
}

/** One Redis command, or several that are sent for one call and settle as one, with one deadline. */
export class Command<T> extends Reply<T> {
  readonly origin: Origin;
  isSent = false;
  /** {@link CommandQueue.replies} when it was sent. */
  repliesBefore = 0;
  send: ((client: RawClient) => void) | undefined;
  /** Whether the command was to wait for the first connection. */
  waitsToOpen = false;
  /** Whether its wait for room is added to its deadline. */
  mayExtend = true;
  nextWaiting: Command<never> | undefined;
  readonly #queue: CommandQueue;
  /** A separate deadline, which counts from `begin` on. */
  readonly #totalMs: number | undefined;
  #route: Route | undefined;
  #waits = 0;
  #ended: ((result: { readonly value: T } | undefined) => void) | undefined;

  constructor(queue: CommandQueue, origin: Origin, totalMs?: number) {
    super();
    this.#queue = queue;
    this.origin = origin;
    this.#totalMs = totalMs;
  }

  /** To be called with the number of Redis commands, right after some were handed to the client. */
  sent(count: number): void {
    const queue = this.#queue;
    if (this.#restartsWhenSent) queue.restart(this);
    this.isSent = true;
    this.repliesBefore = queue.replies;
    this.#route = queue.client?.lastRoute;
    queue.inFlight += count;
  }

  /** Where it was sent, or waits to be sent, as far as that is known. */
  get server(): string | undefined {
    return this.#route?.server ?? this.#queue.server?.();
  }

  /** Sends one Redis command, and settles with its bare reply or error. */
  exchange(client: RawClient, args: readonly (string | Buffer)[], options?: SendOptions): void {
    const answer = client.sendCommand(args, this.#withTimeLeft(options));
    this.sent(1);
    answer.then(
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

  /** As {@link exchange} for EVALSHA: the script goes by its text where the server does not know it. */
  exchangeScript(client: RawClient, args: readonly (string | Buffer)[], text: string, options?: SendOptions): void {
    const send = this.#withTimeLeft(options);
    const answer = client.sendScript?.(args, text, send) ?? client.sendCommand(args, send);
    this.sent(1);
    answer.then(
      (reply) => {
        this.#queue.replied();
        this.done(reply as T);
      },
      (error: unknown) => {
        // One that was given up is not sent again: it would come behind what was called since.
        const isSentAgain = isNoScript(error) && !this.isOver;
        // Ahead of what waits for room: that may be the same script, and would only learn the same.
        if (isSentAgain) this.exchange(client, ["EVAL", text, ...args.slice(2)], options);
        this.#queue.replied();
        if (!isSentAgain) this.fail(error);
      },
    );
  }

  /** Sends Redis commands one right after another, and settles with a reply or an error for each. */
  exchangeAll(client: RawClient, commands: readonly (readonly (string | Buffer)[])[], options: SendOptions): void {
    const replied = (): void => this.#queue.replied();
    if (client.sendBurst !== undefined) {
      const burst = client.sendBurst(commands, options);
      this.sent(1);
      burst.then(replied, replied);
      return void burst.then(
        (replies) => this.done(replies as T),
        (error: unknown) => this.fail(error),
      );
    }
    const send = this.#withTimeLeft(options);
    const replies = commands.map((args) => {
      const reply = client.sendCommand(args, send);
      reply.then(replied, replied);
      return reply.catch((error: unknown) => error);
    });
    this.sent(commands.length);
    void Promise.all(replies).then((all) => this.done(all as T));
  }

  /** Settles with the result of `interpret`, which reads a reply; an error thrown by it fails the command. */
  answer(interpret: () => T): void {
    let value: T;
    try {
      value = interpret();
    } catch (error) {
      return this.fail(error);
    }
    this.done(value);
  }

  /** Calls `ended` before the result is handed on: with it, or without one if it failed. */
  whenOver(ended: (result: { readonly value: T } | undefined) => void): void {
    if (this.isOver) ended(undefined);
    else this.#ended = ended;
  }

  #tell(result: { readonly value: T } | undefined): void {
    const ended = this.#ended;
    this.#ended = undefined;
    ended?.(result);
  }

  done(value: T): void {
    this.#tell({ value });
    this.among?.end(this);
    this.resolve(value);
  }

  fail(error: unknown): void {
    this.#tell(undefined);
    this.among?.end(this);
    this.reject(error);
  }

  /** Part of the deadline has passed if the command waited for room. */
  #withTimeLeft(options: SendOptions | undefined): SendOptions | undefined {
    const hasWaited = this.send !== undefined;
    if (options === undefined || !hasWaited || this.#restartsWhenSent) return options;
    return { ...options, leftMs: this.among!.leftOf(this) };
  }

  get #restartsWhenSent(): boolean {
    return this.#waitsForRoom || this.#waitsToOpen;
  }

  /** Whether the command is in line behind others that are being answered. */
  get #waitsForRoom(): boolean {
    return (
      this.mayExtend &&
      this.#totalMs === undefined &&
      !this.isSent &&
      this.send !== undefined &&
      this.repliesBefore !== this.#queue.replies
    );
  }

  get #waitsToOpen(): boolean {
    return this.#totalMs === undefined && !this.isSent && this.waitsToOpen;
  }

  override pass(): void {
    const queue = this.#queue;
    if (this.#waitsToOpen) {
      // Once it is open, what still waits for room has its deadline from now on.
      this.waitsToOpen = queue.isOpening;
      return queue.restart(this);
    }
    if (this.#waitsForRoom && this.#waits < MAX_WAITS) {
      this.#waits += 1;
      this.repliesBefore = queue.replies;
      return queue.restart(this);
    }
    const deadlineMs = this.#totalMs ?? queue.deadlineMs;
    this.#tell(undefined);
    const isSilent = this.isSent && this.repliesBefore === queue.replies;
    this.reject(overdue(this.origin, deadlineMs, this));
    if (isSilent) queue.onSilence?.(this.dueAt - deadlineMs);
  }
}
