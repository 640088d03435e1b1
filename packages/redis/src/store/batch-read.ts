import type { StoredEntry } from "@hotset/core";
import { Command, type Args, type CommandQueue, type RawClient, type Route } from "../connection/command-queue.ts";
import { sendAll } from "../connection/trip.ts";
import { overdue, type Origin } from "../primitives/faults.ts";

/** Where a read ends: calls either, once. */
export interface Ends<T> {
  done(result: T): void;
  fail(error: unknown): void;
}

/** One result for each key: an error where it could not be read. */
export type BatchAnswer = readonly (StoredEntry | Error | undefined)[];

/** The commands of a read, and what takes their replies. */
interface BatchedRead {
  readonly commands: readonly Args[];
  receive(replies: readonly unknown[], ends: Ends<StoredEntry | undefined>): void;
}

/**
 * Many reads that are sent together and settle as one: a promise for each would cost more than its commands.
 *
 * @param readOf is called just before it is sent. All have as many commands.
 */
export function readTogether(
  { client, queue, origin }: Pick<BatchCall, "queue" | "origin"> & { readonly client: RawClient },
  count: number,
  readOf: (index: number) => BatchedRead,
): Promise<BatchAnswer> {
  const routes: (Route | undefined)[] = [];
  const command = new BatchCommand(count, { queue, origin, serverOf: (i) => routes[i]?.server });
  const reads: BatchedRead["receive"][] = [];
  const receive = (i: number, replies: readonly unknown[]): void =>
    reads[i]!(replies, {
      done: (entry) => command.set(i, entry),
      fail: (error) => command.failed(i, error as Error),
    });
  const all: Args[] = [];
  let sent = 0;
  for (let i = 0; i < count; i += 1) {
    const { commands, receive: received } = readOf(i);
    reads.push(received);
    sent += commands.length;
    if (client.lane === undefined) {
      sendAll(client, commands, (replies) => {
        queue.replied(replies.length);
        receive(i, replies);
      });
      routes.push(client.lastRoute);
    } else all.push(...commands);
  }
  if (all.length !== 0) {
    const each = sent / count;
    let next = 0;
    const receiveSome = (replies: readonly unknown[]): void => {
      for (; next < count && replies[(next + 1) * each - 1] !== undefined; next += 1)
        receive(next, replies.slice(next * each, (next + 1) * each));
    };
    const come = sendAll(client, all, (replies) => {
      queue.replied(sent);
      receiveSome(replies);
    });
    command.onDue = () => receiveSome(come);
  }
  command.sent(sent);
  return command.promise;
}

/**
 * As {@link readTogether}, where not all fit: no more at a time than may be in flight, since the number
 * that may wait is bounded, too. One deadline covers all parts.
 */
export function readInParts(
  keys: readonly string[],
  batch: BatchCall,
  read: (key: string) => Promise<StoredEntry | undefined>,
): Promise<BatchAnswer> {
  const command = new BatchCommand(keys.length, batch);
  const { queue } = batch;
  const readPart = async (from: number): Promise<void> => {
    const part = keys.slice(from, from + queue.maxInFlight).map((key, i) =>
      read(key).then(
        (entry) => command.set(from + i, entry),
        (error: unknown) => command.failed(from + i, error as Error),
      ),
    );
    await Promise.all(part);
    if (from + queue.maxInFlight < keys.length && !command.isOver) await readPart(from + queue.maxInFlight);
  };
  void readPart(0);
  if (queue.client !== undefined) command.sent(0);
  return command.promise;
}

/** A call for many keys. */
export interface BatchCall {
  readonly queue: CommandQueue;
  readonly origin: Origin;
  /** Host and port that answer for the key at this position, where there are several servers: for errors. */
  readonly serverOf: (index: number) => string | undefined;
}

/**
 * The reads of one call. At its deadline it settles with the answers that came: a silent node costs none of the others.
 * It fails when none was answered.
 */
class BatchCommand extends Command<BatchAnswer> {
  readonly #answers: (StoredEntry | Error | undefined)[];
  readonly #isOpen: boolean[];
  readonly #serverOf: BatchCall["serverOf"];
  readonly #queue: CommandQueue;
  /** Takes the replies that have come by the deadline, if those are not taken one by one. */
  onDue: (() => void) | undefined;
  #isSettled = false;
  #pending: number;
  #failed = 0;

  constructor(count: number, { queue, origin, serverOf }: BatchCall) {
    super(queue, origin);
    this.#serverOf = serverOf;
    this.#queue = queue;
    this.#answers = Array.from({ length: count });
    this.#isOpen = this.#answers.map(() => true);
    this.#pending = count;
    queue.start(this);
  }

  /** The servers that have not answered. */
  override get server(): string | undefined {
    const silent = new Set(this.#answers.map((_, i) => (this.#isOpen[i] === true ? this.#serverOf(i) : undefined)));
    silent.delete(undefined);
    return silent.size === 0 ? this.#queue.server?.() : [...silent].join(", ");
  }

  override pass(): void {
    this.onDue?.();
    if (this.#isSettled) return;
    if (this.#pending < this.#answers.length) return this.#settle();
    this.#isSettled = true;
    super.pass();
  }

  failed(i: number, error: Error): void {
    this.#failed += 1;
    this.set(i, error);
  }

  set(i: number, answer: StoredEntry | Error | undefined): void {
    if (this.#isSettled) return;
    this.#answers[i] = answer;
    this.#isOpen[i] = false;
    this.#pending -= 1;
    if (this.#pending === 0) this.#settle();
  }

  #settle(): void {
    this.#isSettled = true;
    const answered = this.#answers.length - this.#pending;
    if (this.#failed > 0 && this.#failed === answered)
      return this.fail(this.#answers.find((answer) => answer instanceof Error));
    if (this.#pending > 0) {
      // One for each server: a stack trace for each key would cost more than its read.
      const errors = new Map<string | undefined, Error>();
      this.#answers.forEach((_, i) => {
        if (this.#isOpen[i] !== true) return;
        const server = this.#serverOf(i);
        let error = errors.get(server);
        if (error === undefined) errors.set(server, (error = this.#overdue(server)));
        this.#answers[i] = error;
      });
    }
    this.done(this.#answers);
  }

  #overdue(server: string | undefined): Error {
    const { deadlineMs, server: ofAll } = this.#queue;
    return overdue(this.origin, deadlineMs, { isSent: this.isSent, server: server ?? ofAll?.() });
  }
}
