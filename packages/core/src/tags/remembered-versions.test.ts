import { describe, expect, it } from "vitest";
import type { TagVersion, TagVersions } from "../contracts/backend.ts";
import { RememberedVersions } from "./remembered-versions.ts";
import { KnownVersions } from "./known-versions.ts";
import { gate } from "../testing/gate.ts";
import { TestClock } from "../testing/test-clock.ts";
import { Trust } from "../coherence/trust.ts";

const version = (name: string): TagVersion => ({ hard: name, soft: name });
const away = new Error("away");

/** A store that has these versions, or is unreachable. */
function store(versions: Record<string, TagVersion | undefined>) {
  const state = { isAway: false, versions };
  const answer = async <T>(value: () => T): Promise<T> => {
    if (state.isAway) throw away;
    return value();
  };
  const source: TagVersions = {
    read: (tags) => answer(() => tags.map((tag) => state.versions[tag])),
    pin: (tags) => answer(() => ({ at: "7", versions: tags.map((tag) => state.versions[tag]!) })),
    unchangedSince: (_, tags) => answer(() => tags.map((tag) => state.versions[tag])),
    renew: () => answer(() => undefined),
  };
  return { state, source, remembered: new RememberedVersions(source) };
}

describe("RememberedVersions", () => {
  it("answers the versions read or pinned last while the store is unreachable, or rejects", async () => {
    const { state, remembered } = store({ a: version("a1"), b: version("b1"), c: undefined });
    await remembered.read(["a"]);
    await remembered.pin(["b"]);
    await remembered.read(["c"]);
    state.isAway = true;
    expect(await remembered.read(["b", "a"])).toEqual([version("b1"), version("a1")]);
    expect((await remembered.pin(["a", "b"])).versions).toEqual([version("a1"), version("b1")]);
    await expect(remembered.read(["a", "c"])).rejects.toBe(away);
    await expect(remembered.read(["d"])).rejects.toBe(away);
    await expect(remembered.pin(["a", "d"])).rejects.toBe(away);
  });

  it("answers versions known without a read, also if forgotten while the store is unreachable", async () => {
    const { state, source } = store({ a: version("a1"), b: version("b1") });
    const table = new KnownVersions(new Trust(), new TestClock(), () => undefined);
    const remembered = new RememberedVersions(source, table);
    await table.recording(source).read(["a"]);
    expect([remembered.knows(["a"]), remembered.knows(["a", "b"])]).toEqual([true, false]);
    state.versions = { a: version("a2"), b: version("b2") };
    expect([
      await remembered.skippingKnown.read(["a"]),
      await remembered.skippingKnown.read(["b"]),
      await remembered.withoutFallback.read(["b"]),
    ]).toEqual([[version("a1")], [version("b2")], [version("b2")]]);
    table.clear();
    state.isAway = true;
    expect(await remembered.skippingKnown.read(["a", "b"])).toEqual([version("a1"), version("b2")]);
    await expect(remembered.withoutFallback.read(["a"])).rejects.toBe(away);
  });

  it("forgets a tag that was reported as changed, and does not remember a read from before the report", async () => {
    const { state, source } = store({ a: version("a1"), b: version("b1") });
    const reading = gate();
    const remembered = new RememberedVersions({
      ...source,
      read: async (tags) => {
        const found = await source.read(tags);
        if (tags.length === 2) await reading.pass();
        return found;
      },
    });
    await remembered.read(["a"]);
    const read = remembered.read(["a", "b"]);
    await reading.arrived();
    remembered.forget(["a"]);
    reading.open();
    await read;
    state.isAway = true;
    expect(await remembered.read(["b"])).toEqual([version("b1")]);
    await expect(remembered.read(["a"])).rejects.toBe(away);
  });

  it("reads from the store again as soon as it answers, and forgets a version that is missing there", async () => {
    const { state, remembered } = store({ a: version("a1") });
    await remembered.read(["a"]);
    state.versions = { a: version("a2") };
    expect(await remembered.read(["a"])).toEqual([version("a2")]);
    state.versions = {};
    expect(await remembered.read(["a"])).toEqual([undefined]);
    state.isAway = true;
    await expect(remembered.read(["a"])).rejects.toBe(away);
  });

  it.each(["renewed", "not renewed"])(
    "forgets what is %s here, and what was read while that was sent",
    async (outcome) => {
      const { state, source, remembered } = store({ a: version("a1"), b: version("b1") });
      await remembered.read(["a", "b"]);
      const [reading, pinning] = [gate(), gate()];
      const slow = new RememberedVersions({
        ...source,
        read: async (tags) => {
          const found = await source.read(tags);
          await reading.pass();
          return found;
        },
        pin: async (tags) => {
          const pinned = await source.pin(tags);
          await pinning.pass();
          return pinned;
        },
      });
      const overtaken = [slow.read(["a"]), slow.pin(["a"])];
      await Promise.all([reading.arrived(), pinning.arrived()]);

      state.isAway = outcome === "not renewed";
      await Promise.allSettled([remembered.renew(["a"], "hard"), slow.renew(["a"], "hard")]);
      reading.open();
      pinning.open();
      await Promise.all(overtaken);
      state.isAway = true;
      await expect(remembered.read(["a"])).rejects.toBe(away);
      expect(await remembered.read(["b"])).toEqual([version("b1")]);
      await expect(slow.read(["a"])).rejects.toBe(away);
    },
  );

  it("forgets before a renewal is sent, and again when it was answered", async () => {
    const { state, source } = store({ a: version("a1") });
    const renewing = gate();
    const slow = new RememberedVersions({ ...source, renew: () => renewing.pass() });
    await slow.read(["a"]);
    const renewed = slow.renew(["a"], "hard");
    state.isAway = true;
    await expect(slow.read(["a"])).rejects.toBe(away);
    state.isAway = false;
    expect(await slow.read(["a"])).toEqual([version("a1")]);
    renewing.open();
    await renewed;
    state.isAway = true;
    await expect(slow.read(["a"])).rejects.toBe(away);
  });

  it("reports no late tag as unchanged after a pin without the store", async () => {
    const { state, remembered } = store({ a: version("a1"), late: version("l1") });
    const { at } = await remembered.pin(["a"]);
    expect(await remembered.unchangedSince(at, ["late"])).toEqual([version("l1")]);
    state.isAway = true;
    const { at: nowhere } = await remembered.pin(["a"]);
    state.isAway = false;
    expect(await remembered.unchangedSince(nowhere, ["late"])).toEqual([undefined]);
  });

  it("remembers a bounded number", async () => {
    const { state, remembered } = store(
      Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`t${i}`, version(String(i))])),
    );
    for (let i = 0; i <= 10_000; i += 1) await remembered.read([`t${i}`]);
    state.isAway = true;
    await expect(remembered.read(["t0"])).rejects.toBe(away);
    expect(await remembered.read(["t10000"])).toEqual([version("10000")]);
  });
});
