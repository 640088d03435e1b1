import type { TagVersion } from "../contracts/capabilities.ts";
import { byteLength } from "../primitives/platform.ts";
import type { Encoding, Entry } from "./entry.ts";
import { checkTags, NO_TAGS } from "./key.ts";

/**
 * The `meta` of a stored entry: the facts that its bytes and its two times do not show. It is JSON, and
 * what is at its default is left out, so equal policies give equal strings, and each string is parsed once.
 */
export interface EntryMeta {
  readonly encoding: Encoding;
  /** `undefined`: another program wrote the entry; its remaining freshness is taken instead. */
  readonly ttlMs: number | undefined;
  /** `undefined`: as `ttlMs`; the window is the time between the end of freshness and the end of life. */
  readonly staleWhileRevalidateMs: number | undefined;
  /** `undefined`: the window is the rest of the life, as for `staleWhileRevalidateMs`. */
  readonly staleIfErrorMs: number | undefined;
  readonly keepForMs: number | undefined;
  readonly inheritedMs: number | undefined;
  readonly touchedMs: number | undefined;
  readonly localTtlMs: number;
  readonly tags: readonly string[];
  readonly versions: readonly TagVersion[] | undefined;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

/** The id of bytes that are stored uncompressed. */
export const NO_COMPRESSION = "none";

/** Why a stored entry cannot be read. The message quotes no value, so it may appear in a `DecodeError`. */
export class UnreadableEntry extends Error {}

/** A name out of a stored entry, for a message. */
export const cut = (name: string): string => JSON.stringify(name.length > 32 ? `${name.slice(0, 32)}…` : name);

/** Parses `meta`, and keeps some results: equal strings share one object, which must not be changed. */
export class MetaParser {
  readonly #parsed = new Map<string, EntryMeta>();
  #length = 0;

