import { InvalidArgumentError } from "@hotset/core";
import { metrics, type MeterProvider } from "@opentelemetry/api";
import { checkBuckets, checkObject, connect, type Observed } from "../index.ts";
import { isDurations, type Durations } from "./durations.ts";
import { MeterExporter } from "./meter-exporter.ts";

/** The caches and clients to observe, and where their metrics go. */
export interface ObserveOptions extends Observed {
  /** @default that of `metrics.setGlobalMeterProvider`, which must have been called before */
  readonly meterProvider?: MeterProvider | undefined;
  /**
   * Keeps the histograms of durations, where it is among the `metricProducers` of the reader: values cost less. Without
   * it they are recorded by the SDK, at half a microsecond each.
   */
  readonly durations?: Durations | undefined;
  /** Upper bounds of histograms of durations, in seconds. @default 0.0001 to 10, each about twice the one before */
  readonly buckets?: readonly number[] | undefined;
}

/** Metrics that are being filled. */
export interface Observation {
  /** Ends it: nothing is read or recorded any more. The SDK may report the last values again. */
  close(): void;
}

/**
 * Creates instruments, and fills them from events, tracing channels and, at a collection, from numbers that are there.
 * No attribute is a key, a tenant or a user. An error of a histogram of the provider costs its value, never the call, and
 * is logged by `diag` of `@opentelemetry/api`.
 *
 * @throws {ConfigurationError} for unknown options.
 * @throws {InvalidArgumentError} where nothing is to be observed, for what is not a list of caches, of clients or of
 *   buckets, and for two caches or two clients of one name. Nothing is observed after an error.
 */
export function observe(options: ObserveOptions): Observation {
  checkObject("options", options);
  const { meterProvider = metrics, durations, buckets, ...observed } = options;
  if (typeof (meterProvider as MeterProvider | null)?.getMeter !== "function")
    throw new InvalidArgumentError("observe: meterProvider must be a MeterProvider of OpenTelemetry");
  // Not `instanceof`: a process may have two copies of this package.
  if (durations !== undefined && !isDurations(durations))
    throw new InvalidArgumentError("observe: durations must be new Durations()");
  const meter = meterProvider.getMeter("@hotset/metrics/otel");
  const exporter = new MeterExporter(meter, { buckets: checkBuckets(buckets), durations });
  return { close: connect(exporter, observed, ["meterProvider", "durations", "buckets"]) };
}
