import { InvalidArgumentError, type StoredEntry } from "@hotset/core";
import { crypto } from "../primitives/crypto.ts";
import { hasHashTag } from "../primitives/hash-slots.ts";

/**
 * How an entry lies in Redis: its key, the key of its lease, and the fields of its hash.
 * docs/reference/redis-layout.md says the same for people, byte by byte.
 *
 *   key   <prefix>:<name>:<namespace>...::<key>       lease   <prefix>~lease:{<key of the entry>}
 *   d  encoded value     s  epoch ms at which it becomes stale     m  head, then the cache's meta     w  id of this write
 *   TTL of the key = lifetime, in ms
 *
 * The head of `m` is `1 <window>;`: the version of this layout, and how long before its end the
 * entry turns stale, in ms; `-` where that is unbounded. Freshness is what remains of the TTL
 * before that window, so no clock of a writer is compared with one of a reader.
 */
export const FIELDS = ["d", "s", "m", "w"] as const;

/** How an unbounded stale window is kept: 100 years. */
export const UNBOUNDED_WINDOW_MS = 3_155_760_000_000;

/** The longest lifetime PEXPIRE is given; a longer one is kept without expiry. */
const MAX_LIFE_MS = 2 ** 53 - 1;

/** A random id for one write; no two writes share one. */
export type WriteIds = () => string;

/** 96 random bits, in 16 characters. A pool of them: one call of the system for many writes. */
export const randomWriteIds = (): WriteIds => {
  let pool = "";
  let used = 0;
  return () => {
    if (used === pool.length) {
      pool = crypto()
        .randomBytes(12 * 128)
        .toString("base64url");
      used = 0;
    }
    return pool.slice(used, (used += 16));
  };
};

/** The version of an entry that has none: another program wrote it. */
export const NO_VERSION = "-";

const VERSION = /^[\w-]{1,32}$/;

/** What identifies an entry that was read, by its `w`: it goes into scripts and is compared there, so it is one that they would write. */
export function versionOf(w: Buffer | null): string {
  if (w === null) return NO_VERSION;
  const version = w.toString("latin1");
  return VERSION.test(version) ? version : NO_VERSION;
}

/**
 * The id that an entry is written under: the one it brings, or a new one.
 *
 * @throws {InvalidArgumentError} for one that could be mistaken for something else.
 */
export function writeIdOf({ version }: StoredEntry, newId: WriteIds): string {
  if (version === undefined || version === NO_VERSION) return newId();
  if (!VERSION.test(version))
    throw new InvalidArgumentError("entry: its version is not accepted; give 1 to 32 of A-Z a-z 0-9 - _");
  return version;
}

export interface KeySettings {
  /** In front of every key; `''` for none. */
  readonly prefix: string;
  readonly format: "readable" | "hashed";
}

/** Turns canonical keys of the cache (`<segments>::<user key>`) into those of Redis. */
export class RedisKeys {
  readonly #prefix: string;
  readonly #lease: string;
  readonly isHashed: boolean;

  constructor(settings: KeySettings) {
    this.#prefix = settings.prefix;
    this.#lease = `${settings.prefix}~lease:`;
    this.isHashed = settings.format === "hashed";
  }

