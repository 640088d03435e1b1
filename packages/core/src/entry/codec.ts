import type { Backend, Compressor, Format, StoredEntry, TagVersion } from "../contracts/backend.ts";
import { HUNDRED_YEARS_MS, type Encoding, type Entry } from "./entry.ts";
import { DecodeError, EncodeError } from "../contracts/errors.ts";
import { dependencies, type KeySpace } from "./key.ts";
import { whenReady } from "../primitives/once.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";

/**
 * Entries to what a backend stores, and back.
 *
 * `StoredEntry.meta` is JSON of what the bytes themselves do not say. What is absent is the default, so that equal
 * policies give equal strings, which are parsed once. An empty `meta` is an entry that another program wrote: it is
 * read with the configured format and compressor.
 */
export class Codec {
  readonly #backend: Backend;
  readonly #formats: ReadonlyMap<string, Format>;
  readonly #compressors: ReadonlyMap<string, Compressor>;
  readonly #maxDecodedBytes: number;
  readonly #parsed = new Map<string, Meta>();

  constructor(backend: Backend) {
    const others = backend.alsoReads ?? [];
    this.#backend = backend;
    this.#formats = byId([...others.filter(isFormat), backend.format]);
    this.#compressors = byId([...others.filter(isCompressor), backend.compressor]);
    this.#maxDecodedBytes = backend.maxDecodedBytes ?? 64 * 2 ** 20;
  }

  /** @throws {EncodeError} (or rejects with it) when the format or compressor cannot write the value. */
  encode(value: unknown): Awaitable<Encoded> {
    const { format, compressor, keepsMeta } = this.#backend;
    try {
      const bytes = format.encode(value);
      const plain: Encoded = { data: bytes, encoding: { format: format.id, compressor: NO_COMPRESSION } };
      // Without meta nothing would tell a compressed value from another, so there all are.
      const isBig = keepsMeta === false || bytes.length >= (compressor.minBytes ?? 0);
      if (compressor.id === NO_COMPRESSION || !isBig) return plain;
      const compressed = compressor.compress(bytes);
      const smaller = (data: Uint8Array): Encoded =>
        data.length < bytes.length || keepsMeta === false
          ? { data, encoding: { format: format.id, compressor: compressor.id } }
          : plain;
      return compressed instanceof Uint8Array
        ? smaller(compressed)
        : compressed.then(smaller, (cause: unknown) => {
            throw this.#encodeError(cause);
          });
    } catch (cause) {
      throw this.#encodeError(cause);
    }
  }

  /** @throws {EncodeError} when tags and validators take more than 4 KiB. */
  toStored(
    { data, encoding }: Encoded,
    entry: Entry,
    versions: readonly TagVersion[] | undefined,
    now: number,
  ): StoredEntry {
    const meta = this.#backend.keepsMeta === false ? "" : writeMeta(entry, encoding, versions);
    if (meta.length > MAX_META_LENGTH && Buffer.byteLength(meta) > MAX_META_BYTES)
      throw new EncodeError(
        `tags and validators take more than ${MAX_META_BYTES} bytes; give fewer or shorter ones`,
        this.#details("encode"),
      );
    const life = lifeLeft(entry, now);
    return entry.version === undefined ? { data, ...life, meta } : { data, ...life, meta, version: entry.version };
  }

