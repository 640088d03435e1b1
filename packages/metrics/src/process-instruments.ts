import { constants, monitorEventLoopDelay, PerformanceObserver, type PerformanceEntry } from "node:perf_hooks";
import type { Exporter, Instrument, Recorder, Sample } from "./instrument.ts";

// The names are those of OpenTelemetry's conventions for Node.js, V8 and processes.

const LOOP_DELAY: Instrument = {
  kind: "gauge",
  name: "nodejs.eventloop.delay",
  unit: "s",
  help: "Delays of the event loop since the last collection.",
  labels: ["quantile"],
};

const GARBAGE: Instrument = {
  kind: "histogram",
  name: "v8js.gc.duration",
  unit: "s",
  help: "Pauses for garbage collection, by kind.",
  labels: ["kind"],
};

const HEAP: Instrument = {
  kind: "gauge",
  name: "v8js.memory.heap.used",
  unit: "By",
  help: "Heap in use.",
  labels: [],
};

const RESIDENT: Instrument = {
  kind: "gauge",
  name: "process.memory.usage",
  unit: "By",
  help: "Memory of the process that is resident.",
  labels: [],
};

const QUANTILES = [0.5, 0.95, 0.99] as const;
const NANOSECONDS = 1e9;
/** Resolution of the timer that measures delays. */
const RESOLUTION_MS = 10;

/** @returns a function that ends it */
export function connectProcess(exporter: Exporter): () => void {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  exporter.observe(LOOP_DELAY, () => {
    const samples = QUANTILES.map((quantile): Sample => [
      { quantile: String(quantile) },
      // Without what the timer of the measurement waits on its own.
      Math.max(0, (delays.percentile(quantile * 100) || 0) / NANOSECONDS - RESOLUTION_MS / 1_000),
    ]);
    delays.reset();
    return samples;
  });
  exporter.observe(HEAP, () => [[{}, process.memoryUsage().heapUsed]]);
  exporter.observe(RESIDENT, () => [[{}, process.memoryUsage.rss()]]);
  const endGarbage = addGarbage(exporter);
  delays.enable();
  return () => {
    delays.disable();
    endGarbage();
  };
}

type GarbageEntry = PerformanceEntry & { readonly detail?: { readonly kind?: number } };

function addGarbage(exporter: Exporter): () => void {
  const series = exporter.histogram(GARBAGE);
  const recorders = new Map<string, Recorder>();
  const observer = new PerformanceObserver((list) => {
    for (const { duration, detail } of list.getEntries() as readonly GarbageEntry[]) {
      const kind = KINDS.get(detail?.kind ?? 0) ?? "other";
      const recorder = recorders.get(kind) ?? series({ kind });
      recorders.set(kind, recorder);
      recorder(duration / 1_000);
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  return () => observer.disconnect();
}

const KINDS: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
]);
