import { describe, expect, it } from "vitest";
import { Trust } from "./trust.ts";

describe("trust", () => {
  it("has no end, and no copy to confirm, if no backend reports changes", () => {
    const trust = new Trust();
    expect([trust.hasSources, trust.until, trust.unconfirmed === trust.epoch, trust.mayShare(-Infinity, 1e12)]).toEqual(
      [false, Infinity, true, true],
    );
  });

  it("begins with the attachment, and ends `maxStalenessMs` after the last sign of life was sent", () => {
    const trust = new Trust();
    const source = trust.addSource(2_000);
    expect([trust.hasSources, trust.until]).toEqual([true, -Infinity]);
    source.alive(1_000);
    expect(trust.until).toBe(-Infinity);
    source.attached();
    expect(trust.until).toBe(3_000);
    source.alive(1_500);
    expect(trust.until).toBe(3_500);
    source.alive(1_200);
    expect(trust.until).toBe(3_500);
  });

  it("has not begun before the first sign of life, even if attached", () => {
    const trust = new Trust();
    trust.addSource(2_000).attached();
    expect(trust.until).toBe(-Infinity);
  });

  it("ends immediately with the loss, and older copies are not trusted any more", () => {
    const trust = new Trust();
    const source = trust.addSource(2_000);
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

  it("ends with the source whose last sign of life is the oldest", () => {
    const trust = new Trust();
    const [near, far] = [trust.addSource(100), trust.addSource(2_000)];
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

  it("has an epoch for unconfirmed copies that is never the current one", () => {
    const trust = new Trust();
    trust.addSource(2_000);
    for (let i = 0; i < 3; i += 1) {
      expect(trust.unconfirmed).not.toBe(trust.epoch);
      trust.renew();
    }
  });

  it("lets calls join a read begun within the strictest bound, also without trust", () => {
    const trust = new Trust();
    trust.addSource(2_000);
    trust.addSource(100);
    expect([trust.mayShare(1_000, 1_099), trust.mayShare(1_000, 1_100)]).toEqual([true, false]);
  });
});
