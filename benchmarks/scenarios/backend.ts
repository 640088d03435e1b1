import { createClient, RESP_TYPES } from "@redis/client";
import { createCache, msgpack, redis, type Cache } from "hotset";
// Without its native part, as in hotset: "msgpackr" would load it, for hotset in this process as well.
import { Packr } from "msgpackr/pack";
import { inFlight, type Scenario } from "../measure.ts";
import { record } from "../payloads.ts";

const KEYS = 2_000;
const SIZES = [
  ["200 B", 200],
  ["2 KB", 2_000],
  ["50 KB", 50_000],
] as const;
/** By reads in flight, for values of up to 2 KB. */
const TARGETS = new Map([
  [1, 0.85],
  [64, 0.85],
  [500, 0.7],
]);

/** Reads and writes through one connection, against plain commands on a node-redis client without its timeout. */
export async function backendScenarios(
  url: string,
): Promise<{ readonly scenarios: readonly Scenario[]; close(): Promise<void> }> {
  const raw = await connectRaw(url);
  const scenarios: Scenario[] = [];
  const caches: Cache[] = [];
  for (const [size, bytes] of SIZES) {
    const name = `bench-${bytes}`;
    const cache = createCache({ name }).tier(redis(url).valueFormat(msgpack()).build()).defaults({ ttl: "1h" }).build();
    caches.push(cache);
    const value = record(bytes);
    const count = bytes > 10_000 ? KEYS / 4 : KEYS;
    const keys = Array.from({ length: count }, (_, i) => `user:${i}`);
    await cache.setMany(keys.map((key) => [key, value] as const));
    const side: Sides = { size, bytes, value, keys, cache, raw, redisKey: (key) => `hotset:${name}::${key}` };
    for (const limit of [1, 64, 500]) scenarios.push(hits(side, limit));
    scenarios.push(stores(side));
    if (bytes === 2_000) scenarios.push(batches(side));
  }
  return {
    scenarios,
    async close() {
      await Promise.all(caches.map((cache) => cache.close()));
      await raw.close();
    },
  };
}

/** Both sides of a comparison, over values of one size. */
interface Sides {
  readonly size: string;
  readonly bytes: number;
  readonly value: object;
  /** Stored by `cache`, each with `value`. */
  readonly keys: readonly string[];
  readonly cache: Cache;
  readonly raw: RawCommands;
  redisKey(key: string): string;
}

interface RawCommands {
  read(redisKey: string): Promise<unknown>;
  store(redisKey: string, value: object): Promise<unknown>;
  close(): Promise<void>;
}

/** The commands of a hash with a lifetime, and its value in MessagePack. */
async function connectRaw(url: string): Promise<RawCommands> {
  const client = await createClient({ url, commandOptions: { timeout: 0 } }).connect();
  const raw = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const packr = new Packr({ useRecords: false });
  return {
    async read(redisKey) {
      const [fields, ttl] = await Promise.all([raw.hmGet(redisKey, ["d", "s"]), raw.pTTL(redisKey)]);
      const data = fields[0] as unknown as Buffer | null;
      if (data === null || ttl === -2) throw new Error("a benchmark of hits has missed");
      return packr.unpack(data);
    },
    store: (redisKey, value) =>
      Promise.all([
        raw.hSet(redisKey, {
          d: packr.pack(value),
          s: "0 0123456789abcdef;{}",
        }),
        raw.pExpire(redisKey, 3_600_000),
      ]),
    close: () => client.close(),
  };
}

function hits({ size, bytes, keys, cache, raw, redisKey }: Sides, limit: number): Scenario {
  const target = bytes <= 2_000 ? TARGETS.get(limit) : undefined;
  const key = (i: number): string => keys[i % keys.length]!;
  const load = (): never => {
    throw new Error("a benchmark of hits has loaded");
  };
  return {
    name: `backend hit, ${size}, ${limit} in flight`,
    raw: {
      name: "hmGet + pTTL",
      run: (operations) => inFlight(limit, operations, (i) => raw.read(redisKey(key(i)))),
    },
    hotset: {
      name: "getOrSet",
      run: (operations) => inFlight(limit, operations, (i) => cache.getOrSet(key(i), load)),
    },
    operations: limit === 1 || bytes > 10_000 ? 4_000 : 40_000,
    shows: "speed",
    ...(target !== undefined && { target }),
  };
}

function stores({ size, bytes, value, keys, cache, raw, redisKey }: Sides): Scenario {
  return {
    name: `store, ${size}, 64 in flight`,
    raw: {
      name: "HSET + PEXPIRE",
      run: (operations) => inFlight(64, operations, (i) => raw.store(redisKey(`raw:${i % keys.length}`), value)),
    },
    hotset: {
      name: "set",
      run: (operations) => inFlight(64, operations, (i) => cache.set(`set:${i % keys.length}`, value)),
    },
    operations: bytes > 10_000 ? 2_000 : 20_000,
    shows: "speed",
  };
}

function batches({ size, keys, cache, raw, redisKey }: Sides): Scenario {
  const hundred = keys.slice(0, 100);
  return {
    name: `batch of 100, ${size}`,
    raw: {
      name: "100 x HMGET + PTTL in one tick",
      run: (operations) => inFlight(1, operations, () => Promise.all(hundred.map((key) => raw.read(redisKey(key))))),
    },
    hotset: { name: "getMany", run: (operations) => inFlight(1, operations, () => cache.getMany(hundred)) },
    operations: 400,
    shows: "cost",
    target: 1.3,
  };
}
