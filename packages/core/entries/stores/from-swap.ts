import {
  defineBackend,
  type Backend,
  type DeleteStatus,
  type LeaseReply,
  type LeaseRequest,
  type Leases,
  type StoredEntry,
  systemClock,
  BackendUnavailableError,
  json,
  passthrough,
} from "@hotset/core";
import { MARKED, newId } from "@hotset/core/internal";
import { bytesOf, keptIn, LONGEST_HEAD_BYTES, NO_VERSION, versionOf, type Kept } from "./kept.ts";
import { LoggedBackend } from "./logged-backend.ts";
import { markedStale } from "./marked-stale.ts";
import { fromSwapSettings, type FromSwapOptions } from "./options.ts";
import { nameOf } from "./record-names.ts";
import { Records, type Next } from "./records.ts";
import type { SwapStore } from "./swap-store.ts";
import { tagRecords } from "./tag-records.ts";

/**
 * A backend with leases and tag versions, over a store that can compare one record and set it. Each step is a read and
 * a swap: entry and lease of a key are one record, so a step that anything has overtaken is refused, and decided again.
 *
 * Without {@link FromSwapOptions.log} it reports no changes, so `memory()` in front of it needs `localTtl`.
 * Its calls reject as those of {@link Backend}.
 *
 * @throws {InvalidArgumentError} for a value that an option cannot have.
 * @throws {ConfigurationError} for an option that does not exist.
 */
export function fromSwap<V>(store: SwapStore<V>, options: FromSwapOptions): Backend {
  const settings = fromSwapSettings(store, options);
  const { label, clock = systemClock, deadlineMs, maxRecordBytes, alsoReads, maxDecodedBytes, breaker, log } = settings;
  const records = new Records(store, { label, clock, deadlineMs });
  const entries = new KeptEntries(records);
  const backend: Backend = {
    label,
    format: settings.format ?? json(),
    compressor: settings.compressor ?? passthrough(),
    deadlineMs,
    maxEntryBytes: Math.max(0, maxRecordBytes - LONGEST_HEAD_BYTES),
    ...(alsoReads !== undefined && { alsoReads }),
    ...(maxDecodedBytes !== undefined && { maxDecodedBytes }),
    ...(breaker !== undefined && { breaker }),
    read: async (key) => (await entries.get(key)).entry,
    write: (key, entry) => entries.write(key, entry),
    remove: (key) => entries.remove(key),
    markStale: (key) => entries.markStale(key),
    leases: entries.leases(),
    tagVersions: tagRecords(records),
    close: async () => store.close(),
  };
  if (log === undefined) return defineBackend(backend);
  return defineBackend(new LoggedBackend(backend, records, maxRecordBytes, { ...log, clock }).backend());
}

/** The steps over entries and their leases. */
class KeptEntries<V> {
  readonly records: Records<V>;

  constructor(records: Records<V>) {
    this.records = records;
  }

  async get(key: string): Promise<Kept> {
    return keptIn(await this.records.get(nameOf("e", key)), this.records.nowMs());
  }

  /** @param decide `undefined` in place of what is kept leaves it as it is. */
  #change<T>(operation: string, key: string, decide: (kept: Kept) => readonly [answer: T, next?: Kept]): Promise<T> {
    return this.records.change(operation, nameOf("e", key), (bytes, nowMs) => {
      const [answer, kept] = decide(keptIn(bytes, nowMs));
      return { answer, next: kept && (isEmpty(kept) ? "none" : recordOf(kept, nowMs)) };
    });
  }

  /** A write that the store refuses leaves neither the entry before it nor its lease. */
  async #put<T>(
    operation: string,
    key: string,
    given: StoredEntry,
    decide: (kept: Kept, entry: StoredEntry) => readonly [T, Kept?],
  ): Promise<T> {
    // The caller may use its buffer again.
    const entry = { ...given, data: given.data.slice() };
    try {
      return await this.#change(operation, key, (kept) => decide(kept, entry));
    } catch (error) {
      if (!(error instanceof BackendUnavailableError)) await this.remove(key).catch(() => undefined);
      throw error;
    }
  }

  write(key: string, given: StoredEntry): Promise<void> {
    return this.#put("write", key, given, (_, entry) => [undefined, { entry }]);
  }

  remove(key: string): Promise<DeleteStatus> {
    return this.#change("remove", key, ({ entry }) => [entry === undefined ? "missing" : "deleted", {}]);
  }

  markStale(key: string): Promise<"stale" | "missing"> {
    return this.#change("markStale", key, ({ entry }) => {
      if (entry === undefined) return ["missing", {}];
      const life = markedStale(entry);
      return ["stale", life === undefined ? {} : { entry: { ...entry, ...life, version: MARKED + newId() } }];
    });
  }

  leases(): Leases {
    return {
      acquire: (request) => this.#change<LeaseReply>("acquire", request.key, (kept) => acquired(kept, request)),
      renew: (key, token, leaseMs) =>
        this.#change("renew", key, ({ entry, lease }) =>
          lease?.token === token ? [true, { entry, lease: { token, endsInMs: leaseMs } }] : [false],
        ),
      release: (key, token) =>
        this.#change<void>("release", key, ({ entry, lease }) =>
          lease?.token === token ? [undefined, { entry }] : [undefined],
        ),
      store: (key, token, seen, given) =>
        this.#put("store", key, given, (kept, entry) => {
          // An earlier attempt, of which the store does not know whether it was executed.
          if (entry.version !== undefined && versionOf(kept) === entry.version) return [true];
          if (kept.lease?.token !== token) return [false];
          return versionOf(kept) === seen ? [true, { entry }] : [false, { entry: kept.entry }];
        }),
      touch: (key, seen, life) =>
        this.#change("touch", key, ({ entry, lease }) =>
          entry?.version === seen ? [true, { entry: { ...entry, ...life }, lease }] : [false],
        ),
      confirm: async (key) => versionOf(await this.get(key)),
    };
  }
}

function acquired(
  { entry, lease }: Kept,
  { token, leaseMs, seen, isOver = false }: LeaseRequest,
): readonly [LeaseReply, Kept?] {
  if (seen !== "*") {
    if (entry !== undefined && entry.version !== seen) return [{ granted: false, entry }];
    // The own one is of an earlier attempt. One that ends much later than a new one was given by a clock that is wrong.
    if (lease !== undefined && lease.token !== token && lease.endsInMs <= 2 * leaseMs)
      return [{ granted: false, heldForMs: lease.endsInMs }];
  }
  const left = isOver && entry?.version !== NO_VERSION ? undefined : entry;
  return [
    { granted: true, version: left?.version ?? "" },
    { entry: left, lease: { token, endsInMs: leaseMs } },
  ];
}

const isEmpty = ({ entry, lease }: Kept): boolean => entry === undefined && lease === undefined;

const recordOf = (kept: Kept, nowMs: number): Next => ({
  bytes: bytesOf(kept, nowMs),
  ttlMs: Math.max(kept.entry?.expiresInMs ?? 0, kept.lease?.endsInMs ?? 0),
  // A lease ends on its own, so it may come late.
  over: kept.entry && (() => ({ bytes: bytesOf({}, nowMs), ttlMs: EMPTY_MS })),
});

/** How long a record is kept that a write makes first. */
const EMPTY_MS = 10_000;
