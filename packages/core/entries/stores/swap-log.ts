import type { Awaitable } from "@hotset/core";
import { newId } from "@hotset/core/internal";
import type { Changes } from "./poll-changes.ts";
import { nameOf } from "./record-names.ts";
import type { Next, Records } from "./records.ts";

/** What one step changed. */
export interface LoggedChange {
  readonly keys?: readonly string[];
  readonly leases?: readonly string[];
  readonly tags?: readonly string[];
  /** The version that a key has after this change, if it was written. */
  readonly versions?: Readonly<Record<string, string>>;
  /** In place of a list that no record could hold. */
  readonly isEverything?: boolean;
}

/** A place behind the changes that were read. A log that was lost, and made again, is another one. */
export interface LogPosition {
  readonly log: string;
  readonly next: number;
}

/** The record that every append swaps; older changes have moved into segments. */
interface Head {
  readonly log: string;
  /** The number of the first change in it. */
  readonly first: number;
  readonly changes: readonly LoggedChange[];
  readonly segments: readonly Segment[];
}

interface Segment {
  readonly name: string;
  readonly first: number;
}

/**
 * A log of changes in records of a store that has none: so copies in other processes follow.
 *
 *     segment (0 to 211) ── segment (212 to 460) ── head (461 to 480) ◀─ append
 *           └── kept for two minutes ──┘                 └── read by every poll
 *
 * A step is appended before it is acknowledged, and what several calls append meanwhile goes together. Writers append
 * after their changes, so of two changes of one key the log may have the later one first: a part of the log that has a
 * key twice names no version of it.
 */
export class SwapLog<V> {
  readonly #records: Records<V>;
  readonly #maxRecordBytes: number;
  readonly #segmentBytes: number;
  #waiting: LoggedChange[] = [];
  #appending: Promise<void> | undefined;
  /** Begins when the present one has ended, with all that waits by then. */
  #nextAppend: Promise<void> | undefined;

  constructor(records: Records<V>, maxRecordBytes: number) {
    this.#records = records;
    this.#maxRecordBytes = maxRecordBytes;
    this.#segmentBytes = Math.min(SEGMENT_BYTES, maxRecordBytes / 4);
  }

  /** @throws {BackendUnavailableError} if the store did not answer: then it is unknown whether the change is reported. */
  append(change: LoggedChange): Promise<void> {
    this.#waiting.push(change);
    if (this.#appending === undefined) return this.#begin();
    return (this.#nextAppend ??= this.#appending.then(
      () => this.#begin(),
      () => this.#begin(),
    ));
  }

  /** For `pollChanges`. */
  async changesSince(position: LogPosition | undefined): Promise<Changes<LogPosition>> {
    const head = (await this.#head()) ?? (await this.#change(({ head: made }) => ({ answer: made, next: made })));
    const now: LogPosition = { log: head.log, next: endOf(head) };
    if (position === undefined) return { position: now };
    const changes = position.log === head.log ? await this.#from(head, position.next) : undefined;
    return changes === undefined ? { position: now, isCut: true } : { position: now, ...merged(changes) };
  }

  #begin(): Promise<void> {
    this.#nextAppend = undefined;
    const changes = this.#waiting.splice(0);
    this.#appending = this.#write(changes).finally(() => (this.#appending = undefined));
    return this.#appending;
  }

