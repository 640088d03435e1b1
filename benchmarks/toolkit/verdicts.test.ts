import { describe, expect, it } from "vitest";
import { judgeRows, type ToolkitFigures } from "./verdicts.ts";

const FIGURES: ToolkitFigures = {
  yardstick: [64, 1_024, 10_240].flatMap((bytes) => [1, 16].map((at) => ({ bytes, at, get: 90_000, set: 80_000 }))),
  gets: { byCaller: 100_000, byInfo: 100_000 },
  offered: [20_000, 50_000, 100_000].map((perSecond) => ({
    perSecond,
    reached: perSecond,
    p99Ms: 0.9,
    inRedisUs: 4,
  })),
  memory: { residentMb: 49, heapMb: 3, furtherKb: 40 },
  connections: [1, 10, 50, 100, 500].map((count) => ({ count, perSecond: 200_000 })),
};

const verdict = (id: string, changed: Partial<ToolkitFigures>): boolean | undefined =>
  judgeRows({ ...FIGURES, ...changed }).find((row) => row.id === id)?.isMet;

describe("the figures of the toolkit decide their rows", () => {
  it("R3-31: 100,000 calls a second, by both counts", () => {
    expect(verdict("R3-31", {})).toBe(true);
    expect(verdict("R3-31", { gets: { byCaller: 99_999, byInfo: 100_000 } })).toBe(false);
    expect(verdict("R3-31", { gets: { byCaller: 100_000, byInfo: 99_999 } })).toBe(false);
  });

  it("R3-32: a p99 below a millisecond, at each rate, which is reached", () => {
    const [one, two, three] = FIGURES.offered as [
      ToolkitFigures["offered"][0],
      ToolkitFigures["offered"][0],
      ToolkitFigures["offered"][0],
    ];
    expect(verdict("R3-32", {})).toBe(true);
    expect(verdict("R3-32", { offered: [one, two, { ...three, p99Ms: 1 }] })).toBe(false);
    expect(verdict("R3-32", { offered: [one, two, { ...three, reached: 98_000 }] })).toBe(false);
    expect(verdict("R3-32", { offered: [one, two] })).toBe(false);
  });

  it("R3-33: less than 50 MB above a process without a client", () => {
    expect(verdict("R3-33", {})).toBe(true);
    expect(verdict("R3-33", { memory: { ...FIGURES.memory, residentMb: 50 } })).toBe(false);
  });

  it("R3-34: 10 to 500 connections", () => {
    expect(verdict("R3-34", {})).toBe(true);
    expect(verdict("R3-34", { connections: FIGURES.connections.slice(0, 4) })).toBe(false);
  });

  it("R3-36: the yardstick of the same machine, for each size and both ways", () => {
    expect(verdict("R3-36", {})).toBe(true);
    expect(verdict("R3-36", { yardstick: FIGURES.yardstick.slice(1) })).toBe(false);
    expect(verdict("R3-36", { yardstick: [] })).toBe(false);
  });
});
