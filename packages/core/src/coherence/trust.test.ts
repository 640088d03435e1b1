import { describe, expect, it } from "vitest";
import type { Parts } from "../contracts/capabilities.ts";
import { BackendParts } from "./parts.ts";
import { Trust, TRUST_ALWAYS } from "./trust.ts";

const reportingTrust = (maxStalenessMs: number, source?: Parts): Trust =>
  new Trust({ parts: new BackendParts(source), maxStalenessMs, backendKey: (key) => key, versionsKey: "v" });

describe("trust", () => {
  it("has no end, and no copy to confirm, if no backend reports changes", () => {
    const trust = TRUST_ALWAYS;
    expect([trust.isReported("k", 0), trust.unconfirmed.until, trust.epochOf("k").until]).toEqual([
      false,
      Infinity,
      Infinity,
    ]);
    expect(trust.mayShare("k", -Infinity, 1e12)).toBe(true);
  });

  it("begins with the attachment, and ends `maxStalenessMs` after the last sign of life was sent", () => {
    const trust = reportingTrust(2_000);
    expect(trust.epochOf("k").until).toBe(-Infinity);
    trust.alive(1_000);
    expect(trust.epochOf("k").until).toBe(-Infinity);
    trust.attached();
    expect(trust.epochOf("k").until).toBe(3_000);
    trust.alive(1_500);
    expect(trust.epochOf("k").until).toBe(3_500);
    trust.alive(1_200);
    expect(trust.epochOf("k").until).toBe(3_500);
  });

  it("C87: a copy from before the subscription is not trusted by the signs of life after it", () => {
    const trust = reportingTrust(2_000);
    trust.alive(1_000);
    const copy = trust.epochOf("k");
    trust.attached();
    trust.alive(1_500);
    expect([copy.until, trust.epochOf("k").until]).toEqual([-Infinity, 3_500]);
  });

  it("has not begun before the first sign of life, even if attached", () => {
    const trust = reportingTrust(2_000);
    trust.attached();
    expect(trust.epochOf("k").until).toBe(-Infinity);
  });

  it("C86: ends immediately with the loss, and older copies are not trusted any more", () => {
    const trust = reportingTrust(2_000);
    trust.alive(1_000);
    trust.attached();
    const copy = trust.epochOf("k");
    expect(copy.until).toBe(3_000);
    trust.lost();
    const between = trust.epochOf("k");
    expect([between === copy, between.until, copy.until]).toEqual([false, -Infinity, -Infinity]);
    trust.attached();
    expect([trust.epochOf("k").until, trust.epochOf("k") === between]).toEqual([-Infinity, false]);
    trust.alive(5_000);
    expect([trust.epochOf("k").until, copy.until]).toEqual([7_000, -Infinity]);
  });

  it("a suspension ends it, and copies of the time before are not trusted by the signs of life after it", () => {
    const trust = reportingTrust(2_000);
    trust.attached();
    trust.alive(1_000);
    const copy = trust.epochOf("k");
    trust.suspended(1_500);
    expect(trust.epochOf("k")).not.toBe(copy);
    expect([copy.until, trust.epochOf("k").until]).toEqual([-Infinity, -Infinity]);
    // Asked for before it was noticed: the answer may be from before the suspension.
    trust.alive(1_499);
    expect(trust.epochOf("k").until).toBe(-Infinity);
    trust.alive(1_500);
    expect([copy.until, trust.epochOf("k").until]).toEqual([-Infinity, 3_500]);
  });

  it("where the clock stood still, a sign of life of that instant is from before the suspension", () => {
    const trust = reportingTrust(2_000);
    trust.attached();
    trust.alive(1_500);
    trust.suspended(1_500);
    expect(trust.epochOf("k").until).toBe(-Infinity);
    trust.renew();
    expect(trust.epochOf("k").until).toBe(-Infinity);
  });

  it("a suspension ends it in each part, and none of them counts as lost", () => {
    const trust = reportingTrust(2_000, { names: () => ["a", "b"], of: (key) => key });
    trust.attached();
    for (const part of ["a", "b"]) trust.alive(1_000, part);
    const copies = ["a", "b"].map((key) => trust.epochOf(key));
    trust.suspended(1_500);
    expect(trust.isReportedInAll).toBe(true);
    // The trust in a part that was lost begins with its first sign of life; here it goes on.
    expect(["a", "b"].map((part) => trust.alive(1_600, part))).toEqual([false, false]);
    expect(copies.map(({ until }) => until)).toEqual([-Infinity, -Infinity]);
    expect(["a", "b"].map((key) => trust.epochOf(key).until)).toEqual([3_600, 3_600]);
  });

  it("a part that is lost after a suspension was last alive before it", () => {
    const trust = reportingTrust(2_000, { names: () => ["a"], of: (key) => key });
    trust.attached();
    trust.alive(1_000, "a");
    trust.suspended(1_500);
    expect(trust.lost("a")).toBe(1_000);
  });

  it("has an epoch for unconfirmed copies in which none is trusted", () => {
    const trust = reportingTrust(2_000);
    trust.alive(0);
    expect(trust.unconfirmed.until).toBe(-Infinity);
  });

  it("leaves older copies unconfirmed when anything may have changed", () => {
    const trust = reportingTrust(2_000);
    trust.alive(1_000);
    trust.attached();
    const copy = trust.epochOf("k");
    trust.renew();
    expect([copy.until, trust.epochOf("k").until]).toEqual([-Infinity, 3_000]);
  });

  it("lets calls join a read begun within its bound, also without trust", () => {
    const trust = reportingTrust(100);
    expect([trust.mayShare("k", 1_000, 1_099), trust.mayShare("k", 1_000, 1_100)]).toEqual([true, false]);
  });
});

