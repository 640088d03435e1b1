import type { Module, ModuleHost, StopStage } from "./contract.ts";

export type { Module, ModuleHost, StopStage };
export {
  checkFlag,
  checkFunction,
  checkName,
  checkOneOf,
  checkOptions,
  checkSchema,
  checkSignal,
  checkView,
  durationMs,
  shown,
  wholeNumber,
  type DurationBounds,
  MOST_SCRIPT_KEYS,
} from "./arguments.ts";
export { carrierFor, consuming, type Carrier, type Consuming, type Producing } from "./carried.ts";
export { expectNoEviction } from "./eviction.ts";
export { thrownDetails, thrownText } from "./thrown.ts";

/** For functions over a view, such as `locks(redis)`. It never throws: where Redis is disabled, calls do. */
export const moduleOf = (redis: ModuleHost): Module => redis.module;
