import type { Backend, Clock, Leases, StoredEntry, TagVersions } from "@hotset/core";
import type { PollChangesOptions } from "./options.ts";
import { pollChanges, type Changes, type PolledChanges } from "./poll-changes.ts";
import type { Records } from "./records.ts";
import { SwapLog, type LoggedChange, type LogPosition } from "./swap-log.ts";
import { tagRecords } from "./tag-records.ts";

/** How the log is read. */
export interface LogReading extends PollChangesOptions {
  readonly clock: Clock;
  readonly recheckMs: number;
}

/**
 * The steps of a backend, each appended to a log before it is acknowledged, and reported to other processes by reading
 * that log.
 *
 * A process that dies after its change and before its place in the log leaves copies of which nothing is reported, so
 * from time to time all of them count as changed: each is compared with its record before it is served again.
 */
export class LoggedBackend<V> {
  readonly #inner: Backend;
  readonly #records: Records<V>;
  readonly #log: SwapLog<V>;
  readonly #changes: PolledChanges;
  readonly #clock: Clock;
  readonly #recheckMs: number;
  #recheckedAt: number;

  constructor(inner: Backend, records: Records<V>, maxRecordBytes: number, reading: LogReading) {
    const { recheckMs, ...polling } = reading;
    this.#inner = inner;
    this.#records = records;
    this.#log = new SwapLog(records, maxRecordBytes);
    this.#clock = reading.clock;
    this.#recheckMs = recheckMs;
    this.#recheckedAt = this.#clock.now();
    this.#changes = pollChanges((position: LogPosition | undefined) => this.#changesSince(position), polling);
  }

  backend(): Backend {
    const inner = this.#inner;
    return {
      ...inner,
      read: (key) => this.#used(() => inner.read(key)),
      write: (key, entry) => this.#step(() => inner.write(key, entry), written(key, entry), { keys: [key] }),
      remove: (key) => this.#step(() => inner.remove(key), { keys: [key] }),
      markStale: (key) => this.#step(() => inner.markStale!(key), { keys: [key] }),
      leases: this.#leases(inner.leases!),
      tagVersions: this.#tagVersions(),
      coherence: this.#changes.coherence,
      close: async () => {
        this.#changes.stop();
        await inner.close();
      },
    };
  }

  async #changesSince(position: LogPosition | undefined): Promise<Changes<LogPosition>> {
    const changes = await this.#log.changesSince(position);
    const now = this.#clock.now();
    if (now - this.#recheckedAt < this.#recheckMs) return changes;
    this.#recheckedAt = now;
    return { ...changes, isCut: true };
  }

  #leases(leases: Leases): Leases {
    return {
      acquire: (request) => this.#used(() => leases.acquire(request)),
      renew: (...given) => this.#used(() => leases.renew(...given)),
      release: (key, token) => this.#step(() => leases.release(key, token), { leases: [key] }),
      // Not stored, a lease that the token held is released even so.
      store: (key, token, seen, entry) =>
        this.#step(
          () => leases.store(key, token, seen, entry),
          (isStored) => (isStored ? written(key, entry) : { leases: [key] }),
          { keys: [key] },
        ),
      touch: (key, seen, life) =>
        this.#step(
          () => leases.touch(key, seen, life),
          (isTouched) => (isTouched ? { keys: [key] } : undefined),
          { keys: [key] },
        ),
      confirm: async (key) => {
        this.#changes.wake();
        await this.#changes.catchUp();
        return leases.confirm(key);
      },
    };
  }

  #tagVersions(): TagVersions {
    const tags = tagRecords(this.#records, (issued) => this.#log.append({ tags: issued }));
    return {
      read: (names) => this.#used(() => tags.read(names)),
      pin: (names) => this.#used(() => tags.pin(names)),
      unchangedSince: (at, names) => this.#used(() => tags.unchangedSince(at, names)),
      renew: (names, mode) => this.#step(() => tags.renew(names, mode), { tags: names }),
    };
  }

  #used<T>(step: () => Promise<T>): Promise<T> {
    this.#changes.wake();
    return step();
  }

  /**
   * @param change what the step changed, or a function that says it by the answer.
   * @param otherwise what a step that failed may have changed: it may have been carried out, or removed the key.
   */
  async #step<T>(
    step: () => Promise<T>,
    change: LoggedChange | ((answer: T) => LoggedChange | undefined),
    otherwise?: LoggedChange,
  ): Promise<T> {
    this.#changes.wake();
    let answer: T;
    try {
      answer = await step();
    } catch (error) {
      const changed = otherwise ?? (typeof change === "function" ? undefined : change);
      // The error of the step says more than that of the log.
      if (changed !== undefined) await this.#log.append(changed).catch(() => undefined);
      throw error;
    }
    const changed = typeof change === "function" ? change(answer) : change;
    if (changed !== undefined) await this.#log.append(changed);
    return answer;
  }
}

const written = (key: string, { version }: StoredEntry): LoggedChange =>
  version === undefined ? { keys: [key] } : { keys: [key], versions: { [key]: version } };
