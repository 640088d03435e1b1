import { Counter, Gauge, type Registry } from "prom-client";

import { LeanHistogram } from "./lean-histogram.ts";

export interface MetricSettings {
  readonly register: Registry;
  /** Seconds. */
  readonly buckets: number[];
}

type Labels = Readonly<Record<string, string>>;
/** A value, and the labels that it stands under. */
export type Sample = readonly [labels: Labels, value: number];

/** Makes metrics, and takes them away together. */
export class Metrics {
  readonly #settings: MetricSettings;
  readonly #names: string[] = [];

  constructor(settings: MetricSettings) {
    this.#settings = settings;
  }

  /** One whose values are read at each scrape. */
  add(
    definition: {
      readonly kind: "counter" | "gauge";
      readonly name: string;
      readonly help: string;
      readonly labels: readonly string[];
    },
    outer: readonly string[],
    read: () => Iterable<Sample>,
  ): void {
    const { kind, name, help, labels } = definition;
    if (kind === "counter") this.counted(name, help, [...outer, ...labels], read);
    else this.measured(name, help, [...outer, ...labels], read);
  }

  /** A counter whose values are read at each scrape. */
  counted(name: string, help: string, labelNames: string[], read: () => Iterable<Sample>): void {
    this.#names.push(name);
    new Counter({
      ...this.#base(name, help, labelNames),
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      },
    });
  }

  /** A gauge whose values are read at each scrape. */
  measured(
    name: string,
    help: string,
    labelNames: string[],
    read: () => Iterable<Sample> | Promise<Iterable<Sample>>,
  ): void {
    this.#names.push(name);
    new Gauge({
      ...this.#base(name, help, labelNames),
      async collect() {
        const samples = await read();
        this.reset();
        for (const [labels, value] of samples) this.set(labels, value);
      },
    });
  }

  counter(name: string, help: string, labelNames: string[]): Counter {
    this.#names.push(name);
    return new Counter(this.#base(name, help, labelNames));
  }

  /** Of seconds. */
  histogram(name: string, help: string): LeanHistogram {
    this.#names.push(name);
    return new LeanHistogram(name, help, this.#settings.buckets, this.#settings.register);
  }

  remove(): void {
    for (const name of this.#names) this.#settings.register.removeSingleMetric(name);
  }

  #base(
    name: string,
    help: string,
    labelNames: string[],
  ): {
    name: string;
    help: string;
    labelNames: string[];
    registers: Registry[];
  } {
    return { name, help, labelNames, registers: [this.#settings.register] };
  }
}
