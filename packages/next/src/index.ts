export type { NextBuildContext, NextPage, NextPageLifetime, NextReadContext, NextWriteContext } from "./contexts.ts";
export type { IncrementalHandler } from "./incremental-handler.ts";
export { nextCache, type NextCache } from "./next-cache.ts";
export type { UseCacheEntry, UseCacheHandler } from "./use-cache-handler.ts";
