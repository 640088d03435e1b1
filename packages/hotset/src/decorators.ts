export { cached, cachedMethod, type CachedOptions } from "@hotset/core/decorators";
// Declarations of a program name these: without them it would need the package below.
export type { AnyCache, CachedDecorator, PlainArguments, PlainCachedDecorator, WithKey } from "@hotset/core/decorators";
