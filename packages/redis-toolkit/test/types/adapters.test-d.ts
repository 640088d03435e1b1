// Adapters of frameworks whose own types need `skipLibCheck`.

import { drizzleCache } from "@hotset/drizzle";
import { nextCache } from "@hotset/next";
import type { Cache } from "hotset";

declare const cache: Cache;
export const rows = drizzleCache(cache, { ttl: "10m" });
export const { CacheHandler, useCacheHandler } = nextCache(() => cache);
