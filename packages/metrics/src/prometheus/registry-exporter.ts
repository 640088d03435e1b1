import { InvalidArgumentError } from "@hotset/core";
import { Counter, Gauge, type Registry } from "prom-client";
import { prometheusName, type Exporter, type Instrument, type Labels, type Recorder, type Sample } from "../index.ts";
import { LeanHistogram } from "./lean-histogram.ts";

/** Makes metrics of instruments, and takes them away together. */
export class RegistryExporter implements Exporter {
  readonly #register: Registry;
  readonly #buckets: readonly number[];
  readonly #names: string[] = [];

  /** @param buckets in seconds, ascending */
  constructor(register: Registry, buckets: readonly number[]) {
    this.#register = register;
    this.#buckets = buckets;
  }

  observe(instrument: Instrument, read: () => Iterable<Sample> | Promise<Iterable<Sample>>): void {
    const { kind, help, labels } = instrument;
    const described = { name: this.#nameOf(instrument), help, labelNames: [...labels], registers: [this.#register] };
    if (kind === "counter")
      new Counter({
        ...described,
        async collect() {
          const samples = await read();
          this.reset();
          for (const [under, value] of samples) this.inc(under, value);
        },
      });
    else
      new Gauge({
        ...described,
        async collect() {
          const samples = await read();
          this.reset();
          for (const [under, value] of samples) this.set(under, value);
        },
      });
  }

  histogram(instrument: Instrument): (labels: Labels) => Recorder {
    const histogram = new LeanHistogram({ name: this.#nameOf(instrument), help: instrument.help }, this.#buckets);
    histogram.register(this.#register);
    return (labels) => histogram.series(labels);
  }

  remove(): void {
    for (const name of this.#names) this.#register.removeSingleMetric(name);
  }

  #nameOf(instrument: Instrument): string {
    const name = prometheusName(instrument);
    // Before it is one of ours: remove() must leave the metrics of another observation.
    if (this.#register.getSingleMetric(name) !== undefined)
      throw new InvalidArgumentError(
        `observe: register has a metric ${name} already, of another observe() or of your own; close() that ` +
          "observation first, observe all caches and clients in one call, or give this one a separate registry",
      );
    this.#names.push(name);
    return name;
  }
}
