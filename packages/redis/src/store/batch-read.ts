import type { StoredEntry } from "@hotset/core";
import { Command, type CommandQueue, type RawClient, type Route } from "../connection/command-queue.ts";
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
  const command = new BatchCommand(entryKeys.length, { queue, origin, serverOf: (i) => routes[i]?.server });
  entryKeys.forEach((entryKey, i) => {
    const done = (entry: StoredEntry | undefined): void => command.arrived(i, entry);
    readOne(entryKey, batch, done, (error) => {
      if (isWrongType(error)) done(undefined);
      else command.failed(i, batch.fault(error) as Error);
    });
    routes.push(client.lastRoute);
  });
  command.sent(2 * entryKeys.length);
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
        (entry) => command.arrived(from + i, entry),
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
    if (this.#pending < this.#answers.length) this.#settle();
    else super.pass();
  }

  failed(i: number, error: Error): void {
    this.#failed += 1;
    this.#set(i, error);
  }

  arrived(i: number, entry: StoredEntry | undefined): void {
    this.#set(i, entry);
  }

  #set(i: number, answer: StoredEntry | Error | undefined): void {
    if (this.isOver) return;
    this.#answers[i] = answer;
    this.#isOpen[i] = false;
    this.#pending -= 1;
    if (this.#pending === 0) this.#settle();
  }

  #settle(): void {
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
