import { describe, expect, it } from "vitest";
import { Trust } from "./trust.ts";

describe("trust", () => {
  it("has no end, and nothing to confirm, where there is nobody to hear of changes from", () => {
    const trust = new Trust();
    expect([trust.isHeard, trust.until, trust.unconfirmed === trust.epoch, trust.mayShare(-Infinity, 1e12)]).toEqual([
      false,
      Infinity,
      true,
      true,
    ]);
  });

  it("begins with the attachment, and ends so long after the last sign of life was sent", () => {
    const trust = new Trust();
    const source = trust.hear(2_000);
    expect([trust.isHeard, trust.until]).toEqual([true, -Infinity]);
    source.alive(1_000);
    expect(trust.until).toBe(-Infinity);
    source.attached();
    expect(trust.until).toBe(3_000);
    source.alive(1_500);
    expect(trust.until).toBe(3_500);
    source.alive(1_200);
    expect(trust.until).toBe(3_500);
  });

  it("is nobody's before the first sign of life, though attached", () => {
    const trust = new Trust();
    trust.hear(2_000).attached();
    expect(trust.until).toBe(-Infinity);
  });

  it("ends with the loss at once, and what was known before it counts no more", () => {
    const trust = new Trust();
    const source = trust.hear(2_000);
    source.alive(1_000);
    source.attached();
    const { epoch } = trust;
    source.lost();
    expect([trust.until, trust.epoch > epoch]).toEqual([-Infinity, true]);
    const { epoch: between } = trust;
    source.attached();
    expect([trust.until, trust.epoch > between]).toEqual([-Infinity, true]);
    source.alive(5_000);
    expect(trust.until).toBe(7_000);
  });

  it("reaches as far as the source that was heard least lately", () => {
    const trust = new Trust();
    const [near, far] = [trust.hear(100), trust.hear(2_000)];
    for (const source of [near, far]) source.attached();
    near.alive(1_000);
    expect(trust.until).toBe(-Infinity);
    far.alive(10);
    expect(trust.until).toBe(1_100);
    near.alive(3_000);
    expect(trust.until).toBe(2_010);
    far.lost();
    expect(trust.until).toBe(-Infinity);
  });

  it("has an epoch for what waits to be confirmed that is never the one of now", () => {
    const trust = new Trust();
    trust.hear(2_000);
    for (let i = 0; i < 3; i += 1) {
      expect(trust.unconfirmed).not.toBe(trust.epoch);
      trust.renew();
    }
  });

  it("lets share what began within the strictest bound, though nobody vouches for it", () => {
    const trust = new Trust();
    trust.hear(2_000);
    trust.hear(100);
    expect([trust.mayShare(1_000, 1_099), trust.mayShare(1_000, 1_100)]).toEqual([true, false]);
  });
});
