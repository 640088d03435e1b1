import { flush, gate, outcome, scriptedBackend, type ScriptedBackend, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import type { TagVersion } from "../contracts/capabilities.ts";
import { compareVersions } from "./tag-versions.ts";
import { versionEntries } from "./version-entries.ts";

const [NS, T, U] = ["{~shop}::", "{~shop}::t", "{~shop}:users::u"] as const;
const DAY_MS = 86_400_000;

let clock: TestClock;
let backend: ScriptedBackend;
/** Two processes. */
let here: ReturnType<typeof versionEntries>;
let there: ReturnType<typeof versionEntries>;
beforeEach(() => {
  clock = new TestClock();
  backend = scriptedBackend({ clock });
  here = versionEntries(backend, clock);
  there = versionEntries(backend, clock);
});

const pinned = async (tags: readonly string[], by = here): Promise<readonly TagVersion[]> =>
  (await by.pin(tags)).versions;

describe("pin and read", () => {
  it("issue missing versions, and find them again, in both processes", async () => {
    expect(await here.read([NS, T])).toEqual([undefined, undefined]);
    const { at, versions } = await here.pin([NS, T, U]);
    expect(at).not.toBe("");
    expect(versions.map(({ hard, soft }) => hard === soft)).toEqual([true, true, true]);
    expect(new Set(versions.map(({ hard }) => hard)).size).toBe(3);
    for (const each of [here, there]) {
      expect(await each.read([U, NS, T])).toEqual([versions[2], versions[0], versions[1]]);
      expect(await each.pin([NS, T, U])).toEqual({ at, versions });
    }
  });

  it("an entry too long for a version counts as missing, and is replaced", async () => {
    const [ours] = await pinned([T]);
    const entry = backend.store.get(T)!;
    backend.store.set(T, { ...entry, data: new Uint8Array(65) });
    expect(await here.read([T])).toEqual([undefined]);
    const [next] = await pinned([T]);
    expect([next!.soft, next!.hard === ours!.hard]).toEqual([ours!.soft, false]);
    backend.store.set(T, { ...entry, data: Buffer.alloc(64, "x") });
    expect(await here.read([T])).toEqual([{ hard: "x".repeat(64), soft: ours!.soft }]);
  });

  it("read issues nothing, and extends no life", async () => {
    await here.read([NS, T]);
    await pinned([NS, T]);
    const writes = backend.count("write");
    await here.read([NS, T]);
    await pinned([NS, T]);
    expect(backend.count("write")).toBe(writes);
  });

  it("versions are never issued twice", async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 200; i += 1) {
      const [version] = await pinned([T]);
      seen.add(version!.hard);
      if (i % 2 === 0) await here.renew([T], "hard");
      else backend.store.clear();
    }
    expect(seen.size).toBe(200);
  });

  it("share one issue among loads that begin together on a cold cache", async () => {
    const all = await Promise.all(Array.from({ length: 100 }, () => pinned([NS, T])));
    expect(new Set(all.map((versions) => JSON.stringify(versions))).size).toBe(1);
    expect(await here.read([NS, T])).toEqual(all[0]);
  });

  it("do not wait longer than a second for a write that hangs", async () => {
    const hung = gate();
    backend.script("write", { key: NS, before: hung });
    const first = pinned([NS]);
    await hung.arrived();
    clock.advance(999);
    const second = pinned([NS]);
    expect(await outcome(second)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(pinned([NS]))).toMatchObject({ status: "fulfilled" });
    hung.open();
    await Promise.all([first, second]);
    expect(compareVersions(await first, await here.read([NS]))).toBe("unchanged");
  });

  it("of no tags read nothing", async () => {
    expect([await here.pin([]), await here.unchangedSince("x", []), await here.read([])]).toEqual([
      { at: "", versions: [] },
      [],
      [],
    ]);
    await here.renew([], "hard");
    expect(backend.calls).toEqual([]);
  });

  it("fail where the backend fails, and work again afterwards", async () => {
    backend.down();
    for (const call of [
      () => here.read([T]),
      () => here.pin([T]),
      () => here.unchangedSince("x", [T]),
      () => here.renew([T], "hard"),
    ])
      await expect(call()).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    backend.up();
    expect(await pinned([T])).toHaveLength(1);
  });
});

