import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { check } from "../src/checker.ts";
import { MUTANTS } from "../src/mutants.ts";
import { coveredBy, FAULT_KINDS, FOCUSES, focusesOn, TOPOLOGIES } from "../src/plan-parts.ts";
import { planOf } from "../src/plan.ts";
import { shrink } from "../src/shrink.ts";
import { timeline } from "../src/timeline.ts";
import { casesIn, historyOf } from "./histories.ts";

describe("the checker", () => {
  it.each(casesIn(new URL("histories.txt", import.meta.url)))("$verdict: $title", ({ verdict, events }) => {
    const { violations, exemptions } = check(historyOf(events));
    const rules = violations.map(({ rule }) => rule);
    if (!verdict.startsWith("exempt by ")) return expect(rules).toEqual(verdict === "good" ? [] : [verdict]);
    expect([rules, exemptions]).toEqual([[], { [verdict.replace("exempt by ", "")]: 1 }]);
  });

  it("measures the time that another process took", () => {
    const watched = "A delete 2; B watch 1 @110.5 since=90; B watch - @120 since=110.8";
    const [lagMs, ...others] = check(historyOf(watched)).lagsMs;
    expect(others).toEqual([]);
    expect(lagMs).toBeCloseTo(0.8, 6);
  });
});

describe("a violation", () => {
  it("is reported with the events of its key, in order", () => {
    const parts = historyOf(`
      A delete 2; B load 1 @50-90; B getOrSet 1 @95 from=load; B get 1 @1200 from=memory; B get 9 @300 key=other;
      fault cut @97-98 of=B; B up @10; B up @60`);
    expect(
      timeline(
        parts,
        check(parts).violations.find(({ rule }) => rule === "elsewhere")!,
      ).split("\n"),
    ).toEqual([
      "elsewhere: B: get a answered 1 from memory; 2 was due: 1090.0 ms after the acknowledgement of delete in A",
      "   0.0100 s  B        is up",
      "   0.0500 s  B        load begins",
      "   0.0900 s  B        load ends, the source said 1",
      "   0.0950 s  B        getOrSet: 1 (from load), 1.0 ms",
      "   0.0970 s  nemesis  cut of B",
      "   0.0980 s  nemesis  cut: over",
      "   0.1000 s  A        delete, source a → 2: acknowledged after 10.0 ms   <<<",
      "   1.2000 s  B        get: 1 (from memory), 1.0 ms   <<<",
    ]);
  });

  it("is shrunk to a small plan", async () => {
    const plan = planOf(3, { topology: "single", focus: "links" });
    const needed = new Set([plan.operations[10]!.id, plan.operations[200]!.id]);
    const violation = { rule: "own", text: "", at: plan.operations[200]!.at, ids: [] } as const;
    const least = await shrink(
      plan,
      violation,
      async (candidate) => {
        const fails = [...needed].every((each) => candidate.operations.some((operation) => operation.id === each));
        return { history: historyOf(""), verdict: { ...check(historyOf("")), violations: fails ? [violation] : [] } };
      },
      () => undefined,
    );
    expect(least.plan.operations.length).toBeLessThan(plan.operations.length / 20);
    expect(least.plan.operations.map((operation) => operation.id)).toEqual(expect.arrayContaining([...needed]));
    expect(least.plan.faults).toEqual([]);
  });
});

describe("a plan", () => {
  it("is the same for the same seed, and another for the next", () => {
    for (const topology of TOPOLOGIES) {
      expect(planOf(7, { topology })).toEqual(planOf(7, { topology }));
      expect(planOf(8, { topology }).operations).not.toEqual(planOf(7, { topology }).operations);
    }
  });

  it("has every kind of fault somewhere, and every focus", () => {
    const drawn = TOPOLOGIES.flatMap((topology) => Array.from({ length: 80 }, (_, seed) => planOf(seed, { topology })));
    // It needs a library, so it is had by its name alone.
    const named = Array.from({ length: 80 }, (_, seed) => planOf(seed, { topology: "single", focus: "clocks" }));
    expect(new Set(drawn.map(({ focus }) => focus))).not.toContain("clocks");
    const plans = [...drawn, ...named];
    expect(new Set(plans.map(({ focus }) => focus))).toEqual(new Set(FOCUSES));
    expect([...new Set(plans.flatMap(({ faults }) => faults.map(({ kind }) => kind)))].sort()).toEqual(
      [...FAULT_KINDS].sort(),
    );
  });

  it("of the clocks has jumps of a server's clock, ahead and back, from half a second to an hour", () => {
    const plans = Array.from({ length: 80 }, (_, seed) => planOf(seed, { topology: "single", focus: "clocks" }));
    const jumps = plans.flatMap(({ faults }) => faults.flatMap(({ byMs }) => byMs ?? []));
    const sizes = [500, 1_500, 5_000, 30_000, 3_600_000];
    expect([...new Set(jumps)].sort((one, other) => one - other)).toEqual([
      ...sizes.map((ms) => -ms).reverse(),
      ...sizes,
    ]);
    for (const { faults } of plans) expect(faults.length).toBeGreaterThan(5);
    expect(focusesOn("sentinel")).not.toContain("clocks");
  });

  it("has as many processes as it is asked for, and they change less each", () => {
    const [few, many] = [3, 100].map((processes) => planOf(1, { topology: "single", processes }));
    expect(few).toEqual(planOf(1, { topology: "single" }));
    const names = many!.workers.map(({ name }) => name);
    expect([names[0], names[25], names[26], names[99]]).toEqual(["A", "Z", "AA", "CV"]);
    expect(new Set(names).size).toBe(100);
    const perSecond = ({ operations, durationMs }: typeof many & object) => (operations.length / durationMs) * 1_000;
    expect(perSecond(many!)).toBeLessThan(perSecond(few!) / 3);
  });

  it("knows which keys a tag and a namespace cover", () => {
    const { keys } = planOf(1, { topology: "single" });
    const covered = (tag: string, space: readonly string[]): readonly string[] =>
      coveredBy(keys, { id: "x", at: 0, worker: 0, kind: "invalidateTags", tag, space, isFollowed: false });
    expect([
      covered("t", []),
      covered("t", ["users"]),
      covered("v", []),
      covered("v", ["users", "deep"]),
      covered("t", ["users", "deep"]),
    ]).toEqual([["b", "c"], ["c"], ["d"], ["d"], []]);
    expect(coveredBy(keys, { id: "x", at: 0, worker: 0, kind: "clear", space: ["users"], isFollowed: false })).toEqual([
      "c",
      "d",
      "e",
      "n",
    ]);
  });
});

describe("planted bugs", () => {
  const top = resolve(import.meta.dirname, "../../..");

  it("have names of their own", () => {
    const names = MUTANTS.map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  it("break rules that stand exactly once in their files", () => {
    const times = MUTANTS.map(({ name, file, rule }) => ({
      name,
      times: readFileSync(join(top, file), "utf8").split(rule).length - 1,
    }));
    expect(times.filter((each) => each.times !== 1)).toEqual([]);
    expect(MUTANTS.filter(({ rule, broken }) => rule === broken).map(({ name }) => name)).toEqual([]);
  });
});
