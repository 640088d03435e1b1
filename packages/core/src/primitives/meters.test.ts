import { describe, expect, it } from "vitest";
import { Histogram, Meter, Meters, TierMeter } from "./meters.ts";

describe("Histogram", () => {
  it("knows nothing before anything was recorded", () => {
    expect(new Histogram().snapshot()).toEqual({ count: 0, p50Ms: NaN, p95Ms: NaN, p99Ms: NaN });
  });

  it("is off by at most 6 %, from a microsecond to an hour", () => {
    for (let durationMs = 0.001; durationMs < 3_600_000; durationMs *= 1.017) {
      const histogram = new Histogram();
      histogram.record(durationMs);
      const { count, p50Ms, p95Ms, p99Ms } = histogram.snapshot();
      expect(count).toBe(1);
      expect([p95Ms, p99Ms]).toEqual([p50Ms, p50Ms]);
      expect(Math.abs(p50Ms / durationMs - 1)).toBeLessThan(0.06);
    }
  });

  it("takes the percentiles of all durations", () => {
    const histogram = new Histogram();
    for (let ms = 1; ms <= 1_000; ms += 1) histogram.record(ms);
    const { count, p50Ms, p95Ms, p99Ms } = histogram.snapshot();
    expect(count).toBe(1_000);
    for (const [percentile, expected] of [
      [p50Ms, 500],
      [p95Ms, 950],
      [p99Ms, 990],
    ] as const)
      expect(Math.abs(percentile / expected - 1)).toBeLessThan(0.06);
  });

  it("p99 is the one slow call in a hundred, and no faster one", () => {
    const histogram = new Histogram();
    for (let i = 0; i < 99; i += 1) histogram.record(1);
    histogram.record(1_000);
    const { p50Ms, p95Ms, p99Ms } = histogram.snapshot();
    expect([Math.round(p50Ms), Math.round(p95Ms), Math.round(p99Ms)]).toEqual([1, 1, 1]);
    histogram.record(1_000);
    expect(histogram.snapshot().p99Ms).toBeGreaterThan(900);
  });

  it("takes durations of nothing, and of days", () => {
    const histogram = new Histogram();
    histogram.record(0);
    expect(histogram.snapshot()).toMatchObject({ count: 1, p50Ms: 0.001 });
    histogram.record(86_400_000);
    histogram.record(Infinity);
    expect(histogram.snapshot().count).toBe(3);
    expect(histogram.snapshot().p99Ms).toBeGreaterThan(3_600_000);
  });
});

it("a Meter adds up to the calls there were", () => {
  const meter = new Meter();
  expect(meter.snapshot()).toMatchObject({
    hits: 0,
    hitRatio: NaN,
    loadLatency: { count: 0 },
  });
  meter.hits = 6;
  meter.staleHits = 3;
  meter.misses = 1;
  meter.load.record(5);
  expect(meter.snapshot()).toMatchObject({
    hits: 6,
    staleHits: 3,
    misses: 1,
    hitRatio: 0.9,
    loadLatency: { count: 1 },
  });
});

it("Meters add up a namespace and those below it, and no others", () => {
  const meters = new Meters();
  meters.of([]).rest.hits += 1;
  meters.of(["a"]).rest.hits += 10;
  meters.of(["a", "b"]).rest.hits += 100;
  meters.of(["a", "b"]).rest.load.record(1);
  meters.of(["ab"]).rest.load.record(1_000);
  const counted = (path: readonly string[]): readonly number[] => {
    const { hits, loadLatency } = meters.snapshot(path)!;
    return [hits, loadLatency.count, Math.round(loadLatency.p50Ms)];
  };
  expect(counted([])).toEqual([111, 2, 1]);
  expect(counted(["a"])).toEqual([110, 1, 1]);
  expect(counted(["a", "b"])).toEqual([100, 1, 1]);
  expect(counted(["ab"]).toString()).toMatch(/^0,1,1\d{3}$/);
  expect(meters.snapshot(["b"])).toBe(undefined);
});

it("keys of a group have counters apart, and count in their namespaces", () => {
  const groups = [
    { name: "user", match: "user:" },
    { name: "digits", match: /^\w+:\d+$/ },
  ];
  const meters = new Meters(groups);
  for (const key of ["user:1", "user:x", "item:1", "item:x"]) meters.of(["a"]).of(key).hits += 1;
  meters.of([]).of("item:2").hits += 10;
  expect([...meters.all()].map(({ path }) => path)).toEqual([["a"], []]);
  expect([meters.ofGroup(0).hits, meters.ofGroup(1).hits]).toEqual([2, 11]);
  expect([meters.snapshot(["a"])!.hits, meters.snapshot([])!.hits]).toEqual([4, 14]);
});

it("a TierMeter counts reads, writes and removals apart", () => {
  const meter = new TierMeter();
  meter.read.record(1);
  meter.write.record(10);
  meter.write.record(10);
  meter.hits += 1;
  meter.errors += 2;
  const { latency, ...rest } = meter.snapshot("redis", "down", { bytes: 5 });
  expect(rest).toEqual({ label: "redis", state: "down", hits: 1, misses: 0, errors: 2, bytes: 5 });
  expect([latency.read.count, latency.write.count, latency.remove.count]).toEqual([1, 2, 0]);
});
