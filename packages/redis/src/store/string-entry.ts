import { InvalidArgumentError, type StoredEntry } from "@hotset/core";
import { STRING_SCRIPTS } from "../lua/all-scripts.ts";
import { HEAD_BYTES, PLACEHOLDER_BYTES } from "../lua/present.ts";
import { Buffer } from "../primitives/buffer.ts";
import { isWrongType } from "../primitives/faults.ts";
import { metaText, NO_VERSION, versionOf } from "./entry-fields.ts";
import { isPlaceholder, MAGIC, NOTHING, type EntryLayout } from "./entry-layout.ts";
import { serverMsOf } from "./server-clock.ts";
import { stageString } from "./staged-entry.ts";

/**
 * An entry in Redis as one string. docs/reference/redis-layout.md describes it byte by byte.
 *
 *   C1 01   length of the version   version   staleAt   endAt   length of meta   meta   data
 *     2              1                n          6        6            2
 *
 * A length of meta from 65,535 on is 65,535, and then in four bytes more. Both instants are milliseconds since 1970 by
 * the clock of the server, all ones for never. In the place of a missing
 * entry that is being loaded: `C1 00`, and the token of its lease.
 */
const ENTRY = 1;
const FIRST = Buffer.of(MAGIC);
const VERSION_AT = 3;
const NEVER = 2 ** 48 - 1;
/** The longest lifetime: 6,000 years. An entry with a longer one has no end. */
const MAX_LIFE_MS = 2 ** 47;
/** The length of meta stands behind it. */
const LONG = 0xffff;

/** An entry as scripts take it: they put the instants into the value, by the clock of the server. */
export interface EncodedString {
  /** Lifetime in ms, `''` for none. */
  readonly lifeMs: string;
  /** Freshness in ms, `''` for as long as it lives and longer. */
  readonly freshMs: string;
  readonly value: Buffer;
}

/**
 * @returns `undefined` for an entry whose lifetime has ended.
 * @throws {InvalidArgumentError} for times that are `NaN`.
 */
export function encodeString(entry: StoredEntry, version: string): EncodedString | undefined {
  const lifeMs = Math.floor(entry.expiresInMs);
  // Freshness cannot outlast the entry.
  const freshMs = Math.max(Math.min(Math.floor(entry.staleInMs), lifeMs), -NEVER);
  if (Number.isNaN(freshMs))
    throw new InvalidArgumentError("entry.staleInMs and entry.expiresInMs must be numbers of milliseconds, got NaN");
  if (lifeMs < 1) return undefined;
  const meta = withLength(entry.meta);
  const value = Buffer.allocUnsafe(VERSION_AT + version.length + 12 + meta.length + entry.data.byteLength);
  value[0] = MAGIC;
  value[1] = ENTRY;
  value[2] = version.length;
  let at = VERSION_AT + value.write(version, VERSION_AT, "latin1");
  value.fill(0, at, at + 12);
  value.set(meta, (at += 12));
  at += meta.length;
  value.set(entry.data, at);
  return {
    lifeMs: lifeMs > MAX_LIFE_MS ? "" : String(lifeMs),
    freshMs: freshMs > MAX_LIFE_MS ? "" : String(freshMs),
    value,
  };
}

/** Behind its length. */
function withLength(meta: string): Buffer {
  const length = Buffer.byteLength(meta);
  const isLong = length >= LONG;
  const bytes = Buffer.allocUnsafe(length + (isLong ? 6 : 2));
  let at = bytes.writeUInt16BE(isLong ? LONG : length);
  if (isLong) at = bytes.writeUInt32BE(length, at);
  bytes.write(meta, at);
  return bytes;
}

/** The last arguments of a script that stores it. @param isStamped whether the instants are in the value. */
const scriptArguments = (
  { lifeMs, freshMs, value }: EncodedString,
  isStamped = false,
): readonly [string, string, Buffer] => [lifeMs, isStamped ? STAMPED : freshMs, value];

/** In place of the freshness. */
const STAMPED = "=";

/** Puts the instants into an encoded entry. @param serverMs the time on the server, at the earliest. */
export function stamp({ value, freshMs, lifeMs }: EncodedString, serverMs: number): void {
  const at = VERSION_AT + value[2]!;
  value.writeUIntBE(instant(serverMs, freshMs), at, 6);
  value.writeUIntBE(instant(serverMs, lifeMs), at + 6, 6);
}

/**
 * @param serverMs the time on the server, at the latest.
 * @returns `undefined` for an entry whose life has ended, a placeholder, and a string of another program.
 */
