import {
  nextCache,
  type NextBuildContext,
  type NextPage,
  type IncrementalHandler,
  type NextWriteContext,
} from "@hotset/next";
import type { CacheHandlerV2 as UseCache15 } from "next-15/dist/server/lib/cache-handlers/types.js";
import type {
  CacheHandler as Isr15,
  CacheHandlerContext as CacheHandlerContext15,
} from "next-15/dist/server/lib/incremental-cache/index.js";
import type { IncrementalCacheValue as IncrementalCacheValue15 } from "next-15/dist/server/response-cache/index.js";
import type { CacheHandler as UseCache16, CacheEntry as Entry16 } from "next/dist/server/lib/cache-handlers/types.js";
import type { CacheHandler as Isr16, CacheHandlerContext } from "next/dist/server/lib/incremental-cache/index.js";

// The values are those of the installed version: an enum makes two versions of them two types.
interface Handler15 extends Omit<IncrementalHandler, "get" | "set"> {
  get(...parameters: Parameters<IncrementalHandler["get"]>): Promise<(Omit<NextPage, "value"> & Value15) | null>;
  set(key: string, value: Value15["value"], context: NextWriteContext): Promise<void>;
}
interface Value15 {
  value: IncrementalCacheValue15 | null;
}
declare const CacheHandler15: new (context: NextBuildContext) => Handler15;
CacheHandler15 satisfies new (context: CacheHandlerContext15) => Isr15;

const { CacheHandler, useCacheHandler } = nextCache();

CacheHandler satisfies new (context: CacheHandlerContext) => Isr16;
useCacheHandler satisfies UseCache16;
useCacheHandler satisfies UseCache15;

// @ts-expect-error -- a handler has all methods of its seam
({ get: useCacheHandler.get }) satisfies UseCache16;
// @ts-expect-error -- an entry is found with its tags
({ ...useCacheHandler, get: async () => ({ timestamp: 0 }) as Omit<Entry16, "tags"> }) satisfies UseCache16;
