/** One service of a fleet, with its own formats. Run by redis/format-swap.all.test.ts in separate processes. */
import { createCache, json, type Compressor, type Format } from "@hotset/core";
import { brotli, gzip, v8 } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { zstd } from "@hotset/formats/zstd";
import * as own from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";
import * as hotset from "hotset";

export interface ServiceSettings {
  readonly url: string;
  readonly keyPrefix: string;
  /** The package whose `redis` is used. */
  readonly from: "hotset" | "@hotset/redis";
  /** Ids of the format and compressor that it writes. */
  readonly writes: readonly [format: string, compressor: string];
  /** Ids of further formats and compressors that it reads. */
  readonly alsoReads?: readonly string[];
}

const FORMATS: Readonly<Record<string, Format>> = { json: json(), msgpack: msgpack(), v8: v8() };
const COMPRESSORS: Readonly<Record<string, Compressor>> = { gzip: gzip(), brotli: brotli(), zstd: zstd() };

const { url, keyPrefix, from, writes, alsoReads = [] } = JSON.parse(process.argv[2]!) as ServiceSettings;
const { redis } = from === "hotset" ? hotset : own;
const backend = redis(url)
  .keyPrefix(keyPrefix)
  .valueFormat(FORMATS[writes[0]]!)
  .compressor(COMPRESSORS[writes[1]]!)
  .alsoReads(...alsoReads.map((id) => FORMATS[id] ?? COMPRESSORS[id]!))
  // Deadlines are not the subject, and the machine may be busy.
  .responseTimeout("30s")
  .connectTimeout("30s")
  .build();
const cache = createCache({ name: "shop" }).tier(backend).defaults({ ttl: "10m" }).build();

const undecodable: string[] = [];
cache.on("decode:error", ({ key }) => undecodable.push(key));
let failures = 0;
cache.on("backend:error", () => (failures += 1));

const handlers = {
  set: async (key: string, value: unknown): Promise<string> => (await cache.set(key, value as {})).status,
  get: (key: string): Promise<unknown> => cache.get(key),
  getMany: (keys: readonly string[]): Promise<Map<string, unknown>> => cache.getMany(keys),
  /** Returns the answer of `getOrSet` with a loader that returns `value`. */
  load: (key: string, value: unknown): Promise<unknown> => cache.getOrSet(key, () => value),
  /** Ids of the format and compressor of the stored entry. */
  encoding: async (key: string): Promise<string | undefined> => {
    const encoding = (await cache.inspect(key))?.encoding;
    return encoding && `${encoding.format}+${encoding.compressor}`;
  },
  /** Keys reported as undecodable, the number of backend errors, and the state of the tier. */
  troubles: () => ({ undecodable, failures, state: cache.stats().tiers[0]!.state }),
  close: () => cache.close(),
};

export type Service = typeof handlers;

answerCalls(handlers);
