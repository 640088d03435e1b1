import type { Clock, StoredAnswer, StoredEntry } from "@hotset/core";
import { newId } from "@hotset/core/internal";
import { ignore } from "./ignore.ts";
import { OwnChanges } from "./own-changes.ts";
import type { Side } from "./side.ts";

/** When an entry was asked for in `far`, and after which own changes. */
export interface Asked {
  readonly at: number;
  readonly sequence: number;
}

interface NearCopiesOf {
  readonly near: Side;
  readonly clock: Clock;
  readonly nearTtlMs: number;
  /** Whether entries that were found in `far` are copied. */
  readonly refills: boolean;
  /** Whether what `far` answers may be older than what it has acknowledged. */
  readonly farLags: boolean;
}

/**
 * Copies in `near` of the entries of `far`. A copy has the bytes of its entry, ends after `nearTtl` at the latest, and
 * begins its meta with the facts that identify it and restore its freshness:
 *
 *     id of the write " " how much longer than the copy the entry is fresh, in ms " " version in far " " meta
 *
 * `near` only helps: its failures fail no call.
 */
export class NearCopies {
  readonly #of: NearCopiesOf;
  readonly #changes: OwnChanges;
  readonly #background = new Set<Promise<unknown>>();

  constructor(of: NearCopiesOf) {
    this.#of = of;
    // A call that was given up may still arrive, about as late as it was given up.
    this.#changes = new OwnChanges(of.clock, of.nearTtlMs + of.near.deadlineMs);
  }

  /** To be called before an entry is asked for that may be copied. */
  asking(): Asked {
    return { at: this.#of.clock.now(), sequence: this.#changes.sequence };
  }

  /**
   * The copies that may be served. Never rejects.
   *
   * @param behind reads the entry of a key in `far`.
   */
  async read(
    keys: readonly string[],
    behind: (key: string) => Promise<StoredAnswer | undefined>,
  ): Promise<readonly (StoredAnswer | undefined)[]> {
    const found = await this.#of.near.read(keys);
    return keys.map((key, i) => {
      const stored = found[i];
      const copy = stored === undefined || stored instanceof Error ? undefined : readCopy(stored);
      if (copy === undefined || !this.#changes.mayServe(key, copy.id)) return undefined;
      return { ...copy.entry, behind: () => behind(key) };
    });
  }

  /**
   * The entry, as an answer of `far` that is copied if it is valid and fresh, unless a change of this process has
   * overtaken it.
   *
   * @param hasCopy whether `near` has a fresh copy. @default it has none
   */
  copying(key: string, entry: StoredAnswer, asked: Asked, hasCopy?: Promise<boolean>): StoredAnswer {
    if (!this.#of.refills || entry.staleInMs <= 0) return entry;
    const copy = async (): Promise<void> => {
      const id = idOf(entry);
      if ((await hasCopy) === true || !this.#changes.mayCopy(key, id, asked.sequence, this.#of.farLags)) return;
      this.#changes.copied(key, id);
      await this.#write(key, id, entry, asked.at);
    };
    const onValid = (): void => {
      const running: Promise<unknown> = copy().then(() => this.#background.delete(running));
      this.#background.add(running);
      entry.onValid?.();
    };
    return { ...entry, onValid };
  }

  /**
   * Runs a change in `far`, and then makes the copy what it leaves there. A copy that cannot be changed is not served
   * by this process, and expires.
   *
   * @param entry what it leaves, unless `inFar` resolves to `false`; `undefined` if it leaves none.
   */
  async change<T>(key: string, entry: StoredEntry | undefined, inFar: () => Promise<T>): Promise<T> {
    const id = entry && idOf(entry);
    const { at } = this.asking();
    const change = this.#changes.begin(key, id);
    try {
      const result = await inFar();
      // A later change makes its own.
      if (change.id === id)
        await (result === false || entry === undefined ? this.#remove(key) : this.#write(key, id!, entry, at));
      return result;
    } finally {
      this.#changes.end(key, change);
    }
  }

  /** Resolves when nothing is copied any more. */
  async settled(): Promise<void> {
    while (this.#background.size !== 0) await Promise.all(this.#background);
  }

  /** @param since `clock.now()` from which on the copy may hide changes by others. */
  async #write(key: string, id: string, entry: StoredEntry, since: number): Promise<void> {
    const { near, clock, nearTtlMs } = this.#of;
    const { maxEntryBytes = Infinity } = near.backend;
    const copy = copyOf(id, entry, Math.floor(nearTtlMs - (clock.now() - since)));
    const isTaken = copy !== undefined && entry.data.length <= maxEntryBytes;
    await (isTaken ? this.#settled(key, "write", () => near.backend.write(key, copy)) : this.#remove(key));
  }

  #remove(key: string): Promise<void> {
    return this.#settled(key, "remove", () => this.#of.near.backend.remove(key));
  }

  async #settled(key: string, operation: string, run: () => Promise<unknown>): Promise<void> {
    await this.#of.near.call(operation, key, run).catch(ignore);
  }
}

/** Unique to one write. An entry that another program wrote has no version like this. */
const idOf = ({ meta, version }: StoredEntry): string => (meta === "" || version === undefined ? newId() : version);

/** The form of a copy in `near`; `undefined` for an entry that is stale, has ended, or has no room for it. */
function copyOf(id: string, entry: StoredEntry, leftMs: number): StoredEntry | undefined {
  const expiresInMs = Math.min(entry.expiresInMs, leftMs);
  const meta = `${id} ${entry.staleInMs - expiresInMs} ${entry.version ?? ""} ${entry.meta}`;
  if (entry.staleInMs <= 0 || expiresInMs < 1 || Buffer.byteLength(meta) > MAX_META_BYTES) return undefined;
  return { data: entry.data, staleInMs: Math.min(entry.staleInMs, expiresInMs), expiresInMs, meta, version: id };
}

/** The entry of a copy; `undefined` for an entry that another program has written there. */
function readCopy(stored: StoredAnswer): { readonly id: string; readonly entry: StoredEntry } | undefined {
  const { data, expiresInMs, meta, onValid } = stored;
  const [head, id, longerMs, version] = HEAD.exec(meta) ?? [];
  if (head === undefined) return undefined;
  const entry = {
    data,
    staleInMs: expiresInMs + Number(longerMs),
    expiresInMs,
    meta: meta.slice(head.length),
    ...(version !== "" && { version: version! }),
    // `near` may be a composition itself.
    ...(onValid !== undefined && { onValid }),
  };
  return { id: id!, entry };
}

const HEAD = /^([\w-]{1,32}) (-?\d+|Infinity) ([\w-]{0,32}) /;
const MAX_META_BYTES = 8 * 2 ** 20;