  async #write(changes: readonly LoggedChange[]): Promise<void> {
    const fits = encoder.encode(JSON.stringify(changes)).length <= this.#maxRecordBytes / 2;
    const added = fits ? changes : [{ isEverything: true }];
    const written = await this.#change(({ head }) => {
      const next = { ...head, changes: [...head.changes, ...added] };
      return { answer: next, next };
    });
    // It was appended: where the head cannot be shortened, the next append tries again.
    if (encoded(written).length > this.#segmentBytes) await this.#roll(written).catch(() => undefined);
  }

  /** Moves what `seen` has into a segment. Another process may append meanwhile, or have moved it already. */
  async #roll({ log, first, changes }: Head): Promise<void> {
    const segment = { name: await nameOf("s", newId()), first };
    const bytes = encoder.encode(JSON.stringify({ id: newId(), changes }));
    await this.#records.change("log", segment.name, () => ({ answer: undefined, next: { bytes, ttlMs: KEPT_MS } }));
    await this.#change(({ head }) => {
      if (head.log !== log || head.first !== first) return { answer: undefined };
      const segments = [...head.segments, segment].slice(-MOST_SEGMENTS);
      const next = { log, first: first + changes.length, changes: head.changes.slice(changes.length), segments };
      return { answer: undefined, next };
    });
  }

  async #head(): Promise<Head | undefined> {
    return headIn(await this.#records.get(await NAME()));
  }

  async #change<T>(decide: (now: { readonly head: Head }) => { readonly answer: T; readonly next?: Head }): Promise<T> {
    return this.#records.change("log", await NAME(), (bytes) => {
      const head = headIn(bytes) ?? { log: newId(), first: 0, changes: [], segments: [] };
      const { answer, next } = decide({ head });
      return { answer, next: next && recordOf(next) };
    });
  }

  /** The changes from number `next` on; `undefined` if they are no longer there. */
  async #from(head: Head, next: number): Promise<readonly LoggedChange[] | undefined> {
    if (next > endOf(head)) return undefined;
    if (next >= head.first) return head.changes.slice(next - head.first);
    const from = head.segments.findLastIndex(({ first }) => first <= next);
    if (from < 0) return undefined;
    const parts: LoggedChange[] = [];
    for (const { name, first } of head.segments.slice(from)) {
      const changes = changesIn(await this.#records.get(name));
      if (changes === undefined) return undefined;
      parts.push(...changes.slice(Math.max(0, next - first)));
    }
    return [...parts, ...head.changes];
  }
}

const endOf = ({ first, changes }: Head): number => first + changes.length;

function merged(changes: readonly LoggedChange[]): Omit<Changes<LogPosition>, "position"> {
  const keys = changes.flatMap((change) => change.keys ?? []);
  const versions = new Map<string, string>();
  const seen = new Set<string>();
  for (const change of changes) {
    for (const key of change.keys ?? []) {
      const version = change.versions?.[key];
      if (seen.has(key) || version === undefined) versions.delete(key);
      else versions.set(key, version);
      seen.add(key);
    }
  }
  return {
    isCut: changes.some((change) => change.isEverything === true),
    keys,
    leases: changes.flatMap((change) => change.leases ?? []),
    tags: changes.flatMap((change) => change.tags ?? []),
    versions,
  };
}

/** No two records of a store are equal. */
const encoded = (head: Head): Uint8Array => encoder.encode(JSON.stringify({ id: newId(), ...head }));
const recordOf = (head: Head): Next => ({ bytes: encoded(head), ttlMs: HEAD_LIFE_MS });

/** A record that another program wrote is none, so the log begins again. */
function headIn(bytes: Uint8Array | undefined): Head | undefined {
  const { log, first, changes, segments } = parsed(bytes) as Partial<Head>;
  return typeof log === "string" && typeof first === "number" && Array.isArray(changes) && Array.isArray(segments)
    ? { log, first, changes, segments }
    : undefined;
}

function changesIn(bytes: Uint8Array | undefined): readonly LoggedChange[] | undefined {
  const { changes } = parsed(bytes) as Partial<Head>;
  return Array.isArray(changes) ? changes : undefined;
}

function parsed(bytes: Uint8Array | undefined): object {
  if (bytes === undefined) return {};
  try {
    return (JSON.parse(decoder.decode(bytes)) as object | null) ?? {};
  } catch {
    return {};
  }
}

const NAME = (): Awaitable<string> => nameOf("l", "log");

/** An append rewrites the head, so it stays small. */
const SEGMENT_BYTES = 8 * 2 ** 10;
/** A process that reads less often has lost its link. */
const KEPT_MS = 120_000;
const MOST_SEGMENTS = 32;
const HEAD_LIFE_MS = 30 * 86_400_000;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
