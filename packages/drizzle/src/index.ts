export { drizzleCache, type DrizzleCache, type DrizzleCacheOptions } from "./cache.ts";
