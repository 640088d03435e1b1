import { scheduleRunning, type StoredEntry } from "@hotset/core";
import type { Command, CommandQueue, RawClient, Route } from "../connection/command-queue.ts";
import { isWrongType, overdue, type Origin } from "../primitives/faults.ts";
import type { EntryFields } from "./entry-fields.ts";

export interface BatchRead {
  readonly queue: CommandQueue;
  readonly client: RawClient;
  readonly origin: Origin;
  readonly decode: (fields: EntryFields, ttlMs: number) => StoredEntry | undefined;
  /** The error for the caller. */
  readonly fault: (error: unknown) => unknown;
}

/** One result for each key: an error where it could not be read. */
export type BatchAnswer = readonly (StoredEntry | Error | undefined)[];

/** Many reads that are sent together and settle as one: a promise for each would cost more than its commands. */
export function readTogether(entryKeys: readonly string[], batch: BatchRead): Promise<BatchAnswer> {
  const { queue, client, origin } = batch;
  const routes: (Route | undefined)[] = [];
  const answers = new Answers(entryKeys.length, { queue, origin, serverOf: (i) => routes[i]?.server });
  entryKeys.forEach((entryKey, i) => {
    const done = (entry: StoredEntry | undefined): void => answers.arrived(i, entry);
    readOne(entryKey, batch, done, (error) => {
      if (isWrongType(error)) done(undefined);
      else answers.failed(i, batch.fault(error) as Error);
    });
    routes.push(client.lastRoute);
  });
  answers.command.sent(2 * entryKeys.length, answers);
  return answers.command.promise;
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
  const answers = new Answers(keys.length, batch);
  const { queue } = batch;
  const readPart = async (from: number): Promise<void> => {
    const part = keys.slice(from, from + queue.maxInFlight).map((key, i) =>
      read(key).then(
        (entry) => answers.arrived(from + i, entry),
        (error: unknown) => answers.failed(from + i, error as Error),
      ),
    );
    await Promise.all(part);
    if (from + queue.maxInFlight < keys.length && !answers.command.isOver) await readPart(from + queue.maxInFlight);
  };
  void readPart(0);
  if (queue.client !== undefined) answers.command.sent(0, answers);
  return answers.command.promise;
}

/** A call for many keys. */
export interface BatchCall {
  readonly queue: CommandQueue;
  readonly origin: Origin;
  /** Host and port that answer for the key at this position, where there are several servers: for errors. */
  readonly serverOf: (index: number) => string | undefined;
}

/** The answers to the reads of one call. It fails when none was answered. */
class Answers implements Route {
  readonly command: Command<BatchAnswer>;
  readonly #answers: (StoredEntry | Error | undefined)[];
  readonly #isOpen: boolean[];
  readonly #stopClock: () => void;
  readonly #serverOf: BatchCall["serverOf"];
  readonly #overdue: (server: string | undefined) => Error;
  #pending: number;
  #failed = 0;

  constructor(count: number, { queue, origin, serverOf }: BatchCall) {
    this.#serverOf = serverOf;
    this.command = queue.begin(origin);
    this.#answers = Array.from({ length: count });
    this.#isOpen = this.#answers.map(() => true);
    this.#pending = count;
    this.#overdue = (server) =>
      overdue(origin, queue.deadlineMs, { isSent: this.command.isSent, server: server ?? queue.server?.() });
    // A silent node should not cost the answers of the others: they are returned shortly before the deadline.
    this.#stopClock = scheduleRunning(queue.clock, queue.deadlineMs * 0.9, () => {
      if (this.#pending < count) this.#settle();
    });
  }

  /** The servers that have not answered. */
  get server(): string | undefined {
    const silent = new Set(this.#answers.map((_, i) => (this.#isOpen[i] === true ? this.#serverOf(i) : undefined)));
    silent.delete(undefined);
    return silent.size === 0 ? undefined : [...silent].join(", ");
  }

  failed(i: number, error: Error): void {
    this.#failed += 1;
    this.#set(i, error);
  }

  arrived(i: number, entry: StoredEntry | undefined): void {
    this.#set(i, entry);
  }

  #set(i: number, answer: StoredEntry | Error | undefined): void {
    if (this.command.isOver) return;
    this.#answers[i] = answer;
    this.#isOpen[i] = false;
    this.#pending -= 1;
    if (this.#pending > 0) return;
    this.#stopClock();
    this.#settle();
  }

  #settle(): void {
    const answered = this.#answers.length - this.#pending;
    if (this.#failed > 0 && this.#failed === answered)
      return this.command.fail(this.#answers.find((answer) => answer instanceof Error));
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
    this.command.done(this.#answers);
  }
}

/**
 * Calls either `done` or `fail`, once. PTTL first: the other way round an entry that expires in between would be read
 * as one without expiry.
 */
function readOne(
  entryKey: string,
  { queue, client, decode }: BatchRead,
  done: (entry: StoredEntry | undefined) => void,
  fail: (error: unknown) => void,
): void {
  const ttl = client.sendCommand(["PTTL", entryKey]);
  let ttlMs: number | undefined;
  ttl.then(
    (reply) => {
      queue.replied();
      ttlMs = reply as number;
    },
    () => queue.replied(),
  );
  const receive = (reply: unknown): void => {
    let entry: StoredEntry | undefined;
    try {
      entry = decode(reply as EntryFields, ttlMs!);
    } catch (error) {
      return fail(error);
    }
    done(entry);
  };
  client.sendCommand(["HMGET", entryKey, "d", "s", "m", "w"]).then(
    (reply) => {
      queue.replied();
      if (ttlMs !== undefined) receive(reply);
      else ttl.then(() => receive(reply), fail);
    },
    (error: unknown) => {
      queue.replied();
      fail(error);
    },
  );
}