  /**
   * @param checkedAt see {@link Entry.tagSequence}.
   * @throws {DecodeError} (or rejects with it) for what cannot be read, whatever the reason.
   */
  decode(
    stored: StoredEntry,
    keySpace: KeySpace,
    schema: StandardSchema<unknown> | undefined,
    now: number,
    tagSequence: number,
  ): Awaitable<Entry> {
    try {
      const meta = this.#readMeta(stored);
      const format = this.#formats.get(meta.encoding.format);
      if (format === undefined)
        throw new Unreadable(`its format is ${JSON.stringify(meta.encoding.format)}, which this backend does not read`);
      const bytes = this.#decompress(stored.data, meta.encoding.compressor);
      // What needs no waiting is not asked whether it is a promise: every backend hit comes this way.
      if (bytes instanceof Uint8Array && schema === undefined)
        return this.#entry(format.decode(bytes), meta, stored, keySpace, now, tagSequence);
      const value = whenReady(bytes, (each) => format.decode(each));
      const checked = schema === undefined ? value : whenReady(value, (each) => validate(schema, each));
      const entry = whenReady(checked, (each) => this.#entry(each, meta, stored, keySpace, now, tagSequence));
      return entry instanceof Promise
        ? entry.catch((cause: unknown) => {
            throw this.#decodeError(cause);
          })
        : entry;
    } catch (cause) {
      throw this.#decodeError(cause);
    }
  }

  #decompress(data: Uint8Array, id: string): Awaitable<Uint8Array> {
    if (id === NO_COMPRESSION) return data;
    const compressor = this.#compressors.get(id);
    if (compressor === undefined)
      throw new Unreadable(`its compressor is ${JSON.stringify(id)}, which this backend does not read`);
    return compressor.decompress(data, this.#maxDecodedBytes);
  }

  #entry(value: unknown, meta: Meta, stored: StoredEntry, keySpace: KeySpace, now: number, tagSequence: number): Entry {
    const windowMs = stored.expiresInMs - stored.staleInMs;
    const isEndless = meta.ttlMs === Infinity && stored.staleInMs > 0 && meta.cutMs === 0;
    const expiresAt = isEndless ? Infinity : now + stored.expiresInMs;
    return {
      value,
      ttlMs: meta.ttlMs ?? Math.max(0, stored.staleInMs),
      staleAt: isEndless ? Infinity : now + stored.staleInMs + meta.cutMs,
      expiresAt,
      deadAt: expiresAt,
      staleWhileRevalidateMs: meta.staleWhileRevalidateMs ?? windowMs,
      staleIfErrorMs: meta.staleIfErrorMs ?? windowMs,
      localTtlMs: meta.localTtlMs,
      tags: meta.tags,
      dependsOn: dependencies(keySpace, meta.tags),
      versions: meta.versions,
      version: stored.version,
      epoch: undefined,
      tagSequence,
      etag: meta.etag,
      lastModified: meta.lastModified,
      encodedBytes: stored.data.length,
      encoding: meta.encoding,
    };
  }

