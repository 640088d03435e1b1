import { nextCache, type UseCacheHandler } from "./index.ts";

/** A handler for `cacheHandlers` of next.config: memory in each process over the Redis of `REDIS_URL`. */
const useCacheHandler: UseCacheHandler = nextCache().useCacheHandler;
export default useCacheHandler;