describe("renew", () => {
  it.for<readonly [mode: "hard" | "soft", key: string, verdict: string]>([
    ["hard", T, "gone"],
    ["soft", T, "stale"],
    ["hard", U, "gone"],
    ["soft", U, "stale"],
    ["hard", NS, "gone"],
  ])(
    "%s of %s leaves what was stored under it %s, from its acknowledgement on, for all",
    async ([mode, key, verdict]) => {
      const before = await pinned([NS, T, U]);
      await there.renew([key], mode);
      expect(compareVersions(before, await here.read([NS, T, U]))).toBe(verdict);
      const after = await pinned([NS, T, U]);
      expect(compareVersions(after, await there.read([NS, T, U]))).toBe("unchanged");
      const unchanged = [NS, T, U].filter((each) => each !== key);
      expect(
        compareVersions(
          await pinned(unchanged),
          unchanged.map((each) => before[[NS, T, U].indexOf(each as typeof NS)]),
        ),
      ).toBe("unchanged");
    },
  );

  it("twice in one millisecond, and a pin right behind it, are three versions", async () => {
    const before = await pinned([T]);
    await here.renew([T], "hard");
    const between = await pinned([T]);
    await here.renew([T], "hard");
    const after = await pinned([T]);
    expect(compareVersions(before, between)).toBe("gone");
    expect(compareVersions(between, after)).toBe("gone");
  });

  it("of an unused tag issues it", async () => {
    await here.renew([T], "hard");
    expect(await there.read([T])).toEqual(await pinned([T]));
  });

  it("soft of a tag whose hard version is missing hides earlier entries", async () => {
    const before = await pinned([T]);
    backend.store.delete(T);
    await here.renew([T], "soft");
    expect(compareVersions(before, await here.read([T]))).toBe("gone");
  });

  it("is not undone by a pin that read before it and is answered after it", async () => {
    const before = await pinned([T]);
    const late = gate();
    backend.script("read", { key: T, after: late });
    const pin = pinned([T], there);
    await late.arrived();
    await here.renew([T], "hard");
    late.open();
    expect(compareVersions(await pin, await here.read([T]))).toBe("gone");
    expect(compareVersions(before, await here.read([T]))).toBe("gone");
  });

  it("is not undone by a pin that found nothing, and issues after it", async () => {
    const before = await pinned([T]);
    backend.store.clear();
    const late = gate();
    backend.script("write", { key: T, before: late });
    const pin = pinned([T], there);
    await late.arrived();
    await here.renew([T], "hard");
    const [between] = await here.read([T]);
    late.open();
    await pin;
    // Two writers at once cost misses: no earlier version is valid, in either order.
    expect([compareVersions(before, await here.read([T])), compareVersions([between!], await here.read([T]))]).toEqual([
      "gone",
      "gone",
    ]);
  });
});

describe("unchangedSince", () => {
  it("gives versions of tags that a loader adds late, while none was renewed", async () => {
    const { at } = await here.pin([NS]);
    const late = await here.unchangedSince(at, [T, U]);
    expect(compareVersions(late as TagVersion[], await there.read([T, U]))).toBe("unchanged");
    expect(await here.unchangedSince(at, [T])).toEqual([late[0]]);
  });

  it.for([
    ["that tag", T, "hard"],
    ["that tag, softly", T, "soft"],
    ["any other tag", U, "hard"],
    ["the namespace", NS, "hard"],
  ] as const)("gives none once %s was renewed", async ([, key, mode]) => {
    const { at } = await here.pin([NS]);
    await there.renew([key], mode);
    expect(await here.unchangedSince(at, [T])).toEqual([undefined]);
    const { at: now } = await here.pin([NS]);
    expect(await here.unchangedSince(now, [T])).toEqual(await here.read([T]));
  });

  it("gives none while a renewal is in progress", async () => {
    const { at } = await here.pin([NS, T]);
    const slow = gate();
    backend.script("write", { key: T, before: slow });
    const renewing = there.renew([T], "hard");
    await slow.arrived();
    expect(await here.unchangedSince(at, [T])).toEqual([undefined]);
    slow.open();
    await renewing;
  });

  it("versions given before a renewal began are not current once it is acknowledged", async () => {
    const { at } = await here.pin([NS]);
    const late = (await here.unchangedSince(at, [T])) as TagVersion[];
    await there.renew([T], "hard");
    expect(compareVersions(late, await here.read([T]))).toBe("gone");
  });

  it("gives none if the issuer is missing", async () => {
    const { at } = await here.pin([NS]);
    for (const key of backend.store.keys()) if (key.startsWith("{~~")) backend.store.delete(key);
    expect(await here.unchangedSince(at, [T])).toEqual([undefined]);
  });
});

describe("lost versions", () => {
  it.for([
    ["flushed", (): void => backend.store.clear()],
    ["expired", (): void => clock.advance(30 * DAY_MS)],
  ] as const)("that were %s hide what was stored under them, for good", async ([, lose]) => {
    const before = await pinned([NS, T]);
    clock.advance(30 * DAY_MS - 1);
    expect(compareVersions(before, await here.read([NS, T]))).toBe("unchanged");
    lose();
    expect(compareVersions(before, await here.read([NS, T]))).toBe("gone");
    const after = await pinned([NS, T]);
    expect(compareVersions(before, after)).toBe("gone");
    expect(compareVersions(after, await there.read([NS, T]))).toBe("unchanged");
  });

  it("have no extended life: that could write an old version over a new one", async () => {
    const before = await pinned([T]);
    clock.advance(29 * DAY_MS);
    const late = gate();
    backend.script("read", { key: T, after: late });
    const pin = pinned([T], there);
    await late.arrived();
    await here.renew([T], "hard");
    late.open();
    await pin;
    await flush();
    expect(compareVersions(before, await here.read([T]))).toBe("gone");
  });
});
