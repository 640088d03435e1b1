export { cached, cachedMethod, type CachedOptions } from "@hotset/core/decorators";
