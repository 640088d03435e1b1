import { InvalidArgumentError, type StoredEntry } from "@hotset/core";
import { Further } from "../connection/command-queue.ts";
import { rendered } from "../connection/trip.ts";
import { HASH_SCRIPTS } from "../lua/all-scripts.ts";
import { Buffer } from "../primitives/buffer.ts";
import { isWrongType } from "../primitives/faults.ts";
import { isPlaceholder, NOTHING, REMOVED, type EntryLayout, type Question, type Read } from "./entry-layout.ts";
import { stageHash } from "./staged-entry.ts";

/**
 * An entry in Redis is a hash. docs/reference/redis-layout.md describes its fields byte by byte.
 *
 *   d  encoded value     s  stale window, version, meta of the cache     TTL of the key = lifetime, in ms
 *
 * `s` is `<window> <version>`, then `;`, or a sign for how most meta begins: how long before its end the entry turns
 * stale, in ms, `-` where that is unbounded, and the id of this write. Freshness is what remains of the TTL before that
 * window, so no clock of a writer is compared with one of a reader.
 *
 * In the plain layout, and as other programs write it, `s` is the epoch ms at which the entry becomes stale.
 */

/** How an unbounded stale window is stored: 100 years. */
export const UNBOUNDED_WINDOW_MS = 3_155_760_000_000;

/** The longest lifetime given to PEXPIRE; an entry with a longer one is stored without expiry. */
const MAX_LIFE_MS = 2 ** 53 - 1;

/** `plain` has neither versions nor meta. */
export type HashLayout = "full" | "plain";

/** A random id for one write; no two writes share one. */
export type WriteIds = () => string;

/** The version of an entry that has none: another program wrote it. */
export const NO_VERSION = "-";

const VERSION = /^[\w-]{1,32}$/;

/**
 * The id of a write: the version of the entry, or a new id.
 *
 * @throws {InvalidArgumentError} for a version that could be mistaken for something else.
 */
export function writeIdOf({ version }: StoredEntry, newId: WriteIds): string {
  if (version === undefined || version === NO_VERSION) return newId();
  if (!VERSION.test(version)) throw new InvalidArgumentError("entry.version must be 1 to 32 of A-Z a-z 0-9 - _");
  return version;
}

/** The arguments of a write: the lifetime in ms, `''` for none, then fields and values in turn. */
export type WriteArguments = readonly [lifeMs: string, ...fieldsAndValues: (string | Buffer)[]];

/**
 * @param nowMs epoch milliseconds, for the plain layout.
 * @returns `undefined` for an entry whose lifetime has ended.
 * @throws {InvalidArgumentError} for times that are `NaN`.
 */
export function encodeEntry(
  entry: StoredEntry,
  layout: HashLayout,
  nowMs: number,
  writeId: string,
): WriteArguments | undefined {
  const lifeMs = Math.floor(entry.expiresInMs);
  // Freshness cannot outlast the entry.
  const freshMs = Math.max(Math.min(Math.floor(entry.staleInMs), lifeMs), -UNBOUNDED_WINDOW_MS);
  if (Number.isNaN(freshMs))
    throw new InvalidArgumentError("entry.staleInMs and entry.expiresInMs must be numbers of milliseconds, got NaN");
  if (lifeMs < 1) return undefined;

  const ttl = lifeMs > MAX_LIFE_MS ? "" : String(lifeMs);
  const data = asBuffer(entry.data);
  const isAlwaysFresh = freshMs > MAX_LIFE_MS;
  // Each a literal: an array that grows, or that others are spread into, costs several times its size.
  if (layout === "plain")
    return isAlwaysFresh ? [ttl, "d", data] : [ttl, "d", data, "s", String(Math.floor(nowMs) + freshMs)];
  const window = isAlwaysFresh ? "0" : ttl === "" ? "-" : String(lifeMs - freshMs);
  // Freshness is measured from the end, so an entry without one gets a distant one.
  const life = ttl === "" && !isAlwaysFresh ? String(Math.max(freshMs, 0) + UNBOUNDED_WINDOW_MS) : ttl;
  return [life, "d", data, "s", `${window} ${writeId}${shortened(entry.meta)}`];
}