export function decodeString(value: Buffer, serverMs: number): StoredEntry | undefined {
  if (!isEntry(value)) return undefined;
  let at = VERSION_AT + value[2]!;
  let metaAt = at + 14;
  if (value.length < metaAt) return undefined;
  let length = value.readUInt16BE(metaAt - 2);
  if (length === LONG) {
    metaAt += 4;
    if (value.length < metaAt) return undefined;
    length = value.readUInt32BE(metaAt - 4);
  }
  // No slices: each would cost as much as the entry.
  const version = versionOf(value, VERSION_AT, at);
  const staleInMs = left(value.readUIntBE(at, 6), serverMs);
  const expiresInMs = left(value.readUIntBE((at += 6), 6), serverMs);
  const dataAt = metaAt + length;
  if (expiresInMs < 1 || value.length < dataAt) return undefined;
  return {
    data: value.subarray(dataAt),
    staleInMs,
    expiresInMs,
    meta: metaText(value, metaAt, metaAt, dataAt),
    version,
  };
}

/** The version of what is in the key: `''` for nothing and for a placeholder, `-` for a string of another program. */
export function versionIn(head: Buffer): string {
  if (head.length === 0 || isPlaceholder(head)) return "";
  if (!isEntry(head)) return NO_VERSION;
  const end = VERSION_AT + head[2]!;
  return end <= head.length ? versionOf(head, VERSION_AT, end) : NO_VERSION;
}

/** Whether an entry may be in the string: then the time is needed to read it. */
export const isEntry = (value: Buffer): boolean => value.length > 2 && value[0] === MAGIC && value[1] === ENTRY;

const instant = (serverMs: number, inMs: string): number =>
  inMs === "" ? NEVER : Math.max(0, Math.floor(serverMs + Number(inMs)));

const left = (instantMs: number, serverMs: number): number =>
  instantMs === NEVER ? Infinity : Math.floor(instantMs - serverMs);

const needsTime = (values: readonly unknown[], at: number): boolean =>
  values[at] !== null && isEntry(values[at] as Buffer);
const decode = (values: readonly unknown[], at: number, nowMs: () => number): StoredEntry | undefined =>
  needsTime(values, at) ? decodeString(values[at] as Buffer, nowMs()) : undefined;

/** Entries in Redis as strings. A read is GET, many reads are MGET; a write is a SET where the time is known. */
export const STRINGS: EntryLayout = {
  scripts: STRING_SCRIPTS,
  hasVersions: true,
  isTimed: true,
  read: { commands: (entryKey) => [["GET", entryKey]], count: 1, needsTime, decode },
  head: { commands: (entryKey) => [["GETRANGE", entryKey, "0", "255"]], count: 1, needsTime, decode },
  readMany: {
    commands: (entryKeys) => [["MGET", ...entryKeys]],
    count: 1,
    needsTime: ([values]) => (values as unknown[]).some((_, i, all) => needsTime(all, i)),
    decode: ([values], _, nowMs) => (values as unknown[]).map((__, i, all) => decode(all, i, nowMs)),
  },
  // Entries and placeholders stay as they are. It replies with the length: no entry is as short as a placeholder.
  look: (entryKey) => ["SETRANGE", entryKey, "0", FIRST],
  was: (reply) => (reply instanceof Error ? isWrongType(reply) || undefined : (reply as number) > PLACEHOLDER_BYTES),
  encode: (entry, version, serverMs) => {
    const encoded = encodeString(entry, version);
    if (encoded !== undefined && serverMs !== undefined) stamp(encoded, serverMs);
    return encoded && scriptArguments(encoded, serverMs !== undefined);
  },
  encodeLife: (life, version) => {
    const encoded = encodeString({ ...life, data: NOTHING }, version);
    return encoded && [encoded.lifeMs, encoded.freshMs, life.meta];
  },
  set: ([lifeMs, fresh, value], over) => {
    if (fresh !== STAMPED) return undefined;
    return ["SET", value!, ...(lifeMs === "" ? [] : ["PX", lifeMs!]), ...(over === undefined ? [] : ["IFEQ", over])];
  },
  version: () => ({
    command: ["GETRANGE", "0", String(HEAD_BYTES - 1)],
    interpret: (reply) => versionIn(reply as Buffer),
  }),
  changed: (entry, time) =>
    decodeString(entry as Buffer, serverMsOf(time)) ?? { version: versionIn(entry as Buffer), isOver: true },
  stage: stageString,
};
