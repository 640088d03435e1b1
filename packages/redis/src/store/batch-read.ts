import { scheduleRunning, type StoredEntry } from "@hotset/core";
import type { Command, CommandQueue, RawClient } from "../connection/command-queue.ts";
import { isWrongType, type Origin } from "../primitives/faults.ts";
import type { EntryFields } from "./entry-fields.ts";

export interface BatchRead {
  readonly queue: CommandQueue;
  readonly client: RawClient;
  readonly origin: Origin;
  readonly decode: (fields: EntryFields, ttlMs: number) => StoredEntry | undefined;
  /** The error for the caller. */
  readonly fault: (error: unknown) => unknown;
}

/**
 * Many reads that are sent together and settle as one: a promise for each would cost more than its commands. A failed
 * read is a miss, as long as another one was answered.
 */
export function readTogether(
  entryKeys: readonly string[],
  batch: BatchRead,
): Promise<readonly (StoredEntry | undefined)[]> {
  const answers = new Answers(entryKeys.length, batch.queue, batch.origin);
  const fail = (error: unknown): void => {
    if (isWrongType(error)) answers.arrived();
    else answers.failed(batch.fault(error));
  };
  answers.command.sent(2 * entryKeys.length);
  entryKeys.forEach((entryKey, i) => {
    const done = (entry: StoredEntry | undefined): void => {
      answers.entries[i] = entry;
      answers.arrived();
    };
    readOne(entryKey, batch, done, fail);
  });
  return answers.command.promise;
}

/**
 * As {@link readTogether}, where there is no room for all: no more at a time than may be in flight, since the number
 * that may wait is bounded, too. One deadline covers all parts.
 */
export function readInParts(
  keys: readonly string[],
  queue: CommandQueue,
  origin: Origin,
  read: (key: string) => Promise<StoredEntry | undefined>,
): Promise<readonly (StoredEntry | undefined)[]> {
  const answers = new Answers(keys.length, queue, origin);
  const readPart = async (from: number): Promise<void> => {
    const part = keys.slice(from, from + queue.maxInFlight).map((key, i) =>
      read(key).then(
        (entry) => {
          answers.entries[from + i] = entry;
          answers.arrived();
        },
        (error: unknown) => answers.failed(error),
      ),
    );
    await Promise.all(part);
    if (from + queue.maxInFlight < keys.length && !answers.command.isOver) await readPart(from + queue.maxInFlight);
  };
  void readPart(0);
  return answers.command.promise;
}

/** The answers to the reads of one call. A failed one is a miss, as long as another one was answered. */
class Answers {
  readonly command: Command<readonly (StoredEntry | undefined)[]>;
  readonly entries: (StoredEntry | undefined)[];
  readonly #stopClock: () => void;
  #pending: number;
  #failed = 0;
  #lastError: unknown;

  constructor(count: number, queue: CommandQueue, origin: Origin) {
    this.command = queue.begin(origin);
    this.entries = Array.from({ length: count });
    this.#pending = count;
    // A silent node should not cost the answers of the others: they are returned shortly before the deadline.
    this.#stopClock = scheduleRunning(queue.clock, queue.deadlineMs * 0.9, () => {
      if (this.#pending < count) this.#settle();
    });
  }

  failed(error: unknown): void {
    this.#failed += 1;
    this.#lastError = error;
    this.arrived();
  }

  arrived(): void {
    this.#pending -= 1;
    if (this.#pending > 0) return;
    this.#stopClock();
    this.#settle();
  }

  #settle(): void {
    if (this.#failed > 0 && this.#failed === this.entries.length - this.#pending) this.command.fail(this.#lastError);
    else this.command.done(this.entries);
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
