import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  DecodeError,
  json,
  passthrough,
  type Cache,
  type Compressor,
  type Format,
  type Seal,
  type StoredEntry,
} from "@hotset/core";
import { brotli, gzip, v8 } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { zstd } from "@hotset/formats/zstd";
import { aesGcm, hmac, sealed } from "@hotset/seal";
import { cloned, jsonOf, packed, Random } from "@hotset/test-servers";
import { createTestCache, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import fc from "fast-check";
import { mutate } from "./mutate.ts";

/** One round: makes input from `random`, and throws if a promise does not hold for it. */
export type Target = (random: Random) => Promise<void>;

const MB = 2 ** 20;
const MAX_DECODED_BYTES = 8 * MB;
const MAX_HEAP_BYTES = 8 * MAX_DECODED_BYTES;
/** Five times what the worst bomb takes on an idle machine. */
const MAX_CPU_MS = 1_500;

const FORMATS: readonly Format[] = [json(), msgpack(), v8()];
const COMPRESSORS: readonly Compressor[] = [gzip({ minBytes: 0 }), brotli({ minBytes: 0 }), zstd({ minBytes: 0 })];
const SEALS: readonly Seal[] = [
  aesGcm({ keys: [{ id: "k1", key: Buffer.alloc(32, 1) }] }),
  hmac({ keys: [{ id: "k1", key: Buffer.alloc(32, 1) }] }),
];

export const TARGETS: Readonly<Record<string, Target>> = {
  ...Object.fromEntries(FORMATS.map((format) => [format.id, (random: Random) => fuzzFormat(format, random)])),
  ...Object.fromEntries(COMPRESSORS.map((each) => [each.id, (random: Random) => fuzzCompressor(each, random)])),
  meta: fuzzMeta,
  ...Object.fromEntries(SEALS.map((seal) => [seal.id, (random: Random) => fuzzSeal(seal, random)])),
};

/** Throws for the first round that breaks a promise, with its seed. */
export const fuzz = (target: string, parameters: fc.Parameters<[number]>): Promise<void> =>
  fc.assert(
    fc.asyncProperty(fc.integer(), (seed) => TARGETS[target]!(new Random(seed))),
    { endOnFailure: true, ...parameters },
  );

/** Any bytes are a value or a miss, within bounds; and the next `set` is read. */
async function fuzzFormat(format: Format, random: Random): Promise<void> {
  const compressor = random.oneIn(3) ? random.one(COMPRESSORS) : passthrough();
  const [plain, other] = [encoded(format, random), encoded(format, random)];
  const isMany = random.oneIn(4);
  const intact = isMany ? repeated(format, random) : plain;
  const hostile = isMany && random.oneIn(2) ? intact : mutate(random, intact, other);
  const data = await compressor.compress(hostile);
  const opened = open({ format, compressor });
  // Without meta an entry is read with the configured format and compressor.
  opened.backend.store.set("test::k", { data, meta: "", staleInMs: 60_000, expiresInMs: 60_000 });
  await withinBounds(() => isAnswered(opened));
  await isUsable(opened);
}

/** At most the bytes that were asked for, or a `DecodeError`. */
async function fuzzCompressor(compressor: Compressor, random: Random): Promise<void> {
  const bytes = random.oneIn(6) ? Buffer.alloc(2 ** (16 + random.below(10))) : encoded(random.one(FORMATS), random);
  const [one, other] = [await compressor.compress(bytes), await compressor.compress(Buffer.alloc(random.below(MB), 7))];
  const hostile = random.oneIn(4) ? one : mutate(random, one, other);
  const most = 2 ** random.below(24);
  await withinBounds(async () => {
    try {
      const got = await compressor.decompress(hostile, most);
      assert(got.length <= most, `${got.length} bytes, and ${most} were asked for`);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
  });
}

/** A forged meta is a miss at worst, reported once, with no impossible times; its key is usable afterwards. */
async function fuzzMeta(random: Random): Promise<void> {
  const opened = open({ format: json(), compressor: passthrough() });
  const { cache, backend } = opened;
  const tags = Array.from({ length: random.below(4) }, (_, i) => `tag ${i}`);
  await cache.set("k", "value", {
    ttl: 1 + random.below(100_000),
    staleIfError: random.below(100_000),
    tags,
    ...(random.oneIn(2) && { etag: '"1"' }),
  });
  const entry = backend.store.get("test::k")!;
  backend.store.set("test::k", { ...entry, meta: forged(random, entry.meta) });
  await withinBounds(() => isAnswered(opened));
  const seen = await cache.inspect("k");
  const times = seen === undefined ? [] : [seen.freshForMs, seen.expiresInMs, seen.ageMs];
  assert(!times.some(Number.isNaN), `impossible times: ${times.join(", ")}`);
  await cache.set("k", "another", { tags });
  await cache.invalidateTags("tag 0");
  await isUsable(opened);
}

/** C150: an entry that was changed in any way is a miss, or the value itself for no longer than it was sealed. */
async function fuzzSeal(seal: Seal, random: Random): Promise<void> {
  const opened = open({ format: json(), compressor: passthrough(), seal });
  const { cache, backend, clock } = opened;
  await cache.set("k", "value of k", { ttl: "1m", tags: ["t"] });
  await cache.set("other", "value of other", { ttl: "2m" });
  const [entry, other] = [backend.store.get("test::k")!, backend.store.get("test::other")!];
  const hostile = tampered(random, entry, other);
  backend.store.set("test::k", hostile);
  const isIntact = hostile.meta === entry.meta && Buffer.from(hostile.data).equals(entry.data);
  const got = await cache.get("k");
  assert(got === undefined || (isIntact && got === "value of k"), `a changed entry was served: ${String(got)}`);
  clock.advance("61s");
  assert.equal(await cache.get("k"), undefined, "an entry was served after its sealed end");
  await isUsable(opened);
}

function tampered(random: Random, entry: StoredEntry, other: StoredEntry): StoredEntry {
  const text = (from: string, to: string): string =>
    Buffer.from(mutate(random, Buffer.from(from), Buffer.from(to))).toString("latin1", 0, 8_000);
  return {
    ...entry,
    ...random.one<Partial<StoredEntry>>([
      { data: mutate(random, entry.data, other.data) },
      { data: other.data },
      { meta: text(entry.meta, other.meta) },
      { meta: other.meta },
      { ...other },
      {},
    ]),
    ...(random.oneIn(2) && { staleInMs: 10_000_000, expiresInMs: 20_000_000 }),
    ...(random.oneIn(4) && { version: "forged" }),
  };
}

/** A value of any kind, written by the format. */
function encoded(format: Format, random: Random): Uint8Array {
  const isJson = format.id === "json";
  const kinds = isJson
    ? {}
    : { withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, withSparseArray: true };
  for (;;) {
    const [value] = fc.sample(fc.anything({ maxDepth: 3, ...kinds }), { seed: random.below(2 ** 31), numRuns: 1 });
    const bytes = encode(format, value);
    if (bytes !== undefined) return bytes;
  }
}

/** A value of many small ones, up to the largest that may be decoded: together they take the most memory. */
function repeated(format: Format, random: Random): Uint8Array {
  const isJson = format.id === "json";
  const small: readonly unknown[] = [
    ...[null, 0, 0.5, "", "ab", [], {}, [[]], { a: {} }, { 900: 0 }, [null, null], { [`x${random.below(100)}`]: [] }],
    ...(isJson
      ? []
      : [new Map(), new Set(), new Uint8Array(0), new Date(0), 1n, Object(true), new Map([[1, new Set()]])]),
  ];
  const written = random.oneIn(2) ? encoded(format, random) : encode(format, random.one(small));
  const node = written ?? encoded(format, random);
  const most = MAX_DECODED_BYTES - 64 - node.length;
  const bytes = random.oneIn(2) ? most : Math.max(6 * node.length + 16, 2 ** (10 + random.below(13)));
  if (isJson) return jsonOf(Buffer.from(node).toString(), bytes);
  if (format.id === "msgpack") return packed(Buffer.from(node), bytes);
  return cloned(Buffer.from(node).toString("hex").slice(4), bytes);
}

/** `undefined` for a value that the format refuses. */
function encode(format: Format, value: unknown): Uint8Array | undefined {
  try {
    return format.encode(value);
  } catch {
    return undefined;
  }
}

/** JSON with one part or one tag replaced, or any change of its text. */
function forged(random: Random, meta: string): string {
  if (random.oneIn(3))
    return meta.replace(/"tag \d"/, random.one(['""', '"\\ud800"', "1", "null", '["t"]', '"\\u0000"']));
  if (random.oneIn(3)) return Buffer.from(mutate(random, Buffer.from(meta), Buffer.from(meta))).toString("latin1");
  const odd: unknown = random.one<unknown>([
    ...[null, -1, 1e308, 0.5, true, "", "\ud800", "x".repeat(10_000), [], {}, [[]], [""], ["\ud800"], ["a", "a"]],
    ...[{ g: ["t"] }, { g: [""] }, { g: 1 }, { k: null }, { k: -1 }, { l: 0 }, { c: "none" }, { c: "gzip" }, { f: 1 }],
    { __proto__: null, toString: 1 },
    Array.from({ length: 2_000 }, (_, i) => `${i}`),
  ]);
  const parts = JSON.parse(meta) as unknown[];
  if (random.oneIn(6)) return JSON.stringify(odd);
  parts[random.below(7)] = odd;
  return JSON.stringify(parts);
}

interface Opened {
  readonly cache: Cache;
  readonly backend: ScriptedBackend;
  readonly clock: TestClock;
  /** Each `decode:error` and `backend:error` so far. */
  readonly errors: readonly Error[];
}

function open({
  seal,
  ...parts
}: {
  readonly format: Format;
  readonly compressor: Compressor;
  readonly seal?: Seal;
}): Opened {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, deadlineMs: 60_000, ...parts });
  const tier = seal === undefined ? backend : sealed(backend, seal, { clock });
  const cache = createTestCache({ clock, backend: tier, local: false, ttl: "1m" });
  const errors: Error[] = [];
  for (const event of ["decode:error", "backend:error"] as const) cache.on(event, ({ error }) => errors.push(error));
  return { cache, backend, clock, errors };
}

/** A value, or a miss that is reported once: nothing else. */
async function isAnswered({ cache, errors }: Opened): Promise<void> {
  const before = errors.length;
  const value = await cache.get("k");
  const reported = errors.slice(before);
  const isMiss = reported.length === 1 && value === undefined;
  assert(reported.length === 0 || isMiss, `${reported.length} errors: ${reported.join("; ")}`);
}

async function isUsable({ cache, errors }: Opened): Promise<void> {
  assert.equal(await cache.getOrSet("k", () => "loaded", { forceRefresh: true }), "loaded");
  assert.equal(await cache.get("k"), "loaded", "the key cannot be cached any more");
  assert(
    errors.every((error) => error instanceof DecodeError),
    errors.join("; "),
  );
  await cache.close();
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

async function withinBounds(work: () => Promise<void>): Promise<void> {
  collect();
  const heapBefore = process.memoryUsage().heapUsed;
  const startedAt = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(startedAt);
  const heapBytes = process.memoryUsage().heapUsed - heapBefore;
  assert(heapBytes <= MAX_HEAP_BYTES, `${heapBytes} bytes of heap`);
  assert((user + system) / 1_000 <= MAX_CPU_MS, `${(user + system) / 1_000} ms of processor time`);
}