  /** @throws {InvalidArgumentError} for a lone surrogate: in UTF-8 all of them are the same three bytes. */
  entry(key: string): string {
    if (this.isHashed || UNUSUAL.test(key)) key = this.#encode(key);
    if (this.#prefix !== "") return key.startsWith("::") ? this.#prefix + key : `${this.#prefix}:${key}`;
    return key.startsWith("::") ? key.slice(2) : key;
  }

  /** The lease of an entry: in its slot, and outside `<prefix>:`, which is what coherence tracks. */
  lease(entryKey: string): string {
    return hasHashTag(entryKey) ? this.#lease + entryKey : `${this.#lease}{${entryKey}}`;
  }

  /** What issues the versions of a tag: in the tag's slot, and outside `<prefix>:`. */
  issuer(tag: string): string {
    return `${this.#prefix}~issuer:${tag.slice(0, tag.indexOf("}") + 1)}`;
  }

  /** What coherence tracks: keys of entries and tags, and nothing else. */
  get tracked(): string {
    return `${this.#prefix}:`;
  }

  /** Where processes tell each other of changes: outside of what is tracked. */
  get channel(): string {
    return `${this.#prefix}~changes`;
  }

  /** What `entry` was given, or for hashed keys its {@link alias}; `undefined` for keys of others. */
  decode(redisKey: string): string | undefined {
    if (!redisKey.startsWith(this.#prefix)) return undefined;
    const rest = redisKey.slice(this.#prefix.length);
    const key = rest.startsWith("::") ? rest : rest.startsWith(":") ? rest.slice(1) : undefined;
    const user = key === undefined ? -1 : key.indexOf("::") + 2;
    return user < 2 ? key : key!.slice(0, user) + decodeUserKey(key!.slice(user));
  }

  /** What {@link decode} makes of a key that cannot be turned back. */
  alias(key: string): string {
    return this.isHashed ? this.#encode(key) : key;
  }

  #encode(key: string): string {
    if (!key.isWellFormed())
      throw new InvalidArgumentError(
        "key: contains half of a surrogate pair, which UTF-8 cannot write; give well-formed text",
      );
    const user = key.indexOf("::") + 2;
    return (
      key.slice(0, user) +
      (this.isHashed ? `#${crypto().hash("sha256", key.slice(user), "base64url")}` : encodeUserKey(key.slice(user)))
    );
  }
}

/** What {@link encodeUserKey} may have to change, and what must be well-formed. */
const UNUSUAL = /[#%{}\ud800-\udfff]/;

/**
 * A user's key as part of a Redis key. Readable, injective, and such that an entry and its lease
 * share a slot: braces that are no complete hash tag are percent-encoded, and so is a leading `#`,
 * which marks hashed keys; `%` only where it would read as one of these.
 */
export function encodeUserKey(key: string): string {
  if (!hasHashTag(key)) return key.replace(/[{}]|^#|%(?=7B|7D|25)|^%(?=23)/g, (found) => ESCAPES[found]!);
  if (key.startsWith("#")) return `%23${key.slice(1)}`;
  return /^%(?:25)*23/.test(key) ? `%25${key.slice(1)}` : key;
}

/** The inverse of {@link encodeUserKey}. Keys that it never wrote stay as they are. */
export function decodeUserKey(encoded: string): string {
  if (!encoded.includes("%")) return encoded;
  if (!hasHashTag(encoded)) return encoded.replace(/%(?:7B|7D|25)|^%23/g, (found) => UNESCAPES[found]!);
  if (encoded.startsWith("%23")) return `#${encoded.slice(3)}`;
  return /^%25(?:25)*23/.test(encoded) ? `%${encoded.slice(3)}` : encoded;
}

const ESCAPES: Readonly<Record<string, string>> = { "{": "%7B", "}": "%7D", "#": "%23", "%": "%25" };
const UNESCAPES: Readonly<Record<string, string>> = { "%7B": "{", "%7D": "}", "%23": "#", "%25": "%" };

/** What a write sends: the lifetime in ms, `''` for none, then fields and values in turn. */
export type WriteArguments = readonly [lifeMs: string, ...fieldsAndValues: (string | Buffer)[]];

/**
 * @param nowMs epoch milliseconds, for `s` alone.
 * @returns `undefined` for an entry whose life is over.
 * @throws {InvalidArgumentError} for times that are `NaN`.
 */
export function encodeEntry(
  entry: StoredEntry,
  layout: "full" | "plain",
  nowMs: number,
  writeId: string,
): WriteArguments | undefined {
  const lifeMs = Math.floor(entry.expiresInMs);
  // Freshness cannot outlast the entry.
  const freshMs = Math.max(Math.min(Math.floor(entry.staleInMs), lifeMs), -UNBOUNDED_WINDOW_MS);
  if (Number.isNaN(freshMs))
    throw new InvalidArgumentError("entry: staleInMs and expiresInMs are no numbers; give milliseconds");
  if (lifeMs < 1) return undefined;

  const ttl = lifeMs > MAX_LIFE_MS ? "" : String(lifeMs);
  const data = ["d", asBuffer(entry.data)] as const;
  const staleAt = freshMs > MAX_LIFE_MS ? [] : (["s", String(Math.floor(nowMs) + freshMs)] as const);
  if (layout === "plain") return [ttl, ...data, ...staleAt];

  const end = ["w", writeId] as const;
  if (freshMs > MAX_LIFE_MS) return [ttl, ...data, "m", `1 0;${entry.meta}`, ...end];
  if (ttl !== "") return [ttl, ...data, ...staleAt, "m", `1 ${lifeMs - freshMs};${entry.meta}`, ...end];
  // Freshness is measured from the end, so an entry without one gets a distant one.
  return [String(Math.max(freshMs, 0) + UNBOUNDED_WINDOW_MS), ...data, ...staleAt, "m", `1 -;${entry.meta}`, ...end];
}

/** The reply to `HMGET key d s m w`; anything may have written it. */
export type EntryFields = readonly [d: Buffer | null, s: Buffer | null, m: Buffer | null, w: Buffer | null];

/**
 * @param ttlMs the reply to PTTL: `-1` is no expiry, `0` and `-2` mean that the life is over, also
 *   where the fields were still seen: the two commands can straddle the end.
 * @param nowMs epoch milliseconds, for entries without `m`, whose only word on freshness is `s`.
 * @param layout of the reader: entries read by the plain one have no version.
 */
export function decodeEntry(
  fields: EntryFields,
  ttlMs: number,
  nowMs: () => number,
  layout: "full" | "plain",
): StoredEntry | undefined {
  const [data, staleAt, meta, writeId] = fields;
  if (data === null || ttlMs === 0 || ttlMs < -1) return undefined;
  const expiresInMs = ttlMs === -1 ? Infinity : ttlMs;
  if (meta === null) {
    const staleInMs = freshnessLeft(staleAt, expiresInMs, nowMs);
    return layout === "plain"
      ? { data, staleInMs, expiresInMs, meta: "" }
      : { data, staleInMs, expiresInMs, meta: "", version: versionOf(writeId) };
  }

  // The head, read byte by byte: a regular expression would need a string first.
  if (meta[0] !== ONE || meta[1] !== SPACE) return undefined;
  let at = 2;
  let windowMs = 0;
  if (meta[at] === MINUS) {
    at += 1;
    windowMs = UNBOUNDED_WINDOW_MS;
  } else {
    for (let byte = meta[at]; byte !== undefined && byte >= ZERO && byte <= NINE; byte = meta[++at])
      windowMs = windowMs * 10 + byte - ZERO;
  }
  if (at === 2 || meta[at] !== SEMICOLON) return undefined;
  const staleInMs = expiresInMs - windowMs;
  const lifeMs = meta[2] === MINUS ? Infinity : expiresInMs;
  const text = metaText(meta, at + 1);
  return layout === "plain"
    ? { data, staleInMs, expiresInMs: lifeMs, meta: text }
    : { data, staleInMs, expiresInMs: lifeMs, meta: text, version: versionOf(writeId) };
}

let lastMeta: Buffer | undefined;
let lastText = "";

/** Equal policies give equal bytes, so the text of the last is nearly always that of the next; and who has seen it knows it at once. */
function metaText(meta: Buffer, from: number): string {
  if (lastMeta?.equals(meta) !== true) {
    // A copy: the bytes are a view of a whole chunk of replies.
    lastMeta = Buffer.from(meta);
    lastText = meta.toString("utf8", from);
  }
  return lastText;
}

const [ONE, SPACE, MINUS, ZERO, NINE, SEMICOLON] = [..."1 -09;"].map((character) => character.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
  number,
  number,
];

function freshnessLeft(staleAt: Buffer | null, expiresInMs: number, nowMs: () => number): number {
  const at = staleAt === null || staleAt.length === 0 ? NaN : Number(staleAt.toString("latin1"));
  return Number.isNaN(at) ? expiresInMs : Math.min(Math.floor(at - nowMs()), expiresInMs);
}

const asBuffer = (bytes: Uint8Array): Buffer =>
  bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
