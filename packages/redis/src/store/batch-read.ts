import type { StoredEntry } from "@hotset/core";
import { Command, type CommandQueue, type RawClient, type Route } from "../connection/command-queue.ts";
import { hasOpenLane, sendAll } from "../connection/trip.ts";
import { overdue, type Origin } from "../primitives/faults.ts";
import type { Read } from "./entry-layout.ts";

/** Where a read ends: calls either, once. */
export interface Ends<T> {
  done(result: T): void;
  fail(error: unknown): void;
}

/** One result for each key: an error where it could not be read. */
export type BatchAnswer = readonly (StoredEntry | Error | undefined)[];

/** Takes the replies of one read. */
export type Receiver = (replies: readonly unknown[]) => void;

/** How replies are read. */
interface Receiving {
  /** What those from `at` on say. Absent where that takes time. */
  readonly answer: ((replies: readonly unknown[], at: number) => BatchAnswer[number]) | undefined;
  /** Called just before the read is sent. */
  receiver(entryKey: string, ends: Ends<StoredEntry | undefined>): Receiver;
}

/** Many reads that are sent together and settle as one: a promise for each would cost more than its commands. */
export function readTogether(
  { client, queue, origin }: Pick<BatchCall, "queue" | "origin"> & { readonly client: RawClient },
  entryKeys: readonly string[],
  { commands, count, text }: Read<StoredEntry | undefined>,
  { answer, receiver }: Receiving,
): Promise<BatchAnswer> {
  const routes: (Route | undefined)[] = [];
  const command = new BatchCommand(entryKeys.length, { queue, origin, serverOf: (i) => routes[i]?.server });
  const all = count * entryKeys.length;
  if (!hasOpenLane(client) || answer === undefined || text === undefined)
    entryKeys.forEach((entryKey, i) => {
      const ended = (entry: BatchAnswer[number]): void => command.set(i, entry);
      sendAll(client, commands(entryKey), receiver(entryKey, { done: ended, fail: ended }));
      routes.push(client.lastRoute);
    });
  else {
    const received = (): void => {
      queue.replied(all);
      command.takeJoined();
    };
    const replies = sendAll(client, entryKeys.map(text), received, all);
    command.joined = { replies, count, answer };
  }
  command.sent(all);
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
        (error: unknown) => command.set(from + i, error as Error),
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

/** Replies to many keys, `count` to each; `undefined` where they have not come. */
interface Joined {
  readonly replies: readonly unknown[];
  readonly count: number;
  readonly answer: NonNullable<Receiving["answer"]>;
}

/** In place of an answer. */
const OPEN = Symbol("open");

/**
 * The reads of one call. At its deadline it settles with the answers that came: a silent node costs none of the others.
 * It fails when none was answered.
 */
class BatchCommand extends Command<BatchAnswer> {
  readonly #answers: (StoredEntry | Error | undefined | typeof OPEN)[];
  readonly #serverOf: BatchCall["serverOf"];
  readonly #queue: CommandQueue;
  /** The replies to all keys in one list, if they are not taken key by key. */
  joined: Joined | undefined;
  #isSettled = false;
  #pending: number;
  #failed = 0;

  constructor(count: number, { queue, origin, serverOf }: BatchCall) {
    super(queue, origin);
    this.#serverOf = serverOf;
    this.#queue = queue;
    this.#answers = new Array(count).fill(OPEN);
    this.#pending = count;
    queue.start(this);
  }

  /** The servers that have not answered. */
  override get server(): string | undefined {
    const silent = new Set(this.#answers.map((answer, i) => (answer === OPEN ? this.#serverOf(i) : undefined)));
    silent.delete(undefined);
    return silent.size === 0 ? this.#queue.server?.() : [...silent].join(", ");
  }

  override pass(): void {
    this.takeJoined();
    if (this.#isSettled) return;
    if (this.#pending < this.#answers.length) return this.#settle();
    this.#isSettled = true;
    super.pass();
  }

  /** Reads the joined replies that have come, in their order: at the end, or by the deadline. */
  takeJoined(): void {
    if (this.joined === undefined || this.#isSettled) return;
    const { replies, count, answer } = this.joined;
    for (let i = this.#answers.length - this.#pending; i < this.#answers.length; i += 1) {
      if (replies[(i + 1) * count - 1] === undefined) return;
      this.set(i, answer(replies, i * count));
    }
  }

  set(i: number, answer: StoredEntry | Error | undefined): void {
    if (this.#isSettled) return;
    if (answer instanceof Error) this.#failed += 1;
    this.#answers[i] = answer;
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
      this.#answers.forEach((answer, i) => {
        if (answer !== OPEN) return;
        const server = this.#serverOf(i);
        let error = errors.get(server);
        if (error === undefined) errors.set(server, (error = this.#overdue(server)));
        this.#answers[i] = error;
      });
    }
    this.done(this.#answers as BatchAnswer);
  }

  #overdue(server: string | undefined): Error {
    const { deadlineMs, server: ofAll } = this.#queue;
    return overdue(this.origin, deadlineMs, { isSent: this.isSent, server: server ?? ofAll?.() });
  }
}
