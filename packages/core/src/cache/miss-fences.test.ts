import { createTestCache, gate, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { MissFences } from "./miss-fences.ts";

function open() {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const a = createTestCache({ clock, ttl: "1h", backend });
  const b = createTestCache({ clock, ttl: "1h", backend: backend.peer() });
  return { clock, backend, a, b, fences: new MissFences(a) };
}

describe("C586: fences of misses", () => {
  it("refuse what was computed before a change by any process, and store what comes after it", async () => {
    const { a, b, fences } = open();
    for (const by of [a, b]) {
      await fences.begin("k");
      await by.delete("k");
      expect(await fences.set("k", "before")).toEqual({ status: "refused" });
      expect(await fences.set("k", "after")).toEqual({ status: "stored" });
      await by.delete("k");
      await fences.begin("k");
      expect(await fences.set("k", "again", { tags: ["t"] })).toEqual({ status: "stored" });
      await by.invalidateTags("t");
    }
  });

  it("store the first of several that compute at once, and no other one for five times as long and 500 ms", async () => {
    const { b, clock, fences } = open();
    for (let i = 0; i < 4; i += 1) await fences.begin("k");
    clock.advance(100);
    expect(await fences.set("k", 1)).toEqual({ status: "stored" });
    await b.delete("k");
    for (const ms of [0, 900]) {
      clock.advance(ms);
      expect(await fences.set("k", 2)).toEqual({ status: "refused" });
    }
    expect(await b.get("k")).toBeUndefined();
    clock.advance(1);
    expect(await fences.set("k", 3)).toEqual({ status: "stored" });
  });

  it("let no slow caller pass for one that begins after the change, and is done before it", async () => {
    const { b, clock, fences } = open();
    for (let i = 0; i < 3; i += 1) await fences.begin("k");
    await b.delete("k");
    clock.advance(100);
    expect(await fences.set("k", "old")).toEqual({ status: "refused" });
    await fences.begin("k");
    for (const value of ["new", "old", "old"]) {
      clock.advance(100);
      expect(await fences.set("k", value)).toEqual({ status: "refused" });
    }
    // As many as have begun: what comes now is of no caller that has.
    expect(await fences.set("k", "plain")).toEqual({ status: "stored" });
  });

  it("of callers that never come give way to those that began after the first one was done", async () => {
    const { b, clock, fences } = open();
    for (let i = 0; i < 3; i += 1) await fences.begin("k");
    clock.advance(100);
    expect(await fences.set("k", 1)).toEqual({ status: "stored" });
    await b.delete("k");
    await fences.begin("k");
    clock.advance(901);
    expect(await fences.set("k", 2)).toEqual({ status: "stored" });
    await b.delete("k");
    expect(await fences.set("k", "plain")).toEqual({ status: "stored" });
  });

  it("cover 30 seconds from each miss, and no more than a minute: what takes longer is stored as of its set", async () => {
    const { a, clock, fences } = open();
    for (const [ms, status] of [
      [60_000, "refused"],
      [60_001, "stored"],
    ] as const) {
      await fences.begin("k");
      await a.delete("k");
      clock.advance(ms);
      expect(await fences.set("k", 1)).toEqual({ status });
      await fences.begin("l");
      clock.advance(30_001);
      await fences.begin("l");
      await a.delete("l");
      clock.advance(30_000);
      expect(await fences.set("l", 1)).toEqual({ status: "refused" });
      clock.advance(60_000);
    }
  });

  it("are at most 10,000: further misses have none", async () => {
    const { a, clock } = open();
    const fences = new MissFences(createTestCache({ clock, ttl: "1h" }));
    for (let i = 0; i < 10_000; i += 1) await fences.begin(`${i}`);
    await fences.begin("k");
    await a.delete("k");
    expect(await fences.set("k", 1)).toEqual({ status: "stored" });
    clock.advance(60_001);
    await fences.begin("l");
    expect(await fences.set("1", 1)).toEqual({ status: "stored" });
  });

  it("are waited for no longer than 200 ms", async () => {
    const { b, backend, clock, fences } = open();
    const answer = gate();
    backend.script("leases.confirm", { after: answer });
    const begun = fences.begin("k");
    clock.advance(199);
    expect((await outcome(begun)).status).toBe("pending");
    clock.advance(1);
    expect((await outcome(begun)).status).toBe("fulfilled");
    const set = fences.set("k", 1);
    answer.open();
    expect(await set).toEqual({ status: "stored" });
    expect(await b.get("k")).toBe(1);
  });

  it("go by the fence of each key in a batch", async () => {
    const { a, b, fences } = open();
    await fences.begin("1");
    await fences.begin("2");
    await b.delete("2");
    await fences.setMany([1, 2, 3].map((n) => [`${n}`, n]));
    expect([...(await a.getMany(["1", "2", "3"])).keys()].toSorted()).toEqual(["1", "3"]);
  });
});
