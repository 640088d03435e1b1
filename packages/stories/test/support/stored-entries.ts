/** Entries as they are in Redis, byte by byte as docs/reference/redis-layout.md says, in the layout of these tests. */
import type { Frame } from "@hotset/test-servers";
import { LAYOUT, type Layout } from "./layout.ts";

/** A server as redis-cli sees it. */
interface RawRedis {
  commandBytes(...args: readonly (string | number | Uint8Array)[]): Promise<Frame>;
}

const isString = LAYOUT === "string";

/** The command of a read of an entry. A hash is asked for its time as well. */
export const READ = isString ? "GET" : "HMGET";
/** The type of an entry's key. */
export const TYPE = isString ? "string" : "hash";

/** The rights of a user that may only read. */
export const readRights = (layout: Layout): string =>
  layout === "string" ? "+ping +get +mget +evalsha +eval +time" : "+ping +pttl +hmget +mget";
export const READ_RIGHTS: string = readRights(LAYOUT);

/** A fresh entry without an end. */
export interface PlantedEntry {
  readonly data: string | Uint8Array;
  readonly meta: string;
  /** @default one that no entry has */
  readonly version?: string;
}

/** Writes an entry as a faulty or hostile program might. */
export function plant(redis: RawRedis, redisKey: string, { data, meta, version = "planted" }: PlantedEntry) {
  if (!isString) return redis.commandBytes("HSET", redisKey, "d", data, "s", `0 ${version};${meta}`);
  return redis.commandBytes("SET", redisKey, asString({ data, meta, version }));
}

const bytesOf = (data: string | Uint8Array): Uint8Array => (typeof data === "string" ? Buffer.from(data) : data);

const NEVER = Buffer.alloc(6, 0xff);

function asString({ data, meta, version }: Required<PlantedEntry>): Buffer {
  const metaBytes = Buffer.alloc(2);
  metaBytes.writeUInt16BE(Buffer.byteLength(meta));
  return Buffer.concat([
    Buffer.of(0xc1, 1, version.length),
    ...[Buffer.from(version), NEVER, NEVER, metaBytes, Buffer.from(meta)],
    bytesOf(data),
  ]);
}

/** The data of an entry; `undefined` where there is none. */
export async function storedData(redis: RawRedis, redisKey: string): Promise<Buffer | undefined> {
  if (!isString) return bytes(await redis.commandBytes("HGET", redisKey, "d").catch(ofAnotherType));
  const value = bytes(await redis.commandBytes("GET", redisKey));
  return value === undefined || isPlaceholder(value) ? undefined : value.subarray(dataAt(value));
}

/** A placeholder is a string, an entry a hash. */
function ofAnotherType(error: unknown): null {
  if (String(error).includes("WRONGTYPE")) return null;
  throw error;
}

/** The Redis key of the lease beside an entry, which the load of an entry that is there has in both layouts. */
export const leaseBeside = (redisKey: string): string =>
  `${redisKey.slice(0, redisKey.indexOf(":"))}~lease:{${redisKey}}`;

/** Whether a missing entry is being loaded. */
export async function hasPlaceholder(redis: RawRedis, redisKey: string): Promise<boolean> {
  const value = bytes(await redis.commandBytes("GET", redisKey).catch(ofAnotherType));
  return value !== undefined && isPlaceholder(value);
}

const bytes = (reply: Frame): Buffer | undefined => (Buffer.isBuffer(reply) ? reply : undefined);
const isPlaceholder = (value: Buffer): boolean => value[1] === 0;

/** Puts other data into an entry, and leaves the rest as it is. */
export async function replaceData(redis: RawRedis, redisKey: string, data: string | Uint8Array): Promise<void> {
  if (!isString) return void (await redis.commandBytes("HSET", redisKey, "d", data));
  const value = (await redis.commandBytes("GET", redisKey)) as Buffer;
  await redis.commandBytes(
    "SET",
    redisKey,
    Buffer.concat([value.subarray(0, dataAt(value)), bytesOf(data)]),
    "KEEPTTL",
  );
}

/** Where the data begins: after the version, both instants, and the meta with its length. */
function dataAt(value: Buffer): number {
  const metaLengthAt = 3 + value[2]! + 12;
  return metaLengthAt + 2 + value.readUInt16BE(metaLengthAt);
}
