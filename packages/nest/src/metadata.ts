import { SetMetadata, type ExecutionContext } from "@nestjs/common";

/** Names of metadata, those of @nestjs/cache-manager: so its decorators count here, and ours there. */
export const KEY_METADATA = "cache_module:cache_key";
export const TTL_METADATA = "cache_module:cache_ttl";
export const TAGS_METADATA = "hotset:cache_tags";

type Decorator = MethodDecorator & ClassDecorator;

/** The key of a handler's answers, in place of the URL. A function may return `undefined`: that call is not cached. */
export const CacheKey = (key: string | ((context: ExecutionContext) => string | undefined)): MethodDecorator =>
  SetMetadata(KEY_METADATA, key);

/**
 * How long the answers of a handler, or of all handlers of a controller, are fresh.
 *
 * @param ttl milliseconds; 0 is without an end, as in @nestjs/cache-manager. @default the `ttl` of the cache
 */
export const CacheTTL = (ttl: number | ((context: ExecutionContext) => number | Promise<number>)): Decorator =>
  SetMetadata(TTL_METADATA, ttl);

/**
 * The tags of the answers: `cache.invalidateTags(tag)` removes them, in all processes. Tags of a handler add to those
 * of its controller.
 */
export const CacheTags = (
  ...tags: readonly string[] | readonly [(context: ExecutionContext) => readonly string[]]
): Decorator => SetMetadata(TAGS_METADATA, tags);
