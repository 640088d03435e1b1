import type { Exporter, Instrument, Sample } from "./instrument.ts";

/** The figures of an HTTP cache, as `httpCache` of `@hotset/http` gives them. */
export interface HttpFigures {
  /** The numbers of `HttpCache.stats`. */
  stats(): {
    readonly hits: number;
    readonly stale: number;
    readonly revalidated: number;
    readonly misses: number;
    readonly collapsed: number;
    readonly passed: Readonly<Partial<Record<string, number>>>;
    readonly bytesFromCache: number;
    readonly bytesFromOrigin: number;
  };
}

type Figures = ReturnType<HttpFigures["stats"]>;

const REQUESTS: Instrument = {
  kind: "counter",
  name: "http_cache.requests",
  unit: "{request}",
  help: "Requests, by how they were answered.",
  labels: ["http_cache", "result"],
};

const PASSED: Instrument = {
  kind: "counter",
  name: "http_cache.passed",
  unit: "{request}",
  help: "Requests whose response was not stored, by reason.",
  labels: ["http_cache", "reason"],
};

const BYTES: Instrument = {
  kind: "counter",
  name: "http_cache.body",
  unit: "By",
  help: "Bytes of bodies, from stored responses and from the origin.",
  labels: ["http_cache", "source"],
};

/** Reads the figures at each collection. No label is a URL. */
export function connectHttp(exporter: Exporter, caches: Readonly<Record<string, HttpFigures>>): void {
  const all = Object.entries(caches);
  if (all.length === 0) return;
  const observe = (instrument: Instrument, label: string, read: (figures: Figures) => Record<string, number>): void =>
    exporter.observe(instrument, () =>
      all.flatMap(([name, cache]) =>
        Object.entries(read(cache.stats())).map(([of, value]): Sample => [{ http_cache: name, [label]: of }, value]),
      ),
    );
  observe(REQUESTS, "result", ({ hits, stale, revalidated, misses, collapsed, passed }) => ({
    hit: hits,
    stale,
    revalidated,
    miss: misses,
    collapsed,
    pass: Object.values(passed).reduce<number>((sum, count) => sum + (count ?? 0), 0),
  }));
  observe(PASSED, "reason", ({ passed }) => passed as Record<string, number>);
  observe(BYTES, "source", ({ bytesFromCache, bytesFromOrigin }) => ({
    cache: bytesFromCache,
    origin: bytesFromOrigin,
  }));
}