/** The reply to `HMGET key d s`. Any program may have written it. */
export type EntryFields = readonly [d: Buffer | null, s: Buffer | null];

/**
 * @param ttlMs the reply to PTTL: `-1` without expiry; `1`, `0` and `-2` mean that the lifetime has ended, although the
 *   fields were still read: the entry can expire between the two commands.
 * @param nowMs epoch milliseconds, for entries whose `s` is an instant.
 * @param layout of the reader: entries read by the plain one have no version.
 */
export function decodeEntry(
  [data, stale]: EntryFields,
  ttlMs: number,
  nowMs: () => number,
  layout: HashLayout,
): StoredEntry | undefined {
  if (data === null || ttlMs === 0 || ttlMs < -1) return undefined;
  if (data.length === REMOVED.length && isPlaceholder(data)) return undefined;
  // PTTL rounds up: a reply of n means that more than n - 1 ms are left. A read must not lengthen a life.
  const expiresInMs = ttlMs === -1 ? Infinity : ttlMs - 1;
  if (expiresInMs === 0) return undefined;

  // Read byte by byte: a regular expression would need a string first.
  const isUnbounded = stale?.[0] === MINUS;
  let index = isUnbounded ? 1 : 0;
  let windowMs = isUnbounded ? UNBOUNDED_WINDOW_MS : 0;
  if (stale !== null && !isUnbounded)
    for (let byte = stale[0]; byte !== undefined && byte >= ZERO && byte <= NINE; byte = stale[++index])
      windowMs = windowMs * 10 + byte - ZERO;
  if (index === 0 || stale![index] !== SPACE) {
    const staleInMs = freshnessLeft(stale, expiresInMs, nowMs);
    return layout === "plain"
      ? { data, staleInMs, expiresInMs, meta: "" }
      : { data, staleInMs, expiresInMs, meta: "", version: NO_VERSION };
  }

  const versionAt = index + 1;
  let start: string | undefined;
  for (index = versionAt; (start = STARTS[stale![index]!]) === undefined; index += 1)
    if (index >= stale!.length) return undefined;
  const staleInMs = expiresInMs - windowMs;
  const lifeMs = isUnbounded ? Infinity : expiresInMs;
  const meta = metaText(stale!, index + 1, index, stale!.length, start);
  if (layout === "plain") return { data, staleInMs, expiresInMs: lifeMs, meta };
  return { data, staleInMs, expiresInMs: lifeMs, meta, version: versionOf(stale!, versionAt, index) };
}

/** A version from its bytes. Scripts compare it, so it has the form that they accept. */
export function versionOf(bytes: Buffer, from: number, to: number): string {
  const version = bytes.toString("latin1", from, to);
  return VERSION.test(version) ? version : NO_VERSION;
}

/** The version of an entry that may not be readable, as scripts see it. */
export function versionIn(s: Buffer | null): string {
  const found = s === null ? undefined : OWN.exec(s.toString("latin1"))?.[1];
  return found !== undefined && VERSION.test(found) ? found : NO_VERSION;
}

const OWN = /^[\d-]+ ([\w-]+)[;,.]/;

/** How meta begins, by the sign before it: while `s` has at most 64 bytes, a hash takes half the memory. */
const [JSON_START, MSGPACK_START] = ['["json",', '["msgpack",'] as const;
const STARTS: readonly (string | undefined)[] = Array.from({ length: 256 }, (_, byte) => {
  const sign = String.fromCharCode(byte);
  return sign === ";" ? "" : sign === "," ? JSON_START : sign === "." ? MSGPACK_START : undefined;
});

function shortened(meta: string): string {
  if (meta.startsWith(JSON_START)) return `,${meta.slice(JSON_START.length)}`;
  return meta.startsWith(MSGPACK_START) ? `.${meta.slice(MSGPACK_START.length)}` : `;${meta}`;
}

let lastMeta: Buffer = Buffer.alloc(0);
let lastHeadBytes = 0;
let lastText = "";

/**
 * Equal policies give equal bytes, so the text of the last entry is nearly always that of the next; and a consumer that
 * caches by text finds it immediately.
 *
 * @param textAt where the text begins. What is before it, from `from` on, is compared with that of the last one, too.
 * @param start goes before the text. Equal bytes before it have an equal one.
 */
