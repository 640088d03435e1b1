export { Durations, type CollectedDurations } from "./durations.ts";
export { observe, type Observation, type ObserveOptions } from "./observe.ts";
