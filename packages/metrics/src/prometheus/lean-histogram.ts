import type { MetricObject, MetricObjectWithValues, MetricValueWithName, Registry } from "prom-client";
import { HistogramSeries, type Labels, type Recorder } from "../index.ts";

/** A histogram whose series are kept by their callers: that of prom-client makes a text of the labels of each value. */
export class LeanHistogram {
  readonly name: string;
  readonly help: string;
  readonly #bounds: readonly number[];
  readonly #series: { readonly labels: Labels; numbers: HistogramSeries }[] = [];

  /** @param bounds ascending */
  constructor({ name, help }: { readonly name: string; readonly help: string }, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.#bounds = bounds;
  }

  /** A registry asks a metric for its name, for its values, and to reset. */
  register(registry: Registry): void {
    registry.registerMetric(this as never);
  }

  series(labels: Labels): Recorder {
    const one = { labels, numbers: new HistogramSeries(this.#bounds) };
    this.#series.push(one);
    return (value) => one.numbers.record(value);
  }

  /** Called by prom-client to read the metric. */
  get(): Promise<MetricObjectWithValues<MetricValueWithName<string>>> {
    const described: MetricObject = {
      name: this.name,
      help: this.help,
      type: "histogram" as never,
      aggregator: "sum",
      collect: nothing,
    };
    const values = this.#series.flatMap(({ labels, numbers }) => this.#valuesOf(labels, numbers));
    return Promise.resolve({ ...described, values });
  }

  reset(): void {
    for (const one of this.#series) one.numbers = new HistogramSeries(this.#bounds);
  }

  #valuesOf(labels: Labels, { bounds, counts, sum, count }: HistogramSeries): MetricValueWithName<string>[] {
    let total = 0;
    const buckets = [...bounds, "+Inf"].map((le, i) => {
      total += counts[i]!;
      return { labels: { ...labels, le }, value: total, metricName: `${this.name}_bucket` };
    });
    return [
      ...buckets,
      { labels, value: sum, metricName: `${this.name}_sum` },
      { labels, value: count, metricName: `${this.name}_count` },
    ];
  }
}

const nothing = (): void => undefined;
