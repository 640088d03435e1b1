export { checkObject, connect, type Observed } from "./connect.ts";
export {
  checkBuckets,
  DURATION_BUCKETS,
  prometheusName,
  type Exporter,
  type Instrument,
  type Labels,
  type Recorder,
  type Sample,
} from "./instrument.ts";
export type { FollowFigures } from "./follow-instruments.ts";
export type { HttpFigures } from "./http-instruments.ts";
export type { Modules } from "./module-instruments.ts";
export { HistogramSeries } from "./histogram-series.ts";
