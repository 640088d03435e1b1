export { rateLimit, type RateLimit } from "./limiter.ts";
export {
  concurrency,
  fixedWindow,
  gcra,
  slidingCounter,
  slidingLog,
  tokenBucket,
  type ConcurrencyOptions,
  type GcraOptions,
  type Rule,
  type RuleKind,
  type SlidingCounterOptions,
  type TokenBucketOptions,
  type WindowOptions,
} from "./rules.ts";
export { CostAboveLimitError } from "./cost-above-limit-error.ts";
export {
  expressRateLimitStore,
  type ExpressStore,
  type ExpressStoreHits,
  type ExpressStoreOptions,
} from "./express-store.ts";
export {
  expressRateLimit,
  fastifyRateLimit,
  honoRateLimit,
  type FastifyReplyLike,
  type HonoContextLike,
  type RefusalMessage,
  type RequestLimit,
  type RequestLimitOptions,
} from "./middleware.ts";
export { ipKey, type IpKeyOptions } from "./ip-key.ts";
export type { RateLimitOptions } from "./options.ts";
export type { HeaderStyle, RateLimitResult, RefusalReason } from "./result.ts";
