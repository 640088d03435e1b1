import { HistogramSeries, type Instrument, type Labels, type Recorder } from "../index.ts";

/** Seconds and nanoseconds since 1970. */
type HrTime = [seconds: number, nanoseconds: number];

/** One series of it. */
export interface DurationPoint {
  /** When the first value was recorded. */
  readonly startTime: HrTime;
  /** When it was collected. */
  readonly endTime: HrTime;
  /** The labels of the series. */
  readonly attributes: Record<string, string>;
  /** Counts by boundary, the last one beyond all. */
  readonly value: { buckets: { boundaries: number[]; counts: number[] }; sum: number; count: number };
}

/** One histogram, as the SDK names its parts. */
export interface DurationMetric {
  /** Name, unit and help, as OpenTelemetry has them. */
  readonly descriptor: {
    readonly name: string;
    readonly description: string;
    readonly unit: string;
    readonly valueType: 1;
  };
  /** `CUMULATIVE` */
  readonly aggregationTemporality: 1;
  /** `HISTOGRAM` */
  readonly dataPointType: 0;
  /** One for each set of labels. */
  readonly dataPoints: DurationPoint[];
}

/** The form in which a reader of the SDK takes durations. */
export interface CollectedDurations {
  /** The form in which an exporter takes them. */
  readonly resourceMetrics: {
    /** Unused: the reader reports its own. */
    readonly resource: never;
    readonly scopeMetrics: { scope: { readonly name: string }; metrics: DurationMetric[] }[];
  };
  /** Always empty. */
  readonly errors: unknown[];
}

interface Kept {
  readonly instrument: Instrument;
  /** A count that is less than before under the same start would be an error to its reader. */
  readonly startTime: HrTime;
  /** By their labels, as JSON. */
  readonly series: Map<string, { readonly labels: Labels; readonly numbers: HistogramSeries }>;
  /** Observations that fill it. */
  users: number;
}

type Histograms = Map<string, Kept>;

const all = new WeakMap<object, Histograms>();

export interface AddedHistogram {
  readonly series: (labels: Labels) => Recorder;
  readonly remove: () => void;
}

export const isDurations = (given: unknown): given is Durations => all.has(given as object);

export function addHistogram(durations: Durations, instrument: Instrument, buckets: readonly number[]): AddedHistogram {
  const histograms = all.get(durations)!;
  const { name } = instrument;
  const kept = histograms.get(name) ?? { instrument, startTime: now(), series: new Map(), users: 0 };
  histograms.set(name, kept);
  kept.users += 1;
  return {
    series: (labels) => {
      const key = JSON.stringify(labels);
      const { numbers } = kept.series.get(key) ?? { numbers: new HistogramSeries(buckets) };
      kept.series.set(key, { labels, numbers });
      return (value) => numbers.record(value);
    },
    remove: () => {
      kept.users -= 1;
      if (kept.users === 0) histograms.delete(name);
    },
  };
}

/**
 * Histograms of durations, kept by hotset and handed to a reader of the SDK: a `MetricProducer`. It takes some tenths
 * of what a histogram of the SDK takes for each value, which makes a text of the attributes. Cumulative.
 *
 * @see https://opentelemetry.io/docs/specs/otel/metrics/sdk/#metricproducer
 */
export class Durations {
  /** Never rejects. */
  /** By the name of the instrument: two observations share its metric, as they would share that of a meter. */
  readonly #kept: Histograms = new Map();

  constructor() {
    all.set(this, this.#kept);
  }

  /** Called by the reader. */
  collect(): Promise<CollectedDurations> {
    const endTime = now();
    const metrics = [...this.#kept.values()]
      .filter(({ series }) => series.size > 0)
      .map((kept) => this.#metricOf(kept, endTime));
    const scopeMetrics = metrics.length === 0 ? [] : [{ scope: { name: "@hotset/metrics/otel" }, metrics }];
    return Promise.resolve({ resourceMetrics: { resource: NONE, scopeMetrics }, errors: [] });
  }

  #metricOf({ instrument: { name, help, unit }, startTime, series }: Kept, endTime: HrTime): DurationMetric {
    return {
      descriptor: { name, description: help, unit, valueType: 1 },
      aggregationTemporality: 1,
      dataPointType: 0,
      dataPoints: Array.from(series.values(), ({ labels, numbers: { bounds, counts, sum, count } }) => ({
        startTime,
        endTime,
        attributes: { ...labels },
        value: { buckets: { boundaries: [...bounds], counts: [...counts] }, sum, count },
      })),
    };
  }
}

const NONE = undefined as never;

function now(): HrTime {
  const ms = Date.now();
  return [Math.floor(ms / 1_000), (ms % 1_000) * 1e6];
}
