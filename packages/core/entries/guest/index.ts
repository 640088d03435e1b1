// For adapters of hotset, which all have one version: a name may change or go in each release.

export { checkBuild, hasCode, spaceOf, tagOf, warnOnce } from "./adapter.ts";
export { OutsideValues, type Making } from "./outside-values.ts";
