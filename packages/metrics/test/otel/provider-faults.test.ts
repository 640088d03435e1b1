import { observe, type Observation } from "@hotset/metrics/otel";
import { createTestCache } from "@hotset/testing";
import { diag, DiagLogLevel, metrics, type DiagLogger, type Meter, type MeterProvider } from "@opentelemetry/api";
import { afterEach, beforeEach, expect, it } from "vitest";

let observation: Observation | undefined;
let diagnosed: unknown[];
let uncaught: unknown[];
let listeners: NodeJS.UncaughtExceptionListener[];
const onUncaught = (error: unknown): void => void uncaught.push(error);
beforeEach(() => {
  diagnosed = [];
  uncaught = [];
  listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException").on("uncaughtException", onUncaught);
  const logger = { error: (...given: unknown[]) => void diagnosed.push(...given) } as unknown as DiagLogger;
  diag.setLogger(logger, { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true });
});
afterEach(() => {
  observation?.close();
  process.off("uncaughtException", onUncaught);
  for (const listener of listeners) process.on("uncaughtException", listener);
  diag.disable();
});

/** Its histograms throw, as one does whose view does. */
const throwing: MeterProvider = {
  getMeter: (name) =>
    Object.assign(Object.create(metrics.getMeter(name)) as Meter, {
      createHistogram: () => ({
        record: () => {
          throw new Error("of the provider");
        },
      }),
    }),
};

it("a histogram that throws costs its value, never the call nor the process", async () => {
  const cache = createTestCache({ name: "measured", backend: true });
  observation = observe({ meterProvider: throwing, caches: [cache], backendCalls: true });
  expect(await cache.getOrSet("k", () => 1)).toBe(1);
  await new Promise(setImmediate);
  expect(uncaught).toEqual([]);
  expect(diagnosed).toContainEqual(new Error("of the provider"));
  await cache.close();
});
