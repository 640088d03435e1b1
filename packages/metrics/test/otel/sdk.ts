import type { Durations } from "@hotset/metrics/otel";
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider, MetricReader, type ResourceMetrics } from "@opentelemetry/sdk-metrics";

/** Collects when a test asks. */
class AskedReader extends MetricReader {
  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }
  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }
}

export interface Sdk {
  readonly meterProvider: MeterProvider;
  /** As Prometheus has it. */
  text(): Promise<string>;
}

export function sdk(durations?: Durations): Sdk {
  const reader = new AskedReader(durations === undefined ? {} : { metricProducers: [durations] });
  const meterProvider = new MeterProvider({ readers: [reader] });
  return {
    meterProvider,
    text: async () => {
      const { resourceMetrics } = await reader.collect();
      return new PrometheusSerializer().serialize(withUnits(resourceMetrics));
    },
  };
}

/** The collector and Prometheus make the unit an ending of a name; this serializer leaves it out. */
const withUnits = (all: ResourceMetrics): ResourceMetrics => ({
  ...all,
  scopeMetrics: all.scopeMetrics.map(({ scope, metrics }) => ({
    scope,
    metrics: metrics.map((metric) => {
      const { name, unit } = metric.descriptor;
      const ending = { s: ".seconds", By: ".bytes" }[unit] ?? "";
      return { ...metric, descriptor: { ...metric.descriptor, name: name + ending } };
    }),
  })),
});

/** Series and values, sorted: without comments, and without the labels that OpenTelemetry adds. */
export const lines = (text: string): readonly string[] =>
  text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#") && !line.startsWith("target_info"))
    .map((line) => {
      const [, name, labels = "", value] = /^([a-z0-9_]+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
      const own = labels.split(",").filter((label) => !label.startsWith("otel_scope"));
      return `${name}{${own.toSorted().join(",")}} ${value}`;
    })
    .toSorted();
