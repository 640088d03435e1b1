import { checkBuild } from "@hotset/core/adapter";
import { createCache, memory, redis, type Cache, type CacheBuilder } from "hotset";
import type { NextBuildContext } from "./contexts.ts";
import { holder } from "./held.ts";
import { incrementalHandler, type IncrementalHandler } from "./incremental-handler.ts";
import { useCacheHandler, type UseCacheHandler } from "./use-cache-handler.ts";

/** The two handlers of Next.js, over one cache. */
export interface NextCache {
  /** For `cacheHandler`: pages, route handlers, `fetch`, `unstable_cache` and images. */
  readonly CacheHandler: new (context: NextBuildContext) => IncrementalHandler;
  /** For each of `cacheHandlers`: `use cache` and `use cache: remote`. */
  readonly useCacheHandler: UseCacheHandler;
}

/**
 * The cache handlers of Next.js 15.5 and 16 over a cache of your own, which has nothing else in it.
 *
 * No method throws: what fails is a miss, or a value that is not stored, and one warning a minute. A process has one
 * cache, of the first `build` that is needed, at its first call; during `next build` there is none but memory.
 *
 * @param build the cache, or its builder. Its values need a format that keeps bytes, maps and `undefined`, such as
 *   `msgpack()`. @default memory over the Redis of `REDIS_URL`, if it is set, under the name `HOTSET_NAME`, else `next`
 * @throws {ConfigurationError} for anything but a function.
 */
export function nextCache(build: () => Cache | CacheBuilder = fromEnvironment): NextCache {
  checkBuild(build, "nextCache");
  const held = holder(() => {
    const made = build();
    return "build" in made ? made.build() : made;
  });
  return { CacheHandler: incrementalHandler(held), useCacheHandler: useCacheHandler(held) };
}

/** A page with its data may be large. */
const MAX_DECODED_BYTES = 64 * 2 ** 20;

function fromEnvironment(): CacheBuilder {
  const { REDIS_URL: url, HOTSET_NAME: name = "next" } = process.env;
  const local = createCache({ name }).tier(memory());
  return url === undefined || url === "" ? local : local.tier(redis(url).maxDecodedBytes(MAX_DECODED_BYTES).build());
}
