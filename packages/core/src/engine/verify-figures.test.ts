import { describe, expect, it } from "vitest";
import type { Mismatch } from "../contracts/events.ts";
import { VerifyFigures, type Outcome, type VerifiedGroup } from "./verify-figures.ts";

const NOW = 10_000_000;
const SAME: Outcome = { kind: "same" };
const differing = (more: Partial<Mismatch> = {}): Outcome => ({
  kind: "different",
  mismatch: {
    ...{ cache: "shop", namespace: ["checkout"], key: "k", tier: "memory", tags: [], fields: ["cents"] },
    ...{ verdict: "unclear", ...more },
  },
});

/** Figures of values of these ages, of which `isWrong` says which differ. */
function groupOf(
  ages: readonly number[],
  isWrong: (ageMs: number, at: number) => boolean,
  writerOf: (at: number) => { readonly writer?: string; readonly isOwn?: boolean } = () => ({}),
): VerifiedGroup {
  const figures = new VerifyFigures();
  ages.forEach((ageMs, at) => {
    const { writer, isOwn } = writerOf(at);
    figures.add(
      { namespace: ["checkout"], group: undefined, ageMs, writer, isOwn, at: NOW },
      isWrong(ageMs, at) ? differing() : SAME,
    );
  });
  return figures.groups(NOW)[0]!;
}

const EVEN = Array.from({ length: 200 }, (_, i) => 500 * (i + 1));
/** Most hits are of young entries. */
const YOUNG = Array.from({ length: 200 }, (_, i) => -20_000 * Math.log(1 - i / 200) + 1);
/** Deterministic, and as even as chance. */
const chance = (at: number): number => (at * 0.618_033_988_75) % 1;

describe("C742: the shape of mismatches by age", () => {
  it.each([
    ["evenly spread ages", EVEN],
    ["mostly young ones", YOUNG],
  ])("grows for a source that changes at some rate, and is level for what was wrong at once; %s", (_name, ages) => {
    for (const perMs of [0.000_002, 0.000_01, 0.000_03, 0.000_06]) {
      const grown = groupOf(ages, (ageMs, at) => chance(at) < 1 - Math.exp(-perMs * ageMs));
      expect(grown).toMatchObject({ shape: "grows", checked: 200 });
      const shares = grown.curve.map(({ different, checked }) => different / checked);
      expect(shares[0]).toBeLessThan(0.6 * shares[3]!);
    }
    for (const share of [0.05, 0.2, 0.9])
      expect(groupOf(ages, (_age, at) => chance(at) < share)).toMatchObject({ shape: "from-start" });
  });

  it("is not told from a few", () => {
    expect(groupOf(EVEN, () => false)).toMatchObject({ shape: "none", unclear: 0 });
    expect(groupOf(EVEN, (_age, at) => at < 2)).toMatchObject({ shape: "few", unclear: 2 });
    expect(groupOf([1, 2, 3, 4, 5, 6, 7], () => true)).toMatchObject({ shape: "few", unclear: 7 });
  });

  it("names other writers where own entries are right", () => {
    const byTwo = (at: number) => ({ writer: at % 2 === 0 ? "AAAA" : "BBBB", isOwn: at % 2 === 0 });
    const group = groupOf(EVEN, (_age, at) => at % 4 === 1, byTwo);
    expect(group).toMatchObject({
      shape: "other-writer",
      writers: [
        { writer: "BBBB", isOwn: false, checked: 100, different: 50 },
        { writer: "AAAA", isOwn: true, checked: 100, different: 0 },
      ],
    });
  });
});

describe("C742: figures of what was compared", () => {
  it("are of the last 15 minutes, by namespace and group, and know what was invalidated", () => {
    const figures = new VerifyFigures();
    const of = { group: "cart", ageMs: undefined, writer: undefined, isOwn: undefined };
    figures.add({ ...of, namespace: ["users"], at: NOW - 900_000 }, differing());
    figures.add({ ...of, namespace: ["users"], at: NOW - 899_999 }, differing({ verdict: "wrong", why: "shared-key" }));
    figures.add({ ...of, namespace: ["users"], at: NOW }, differing({ verdict: "drift" }));
    figures.add({ ...of, namespace: ["users"], at: NOW }, { kind: "unsteady", fields: ["at"] });
    figures.add({ ...of, namespace: ["users"], at: NOW }, { kind: "failed" });
    figures.add({ ...of, namespace: ["users"], at: NOW }, { kind: "changed" });
    figures.add({ ...of, namespace: ["rates"], at: NOW }, SAME);
    figures.invalidated(["rates"]);
    expect(figures.groups(NOW)).toEqual([
      {
        ...{ namespace: ["users"], group: "cart", checked: 2, wrong: 1, drift: 1, unclear: 0, unsteady: 1, failed: 1 },
        ...{ unsteadyFields: ["at"], curve: [], shape: "few", isInvalidated: false },
        writers: [{ writer: "", isOwn: false, checked: 2, different: 1 }],
        reasons: [{ why: "shared-key", count: 1 }],
        last: { key: "k", fields: ["cents"], tags: [], at: NOW - 899_999 },
      },
      expect.objectContaining({ namespace: ["rates"], group: "cart", checked: 1, shape: "none", isInvalidated: true }),
    ]);
    expect(figures.groups(NOW + 900_000)).toEqual([]);
    figures.invalidated([]);
    expect(figures.groups(NOW).every(({ isInvalidated }) => isInvalidated)).toBe(true);
  });

  it("are at most 256 values of a group, and 200 groups", () => {
    const figures = new VerifyFigures();
    const of = { group: undefined, ageMs: 1, writer: undefined, isOwn: undefined, at: NOW };
    for (let n = 0; n < 300; n += 1) figures.add({ ...of, namespace: ["one"] }, SAME);
    for (let n = 0; n < 300; n += 1) figures.add({ ...of, namespace: [`n${n}`] }, SAME);
    const groups = figures.groups(NOW);
    expect([groups.length, groups[0]!.checked]).toEqual([200, 256]);
  });
});
