import { checkView } from "./arguments.ts";
import { hostModules, moduleIn, type Module, type ModuleHost } from "./contract.ts";

export { hostModules };
export type { LimitCounts } from "./counts.ts";
export type { Module, ModuleHost };
export type { Draft, Invocation, ScriptDraft, StopStage } from "./contract.ts";
export type { KeySpace } from "../keys/key-space.ts";
export {
  checkFlag,
  checkFunction,
  checkName,
  checkOneOf,
  checkOptions,
  checkSchema,
  checkSignal,
  checkTcpView,
  checkView,
  checkWholeNumber,
  durationMs,
  lifeMs,
  type DurationText,
  idText,
  keyBy,
  type DurationBounds,
  type Id,
  MOST_SCRIPT_KEYS,
  optionsOf,
} from "./arguments.ts";
export { describe as shown, readBy } from "@hotset/core/internal";
export { carriedTexts, carrierFor, consuming, type Carrier, type Consuming, type Producing } from "./carried.ts";
export { expectNoEviction } from "./eviction.ts";
export { thrownDetails, thrownText } from "./thrown.ts";

/**
 * For functions over a view, such as `locks(redis)`. Where Redis is disabled calls throw, and this does not.
 *
 * @throws {InvalidArgumentError} for what is not a view.
 */
export const moduleOf = (redis: ModuleHost): Module => moduleIn(checkView("moduleOf(redis)", redis))!;
