import { createCache, json, memory, redis, zstd } from "hotset";
import type { Format } from "hotset/backend";
import type { Contender, Product, Setup } from "./contender.ts";

interface Variant {
  readonly name: string;
  readonly format?: () => Format;
  readonly layout?: "string";
  /** Calls go through a namespace, as most applications do. */
  readonly isNamespaced?: boolean;
  /** In memory: which entry goes when it is full. */
  readonly eviction?: "adaptive";
}

const VARIANTS: readonly Variant[] = [
  { name: "hotset" },
  { name: "hotset, namespace", isNamespaced: true },
  { name: "hotset, adaptive", eviction: "adaptive" },
  { name: "hotset, json", format: json },
  { name: "hotset, string layout", layout: "string" },
];

/** Ours, as README.md sets it up. */
export const hotsets: readonly Product[] = VARIANTS.filter(isThere).map((variant) => ({
  name: variant.name,
  kind: "ours",
  packages: ["hotset"],
  page: "README.md",
  shapes: shapesOf(variant),
  can: ["stale", "compression", "tags"],
  open: (setup) => open(variant, setup),
}));

/** In memory the variants of bytes are all the same, and over Redis those of memory. */
function shapesOf({ format, layout, isNamespaced, eviction }: Variant): Product["shapes"] {
  if (format !== undefined || layout !== undefined) return ["redis", "both"];
  return isNamespaced === true || eviction !== undefined ? ["memory"] : ["memory", "redis", "both"];
}

/** A layout that this version of hotset does not have yet is left out. */
function isThere({ layout }: Variant): boolean {
  if (layout === undefined) return true;
  try {
    // The types of a version without it refuse its name.
    redis("redis://127.0.0.1:1").layout(layout);
    return true;
  } catch {
    return false;
  }
}

async function open(variant: Variant, setup: Setup): Promise<Contender> {
  const { shape, ttlMs, staleMs, load } = setup;
  const cache = built(variant, setup);
  await cache.connect();
  const calls = variant.isNamespaced === true ? cache.namespace("users") : cache;
  const options = { ttl: ttlMs, staleWhileRevalidate: staleMs };
  return {
    getOrSet: (key) => calls.getOrSet(key, () => load(key)),
    get: (key) => calls.get(key),
    set: (key, value) => calls.set(key, value, options),
    delete: (key) => calls.delete(key),
    ...(shape !== "redis" && { peek: (key) => calls.peek(key) }),
    getMany: (keys) => calls.getMany(keys),
    setTagged: (key, value, tag) => calls.set(key, value, { ...options, tags: [tag] }),
    invalidateTag: (tag) => calls.invalidateTags(tag),
    close: () => cache.close(),
  };
}

function built({ format, layout, eviction }: Variant, setup: Setup) {
  const { url, shape, prefix, ttlMs, staleMs, maxItems, isCompressed } = setup;
  const near = memory({ maxEntries: maxItems, ...(eviction !== undefined && { eviction }) });
  let far = redis(url);
  if (format !== undefined) far = far.valueFormat(format());
  if (layout !== undefined) far = far.layout(layout);
  if (isCompressed) far = far.compressor(zstd());
  const stage = createCache({ name: prefix });
  const defaults = { ttl: ttlMs, staleWhileRevalidate: staleMs };
  if (shape === "memory") return stage.tier(near).defaults(defaults).build();
  if (shape === "redis") return stage.tier(far.build()).defaults(defaults).build();
  return stage.tier(near).tier(far.build()).defaults(defaults).build();
}
