import { beforeEach, describe, expect, it } from "vitest";
import type { Entry } from "../entry/entry.ts";
import { gate } from "../testing/gate.ts";
import { TestClock } from "../testing/test-clock.ts";
import { OwnChanges } from "./own-changes.ts";

let clock: TestClock;
let changes: OwnChanges;

const copy = (version?: string): Entry => ({ version, terms: {} }) as Entry;
const done = (): Promise<void> => Promise.resolve();

beforeEach(() => {
  clock = new TestClock();
  changes = new OwnChanges(clock, 1_000);
});

describe("a copy in near, after a change by this process,", () => {
  it("is served if this process wrote it; any other one is not, until nearTtl has passed (C124)", async () => {
    const served = () => ["mine", "other", undefined].map((version) => changes.mayServe("k", copy(version)));
    expect(served()).toEqual([true, true, true]);
    await changes.run("k", "mine", done);
    expect(served()).toEqual([true, false, true]);
    clock.advance(999);
    await changes.run("k", undefined, done);
    clock.advance(999);
    expect(served()).toEqual([false, false, true]);
    clock.advance(1);
    expect(served()).toEqual([true, true, true]);
  });

  it("is not served from when the change begins, for nearTtl after its end (C124)", async () => {
    const sending = gate();
    const changed = changes.run("k", undefined, () => sending.pass());
    await sending.arrived();
    expect(changes.mayServe("k", copy("old"))).toBe(false);
    clock.advance(900);
    sending.open();
    await changed;
    clock.advance(999);
    expect(changes.mayServe("k", copy("old"))).toBe(false);
  });

  it("is served once this process has copied it (C124)", async () => {
    await changes.run("k", undefined, done);
    await changes.copy("k", "later", done);
    expect([changes.mayServe("k", copy("later")), changes.mayServe("k", copy("old"))]).toEqual([true, false]);
  });

  it("is not served for the last 10,000 changes (C124)", async () => {
    for (let i = 0; i <= 10_000; i += 1) await changes.run(`k${i}`, undefined, done);
    expect(["k0", "k1", "k10000"].map((key) => changes.mayServe(key, copy("old")))).toEqual([true, false, false]);
  });
});

describe("an entry that was read", () => {
  it("may be copied to near unless its key has changed since, or is being changed (C124)", async () => {
    const before = changes.begin("k");
    const other = changes.begin("l");
    const sending = gate();
    const changed = changes.run("k", undefined, () => sending.pass());
    await sending.arrived();
    const during = changes.begin("k");
    expect([before, during, other].map((mark) => changes.mayCopy(mark, copy()))).toEqual([false, false, true]);
    sending.open();
    await changed;
    const after = changes.begin("k");
    expect([before, during, after].map((mark) => changes.mayCopy(mark, copy()))).toEqual([false, false, true]);
  });

  it("is overtaken by a change that failed, too (C124)", async () => {
    const mark = changes.begin("k");
    await expect(changes.run("k", undefined, () => Promise.reject(new Error("lost")))).rejects.toThrow("lost");
    expect([changes.mayCopy(mark, copy()), changes.mayServe("k", copy("old"))]).toEqual([false, false]);
  });
});
