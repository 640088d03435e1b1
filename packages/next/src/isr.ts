import { nextCache, type NextCache } from "./index.ts";

/** `cacheHandler` of next.config: memory in each process over the Redis of `REDIS_URL`. */
const CacheHandler: NextCache["CacheHandler"] = nextCache().CacheHandler;
export default CacheHandler;
