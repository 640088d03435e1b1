import type { Awaitable } from "../contracts/awaitable.ts";
import { DEFAULT_MAX_DECODED_BYTES, type Compressor, type Format, type StoredEntry } from "../contracts/backend.ts";
import type { StoredAnswer } from "../contracts/capabilities.ts";
import { type Backend, type TagVersion } from "../contracts/capabilities.ts";
import { CacheError, DecodeError, EncodeError } from "../contracts/errors.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import { HUNDRED_YEARS_MS } from "../primitives/duration.ts";
import { byteLength, isWorker, types } from "../primitives/platform.ts";
import { isThenable, whenReady } from "../primitives/thenable.ts";
import {
  cut,
  foreignMeta,
  isMetaTooLong,
  MAX_META_BYTES,
  MetaParser,
  NO_COMPRESSION,
  UnreadableEntry,
  wholeMs,
  writeMeta,
  type EntryMeta,
} from "./entry-meta.ts";
import { staleLifeMs, wholeInstant, type Encoding, type Entry, type Placeholder, type StoredForm } from "./entry.ts";
import type { EntryKey, KeySpace } from "./key.ts";
import { unwritablePlace } from "./place.ts";
import { checkBySchema } from "./schema.ts";
import { termsIn } from "./terms.ts";

/**
 * Turns entries into the form that a backend stores, and back.
 *
 * An empty `meta` marks an entry that another program wrote: it is read with the configured format and compressor.
 */
export class Codec {
  readonly #backend: Backend;
  readonly #formats: ReadonlyMap<string, Format>;
  readonly #compressors: ReadonlyMap<string, Compressor>;
  readonly #maxDecodedBytes: number;
  readonly #maxEntryBytes: number;
  readonly #metas = new MetaParser();

  constructor(backend: Backend) {
    const others = backend.alsoReads ?? [];
    this.#backend = backend;
    this.#formats = byId([...others.filter(isFormat), backend.format]);
    this.#compressors = byId([...others.filter(isCompressor), backend.compressor]);
    this.#maxDecodedBytes = backend.maxDecodedBytes ?? DEFAULT_MAX_DECODED_BYTES;
    this.#maxEntryBytes = backend.maxEntryBytes ?? Infinity;
  }