  /**
   * @param levels number of versions for each tag.
   * @throws {UnreadableEntry} for text that {@link writeMeta} did not write.
   */
  parse(meta: string, levels: number): EntryMeta {
    let parsed = this.#parsed.get(meta);
    if (parsed === undefined) {
      parsed = parseMeta(meta, levels);
      const length = meta.length + OVERHEAD;
      this.#length += length;
      if (this.#length > MAX_PARSED_LENGTH) {
        this.#parsed.clear();
        this.#length = length;
      }
      this.#parsed.set(meta, parsed);
    }
    const { tags, versions } = parsed;
    if (versions !== undefined && versions.length !== (tags.length + 1) * levels) throw new UnreadableEntry(NOT_OURS);
    return parsed;
  }
}

const MAX_PARSED_LENGTH = 32 * 1024;
/** Roughly the parsed object. */
const OVERHEAD = 64;

export function writeMeta(
  entry: Entry,
  { format, compressor }: Encoding,
  versions: readonly TagVersion[] | undefined,
): string {
  const { terms } = entry;
  const rest: WrittenRest = {
    ...(compressor !== NO_COMPRESSION && { c: compressor }),
    ...(terms.localTtlMs !== Infinity && { l: terms.localTtlMs }),
    ...(terms.tags.length !== 0 && { g: terms.tags }),
    ...(terms.etag !== undefined && { a: terms.etag }),
    ...(terms.lastModified !== undefined && { m: terms.lastModified }),
    ...(terms.keepForMs !== undefined && { w: terms.keepForMs }),
    ...(terms.inheritedMs !== undefined && { i: terms.inheritedMs }),
    ...(terms.touchedMs !== undefined && terms.touchedMs !== Infinity && { n: terms.touchedMs }),
  };
  const row: unknown[] = [
    format,
    entry.ttlMs === Infinity ? null : entry.ttlMs,
    terms.staleWhileRevalidateMs,
    terms.staleIfErrorMs,
    versions === undefined ? 0 : differences(versions),
    rest,
  ];
  // Defaults at the end are left out.
  let length = Object.keys(rest).length === 0 ? 5 : 6;
  while (length < 6 && length > 2 && row[length - 1] === 0) length -= 1;
  return JSON.stringify(row.slice(0, length));
}

type Shown = string | number;

/**
 * Versions `id.n`, where the one before has the same id, as the difference of `n`: most of a tag are equal in all of
 * its namespaces. {@link parseMeta} adds them up.
 */
function differences(versions: readonly TagVersion[]): readonly (Shown | readonly Shown[])[] {
  let [id, n] = counted("");
  const shown = (version: string): Shown => {
    const before = [id, n] as const;
    [id, n] = counted(version);
    return id === before[0] && id !== "" ? n - before[1] : version;
  };
  return versions.map(({ hard, soft }) => (hard === soft ? shown(hard) : [shown(hard), shown(soft)]));
}

function counted(version: string): [id: string, n: number] {
  const [, id = "", n] = /^(.*\.)(0|[1-9]\d{0,14})$/.exec(version) ?? [];
  return [id, Number(n)];
}

/** Rounded down: a store must not lengthen a life; the microsecond makes up for instants, sums of fractions. */
export const wholeMs = (ms: number): number => Math.floor(ms + 0.001);

/** More than the tags of an entry and their versions take. */
export const MAX_META_BYTES: number = 8 * 2 ** 20;
/** A text of at most this many UTF-16 units takes at most `MAX_META_BYTES` in UTF-8. */
const MAX_META_LENGTH = MAX_META_BYTES / 3;

export const isMetaTooLong = (meta: string): boolean =>
  meta.length > MAX_META_LENGTH && byteLength(meta) > MAX_META_BYTES;

/** The meta of an entry that another program wrote: `encoding` is the configured one, the rest is unknown. */
export const foreignMeta = (encoding: Encoding): EntryMeta =>
  ({ localTtlMs: Infinity, tags: NO_TAGS, encoding }) satisfies Partial<EntryMeta> as EntryMeta;

/**
 * The JSON as stored is an array: `[format, ttl, staleWhileRevalidate, staleIfError, versions, rest]`, without the ends
 * that are at their defaults. Every entry carries it, and Redis keeps a hash of short fields in half the memory.
 */
interface WrittenRest {
  /** Compressor id. Absent: not compressed. */
  readonly c?: string;
  /** `localTtlMs`. Absent: infinite. */
  readonly l?: number;
  /** Tags. Absent: none. */
  readonly g?: readonly string[];
  /** `etag`. */
  readonly a?: string;
  /** `lastModified`. */
  readonly m?: string;
  /** `keepForMs`. */
  readonly w?: number;
  /** `inheritedMs`. */
  readonly i?: number;
  /** `touchedMs`. */
  readonly n?: number;
}

/** The array by names. */
interface WrittenMeta extends WrittenRest {
  /** Format id. */
  readonly f: string;
  /** `ttlMs`. Absent: infinite. */
  readonly t?: number;
  /** `staleWhileRevalidateMs`. Absent: 0. */
  readonly r?: number;
  /** `staleIfErrorMs`. Absent: 0. */
  readonly e?: number;
  /** Tag versions; one where `hard` and `soft` are equal. A number: see {@link differences}. */
  readonly v?: readonly (readonly [hard: Shown, soft: Shown] | Shown)[];
}

function named(written: unknown): unknown {
  if (!Array.isArray(written)) return undefined;
  const [f, t, r = 0, e = 0, v = 0, rest = {}, ...more] = written as readonly unknown[];
  if (more.length !== 0 || typeof rest !== "object" || rest === null || Array.isArray(rest)) return undefined;
  return { ...rest, f, t: t ?? undefined, r, e, v: v === 0 ? undefined : v };
}

function parseMeta(meta: string, levels: number): EntryMeta {
  const written = isMetaTooLong(meta) ? undefined : named(json(meta));
  if (!isWrittenMeta(written) || (written.v?.length ?? 0) > ((written.g?.length ?? 0) + 1) * levels)
    throw new UnreadableEntry(NOT_OURS);
  const { f, c, t, r, e, l, g, v, a, m, w, i, n } = written;
  let [id, last] = counted("");
  const versionOf = (shown: Shown): string => {
    if (typeof shown === "number") return id + (last += shown);
    [id, last] = counted(shown);
    return shown;
  };
  return {
    encoding: { format: f, compressor: c ?? NO_COMPRESSION },
    ttlMs: t ?? Infinity,
    staleWhileRevalidateMs: r ?? 0,
    staleIfErrorMs: e ?? 0,
    keepForMs: w,
    inheritedMs: i,
    touchedMs: n,
    localTtlMs: l ?? Infinity,
    tags: g ?? NO_TAGS,
    versions: v?.map((shown) => {
      const [hard, soft] = typeof shown === "object" ? shown : [shown];
      const version = versionOf(hard);
      return { hard: version, soft: soft === undefined ? version : versionOf(soft) };
    }),
    etag: a,
    lastModified: m,
  };
}

const NOT_OURS = "its meta was not written by this library, or it is sealed and this backend has no seal";

/** Parses JSON, and drops the `SyntaxError` of bad text, since its message quotes the text. */
function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Checks every property: any program may have written to a shared store. */
function isWrittenMeta(written: unknown): written is WrittenMeta {
  if (typeof written !== "object" || written === null) return false;
  const { f, c, t, r, e, l, g, v, a, m, w, i, n } = written as { readonly [K in keyof WrittenMeta]: unknown };
  return (
    isText(f) &&
    [c, a, m].every((text) => text === undefined || isText(text)) &&
    [t, r, e, l, w, i, n].every((ms) => ms === undefined || (typeof ms === "number" && ms >= 0)) &&
    (g === undefined || areTags(g)) &&
    (v === undefined ||
      (Array.isArray(v) &&
        v.every(
          (version) => isShown(version) || (Array.isArray(version) && version.length === 2 && version.every(isShown)),
        )))
  );
}

const isText = (value: unknown): value is string => typeof value === "string";
const isShown = (value: unknown): value is Shown => isText(value) || Number.isSafeInteger(value);

function areTags(value: unknown): value is readonly string[] {
  try {
    checkTags(value);
    return true;
  } catch {
    return false;
  }
}
