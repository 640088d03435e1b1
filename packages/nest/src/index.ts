export { HotsetModule, type HotsetModuleAsyncOptions, type HotsetModuleOptions } from "./module.ts";
export { getCacheToken, InjectCache } from "./tokens.ts";
export { Cached } from "./cached.ts";
export { HotsetInterceptor } from "./interceptor.ts";
export { CacheKey, CacheTags, CacheTTL } from "./metadata.ts";
export { HotsetHealthIndicator, type HotsetHealth } from "./health.ts";
export {
  getQueueToken,
  HotsetQueueModule,
  InjectQueue,
  OnJob,
  Processor,
  type HotsetQueue,
  type HotsetQueueFactory,
  type HotsetQueueModuleOptions,
} from "./queues.ts";
