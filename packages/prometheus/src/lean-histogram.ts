import type { MetricObject, MetricObjectWithValues, MetricValueWithName, Registry } from "prom-client";

interface Series {
  readonly labels: Readonly<Record<string, string>>;
  /** For each upper bound, and for what lies above all. */
  readonly counts: Float64Array;
  sum: number;
  count: number;
}

/**
 * A histogram that takes a fraction of a microsecond for each value: that of prom-client makes a text of the labels.
 */
export class LeanHistogram {
  readonly name: string;
  readonly help: string;
  readonly #buckets: readonly number[];
  readonly #series = new Map<string, Series>();

  constructor(name: string, help: string, buckets: readonly number[], register: Registry) {
    this.name = name;
    this.help = help;
    this.#buckets = [...buckets].toSorted((a, b) => a - b);
    // A registry asks a metric for its name, for its values, and to reset.
    register.registerMetric(this as never);
  }

  /** @param place names the series: one for each set of labels. */
  observe(place: string, labels: Series["labels"], seconds: number): void {
    let series = this.#series.get(place);
    if (series === undefined) {
      series = { labels: { ...labels }, counts: new Float64Array(this.#buckets.length + 1), sum: 0, count: 0 };
      this.#series.set(place, series);
    }
    let i = 0;
    while (i < this.#buckets.length && seconds > this.#buckets[i]!) i += 1;
    series.counts[i]! += 1;
    series.sum += seconds;
    series.count += 1;
  }

  /** As prom-client reads a metric. */
  get(): Promise<MetricObjectWithValues<MetricValueWithName<string>>> {
    const described: MetricObject = {
      name: this.name,
      help: this.help,
      type: "histogram" as never,
      aggregator: "sum",
      collect: nothing,
    };
    return Promise.resolve({
      ...described,
      values: [...this.#series.values()].flatMap((series) => this.#valuesOf(series)),
    });
  }

  reset(): void {
    this.#series.clear();
  }

  #valuesOf({ labels, counts, sum, count }: Series): MetricValueWithName<string>[] {
    let total = 0;
    const buckets = [...this.#buckets, "+Inf"].map((le, i) => {
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