describe("trust in a backend of several parts", () => {
  const keys = { names: () => ["a", "b"], of: (key: string): string => key.slice(0, 1) };

  it("ends for the keys of the part that is lost, and for no others", () => {
    const trust = reportingTrust(2_000, keys);
    for (const part of ["a", "b"]) trust.alive(1_000, part);
    trust.attached();
    const [a, b, unheard] = [trust.epochOf("a1"), trust.epochOf("b1"), trust.epochOf("c1")];
    expect([a.until, b.until, unheard.until]).toEqual([3_000, 3_000, -Infinity]);
    trust.lost("a");
    expect([a.until, b.until, trust.epochOf("a1").until]).toEqual([-Infinity, 3_000, -Infinity]);
    expect([trust.epochOf("a1") === a, trust.epochOf("b1") === b]).toEqual([false, true]);
    expect([trust.isReportedInPart(2_999), trust.isReportedInPart(3_000)]).toEqual([true, false]);
  });

  it("begins anew with the first sign of life: older copies, and answers on their way, are not trusted", () => {
    const trust = reportingTrust(2_000, keys);
    trust.alive(1_000, "a");
    trust.attached();
    const before = trust.epochOf("a1");
    trust.lost("a");
    const between = trust.epochOf("a1");
    expect(trust.alive(5_000, "a")).toBe(true);
    expect([before.until, between.until, trust.epochOf("a1").until]).toEqual([-Infinity, -Infinity, 7_000]);
    expect(trust.alive(5_500, "a")).toBe(false);
  });

  it("is complete while each part that the backend has now is reachable", () => {
    let names: readonly string[] = [];
    const trust = reportingTrust(2_000, { ...keys, names: () => names });
    trust.attached();
    expect(trust.isReportedInAll).toBe(false);
    names = ["a", "b"];
    trust.alive(1_000, "a");
    expect(trust.isReportedInAll).toBe(false);
    trust.alive(1_500, "b");
    expect(trust.isReportedInAll).toBe(true);
    expect(trust.lost("b")).toBe(1_500);
    expect(trust.isReportedInAll).toBe(false);
    names = ["a", "c"];
    expect(trust.isReportedInAll).toBe(false);
    trust.alive(2_000, "c");
    expect(trust.isReportedInAll).toBe(true);
  });
});
