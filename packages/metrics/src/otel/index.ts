export { Durations, type CollectedDurations, type DurationMetric, type DurationPoint } from "./durations.ts";
export { observe, type Observation, type ObserveOptions } from "./observe.ts";
export { startTracing, type Tracing, type TracingOptions } from "./tracing.ts";