  #readMeta({ meta }: StoredEntry): Meta {
    if (meta === "")
      return { ...FOREIGN, encoding: { format: this.#backend.format.id, compressor: this.#backend.compressor.id } };
    let parsed = this.#parsed.get(meta);
    if (parsed === undefined) {
      parsed = parseMeta(meta);
      if (this.#parsed.size >= MAX_PARSED) this.#parsed.clear();
      this.#parsed.set(meta, parsed);
    }
    return parsed;
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
    // What a format or a parser says may quote the value: it stays in the cause.
    const reason = cause instanceof Unreadable ? cause.message : "its bytes do not decode";
    return new DecodeError(`a stored entry cannot be read: ${reason}`, { ...this.#details("decode"), cause });
  }

  #details(operation: string): { tier: string; operation: string } {
    return { tier: this.#backend.label, operation };
  }
}

function lifeLeft(entry: Entry, now: number): Pick<StoredEntry, "staleInMs" | "expiresInMs"> {
  if (entry.expiresAt < entry.staleAt) {
    const leftMs = Math.max(1, Math.round(entry.expiresAt - now));
    return { staleInMs: leftMs, expiresInMs: leftMs };
  }
  const windowMs = Math.max(entry.staleWhileRevalidateMs, entry.staleIfErrorMs);
  // A backend reads the stale window off the two times, so an endless life that has one is written as a long one.
  if (entry.staleAt === Infinity && windowMs > 0)
    return { staleInMs: HUNDRED_YEARS_MS, expiresInMs: HUNDRED_YEARS_MS + windowMs };
  return { staleInMs: Math.round(entry.staleAt - now), expiresInMs: Math.max(1, Math.round(entry.expiresAt - now)) };
}

/** A value as bytes; made once, whatever writes it. */
export interface Encoded {
  readonly data: Uint8Array;
  readonly encoding: Encoding;
  /** The same value for each of two composed tiers, where they write it differently. */
  readonly parts?: readonly [near: Encoded, far: Encoded];
}

/** The id of bytes that are stored as they are. */
const NO_COMPRESSION = "none";
const MAX_META_BYTES = 4 * 1024;
const MAX_META_LENGTH = MAX_META_BYTES / 3;
const MAX_PARSED = 512;

interface Meta {
  readonly encoding: Encoding;
  readonly ttlMs: number | undefined;
  readonly staleWhileRevalidateMs: number | undefined;
  readonly staleIfErrorMs: number | undefined;
  readonly localTtlMs: number;
  /** How much longer than this copy the value itself is fresh. */
  readonly cutMs: number;
  readonly tags: readonly string[];
  readonly versions: readonly TagVersion[] | undefined;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

/** As stored. One letter each, since every entry carries them. */
interface WrittenMeta {
  readonly f: string;
  readonly c?: string;
  /** Absent: infinite. */
  readonly t?: number;
  readonly r?: number;
  readonly e?: number;
  readonly l?: number;
  /** `null`: infinite. */
  readonly k?: number | null;
  readonly g?: readonly string[];
  readonly v?: readonly (readonly [hard: string, soft: string] | string)[];
  readonly a?: string;
  readonly m?: string;
}

const NO_TAGS: readonly string[] = Object.freeze([]);

const FOREIGN: Omit<Meta, "encoding"> = {
  ttlMs: undefined,
  staleWhileRevalidateMs: undefined,
  staleIfErrorMs: undefined,
  localTtlMs: Infinity,
  cutMs: 0,
  tags: NO_TAGS,
  versions: undefined,
  etag: undefined,
  lastModified: undefined,
};

function writeMeta(
  entry: Entry,
  { format, compressor }: Encoding,
  versions: readonly TagVersion[] | undefined,
): string {
  const written: WrittenMeta = {
    f: format,
    ...(compressor !== NO_COMPRESSION && { c: compressor }),
    ...(entry.ttlMs !== Infinity && { t: entry.ttlMs }),
    ...(entry.staleWhileRevalidateMs !== 0 && { r: entry.staleWhileRevalidateMs }),
    ...(entry.staleIfErrorMs !== 0 && { e: entry.staleIfErrorMs }),
    ...(entry.localTtlMs !== Infinity && { l: entry.localTtlMs }),
    ...(entry.expiresAt < entry.staleAt && {
      k: entry.staleAt === Infinity ? null : Math.round(entry.staleAt - entry.expiresAt),
    }),
    ...(entry.tags.length !== 0 && { g: entry.tags }),
    ...(versions !== undefined && {
      v: versions.map(({ hard, soft }) => (hard === soft ? hard : ([hard, soft] as const))),
    }),
    ...(entry.etag !== undefined && { a: entry.etag }),
    ...(entry.lastModified !== undefined && { m: entry.lastModified }),
  };
  return JSON.stringify(written);
}

function parseMeta(meta: string): Meta {
  const written: unknown = JSON.parse(meta);
  if (!isWrittenMeta(written)) throw new Unreadable("its meta is not one that this library wrote");
  const { f, c, t, r, e, l, k = 0, g, v, a, m } = written;
  return {
    encoding: { format: f, compressor: c ?? NO_COMPRESSION },
    ttlMs: t ?? Infinity,
    staleWhileRevalidateMs: r ?? 0,
    staleIfErrorMs: e ?? 0,
    localTtlMs: l ?? Infinity,
    cutMs: k ?? Infinity,
    tags: g ?? NO_TAGS,
    versions: v?.map((version) =>
      typeof version === "string" ? { hard: version, soft: version } : { hard: version[0], soft: version[1] },
    ),
    etag: a,
    lastModified: m,
  };
}

/** What a shared store gives back may have been written by anybody. */
function isWrittenMeta(written: unknown): written is WrittenMeta {
  if (typeof written !== "object" || written === null) return false;
  const { f, c, t, r, e, l, k, g, v, a, m } = written as { readonly [K in keyof WrittenMeta]: unknown };
  return (
    isText(f) &&
    [c, a, m].every((text) => text === undefined || isText(text)) &&
    [t, r, e, l, k ?? undefined].every((ms) => ms === undefined || (typeof ms === "number" && ms >= 0)) &&
    (g === undefined || (Array.isArray(g) && g.every(isText))) &&
    (v === undefined ||
      (Array.isArray(v) &&
        v.every(
          (version) => isText(version) || (Array.isArray(version) && version.length === 2 && version.every(isText)),
        )))
  );
}

const isText = (value: unknown): value is string => typeof value === "string";

class Unreadable extends Error {}

async function validate(schema: StandardSchema<unknown>, value: unknown): Promise<unknown> {
  const result = await schema["~standard"].validate(value);
  if (result.issues !== undefined)
    throw new Unreadable(`the namespace's schema refuses it (${result.issues.length} issues)`);
  return result.value;
}

const isFormat = (either: Format | Compressor): either is Format => "encode" in either;
const isCompressor = (either: Format | Compressor): either is Compressor => !isFormat(either);

const byId = <T extends { readonly id: string }>(items: readonly T[]): ReadonlyMap<string, T> =>
  new Map(items.map((item) => [item.id, item]));
