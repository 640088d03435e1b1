// For authors of adapters, which put a cache under a framework; users of a cache need none of it.

export {
  checkBuild,
  checkCache,
  checkNames,
  getOrRun,
  hasCode,
  namespaceFor,
  OutsideValues,
  tagOf,
  warnOnce,
} from "@hotset/core/adapter";
export type { AdapterDefaults, AdapterOptions, Computation, GetOrRunOptions, NamesCheck } from "@hotset/core/adapter";