export function metaText(
  bytes: Buffer,
  textAt: number,
  from: number = 0,
  to: number = bytes.length,
  start: string = "",
): string {
  const headBytes = textAt - from;
  if (headBytes !== lastHeadBytes || bytes.compare(lastMeta, 0, lastMeta.length, from, to) !== 0) {
    // A copy: the bytes are a view of a whole chunk of replies.
    lastMeta = Buffer.from(bytes.subarray(from, to));
    lastHeadBytes = headBytes;
    lastText = start + bytes.toString("utf8", textAt, to);
  }
  return lastText;
}

const [SPACE, MINUS, ZERO, NINE] = [..." -09"].map((character) => character.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
];

function freshnessLeft(staleAt: Buffer | null, expiresInMs: number, nowMs: () => number): number {
  const staleAtMs = staleAt === null || staleAt.length === 0 ? NaN : Number(staleAt.toString("latin1"));
  return Number.isNaN(staleAtMs) ? expiresInMs : Math.min(Math.floor(staleAtMs - nowMs()), expiresInMs);
}

const asBuffer = (bytes: Uint8Array): Buffer =>
  bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Entries in Redis as hashes. A read is two plain commands in one tick. */
export function hashes(layout: HashLayout): EntryLayout {
  const decode: EntryLayout["read"]["decode"] = (replies, at, nowMs) =>
    decodeEntry(replies[at + 1] as EntryFields, replies[at] as number, nowMs, layout);
  return {
    scripts: HASH_SCRIPTS,
    hasVersions: layout === "full",
    isTimed: false,
    read: {
      // PTTL first: the other way round an entry that expires in between would be read as one without expiry.
      commands: (entryKey) => [
        ["PTTL", entryKey],
        ["HMGET", entryKey, "d", "s"],
      ],
      text: (entryKey) => {
        const key = rendered(entryKey);
        return `*2\r\n$4\r\nPTTL\r\n${key}*4\r\n$5\r\nHMGET\r\n${key}$1\r\nd\r\n$1\r\ns\r\n`;
      },
      count: 2,
      decode,
    },
    ...(layout === "full" && { head: HEAD }),
    // Any other type is a placeholder, or no entry either.
    look: (entryKey) => ["HSET", entryKey, "d", REMOVED],
    was: (reply) => (reply instanceof Error ? (isWrongType(reply) ? false : undefined) : reply !== 1),
    encode: (entry, version, nowMs) => encodeEntry(entry, layout, nowMs!, version),
    encodeLife: (life, version, nowMs) => {
      const args = encodeEntry({ ...life, data: NOTHING }, layout, nowMs, version);
      return args && [args[0], ...args.slice(3)];
    },
    version,
    changed: (ttlMs, fields, nowMs) => {
      const read = fields as EntryFields;
      const entry = decodeEntry(read, ttlMs as number, nowMs, layout);
      return entry ?? { version: versionIn(read[1]), isOver: ttlMs === 0 || ttlMs === 1 };
    },
    stage: stageHash,
  };
}

/** In place of the data its length: that of one which is being removed is short. */
const HEAD: Read<StoredEntry | undefined> = {
  commands: (entryKey) => [
    ["PTTL", entryKey],
    ["HMGET", entryKey, "s", "s"],
    ["HSTRLEN", entryKey, "d"],
  ],
  count: 3,
  decode: (replies, at, nowMs) =>
    (replies[at + 2] as number) > REMOVED.length
      ? decodeEntry(replies[at + 1] as EntryFields, replies[at] as number, nowMs, "full")
      : undefined,
};

/** In `s`. A string is a placeholder, or another program's. */
function version(): Question<string> {
  let isString = false;
  return {
    command: ["HGET", "s"],
    interpret: (reply) => {
      if (isString) return reply === null || isPlaceholder(reply as Buffer) ? "" : "!";
      if (typeof reply === "number") return reply === 0 ? "" : NO_VERSION;
      return reply === null ? new Further(["HLEN"]) : versionIn(reply as Buffer);
    },
    onWrongType: () => {
      if (isString) return undefined;
      isString = true;
      return new Further(["GET"]);
    },
  };
}
