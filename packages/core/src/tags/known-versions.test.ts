import { flush, gate, type Gate, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { BackendParts } from "../coherence/parts.ts";
import { Trust } from "../coherence/trust.ts";
import type { Parts, TagVersion, TagVersions } from "../contracts/capabilities.ts";
import { KnownVersions } from "./known-versions.ts";
import type { Pinned } from "./tag-versions.ts";

const reportingTrust = (maxStalenessMs: number, source?: Parts): Trust =>
  new Trust({ parts: new BackendParts(source), maxStalenessMs, backendKey: (key) => key, versionsKey: "v" });

/** What it knows as pinned; `undefined` where it asks. */
function pinned(table: KnownVersions, tags: readonly string[]): Pinned | undefined {
  const unanswered = (): Promise<never> => new Promise(() => undefined);
  const asked = { read: unanswered, pin: unanswered, unchangedSince: unanswered, renew: unanswered };
  const found = table.pin(asked, tags, false);
  return found instanceof Promise ? undefined : (found as Pinned);
}

it("knows 100,000 versions at most: it forgets many at once, and reports that once for all of them", async () => {
  const forgotten = vi.fn<() => void>();
  const table = new KnownVersions(reportingTrust(2_000), new TestClock(), forgotten);
  const version = { hard: "v", soft: "v" };
  const source = table.recording({
    read: async (tags) => tags.map(() => version),
    pin: () => Promise.reject(new Error("not asked here")),
    unchangedSince: () => Promise.reject(new Error("not asked here")),
    renew: () => Promise.reject(new Error("not asked here")),
  });
  const tags = Array.from({ length: 100_000 }, (_, i) => `t${i}`);
  await source.read(tags);
  expect([table.size, forgotten.mock.calls.length]).toEqual([100_000, 0]);
  await source.read(["t0"]);
  expect([table.size, forgotten.mock.calls.length]).toEqual([100_000, 0]);
  await source.read(["another"]);
  expect([table.size, forgotten.mock.calls.length]).toEqual([90_001, 1]);
  expect([table.has("another"), table.has("t99999"), table.has("t10000"), table.has("t9999"), table.has("t0")]).toEqual(
    [true, true, true, false, false],
  );
});

it("C67: reads that share an answer of the source are recorded once, and a change meanwhile counts for each", async () => {
  const table = new KnownVersions(reportingTrust(2_000), new TestClock(), () => undefined);
  const version = { hard: "v", soft: "v" };
  const answers: PromiseWithResolvers<readonly TagVersion[]>[] = [];
  let isShared = false;
  const refused = (): Promise<never> => Promise.reject(new Error("not asked here"));
  const read = (): Promise<readonly TagVersion[]> => {
    if (!isShared) answers.push(Promise.withResolvers());
    isShared = true;
    return answers.at(-1)!.promise;
  };
  const source = table.recording({ read, pin: refused, unchangedSince: refused, renew: refused });
  const first = source.read(["a"]);
  table.forget(["a"]);
  expect(source.read(["a"])).toBe(first);
  isShared = false;
  answers[0]!.resolve([version]);
  expect(await first).toEqual([version]);
  expect([table.has("a"), answers.length], "it is read again").toEqual([false, 2]);
  answers[1]!.resolve([version]);
  await flush();
  const later = source.read(["a"]);
  expect(later, "of the same answer").not.toBe(first);
  expect([await later, table.has("a")]).toEqual([[version], true]);
});

it("C80 keeps nothing of what it asked for: tags without a version, failed reads, pins and renewals", async () => {
  const trust = reportingTrust(2_000);
  const set = Map.prototype.set;
  const used = new Set<Map<unknown, unknown>>();
  const spy = vi.spyOn(Map.prototype, "set").mockImplementation(function (this: Map<unknown, unknown>, key, value) {
    used.add(this);
    return set.call(this, key, value) as Map<unknown, unknown>;
  });
  try {
    const source = new KnownVersions(trust, new TestClock(), () => undefined).recording({
      read: async (tags) => tags.map(() => undefined),
      pin: () => Promise.reject(new Error("down")),
      unchangedSince: async (_at, tags) => tags.map(() => undefined),
      renew: () => Promise.reject(new Error("down")),
    });
    for (let i = 0; i < 100; i += 1) {
      const tags = [`a${i}`, `b${i}`];
      await Promise.allSettled([
        source.read(tags),
        source.read(tags),
        source.pin(tags),
        source.unchangedSince("1", tags),
        source.renew(tags, "hard"),
      ]);
    }
  } finally {
    spy.mockRestore();
  }
  expect(used.size).toBeGreaterThan(0);
  expect([...used].filter(({ size }) => size !== 0)).toEqual([]);
});

describe("a recorded version", () => {
  let clock: TestClock;
  let trust: Trust;
  let table: KnownVersions;
  let asked: string[];
  let answer: Gate<void> | undefined;
  let versions: Map<string, TagVersion>;
  let source: TagVersions;

  const version = (n: number): TagVersion => ({ hard: `i.${n}`, soft: `i.${n}` });
  const ask = async <T>(what: string, give: () => T): Promise<T> => {
    asked.push(what);
    const given = give();
    await answer?.pass();
    return given;
  };

  beforeEach(() => {
    clock = new TestClock();
    trust = reportingTrust(2_000);
    trust.attached();
    trust.alive(clock.now());
    [asked, answer, versions] = [
      [],
      undefined,
      new Map([
        ["a", version(1)],
        ["b", version(1)],
      ]),
    ];
    table = new KnownVersions(trust, clock, () => undefined);
    source = table.recording({
      read: (tags) => ask(`read ${tags.join()}`, () => tags.map((tag) => versions.get(tag))),
      pin: (tags) => ask(`pin ${tags.join()}`, () => ({ at: "i.1", versions: tags.map((tag) => versions.get(tag)!) })),
      unchangedSince: (at, tags) =>
        ask(`unchanged ${tags.join()} since ${at}`, () => tags.map((tag) => versions.get(tag))),
      renew: (tags, mode) =>
        ask(`${mode} ${tags.join()}`, () => {
          for (const tag of tags) versions.set(tag, version(9));
        }),
    });
  });

  it("counts as pinned for an hour after it was, and not if it was only read", async () => {
    await source.pin(["a"]);
    await source.read(["b"]);
    expect(pinned(table, ["a"])).toEqual({ at: "i.1", versions: new Map([["a", version(1)]]) });
    expect(pinned(table, ["a", "b"])).toBe(undefined);
    clock.advance(3_599_999);
    trust.alive(clock.now());
    expect(pinned(table, ["a"])?.versions.size).toBe(1);
    clock.advance(1);
    trust.alive(clock.now());
    expect([pinned(table, ["a"]), table.known(["a"])]).toEqual([undefined, [version(1)]]);
    await source.pin(["a"]);
    expect(pinned(table, ["a"])?.versions.size).toBe(1);
    clock.advance(2_000);
    expect(pinned(table, ["a"])).toBe(undefined);
  });

  it("is pinned again after any change: a position from before it would accept late tags that changed", async () => {
    await source.pin(["a"]);
    table.forget(["late"]);
    expect([pinned(table, ["a"]), table.known(["a"])]).toEqual([undefined, [version(1)]]);
    answer = gate();
    const pinning = source.pin(["a"]);
    await answer.arrived();
    table.forget(["late"]);
    answer.open();
    await pinning;
    expect(pinned(table, ["a"])).toBe(undefined);
    answer = undefined;
    await source.pin(["a"]);
    expect(pinned(table, ["a"])?.at).toBe("i.1");
    table.clear();
    expect(pinned(table, ["a"])).toBe(undefined);
  });

  it("is pinned again after a late tag was refused: the issuer may be lost, which nobody reports", async () => {
    await source.pin(["a"]);
    await source.unchangedSince("i.1", ["b"]);
    expect(pinned(table, ["a"])?.at).toBe("i.1");
    await source.unchangedSince("i.1", ["b", "refused"]);
    expect([pinned(table, ["a"]), table.known(["a", "b"])]).toEqual([undefined, [version(1), version(1)]]);
    await source.pin(["a"]);
    expect(pinned(table, ["a"])?.at).toBe("i.1");
  });

  it("comes from every kind of answer, and is known while trust lasts", async () => {
    await source.read(["a", "missing"]);
    await source.pin(["b"]);
    expect([table.known(["b", "a"]), table.known(["a", "missing"]), table.has("missing")]).toEqual([
      [version(1), version(1)],
      undefined,
      false,
    ]);
    expect([table.knows(["b", "a"]), table.knows(["a", "missing"]), table.knows([])]).toEqual([true, false, true]);
    versions.set("late", version(1));
    await source.unchangedSince("i.1", ["late"]);
    expect(table.known(["late"])).toEqual([version(1)]);
    clock.advance(2_000);
    expect([table.known(["a"]), table.knows(["a"])]).toEqual([undefined, false]);
    trust.alive(clock.now());
    expect(table.known(["a"])).toEqual([version(1)]);
  });

  it("is forgotten when it changed, and not recorded from an overtaken answer: it is read once more", async () => {
    await source.read(["a"]);
    table.forget(["a"]);
    expect(table.known(["a"])).toBe(undefined);
    answer = gate();
    const reading = source.read(["a", "b"]);
    await answer.arrived();
    versions.set("a", version(2));
    table.forget(["a"]);
    answer.open();
    expect(await reading).toEqual([version(1), version(1)]);
    await flush();
    expect([table.known(["a"]), table.known(["b"]), asked]).toEqual([
      [version(2)],
      [version(1)],
      ["read a", "read a,b", "read a"],
    ]);
  });

  it("C740 is read once more when it is reported behind the pin that may have issued it", async () => {
    await source.pin(["a"]);
    expect(table.reported(["a"])).toEqual(["a"]);
    await flush();
    expect([table.known(["a"]), asked]).toEqual([[version(1)], ["pin a", "read a"]]);
    table.reported(["a"]);
    await flush();
    expect([table.known(["a"]), asked], "the next report is of another process").toEqual([
      undefined,
      ["pin a", "read a"],
    ]);
  });

  it("is not recorded from an answer from before changes may have been missed", async () => {
    answer = gate();
    const reading = source.read(["a"]);
    await answer.arrived();
    trust.renew();
    versions.set("a", version(2));
    answer.open();
    await reading;
    await flush();
    expect([table.known(["a"]), asked]).toEqual([[version(2)], ["read a", "read a"]]);
  });

  it("is forgotten before a renewal is sent, and again when it was answered or failed", async () => {
    await source.read(["a"]);
    answer = gate();
    const renewing = source.renew(["a"], "hard");
    expect(table.has("a")).toBe(false);
    await answer.arrived();
    const open = answer;
    answer = undefined;
    await source.read(["a"]);
    open.open();
    await renewing;
    expect(table.has("a")).toBe(false);
    const failing = table.recording({ ...source, renew: () => Promise.reject(new Error("no answer")) });
    await source.read(["b"]);
    await expect(failing.renew(["b"], "soft")).rejects.toThrow("no answer");
    expect(table.has("b")).toBe(false);
  });

  it("is not asked for again because another tag is new, by a read or by a load", async () => {
    versions.set("new", version(1));
    await source.pin(["a"]);
    asked = [];
    expect(await table.current(source, ["a", "new"])).toEqual([version(1), version(1)]);
    versions.set("newer", version(2));
    const pinned = await table.pin(source, ["a", "newer"], false);
    expect(pinned).toEqual({ at: "i.1", versions: new Map(Object.entries({ a: version(1), newer: version(2) })) });
    expect(table.pin(source, ["newer", "a"], false)).toEqual(pinned);
    expect(asked).toEqual(["read new", "pin newer"]);
    // It may know of a newer one.
    await table.pin(source, ["a", "newer"], true);
    expect(asked.at(-1)).toBe("pin a,newer");
  });

  it("is read with the others if it changed while they were on their way", async () => {
    await source.read(["a"]);
    answer = gate();
    const reading = table.current(source, ["a", "b"]);
    await answer.arrived();
    versions.set("a", version(2));
    table.forget(["a"]);
    answer.open();
    expect(await reading).toEqual([version(2), version(1)]);
    expect(asked).toEqual(["read a", "read b", "read a,b"]);
  });

  it("that is pinned brings a new position after a change of another tag: one is asked for", async () => {
    await source.pin(["a", "b"]);
    table.forget(["other"]);
    asked = [];
    const pinned = await table.pin(source, ["a", "b"], false);
    expect([pinned.versions.size, asked]).toEqual([2, ["pin b"]]);
  });

  it("is pinned by one request of many callers, until one of the versions may have changed", async () => {
    answer = gate();
    const pins = [table.pin(source, ["a", "b"], false), table.pin(source, ["a", "b"], true)];
    expect(pins[0]).toBe(pins[1]);
    await answer.arrived();
    expect(table.pin(source, ["a", "b"], false)).toBe(pins[0]);
    // Another call may have changed them since.
    expect(table.pin(source, ["a", "b"], true)).not.toBe(pins[0]);
    table.forget(["b"]);
    expect(table.pin(source, ["a", "b"], false)).not.toBe(pins[0]);
    expect(table.pin(source, ["a"], false)).not.toBe(pins[0]);
    expect(asked).toEqual(["pin a,b", "pin a,b", "pin a,b", "pin a"]);
    answer.open();
  });

  it("is seen until it changes; one that is missing is not seen", async () => {
    await source.read(["a", "b"]);
    clock.advance(10_000);
    expect([table.known(["a"]), table.allLastSeen(["a", "b"]), table.allLastSeen(["a", "c"])]).toEqual([
      undefined,
      [version(1), version(1)],
      undefined,
    ]);
    versions.delete("b");
    await source.read(["a", "b"]);
    expect([table.allLastSeen(["a"]), table.allLastSeen(["b"])]).toEqual([[version(1)], undefined]);
  });

  it("is all forgotten when anything may have changed", async () => {
    await source.read(["a", "b"]);
    table.clear();
    expect([table.knows(["a"]), table.known(["a"]), table.has("b")]).toEqual([false, undefined, false]);
    expect([pinned(table, ["a"]), table.forget(["a"])]).toEqual([undefined, []]);
    expect([table.allLastSeen(["b"]), table.allLastSeen(["a"])]).toEqual([[version(1)], undefined]);
  });

  it("fails as its source does, and records nothing from that", async () => {
    const failing = table.recording({ ...source, read: () => Promise.reject(new Error("no answer")) });
    await expect(failing.read(["a"])).rejects.toThrow("no answer");
    expect(table.has("a")).toBe(false);
  });
});

describe("versions in a part that is lost while others are not", () => {
  const parts = { names: () => ["entries", "versions"], of: (key: string) => (key === "v" ? "versions" : "entries") };

  async function lost(): Promise<{ table: KnownVersions; source: TagVersions; clock: TestClock; link: Trust }> {
    const clock = new TestClock();
    const link = reportingTrust(2_000, parts);
    const table = new KnownVersions(link, clock, () => undefined);
    const current = { hard: "i.1", soft: "i.1" };
    const source = table.recording({
      read: async (tags) => tags.map(() => current),
      pin: async (tags) => ({ at: "i.1", versions: tags.map(() => current) }),
      unchangedSince: async (_at, tags) => tags.map(() => current),
      renew: async () => undefined,
    });
    for (const part of ["entries", "versions"]) link.alive(clock.now(), part);
    link.attached();
    await source.pin(["a"]);
    clock.advance(2_000);
    link.alive(clock.now(), "entries");
    link.lost("versions");
    return { table, source, clock, link };
  }

  it("are not believed from before; each that is read is believed for maxStaleness", async () => {
    const { table, source, clock, link } = await lost();
    expect([table.isReported(clock.now()), table.knows(["a"])]).toEqual([false, false]);
    await source.read(["a"]);
    clock.advance(1_999);
    link.alive(clock.now(), "entries");
    expect([table.knows(["a"]), table.known(["a"])]).toEqual([true, [{ hard: "i.1", soft: "i.1" }]]);
    clock.advance(1);
    expect([table.knows(["a"]), table.known(["a"])]).toEqual([false, undefined]);
  });

  it("are not believed once no part is reachable", async () => {
    const { table, source, link } = await lost();
    await source.read(["a"]);
    link.lost("entries");
    expect(table.knows(["a"])).toBe(false);
  });

  it("are those that loads are stored under, since nothing can be pinned", async () => {
    const { table, source, clock, link } = await lost();
    expect(pinned(table, ["a"])).toEqual({ at: "i.1", versions: new Map([["a", { hard: "i.1", soft: "i.1" }]]) });
    expect(pinned(table, ["b"])).toBe(undefined);
    await source.renew(["a"], "hard");
    expect(pinned(table, ["a"])).toBe(undefined);
    await source.read(["a"]);
    expect(pinned(table, ["a"])?.at).toBe("");
    link.alive(clock.now(), "versions");
    expect(pinned(table, ["a"])).toBe(undefined);
  });
});
