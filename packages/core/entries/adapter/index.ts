// For authors of adapters: code that puts a cache under a framework. Users of a cache need none of it.

export { checkCache, checkNames, type NamesCheck } from "../../src/internal.ts";
export {
  checkBuild,
  hasCode,
  namespaceFor,
  tagOf,
  warnOnce,
  type AdapterDefaults,
  type AdapterOptions,
} from "./adapter.ts";
export { getOrRun, type GetOrRunOptions } from "./get-or-run.ts";
export { OutsideValues, type Computation } from "./outside-values.ts";
