export { checkBuild, hasCode, spaceOf, warnOnce, type SpaceOptions } from "./adapter.ts";
export { OutsideValues, type Making } from "./outside-values.ts";
