import { diag, type Meter, type Observable, type ObservableCallback } from "@opentelemetry/api";
import type { Exporter, Instrument, Labels, Recorder, Sample } from "../index.ts";
import { addHistogram, type Durations } from "./durations.ts";

interface MeterExporterSettings {
  /** Upper bounds of histograms, in seconds. */
  readonly buckets: readonly number[];
  /** Takes the histograms, in place of the meter. */
  readonly durations: Durations | undefined;
}

/** Makes instruments of a meter. Counters and gauges are read when the SDK collects. */
export class MeterExporter implements Exporter {
  readonly #meter: Meter;
  readonly #settings: MeterExporterSettings;
  readonly #removals: (() => void)[] = [];

  constructor(meter: Meter, settings: MeterExporterSettings) {
    this.#meter = meter;
    this.#settings = settings;
  }

  observe(
    { name, kind, unit, help: description }: Instrument,
    read: () => Iterable<Sample> | Promise<Iterable<Sample>>,
  ): void {
    const observable: Observable =
      kind === "counter"
        ? this.#meter.createObservableCounter(name, { unit, description })
        : this.#meter.createObservableGauge(name, { unit, description });
    const callback: ObservableCallback = async (result) => {
      for (const [labels, value] of await read()) result.observe(value, labels);
    };
    observable.addCallback(callback);
    this.#removals.push(() => observable.removeCallback(callback));
  }

  histogram(instrument: Instrument): (labels: Labels) => Recorder {
    const { buckets, durations } = this.#settings;
    if (durations !== undefined) {
      const { series, remove } = addHistogram(durations, instrument, buckets);
      this.#removals.push(remove);
      return series;
    }
    const { name, unit, help: description } = instrument;
    const advice = { explicitBucketBoundaries: [...buckets] };
    const histogram = this.#meter.createHistogram(name, { unit, description, advice });
    return (labels) => (value) => {
      try {
        histogram.record(value, labels);
      } catch (error) {
        // Node ends the process for what a subscriber of a channel throws.
        diag.error("hotset: a value is not recorded", error);
      }
    };
  }

  /** An instrument stays in its meter, without values. */
  remove(): void {
    for (const remove of this.#removals) remove();
  }
}
