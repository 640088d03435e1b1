import { describe, expect, it } from "vitest";
import type { TagVersion, TagVersions } from "../contracts/capabilities.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies, keySpaceBelow, rootKeySpace } from "../entry/key.ts";
import { compareVersions, tagKeys, underVersions, versionsFor } from "./tag-versions.ts";

const root = rootKeySpace("shop");
const users = keySpaceBelow(root, "users");

function entry(names: readonly string[], versions: readonly TagVersion[] | undefined): Entry {
  return {
    value: 1,
    ttlMs: 100,
    staleAt: 1_100,
    expiresAt: 1_300,
    deadAt: 1_300,
    terms: {
      staleWhileRevalidateMs: 0,
      staleIfErrorMs: 200,
      localTtlMs: Infinity,
      tags: names,
      dependsOn: dependencies(users, names),
      etag: undefined,
      lastModified: undefined,
    },
    tagSequence: 0,
    versions,
  };
}

const version = (hard: string, soft: string = hard): TagVersion => ({ hard, soft });

describe("compareVersions", () => {
  it.for<
    readonly [
      string,
      readonly TagVersion[] | undefined,
      readonly (TagVersion | undefined)[],
      ReturnType<typeof compareVersions>,
    ]
  >([
    ["equal", [version("a"), version("b")], [version("a"), version("b")], "unchanged"],
    ["an entry without versions", undefined, [version("a")], "unchanged"],
    ["none", [], [], "unchanged"],
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

/** A store of tag versions that records its reads. */
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
      { request: undefined, expected },
      expected.map((key) => ({ ...current, ...over })[key]),
      {
        readMore: (_, tags) => stored.read(tags),
        clock: { now: () => 1_040, schedule: () => () => undefined },
      },
    ),
    asked: stored.asked,
  });

  it("takes an entry whose tags were expected without another trip", async () => {
    const one = entry(["t"], versions);
    expect(await read(one, known, {})).toEqual({ result: one, asked: [] });
  });

  it("reads the versions of unexpected tags, and of these only", async () => {
    const one = entry(["t"], versions);
    expect(await read(one, [NS, U], {})).toEqual({ result: one, asked: [[T, UT]] });
    expect(await read(one, [NS, U, "{~shop}::x", "{~shop}:users::x"], {})).toEqual({ result: one, asked: [[T, UT]] });
  });

  it("takes an entry with fewer tags than were expected without another trip", async () => {
    const one = entry([], versions.slice(0, 2));
    expect(await read(one, known, {})).toEqual({ result: one, asked: [] });
  });

  it("applies invalidated and stale versions of expected and of unexpected tags", async () => {
    const one = entry(["t"], versions);
    for (const expected of [known, [NS, U]]) {
      expect((await read(one, expected, { [T]: version("new") })).result).toBe(undefined);
      expect((await read(one, expected, { [U]: version("new") })).result).toBe(undefined);
      expect((await read(one, expected, { [UT]: version("ut", "new") })).result).toMatchObject({
        value: 1,
        staleAt: 1_040,
      });
    }
  });

  it("takes an entry that another program wrote unchanged", async () => {
    const one = entry([], undefined);
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

  it("gives the pinned versions in the order of the entry's dependencies, without a read", async () => {
    const asked = store({});
    expect(await versionsFor(asked as unknown as TagVersions, pinned, dependencies(users, ["t"]))).toEqual([
      version("n"),
      version("u"),
      version("t"),
      version("ut"),
    ]);
    expect(asked.asked).toEqual([]);
  });

  it("gives pinned versions even if they have changed since: an entry stored under them is not valid", async () => {
    expect(
      await versionsFor(store({ [T]: version("new") }) as unknown as TagVersions, pinned, dependencies(users, ["t"])),
    ).toContainEqual(version("t"));
  });

  it("reads the versions of late tags, and gives nothing if one of them may have been renewed", async () => {
    const late = { "{~shop}::late": version("l"), "{~shop}:users::late": version("ul") };
    const asked = store(late);
    expect(await versionsFor(asked as unknown as TagVersions, pinned, dependencies(users, ["late", "t"]))).toEqual([
      version("n"),
      version("u"),
      version("l"),
      version("ul"),
      version("t"),
      version("ut"),
    ]);
    expect(asked.asked).toEqual([["{~shop}::late", "{~shop}:users::late"]]);
    expect(
      await versionsFor(
        store(late) as unknown as TagVersions,
        { ...pinned, at: "before" },
        dependencies(users, ["late"]),
      ),
    ).toBe(undefined);
    expect(
      await versionsFor(
        store({ "{~shop}::late": version("l") }) as unknown as TagVersions,
        pinned,
        dependencies(users, ["late"]),
      ),
    ).toBe(undefined);
  });
});

it("tagKeys belong to one namespace: those of a tag call, or of its clear", () => {
  expect(tagKeys(users, ["a", "b", "a"])).toEqual(["{~shop}:users::a", "{~shop}:users::b"]);
  expect(tagKeys(users, [])).toEqual(["{~shop}:users::"]);
  expect(tagKeys(root, ["a"])).toEqual(["{~shop}::a"]);
});
