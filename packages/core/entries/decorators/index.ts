export { cached, type CachedDecorator, type PlainCachedDecorator, type WithKey } from "./cached.ts";
export { cachedMethod, cacheMethod, type AnyCache, type CachedOptions, type PlainArguments } from "./cache-method.ts";
