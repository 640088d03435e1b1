import { scheduleRunning, type StoredEntry } from "@hotset/core";
import type { CommandQueue, RawClient } from "../connection/command-queue.ts";
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
  const { queue, origin } = batch;
  const command = queue.begin<readonly (StoredEntry | undefined)[]>(origin);
  const entries: (StoredEntry | undefined)[] = Array.from({ length: entryKeys.length });
  let pending = entryKeys.length;
  let lastError: unknown;
  let failed = 0;
  const settle = (): void => {
    if (failed > 0 && failed === entryKeys.length - pending) command.fail(lastError);
    else command.done(entries);
  };
  // A silent node should not cost the answers of the others: they are returned shortly before the deadline.
  const stopClock = scheduleRunning(queue.clock, queue.deadlineMs * 0.9, () => {
    if (pending < entryKeys.length) settle();
  });
  const settled = (): void => {
    pending -= 1;
    if (pending > 0) return;
    stopClock();
    settle();
  };
  const fail = (error: unknown): void => {
    if (!isWrongType(error)) lastError = (failed++, batch.fault(error));
    settled();
  };
  command.sent(2 * entryKeys.length);
  entryKeys.forEach((entryKey, i) => {
    const done = (entry: StoredEntry | undefined): void => {
      entries[i] = entry;
      settled();
    };
    readOne(entryKey, batch, done, fail);
  });
  return command.promise;
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
