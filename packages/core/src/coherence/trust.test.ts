import { describe, expect, it } from "vitest";
import { Trust } from "./trust.ts";

describe("trust", () => {
  it("has no end, and no copy to confirm, if no backend reports changes", () => {
    const trust = new Trust();
    expect([trust.hasSource, trust.unconfirmed.until, trust.epochOf("k").until]).toEqual([false, Infinity, Infinity]);
    expect(trust.mayShare("k", -Infinity, 1e12)).toBe(true);
  });

  it("begins with the attachment, and ends `maxStalenessMs` after the last sign of life was sent", () => {
    const trust = new Trust();
    const source = trust.reportedBy(2_000);
    expect([trust.hasSource, trust.epochOf("k").until]).toEqual([true, -Infinity]);
    source.alive(1_000);
    expect(trust.epochOf("k").until).toBe(-Infinity);
    source.attached();
    expect(trust.epochOf("k").until).toBe(3_000);
    source.alive(1_500);
    expect(trust.epochOf("k").until).toBe(3_500);
    source.alive(1_200);
    expect(trust.epochOf("k").until).toBe(3_500);
  });

  it("C87: a copy from before the subscription is not trusted by the signs of life after it", () => {
    const trust = new Trust();
    const source = trust.reportedBy(2_000);
    source.alive(1_000);
    const copy = trust.epochOf("k");
    source.attached();
    source.alive(1_500);
    expect([copy.until, trust.epochOf("k").until]).toEqual([-Infinity, 3_500]);
  });

  it("has not begun before the first sign of life, even if attached", () => {
    const trust = new Trust();
    trust.reportedBy(2_000).attached();
    expect(trust.epochOf("k").until).toBe(-Infinity);
  });

  it("C86: ends immediately with the loss, and older copies are not trusted any more", () => {
    const trust = new Trust();
    const source = trust.reportedBy(2_000);
    source.alive(1_000);
    source.attached();
    const { epoch } = trust;
    const copy = trust.epochOf("k");
    expect(copy.until).toBe(3_000);
    source.lost();
    expect([trust.epochOf("k").until, copy.until, trust.epoch > epoch]).toEqual([-Infinity, -Infinity, true]);
    const { epoch: between } = trust;
    source.attached();
    expect([trust.epochOf("k").until, trust.epoch > between]).toEqual([-Infinity, true]);
    source.alive(5_000);
    expect([trust.epochOf("k").until, copy.until]).toEqual([7_000, -Infinity]);
  });

  it("C250: a suspension ends it, and copies of the time before are not trusted by the signs of life after it", () => {
    const trust = new Trust();
    const source = trust.reportedBy(2_000);
    source.attached();
    source.alive(1_000);
    const [copy, epoch] = [trust.epochOf("k"), trust.epoch];
    trust.suspended(1_500);
    expect(trust.epoch).toBeGreaterThan(epoch);
    expect([copy.until, trust.epochOf("k").until]).toEqual([-Infinity, -Infinity]);
    // Asked for before it was noticed: the answer may be from before the suspension.
    source.alive(1_499);
    expect(trust.epochOf("k").until).toBe(-Infinity);
    source.alive(1_500);
    expect([copy.until, trust.epochOf("k").until]).toEqual([-Infinity, 3_500]);
  });

  it("a suspension ends it in each part, and none of them counts as lost", () => {
    const trust = new Trust();
    const parts = { names: () => ["a", "b"], of: (key: string) => key, ofVersions: () => "a" };
    const source = trust.reportedBy(2_000, parts);
    source.attached();
    for (const part of ["a", "b"]) source.alive(1_000, part);
    const copies = ["a", "b"].map((key) => trust.epochOf(key));
    trust.suspended(1_500);
    expect(source.isReportedInAll).toBe(true);
    // The trust in a part that was lost begins with its first sign of life; here it goes on.
    expect(["a", "b"].map((part) => source.alive(1_600, part))).toEqual([false, false]);
    expect(copies.map(({ until }) => until)).toEqual([-Infinity, -Infinity]);
    expect(["a", "b"].map((key) => trust.epochOf(key).until)).toEqual([3_600, 3_600]);
  });

  it("has an epoch for unconfirmed copies in which none is trusted", () => {
    const trust = new Trust();
    trust.reportedBy(2_000).alive(0);
    expect(trust.unconfirmed.until).toBe(-Infinity);
  });

  it("leaves older copies unconfirmed when anything may have changed", () => {
    const trust = new Trust();
    const source = trust.reportedBy(2_000);
    source.alive(1_000);
    source.attached();
    const copy = trust.epochOf("k");
    trust.renew();
    expect([copy.until, trust.epochOf("k").until]).toEqual([-Infinity, 3_000]);
  });

  it("lets calls join a read begun within its bound, also without trust", () => {
    const trust = new Trust();
    trust.reportedBy(100);
    expect([trust.mayShare("k", 1_000, 1_099), trust.mayShare("k", 1_000, 1_100)]).toEqual([true, false]);
  });
});

describe("trust in a backend of several parts", () => {
  const keys = { names: () => ["a", "b"], of: (key: string): string => key.slice(0, 1), ofVersions: () => "v" };

  it("C165: ends for the keys of the part that is lost, and for no others", () => {
    const trust = new Trust();
    const source = trust.reportedBy(2_000, keys);
    for (const part of ["a", "b"]) source.alive(1_000, part);
    source.attached();
    const [a, b, unheard] = [trust.epochOf("a1"), trust.epochOf("b1"), trust.epochOf("c1")];
    expect([a.until, b.until, unheard.until]).toEqual([3_000, 3_000, -Infinity]);
    const { epoch } = trust;
    source.lost("a");
    expect([a.until, b.until, trust.epochOf("a1").until, trust.epoch > epoch]).toEqual([
      -Infinity,
      3_000,
      -Infinity,
      true,
    ]);
    expect([trust.isReportedInPart(2_999), trust.isReportedInPart(3_000)]).toEqual([true, false]);
  });

  it("C165: begins anew with the first sign of life: older copies, and answers on their way, are not trusted", () => {
    const trust = new Trust();
    const source = trust.reportedBy(2_000, keys);
    source.alive(1_000, "a");
    source.attached();
    const before = trust.epochOf("a1");
    source.lost("a");
    const between = trust.epochOf("a1");
    const { epoch } = trust;
    expect(source.alive(5_000, "a")).toBe(true);
    expect(trust.epoch).toBe(epoch + 1);
    expect([before.until, between.until, trust.epochOf("a1").until]).toEqual([-Infinity, -Infinity, 7_000]);
    expect(source.alive(5_500, "a")).toBe(false);
  });

  it("C173: is complete while each part that the backend has now is reachable", () => {
    let names: readonly string[] = [];
    const source = new Trust().reportedBy(2_000, { ...keys, names: () => names });
    source.attached();
    expect(source.isReportedInAll).toBe(false);
    names = ["a", "b"];
    source.alive(1_000, "a");
    expect(source.isReportedInAll).toBe(false);
    source.alive(1_500, "b");
    expect(source.isReportedInAll).toBe(true);
    expect(source.lost("b")).toBe(1_500);
    expect(source.isReportedInAll).toBe(false);
    names = ["a", "c"];
    expect(source.isReportedInAll).toBe(false);
    source.alive(2_000, "c");
    expect(source.isReportedInAll).toBe(true);
  });
});