  /**
   * @param from a loaded value waits for a later turn once this one has encoded 4 MiB.
   * @throws {EncodeError}, or rejects with it, when the format or compressor cannot write it.
   */
  encode(value: unknown, from?: "load"): Awaitable<Encoded> {
    if (from === "load" && pause !== undefined) return pause.then(() => this.encode(value, from));
    const { format, compressor, keepsMeta } = this.#backend;
    try {
      const bytes = this.#bytesOf(value);
      if ((leftInTurn -= bytes.length) <= 0) pause ??= nextTurn();
      if (bytes.length > this.#maxDecodedBytes)
        throw new EncodeError(
          `${bytes.length} bytes are more than maxDecodedBytes (${this.#maxDecodedBytes}), so they could not be read back`,
        );
      const plain: Encoded = { data: bytes, encoding: { format: format.id, compressor: NO_COMPRESSION } };
      // Only meta says whether a value is compressed. Without it all values are.
      const isBig = keepsMeta === false || bytes.length >= (compressor.minBytes ?? 0);
      if (compressor.id === NO_COMPRESSION || !isBig) return plain;
      const encoding = { format: format.id, compressor: compressor.id };
      const smaller = (data: Uint8Array): Encoded =>
        keepsMeta === false || (data.length < bytes.length && bytes.length <= this.#room(data))
          ? { data, encoding, uncompressedBytes: bytes.length }
          : plain;
      const encoded = whenReady(compressor.compress(bytes), smaller);
      return isThenable(encoded)
        ? encoded.then(undefined, (cause: unknown) => {
            throw this.#encodeError(cause);
          })
        : encoded;
    } catch (cause) {
      throw this.#encodeError(cause);
    }
  }

  toStored(
    { data, encoding }: Encoded,
    entry: Entry,
    versions: readonly TagVersion[] | undefined,
    now: number,
  ): StoredEntry {
    const life = this.lifeOf(entry, encoding, versions, now);
    return entry.version === undefined ? { data, ...life } : { data, ...life, version: entry.version };
  }

  /**
   * An entry that was encoded, without its value.
   *
   * @throws {EncodeError} when tags and validators take more than 8 MiB.
   */
  lifeOf(
    entry: Entry,
    encoding: Encoding,
    versions: readonly TagVersion[] | undefined,
    now: number,
  ): Omit<StoredEntry, "data" | "version"> {
    const meta = this.#backend.keepsMeta === false ? "" : writeMeta(entry, encoding, versions);
    if (isMetaTooLong(meta))
      throw new EncodeError(
        `tags and validators take ${byteLength(meta)} bytes, and may take ${MAX_META_BYTES}; give fewer or shorter ones`,
        this.#details("encode"),
      );
    return { ...lifeLeft(meta === "" ? withWindowsAlone(entry) : entry, now), meta };
  }

  /**
   * @param seen has the value of an entry without data.
   * @throws {DecodeError} (or rejects with it) for every entry that cannot be read, for any reason.
   */
  decode(
    stored: StoredAnswer,
    { key: { space }, schema, tagSequence }: EntryOf,
    now: number,
    seen?: Entry,
  ): Awaitable<Entry> {
    try {
      const meta = this.#readMeta(stored, space);
      const entry = emptyEntry(stored, meta, space, now, tagSequence);
      const placeholder = PLACEHOLDERS.get(meta.encoding.format);
      if (placeholder !== undefined) return { ...entry, terms: { ...entry.terms, placeholder } };
      if (stored.isSeen) {
        const { value, encodedBytes, uncompressedBytes } = seen!;
        return Object.assign(entry, { value, encodedBytes, uncompressedBytes });
      }
      const format = this.#formats.get(meta.encoding.format);
      if (format === undefined)
        throw new UnreadableEntry(`its format is ${cut(meta.encoding.format)}, which this backend does not read`);
      const bytes = this.#decompress(stored.data, meta.encoding.compressor);
      // Every backend hit passes here: the synchronous case makes no closure.
      if (!types.isUint8Array(bytes) || schema !== undefined)
        return this.#decodeLater(bytes, { format, schema, entry, stored });
      if (bytes !== stored.data) entry.uncompressedBytes = bytes.length;
      entry.value = format.decode(bytes, this.#maxDecodedBytes);
      return entry;
    } catch (cause) {
      throw this.#decodeError(cause);
    }
  }

  #decodeLater(bytes: Awaitable<Uint8Array>, { format, schema, entry, stored }: Decoding): Awaitable<Entry> {
    const value = whenReady(bytes, (each) => {
      if (each !== stored.data) entry.uncompressedBytes = each.length;
      return format.decode(each, this.#maxDecodedBytes);
    });
    const checked = schema === undefined ? value : whenReady(value, (each) => validate(schema, each));
    const filled = whenReady(checked, (each) => {
      entry.value = each;
      return entry;
    });
    return isThenable(filled)
      ? filled.then(undefined, (cause: unknown) => {
          throw this.#decodeError(cause);
        })
      : filled;
  }

  #bytesOf(value: unknown): Uint8Array {
    const { format } = this.#backend;
    try {
      return format.encode(value, this.#maxDecodedBytes);
    } catch (cause) {
      const place = unwritablePlace(value, (part) => {
        try {
          // In an array: there a format may write what it refuses as a whole value.
          format.encode([part], this.#maxDecodedBytes);
          return true;
        } catch {
          return false;
        }
      });
      const error = this.#encodeError(cause);
      throw place === undefined ? error : new EncodeError(`${error.message}: ${place}`, { cause });
    }
  }

  #decompress(data: Uint8Array, id: string): Awaitable<Uint8Array> {
    if (data.length > this.#maxEntryBytes) throw new UnreadableEntry("it is larger than maxEntryBytes");
    if (id === NO_COMPRESSION) {
      if (data.length > this.#maxDecodedBytes) throw new UnreadableEntry("it is larger than maxDecodedBytes");
      return data;
    }
    const compressor = this.#compressors.get(id);
    if (compressor === undefined)
      throw new UnreadableEntry(`its compressor is ${cut(id)}, which this backend does not read`);
    return compressor.decompress(data, this.#room(data));
  }

  /** The most bytes that `data` may become. Without meta a value that is larger could not be stored uncompressed. */
  #room(data: Uint8Array): number {
    if (this.#backend.keepsMeta === false) return this.#maxDecodedBytes;
    return Math.min(this.#maxDecodedBytes, Math.max(FREE_BYTES, MAX_RATIO * data.length));
  }

  #readMeta({ meta }: StoredEntry, keySpace: KeySpace): EntryMeta {
    if (meta !== "") return this.#metas.parse(meta, keySpace.tagPrefixes.length);
    return foreignMeta({ format: this.#backend.format.id, compressor: this.#backend.compressor.id });
  }

  #encodeError(cause: unknown): EncodeError {
    const { format, compressor } = this.#backend;
    const reason =
      cause instanceof EncodeError
        ? cause.message
        : `${format.id} and ${compressor.id} cannot write this value; give plain data, or another format`;
    return new EncodeError(reason, { ...this.#details("encode"), cause });
  }

  #decodeError(cause: unknown): DecodeError {
    const reason = cause instanceof UnreadableEntry ? cause.message : "its bytes do not decode";
    // Errors of other origin may quote the value, and `inspect` shows the cause.
    const kept = cause instanceof CacheError ? { cause } : {};
    return new DecodeError(`a stored entry cannot be read: ${reason}`, { ...this.#details("decode"), ...kept });
  }

  #details(operation: string): { tier: string; operation: string } {
    return { tier: this.#backend.label, operation };
  }
}

/** A value as bytes. Made once for all tiers and attempts that write it. */
export type Encoded = StoredForm;

/**
 * The bytes of a placeholder: none, in a format that no process reads as a value, also one that knows no placeholders.
 */
export const encodedPlaceholder = (placeholder: Placeholder): Encoded => ({
  data: NO_BYTES,
  encoding: { format: formatOf(placeholder), compressor: NO_COMPRESSION },
});

const formatOf = (placeholder: Placeholder): string => `(${placeholder})`;
const PLACEHOLDERS: ReadonlyMap<string, Placeholder> = new Map(
  (["not-stored", "not-shared"] as const).map((placeholder) => [formatOf(placeholder), placeholder]),
);
const NO_BYTES = new Uint8Array();

/** Without meta all of the life after the freshness counts as windows, so what is for loaders alone is not stored. */
function withWindowsAlone(entry: Entry): Entry {
  if (entry.terms.keepForMs === undefined) return entry;
  const terms = { ...entry.terms, keepForMs: undefined };
  return { ...entry, terms, expiresAt: Math.min(entry.expiresAt, entry.staleAt + staleLifeMs(terms)) };
}

function lifeLeft(entry: Entry, now: number): Pick<StoredEntry, "staleInMs" | "expiresInMs"> {
  const windowMs = staleLifeMs(entry.terms);
  // A backend computes the stale window from the two times, so an endless life with a window is written as a long one.
  if (entry.staleAt === Infinity && windowMs > 0)
    return { staleInMs: HUNDRED_YEARS_MS, expiresInMs: HUNDRED_YEARS_MS + windowMs };
  return { staleInMs: wholeMs(entry.staleAt - now), expiresInMs: Math.max(1, wholeMs(entry.expiresAt - now)) };
}

/** So much is encoded in one turn of the event loop, and the rest of the value that reaches it. */
const TURN_BYTES = 4 * 2 ** 20;
let leftInTurn = TURN_BYTES;
/** Resolves in the next turn, once this one is used up. As turns are shared, few calls cost a timer. */
let pause: Promise<void> | undefined;
/** The `setImmediate` of the runtime, not of fake timers. Unused in a worker: no request does another's work. */
const inNextTurn = isWorker(globalThis) ? undefined : globalThis.setImmediate;
const nextTurn = (): Promise<void> | undefined =>
  inNextTurn &&
  new Promise((turn) =>
    inNextTurn(() => {
      leftInTurn = TURN_BYTES;
      pause = undefined;
      turn();
    }),
  );

/** Compressed data may become as many bytes, or as many times its size. */
const FREE_BYTES = 2 ** 20;
const MAX_RATIO = 200;

type EmptyEntry = Entry & { value: unknown; uncompressedBytes: number | undefined };

/** An entry whose bytes are decompressed, decoded or validated. */
interface Decoding {
  readonly format: Format;
  readonly schema: StandardSchema<unknown> | undefined;
  readonly entry: EmptyEntry;
  readonly stored: StoredEntry;
}

/** How the bytes of an entry become a value. */
export interface EntryOf {
  readonly key: EntryKey;
  readonly schema: StandardSchema<unknown> | undefined;
  /** `TagEvents.sequence` when the read is sent. */
  readonly tagSequence: number;
}

/** The entry of `stored`, without its value. */
function emptyEntry(
  stored: StoredEntry,
  meta: EntryMeta,
  keySpace: KeySpace,
  now: number,
  tagSequence: number,
): EmptyEntry {
  const windowMs = Math.max(0, stored.expiresInMs - stored.staleInMs);
  const isEndless = meta.ttlMs === Infinity && stored.staleInMs > ENDLESS_MS;
  const staleInMs = possibleFreshness(stored, meta);
  const isPossible = staleInMs === stored.staleInMs;
  const at = wholeInstant(now);
  const limits = {
    staleWhileRevalidateMs: meta.staleWhileRevalidateMs ?? windowMs,
    staleIfErrorMs: meta.staleIfErrorMs ?? windowMs,
    keepForMs: meta.keepForMs,
    inheritedMs: meta.inheritedMs,
    touchedMs: meta.touchedMs,
    localTtlMs: meta.localTtlMs,
    areWindowsUnknown: meta.staleIfErrorMs === undefined || undefined,
  };
  const lifeMs = isPossible ? stored.expiresInMs : windowMs;
  const expiresAt = isEndless && stored.expiresInMs > ENDLESS_MS ? Infinity : at + lifeMs;
  return {
    value: undefined,
    ttlMs: meta.ttlMs ?? Math.max(0, stored.staleInMs),
    staleAt: isEndless ? Infinity : at + staleInMs,
    expiresAt,
    deadAt: expiresAt,
    terms: termsIn(keySpace, limits, meta),
    tagSequence,
    epoch: undefined,
    version: stored.version,
    versions: meta.versions,
    encoding: meta.encoding,
    encodedBytes: stored.data.length,
    uncompressedBytes: undefined,
  };
}

/** `lifeLeft` writes twice as much. Less is what `touch` left of an endless life: it ends, and its age is not known. */
const ENDLESS_MS = HUNDRED_YEARS_MS / 2;

/**
 * An entry cannot be fresh for longer than it was when it was written. Where it is, the clock of the server was set
 * back, and its age is not known: it is stale from now on, with its windows as material for a fallback.
 */
const possibleFreshness = ({ staleInMs }: StoredEntry, { ttlMs = Infinity }: EntryMeta): number =>
  staleInMs > ttlMs + CLOCK_TOLERANCE_MS ? 0 : staleInMs;

/** Clocks are corrected by less than this all the time. */
const CLOCK_TOLERANCE_MS = 1_000;

async function validate(schema: StandardSchema<unknown>, value: unknown): Promise<unknown> {
  const checked = await checkBySchema(schema, value);
  if (checked.refusal !== undefined) throw new UnreadableEntry(`the namespace's schema ${checked.refusal}`);
  return checked.value;
}

const isFormat = (either: Format | Compressor): either is Format => "encode" in either;
const isCompressor = (either: Format | Compressor): either is Compressor => !isFormat(either);

const byId = <T extends { readonly id: string }>(items: readonly T[]): ReadonlyMap<string, T> =>
  new Map(items.map((item) => [item.id, item]));
