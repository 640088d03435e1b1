import { describe, expect, it } from "vitest";
import type { TagVersion, TagVersions } from "../contracts/backend.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies, keySpaceBelow, rootKeySpace } from "../entry/key.ts";
import { compareVersions, tagKeys, TagEvents, underVersions, versionsFor } from "./tag-events.ts";

const root = rootKeySpace("shop");
const users = keySpaceBelow(root, "users");
const admins = keySpaceBelow(users, "admins");
const orders = keySpaceBelow(root, "orders");

function entry(keySpace = users, names: readonly string[] = ["t"], changes: Partial<Entry> = {}): Entry {
  return {
    value: 1,
    ttlMs: 100,
    staleAt: 1_100,
    expiresAt: 1_300,
    deadAt: 1_300,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 200,
    localTtlMs: Infinity,
    tags: names,
    dependsOn: dependencies(keySpace, names),
    tagSequence: 0,
    ...changes,
  };
}

describe("Tags", () => {
  it("leave what no call was about, and do not count it as checked: its versions may have changed elsewhere", () => {
    const tags = new TagEvents();
    const one = entry();
    expect(tags.hold(one, 1_000)).toBe(one);
    tags.called(users, tagKeys(users, ["other"]), "hard");
    tags.called(orders, tagKeys(orders, ["t"]), "hard");
    tags.called(admins, tagKeys(admins, ["t"]), "hard");
    tags.called(orders, tagKeys(orders, []), "hard");
    expect(tags.hold(one, 1_000)).toBe(one);
    expect(one.tagSequence).toBe(0);
  });

  it.for([
    ["its tag, in its namespace", users, ["t"]],
    ["its tag, above", root, ["other", "t"]],
    ["its namespace", users, []],
    ["the namespace above", root, []],
  ] as const)("an invalidation of %s ends it", ([, keySpace, names]) => {
    const tags = new TagEvents();
    const [before, after] = [entry(), entry()];
    tags.called(keySpace, tagKeys(keySpace, names), "hard");
    after.tagSequence = tags.sequence;
    expect(tags.hold(before, 1_000)).toBe(undefined);
    expect(tags.hold(after, 1_000)).toBe(after);
    // And it stays ended, whatever comes later.
    tags.called(orders, tagKeys(orders, ["t"]), "soft");
    expect(tags.hold(before, 1_000)).toBe(undefined);
    expect(tags.hold(after, 1_000)).toBe(after);
  });

  it("a call that marks it stale makes it stale, and a later invalidation ends it", () => {
    const tags = new TagEvents();
    const one = entry();
    tags.called(root, tagKeys(root, ["t"]), "soft");
    expect(tags.hold(one, 1_040)).toMatchObject({ value: 1, staleAt: 1_040, deadAt: 1_300 });
    expect(tags.hold(one, 1_050)).toMatchObject({ staleAt: 1_050 });
    expect([tags.wasInvalidated(one.dependsOn, 0), tags.wasCalled(one.dependsOn, 0)]).toEqual([false, true]);
    tags.called(users, tagKeys(users, ["t"]), "hard");
    expect(tags.hold(one, 1_050)).toBe(undefined);
  });

  it("know which namespaces were called in since when", () => {
    const tags = new TagEvents();
    expect(tags.hasEvents(users, tags.sequence, tags.sequence)).toBe(false);
    const before = tags.sequence;
    tags.called(users, tagKeys(users, ["any"]), "soft");
    expect([users, admins, root, orders].map((keySpace) => tags.hasEvents(keySpace, before, before))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(tags.hasEvents(users, tags.sequence, tags.sequence)).toBe(false);
    tags.called(root, tagKeys(root, []), "hard");
    expect([users, admins, root, orders].map((keySpace) => tags.hasEvents(keySpace, before + 1, before + 1))).toEqual([
      true,
      true,
      true,
      true,
    ]);
  });

  it("what they forget counts as called: nothing older is believed, and everything newer is", () => {
    const tags = new TagEvents();
    const old = entry();
    const since = tags.sequence;
    for (let i = 0; i < 10_000; i += 1) tags.called(orders, [`{~shop}:orders::${i}`], "soft");
    expect(tags.hold(old, 1_000)).toBe(undefined);
    expect([
      tags.wasInvalidated(old.dependsOn, since),
      tags.wasCalled(old.dependsOn, since),
      tags.hasEvents(users, since, since),
    ]).toEqual([true, true, true]);
    const fresh = entry(users, ["t"], { tagSequence: tags.sequence });
    expect(tags.hold(fresh, 1_000)).toBe(fresh);
    tags.called(users, tagKeys(users, ["t"]), "hard");
    expect(tags.hold(fresh, 1_000)).toBe(undefined);
  });

  it("are bounded by the tags that were called, not by the calls", () => {
    const tags = new TagEvents();
    const one = entry();
    for (let i = 0; i < 50_000; i += 1)
      tags.called(orders, tagKeys(orders, ["t", String(i % 100)]), i % 2 === 0 ? "hard" : "soft");
    expect(tags.hold(one, 1_000)).toBe(one);
  });
});

const version = (hard: string, soft: string = hard): TagVersion => ({ hard, soft });

describe("judgeVersions", () => {
  it.for<
    readonly [
      string,
      readonly TagVersion[] | undefined,
      readonly (TagVersion | undefined)[],
      ReturnType<typeof compareVersions>,
    ]
  >([
    ["equal", [version("a"), version("b")], [version("a"), version("b")], "current"],
    ["of an entry without any", undefined, [version("a")], "current"],
    ["none", [], [], "current"],
    ["one hard version differs", [version("a"), version("b")], [version("a"), version("c")], "gone"],
    ["a soft version differs", [version("a"), version("b")], [version("a", "c"), version("b")], "stale"],
    ["both differ in one", [version("a", "a")], [version("b", "b")], "gone"],
    ["a soft one before a hard one", [version("a"), version("b")], [version("a", "c"), version("d")], "gone"],
    ["a hard one before a soft one", [version("a"), version("b")], [version("d"), version("b", "c")], "gone"],
    ["one is missing", [version("a"), version("b")], [version("a"), undefined], "gone"],
    ["all are missing", [version("a")], [undefined], "gone"],
    ["fewer than there were", [version("a"), version("b")], [version("a")], "gone"],
    ["more than there were", [version("a")], [version("a"), version("b")], "gone"],
    ["swapped", [version("a"), version("b")], [version("b"), version("a")], "gone"],
  ])("%s", ([, stored, current, verdict]) => {
    expect(compareVersions(stored, current)).toBe(verdict);
  });
});

/** A store of tag versions that tells what it was asked. */
function store(
  current: Readonly<Record<string, TagVersion>>,
): Pick<TagVersions, "read" | "unchangedSince"> & { readonly asked: (readonly string[])[] } {
  const asked: (readonly string[])[] = [];
  return {
    asked,
    read: async (tags) => (asked.push(tags), tags.map((tag) => current[tag])),
    unchangedSince: async (at, tags) => (
      asked.push(tags),
      tags.map((tag) => (at === "then" ? current[tag] : undefined))
    ),
  };
}

const [NS, U, T] = ["{~shop}::", "{~shop}:users::", "{~shop}::t"] as const;
const UT = "{~shop}:users::t";

describe("underVersions", () => {
  const current = { [NS]: version("n"), [U]: version("u"), [T]: version("t"), [UT]: version("ut") };
  const versions = [version("n"), version("u"), version("t"), version("ut")];
  const known = dependencies(users, ["t"]);
  const read = async (
    found: Entry,
    expected: readonly string[],
    over: Record<string, TagVersion>,
    stored = store({ ...current, ...over }),
  ) => ({
    result: await underVersions(
      found,
      expected,
      expected.map((key) => ({ ...current, ...over })[key]),
      stored,
      { now: () => 1_040, schedule: () => () => undefined },
    ),
    asked: stored.asked,
  });

  it("takes an entry whose tags were expected without another trip", async () => {
    const one = entry(users, ["t"], { versions });
    expect(await read(one, known, {})).toEqual({ result: one, asked: [] });
  });

  it("asks for tags that nobody expected, and for these only", async () => {
    const one = entry(users, ["t"], { versions });
    expect(await read(one, [NS, U], {})).toEqual({ result: one, asked: [[T, UT]] });
    expect(await read(one, [NS, U, "{~shop}::x", "{~shop}:users::x"], {})).toEqual({ result: one, asked: [[T, UT]] });
  });

  it("takes an entry with fewer tags than were expected without another trip", async () => {
    const one = entry(users, [], { versions: versions.slice(0, 2) });
    expect(await read(one, known, {})).toEqual({ result: one, asked: [] });
  });

  it("sees what was invalidated and what was marked stale among either", async () => {
    const one = entry(users, ["t"], { versions });
    for (const expected of [known, [NS, U]]) {
      expect((await read(one, expected, { [T]: version("new") })).result).toBe(undefined);
      expect((await read(one, expected, { [U]: version("new") })).result).toBe(undefined);
      expect((await read(one, expected, { [UT]: version("ut", "new") })).result).toMatchObject({
        value: 1,
        staleAt: 1_040,
      });
    }
  });

  it("takes an entry that another program wrote as it is", async () => {
    const one = entry(users, [], { versions: undefined });
    expect(await read(one, [NS, U], { [NS]: version("new") })).toEqual({ result: one, asked: [] });
  });
});

describe("versionsFor", () => {
  const pinned = {
    at: "then",
    versions: new Map([
      [NS, version("n")],
      [U, version("u")],
      [T, version("t")],
      [UT, version("ut")],
    ]),
  };

  it("gives the pinned ones in the order of the entry's dependencies, without asking", async () => {
    const asked = store({});
    expect(await versionsFor(asked as unknown as TagVersions, pinned, users, ["t"])).toEqual([
      version("n"),
      version("u"),
      version("t"),
      version("ut"),
    ]);
    expect(asked.asked).toEqual([]);
  });

  it("gives pinned ones even where they have changed since: what is stored under them is then not valid", async () => {
    expect(
      await versionsFor(store({ [T]: version("new") }) as unknown as TagVersions, pinned, users, ["t"]),
    ).toContainEqual(version("t"));
  });

  it("asks for tags that came late, and gives nothing where one of them may have been renewed", async () => {
    const late = { "{~shop}::late": version("l"), "{~shop}:users::late": version("ul") };
    const asked = store(late);
    expect(await versionsFor(asked as unknown as TagVersions, pinned, users, ["late", "t"])).toEqual([
      version("n"),
      version("u"),
      version("l"),
      version("ul"),
      version("t"),
      version("ut"),
    ]);
    expect(asked.asked).toEqual([["{~shop}::late", "{~shop}:users::late"]]);
    expect(await versionsFor(store(late) as unknown as TagVersions, { ...pinned, at: "before" }, users, ["late"])).toBe(
      undefined,
    );
    expect(
      await versionsFor(store({ "{~shop}::late": version("l") }) as unknown as TagVersions, pinned, users, ["late"]),
    ).toBe(undefined);
  });
});

it("tagKeys are of one namespace: a tag call there, or its clear", () => {
  expect(tagKeys(users, ["a", "b", "a"])).toEqual(["{~shop}:users::a", "{~shop}:users::b"]);
  expect(tagKeys(users, [])).toEqual(["{~shop}:users::"]);
  expect(tagKeys(root, ["a"])).toEqual(["{~shop}::a"]);
});
