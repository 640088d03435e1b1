import type { ProcessRecord } from "@hotset/core/inspect";
import { describe, expect, it } from "vitest";
import type { Figures } from "../rules/picture.ts";
import { fleetSums, seenProcesses, type SeenProcess } from "./fleet.ts";

const record = (name: string, at = 0, ageMs = 0): ProcessRecord => ({
  ...{ id: `id of ${name}`, name, version: "1", runtime: "v24", startedAt: 0, everyMs: 10_000, isOwn: false },
  ...{ at, ageMs, clockAheadMs: 0 },
  ...{ coherence: "tracking", trust: "all", state: "up", hits: 0, staleHits: 0, misses: 0, hitRatio: NaN },
  ...{ loads: 0, loadErrors: 0, waiting: 0, pending: 0, invalidations: [], lastMinute: [] },
});

describe("seenProcesses", () => {
  const seen = (known: readonly ProcessRecord[], lost: readonly ProcessRecord[] = []): readonly string[] =>
    seenProcesses({ knownProcesses: () => known, lostProcesses: () => lost }).map(({ name, isOld }) =>
      isOld ? `${name}, old` : name,
    );

  it("are those with a record and those that are lost, by their names", () => {
    expect(seen([record("b"), record("c")], [record("a")])).toEqual(["a, old", "b", "c"]);
  });

  it("are without a late one whose name another has taken since, and with one that runs beside it", () => {
    const late = record("web", 0, 20_000);
    const beside = { ...record("web", 20_000), id: "another", startedAt: -1 };
    expect(seen([late, beside])).toEqual(["web", "web"]);
    const next = { ...record("web", 20_000), id: "next", startedAt: 10_000 };
    expect(seen([late, next])).toEqual(["web"]);
    expect(seen([record("web", 0, 14_999), next])).toEqual(["web", "web"]);
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
