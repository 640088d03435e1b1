import {
  aesGcm,
  type Backend,
  brotli,
  type Cache,
  createCache,
  gzip,
  json,
  msgpack,
  passthrough,
  sealed,
  v8,
  zstd,
} from "hotset";
import type { Compressor, Format } from "hotset/backend";

/** How a store is opened. @param format those of all that are read, the written ones first. */
export type Open = (settings: {
  readonly format: Format;
  readonly compressor: Compressor;
  readonly alsoReads: readonly (Format | Compressor)[];
}) => Backend;

export const VALUE = {
  name: "Ada",
  tags: ["a", "ß", "🙂"],
  nested: { n: 1.5, nothing: null },
  about: "Ada and Grace. ".repeat(12),
};

/** How {@link VALUE} is stored under the key `of <name>`. */
export const FORMS: Readonly<Record<string, readonly [Format, Compressor]>> = {
  json: [json(), passthrough()],
  msgpack: [msgpack(), passthrough()],
  v8: [v8(), passthrough()],
  "json-gzip": [json(), gzip({ minBytes: 1 })],
  "json-brotli": [json(), brotli({ minBytes: 1 })],
  "json-zstd": [json(), zstd({ minBytes: 1 })],
};

const ALL = [json(), msgpack(), v8(), gzip(), brotli(), zstd()];
const KEYS = [{ id: "k", key: Buffer.alloc(32, 1) }];

/** A cache that reads every form. */
export function cacheOver(
  open: Open,
  [format, compressor]: readonly [Format, Compressor] = FORMS["msgpack"]!,
  { isSealed = false } = {},
): Cache {
  const backend = open({ format, compressor, alsoReads: ALL });
  return createCache({ name: "shop" })
    .tier(isSealed ? sealed(backend, aesGcm({ keys: KEYS })) : backend)
    .defaults({ ttl: "30000d", localTtl: "1h" })
    .build();
}

/** Stores what the test of each version reads. */
export async function fill(open: Open): Promise<void> {
  const closing = async (cache: Cache, write: () => Promise<unknown>): Promise<void> => {
    await write();
    await cache.close();
  };
  for (const [name, form] of Object.entries(FORMS)) {
    const cache = cacheOver(open, form);
    await closing(cache, () => cache.set(`of ${name}`, VALUE));
  }
  const cache = cacheOver(open);
  await closing(cache, async () => {
    await cache.set("null", null);
    await cache.set("{user}:1:é%{", "of a strange key");
    await cache.set("tagged", "by a tag", { tags: ["users"], etag: '"1"' });
    await cache.set("stale", "of a stale window", { ttl: "10000d", staleIfError: "20000d" });
    await cache.set("endless", "without an end", { ttl: Infinity });
    await cache.namespace("eu").set("k", "in a namespace", { tags: ["users"] });
    await end(cache);
  });
  const protectedCache = cacheOver(open, undefined, { isSealed: true });
  await closing(protectedCache, () => protectedCache.set("sealed", "of a seal"));
}

/** Ends entries in each way; those of `kept` came afterwards. */
async function end(cache: Cache): Promise<void> {
  const [policy, old] = [{ ttl: "30000d", staleIfError: "30000d" }, cache.namespace("old")] as const;
  await cache.set("deleted", "before the delete");
  await cache.set("ended", "before the end of its tag", { tags: ["gone"] });
  await cache.set("marked", "before its mark", policy);
  await cache.set("marked by a tag", "before the mark of its tag", { ...policy, tags: ["marks"] });
  await old.set("cleared", "before the clear");
  await cache.delete("deleted");
  await cache.invalidateTags("gone");
  await cache.markStale("marked");
  await cache.markTagsStale("marks");
  await old.clear();
  await cache.set("kept", "after the end of its tag", { tags: ["gone", "marks"] });
  await old.set("kept", "after the clear");
}
