import { InvalidArgumentError } from "@hotset/core";
import { describe } from "@hotset/core/internal";

/** One thing that is measured, defined once for all exporters. */
export interface Instrument {
  /** The name in OpenTelemetry, such as `cache.load.duration`. {@link prometheusName} makes the one for Prometheus. */
  readonly name: string;
  /** A counter never falls, a gauge may. */
  readonly kind: "counter" | "gauge" | "histogram";
  /** By UCUM: `s`, `By`, or what is counted, in braces. */
  readonly unit: string;
  /** A sentence about what it counts. */
  readonly help: string;
  /** Names that a developer has chosen, and outcomes: never a key, a tenant or a user. */
  readonly labels: readonly string[];
}

/** Names and values of the labels of one series. */
export type Labels = Readonly<Record<string, string>>;

/** A value, and the labels that it stands under. */
export type Sample = readonly [labels: Labels, value: number];

/** Takes the values of one series of a histogram. */
export type Recorder = (value: number) => void;

/** For authors of exporters to implement. */
export interface Exporter {
  /** A counter or a gauge: `read` is called at each collection. It never throws, and never rejects. */
  observe(instrument: Instrument, read: () => Iterable<Sample> | Promise<Iterable<Sample>>): void;
  /**
   * Gives a function for the values of each set of labels.
   *
   * @returns what makes a series; it is called once for each set of labels
   */
  histogram(instrument: Instrument): (labels: Labels) => Recorder;
  /** Takes away all that it has made: called once, at the end and after an error. */
  remove(): void;
}

/**
 * The name by the rules of OpenTelemetry for Prometheus: its unit and `total` are endings.
 *
 * @see https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
 */
export function prometheusName({ name, unit, kind }: Instrument): string {
  const ending = ENDINGS[unit] ?? "";
  return name.replaceAll(".", "_") + ending + (kind === "counter" ? "_total" : "");
}

const ENDINGS: Readonly<Record<string, string>> = { s: "_seconds", By: "_bytes" };

/** Upper bounds of histograms of durations, in seconds, each about twice the one before. */
export const DURATION_BUCKETS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/**
 * What the option `buckets` of an exporter says.
 *
 * @param given upper bounds in seconds, in any order.
 * @returns ascending
 * @throws {InvalidArgumentError} for what is not a list of different, finite numbers.
 */
export function checkBuckets(given: readonly number[] = DURATION_BUCKETS): readonly number[] {
  const isList = Array.isArray(given) && [...given].every(Number.isFinite) && new Set(given).size === given.length;
  if (isList) return given.toSorted((a, b) => a - b);
  throw new InvalidArgumentError(
    "observe: buckets must be a list of different, finite numbers of seconds, such as [0.001, 0.01, 0.1], got " +
      `${Array.isArray(given) ? `[${Array.from(given, describe).join(",")}]` : describe(given)}`,
  );
}
