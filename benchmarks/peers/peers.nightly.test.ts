import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isNightly, startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PRODUCTS } from "../contenders/index.ts";
import { Journal, machineOf, merged } from "./results.ts";
import { runScenario } from "./runner.ts";
import { SCENARIOS } from "./scenarios.ts";
import { tableOf } from "./tables.ts";

/** The first of each kind: sizes and numbers in flight change no code. */
const kindOf = (name: string): string => name.split(/[,:]| over /)[0]!;
const ALL_KINDS = SCENARIOS.filter(
  ({ name }, i) => !SCENARIOS.slice(0, i).some((other) => kindOf(other.name) === kindOf(name)),
);
/** They share their code: each second one is enough where a change is tried. */
const KINDS = ALL_KINDS.filter((_, i) => isNightly || i % 2 === 0);

describe("scenarios of the comparison", () => {
  const folder = mkdtempSync(join(tmpdir(), "hotset-bench-"));
  const journal = new Journal(join(folder, "journal.jsonl"), machineOf("7", 1, 5), false);
  let server: OwnRedis;
  beforeAll(async () => {
    server = await startOwnRedis();
  });
  afterAll(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  it.each(KINDS.map((scenario) => [scenario.name, scenario] as const))(
    "%s gives figures of hotset",
    async (_, scenario) => {
      const hotset = PRODUCTS.filter(({ name }) => name === "hotset");
      await runScenario(scenario, hotset, journal, { server, roundMs: 5, scale: 0.05, isUndisturbed: () => true });
      const rows = journal.rows().filter((row) => row.scenario === scenario.name);
      expect(rows.map(({ product, error }) => ({ product, error }))).toEqual([{ product: "hotset", error: undefined }]);
      expect(rows[0]!.metrics[scenario.shows.metric]?.median).toBeGreaterThanOrEqual(0);
      expect(tableOf(scenario, rows)).toContain("**hotset**");
    },
  );

  it.each([
    ["none", () => false, 2],
    ["the first", (taken: number) => taken === 1, 3],
    ["all", () => true, 6],
  ] as const)("of two rounds, those that are disturbed are taken again: %s", async (_, isDisturbed, expected) => {
    let taken = 0;
    const scenario = {
      ...{ name: "a", what: "", shows: SCENARIOS[0]!.shows, takesPart: () => true },
      open: async () => ({ round: async () => ({ ns: (taken += 1) }), close: async () => undefined }),
    };
    const two = new Journal(join(folder, `rounds-${expected}.jsonl`), machineOf("7", 2, 5), false);
    const conditions = { server, roundMs: 5, scale: 1, isUndisturbed: () => !isDisturbed(taken) };
    await runScenario(scenario, PRODUCTS.slice(0, 1), two, conditions);
    expect(two.samples.map(({ metrics }) => metrics!["ns"])).toEqual(
      Array.from({ length: expected }, (__, i) => i + 1),
    );
  });

  it("what failed while it was timed is not counted", async () => {
    const scenario = {
      ...{ name: "a", what: "", shows: SCENARIOS[0]!.shows, takesPart: () => true },
      open: async () => Promise.reject(new Error("no connection")),
      counts: async () => ({ bytes: 1 }),
    };
    const failing = new Journal(join(folder, "failing.jsonl"), machineOf("7", 2, 5), false);
    await runScenario(scenario, PRODUCTS.slice(0, 1), failing, {
      ...{ server, roundMs: 5, scale: 1, isUndisturbed: () => true },
    });
    const { name: product } = PRODUCTS[0]!;
    expect(failing.rows()).toEqual([{ scenario: "a", product, metrics: {}, error: "no connection" }]);
  });

  it("figures of a later run replace theirs alone, and say so", () => {
    const spreadOf = (value: number) => ({ median: value, least: value, most: value });
    const rowOf = (product: string, ns: number) => ({ scenario: "a", product, metrics: { ns: spreadOf(ns) } });
    const machine = { ...journal.machine, commit: "before" };
    const rows = [rowOf("hotset", 5), rowOf("other", 7)];
    const counts = [
      { scenario: "a", product: "hotset", metrics: { bytes: spreadOf(9) } },
      { scenario: "b", product: "hotset", metrics: { bytes: spreadOf(4) } },
    ];
    const later = { machine: { ...machine, commit: "after" }, rows: counts };
    const results = merged({ machine, othersOfACore: 0, rows }, "bytes", later);
    expect(results.rows).toEqual([
      { scenario: "a", product: "hotset", metrics: { ns: spreadOf(5), bytes: spreadOf(9) } },
      rowOf("other", 7),
      counts[1],
    ]);
    expect(merged(results, "bytes", later).later).toEqual([
      { commit: "after", startedAt: machine.startedAt, what: "bytes" },
    ]);
    const versions = { ...machine.versions, bentocache: "0.0.1" };
    expect(() => merged(results, "bytes", { machine: { ...machine, versions }, rows: [] })).toThrow("other versions");
  });

  it("a run that goes on takes nothing twice", async () => {
    const samples = [
      { scenario: "a", product: "hotset", round: 0, metrics: { ns: 3 } },
      { scenario: "a", product: "hotset", round: 1, metrics: { ns: 5 } },
      { scenario: "a", product: "hotset", round: 2, metrics: { ns: Infinity } },
    ] as const;
    const path = join(folder, "again.jsonl");
    const first = new Journal(path, machineOf("7", 3, 5), false);
    for (const sample of samples) first.add(sample);
    const again = new Journal(path, machineOf("8", 9, 9), true);
    expect(again.machine).toEqual(first.machine);
    expect(again.has("a", "hotset")).toBe(true);
    expect(again.has("a", "other")).toBe(false);
    expect(again.rows()).toEqual([
      { scenario: "a", product: "hotset", metrics: { ns: { median: 5, least: 3, most: 1e9 } } },
    ]);
  });
});
