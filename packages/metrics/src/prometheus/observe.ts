import { InvalidArgumentError } from "@hotset/core";
import type { Registry } from "prom-client";
import { checkBuckets, checkObject, connect, type Observed } from "../index.ts";
import { RegistryExporter } from "./registry-exporter.ts";

/** The caches and clients to observe, and where their metrics go. */
export interface ObserveOptions extends Observed {
  /** Where the metrics are registered. One observation for each registry: names of metrics are unique in it. */
  readonly register: Registry;
  /** Upper bounds of histograms of durations, in seconds. @default 0.0001 to 10, each about twice the one before */
  readonly buckets?: readonly number[] | undefined;
}

/** Metrics that are being filled. */
export interface Observation {
  /** Ends it: the metrics leave the registry. */
  close(): void;
}

/**
 * Registers metrics, and fills them from events, tracing channels and, at a scrape, from numbers that are there. No
 * label is a key, a tenant or a user.
 *
 * @throws {ConfigurationError} for unknown options.
 * @throws {InvalidArgumentError} without a registry, for one that has metrics of these names, as after another
 *   `observe`, where nothing is to be observed, for what is not a list of caches, of clients or of buckets, and for two caches or two clients of one
 *   name. Nothing is registered after an error.
 */
export function observe(options: ObserveOptions): Observation {
  checkObject("options", options);
  const { register, buckets, ...observed } = options;
  if (typeof (register as Partial<Registry> | undefined)?.registerMetric !== "function")
    throw new InvalidArgumentError(
      "observe: register must be a Registry of prom-client: new Registry(), or its register",
    );
  const exporter = new RegistryExporter(register, checkBuckets(buckets));
  return { close: connect(exporter, observed, ["register", "buckets"]) };
}
