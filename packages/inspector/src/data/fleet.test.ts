import type { ProcessRecord } from "@hotset/core/inspect";
import { describe, expect, it } from "vitest";
import type { Figures } from "../rules/picture.ts";
import { fleetSums, SeenProcesses, type SeenProcess } from "./fleet.ts";

const record = (name: string, at = 0, ageMs = 0): ProcessRecord => ({
  ...{ id: `id of ${name}`, name, version: "1", runtime: "v24", startedAt: 0, everyMs: 10_000, isOwn: false },
  ...{ at, ageMs, clockAheadMs: 0 },
  ...{ coherence: "tracking", trust: "all", state: "up", hits: 0, staleHits: 0, misses: 0, hitRatio: NaN },
  ...{ loads: 0, loadErrors: 0, waiting: 0, pending: 0, invalidations: [], lastMinute: [] },
});

describe("SeenProcesses", () => {
  const seen = (known: readonly ProcessRecord[], now: number, of: SeenProcesses): readonly string[] =>
    of.update(known, now).map(({ name, isOld }) => (isOld ? `${name}, old` : name));

  it("keeps the last record of a process that went silent for ten minutes, and of none that was removed", () => {
    const processes = new SeenProcesses();
    const [a, b, c] = [record("a", 0, 20_000), record("b", 0, 20_000), record("c", 20_000)];
    expect(seen([b, a, c], 20_000, processes)).toEqual(["a", "b", "c"]);
    // That of c was removed when it was 10 s old.
    expect(seen([record("b", 30_000)], 30_000, processes)).toEqual(["a, old", "b"]);
    expect(seen([record("b", 600_000)], 600_000, processes)).toEqual(["a, old", "b"]);
    expect(seen([record("b", 600_001)], 600_001, processes)).toEqual(["b"]);
  });

  it("shows a process again that writes again", () => {
    const processes = new SeenProcesses();
    processes.update([record("a", 0, 15_000)], 15_000);
    expect(seen([], 25_000, processes)).toEqual(["a, old"]);
    expect(seen([record("a", 26_000)], 26_000, processes)).toEqual(["a"]);
  });

  it("says nothing of a process that it did not see late: it may have been closed while nobody looked", () => {
    const processes = new SeenProcesses();
    processes.update([record("a", 0, 14_999)], 14_999);
    expect(seen([], 300_000, processes)).toEqual([]);
  });

  it("forgets a process once one of its name has started afterwards, and not for one beside it", () => {
    const processes = new SeenProcesses();
    const late = record("web", 0, 20_000);
    const beside = { ...record("web", 20_000), id: "another", startedAt: -1 };
    expect(seen([late, beside], 20_000, processes)).toEqual(["web", "web"]);
    expect(seen([beside], 30_000, processes)).toEqual(["web, old", "web"]);
    const next = { ...record("web", 31_000), id: "next", startedAt: 30_000 };
    expect(seen([beside, next], 31_000, processes)).toEqual(["web", "web"]);
  });
});

describe("fleetSums", () => {
  const figures = (calls: number, hitRatio?: number, errors = 0, failed = 0): Figures => {
    const recent = {
      ms: 10_000,
      calls,
      ...(hitRatio !== undefined && { hitRatio }),
      loads: 0,
      loadErrors: 0,
      timed: 0,
    };
    const group = { namespace: [], recent, before: recent };
    return {
      ...{ at: 0, windowMs: 60_000 },
      groups: [failed === 0 ? group : { ...group, failed: { count: failed, at: 0, error: "db" } }],
      tiers: [
        { label: "memory", state: "up", hits: 0, misses: 0, errors: 0 },
        { label: "redis", state: "up", hits: 0, misses: 0, errors },
      ],
    };
  };
  const process = (name: string, of: Partial<SeenProcess>): SeenProcess => ({
    ...{ ...record(name), everyMs: 10_000, isOld: false },
    ...of,
  });

  it("adds up all processes, by their calls, and names the one with most errors", () => {
    const processes = [
      process("web-1", { isOwn: true, figures: figures(9, 0) }),
      process("web-2", { figures: figures(300, 0.6, 0, 3) }),
      process("web-3", { figures: figures(0, undefined, 2) }),
      process("gone", { figures: figures(900, 0, 900), isOld: true }),
      process("of an older version", {}),
    ];
    expect(fleetSums(figures(100, 0.8), processes)).toEqual({
      ...{ processes: 3, callsPerSecond: 40, hitRatio: 0.65, loadErrors: 3, errors: 2 },
      worst: { name: "web-2", callsPerSecond: 30, hitRatio: 0.6, errors: 0, loadErrors: 3 },
    });
  });

  it("names the lowest hit ratio where nothing fails; none alone, and no ratio without calls", () => {
    const other = (calls: number, hitRatio?: number) => [process("web-2", { figures: figures(calls, hitRatio) })];
    expect(fleetSums(figures(100, 0.5), other(100, 0.9))?.worst.name).toBe("this process");
    expect(fleetSums(figures(0), other(0))?.hitRatio).toBe(null);
    expect(fleetSums(figures(100, 0.5), [process("web-1", { isOwn: true, figures: figures(1) })])).toBe(null);
  });
});
