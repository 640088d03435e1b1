import { describe, expect, it } from "vitest";
import type { Entry } from "../entry/entry.ts";
import { dependencies, keySpaceBelow, rootKeySpace } from "../entry/key.ts";
import { TagEvents } from "./tag-events.ts";
import { tagKeys } from "./tag-versions.ts";

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
    terms: {
      staleWhileRevalidateMs: 0,
      staleIfErrorMs: 200,
      localTtlMs: Infinity,
      tags: names,
      dependsOn: dependencies(keySpace, names),
      etag: undefined,
      lastModified: undefined,
    },
    tagSequence: 0,
    ...changes,
  };
}

describe("TagEvents", () => {
  it("leave other entries unchanged and not marked as checked: their versions may have changed elsewhere", () => {
    const tags = new TagEvents();
    const one = entry();
    expect(tags.applyTo(one, 1_000)).toBe(one);
    tags.called(users, tagKeys(users, ["other"]), "hard");
    tags.called(orders, tagKeys(orders, ["t"]), "hard");
    tags.called(admins, tagKeys(admins, ["t"]), "hard");
    tags.called(orders, tagKeys(orders, []), "hard");
    expect(tags.applyTo(one, 1_000)).toBe(one);
    expect(one.tagSequence).toBe(0);
  });

  it("separate calls that were made later from earlier ones that were acknowledged later", () => {
    const tags = new TagEvents();
    const keys = tagKeys(users, ["t"]);
    tags.called(users, keys, "hard");
    const since = tags.sequence;
    tags.acknowledged(users, keys, "hard");
    expect([tags.wasMade(keys, since), tags.wasCalled(keys, since)]).toEqual([false, true]);
    tags.called(users, keys, "soft");
    expect([tags.wasMade(keys, since), tags.wasMade(keys, tags.sequence)]).toEqual([true, false]);
  });

  it.for([
    ["its tag, in its namespace", users, ["t"]],
    ["its tag, above", root, ["other", "t"]],
    ["its namespace", users, []],
    ["the namespace above", root, []],
  ] as const)("an invalidation of %s hides it", ([, keySpace, names]) => {
    const tags = new TagEvents();
    const [before, after] = [entry(), entry()];
    tags.called(keySpace, tagKeys(keySpace, names), "hard");
    after.tagSequence = tags.sequence;
    expect(tags.applyTo(before, 1_000)).toBe(undefined);
    expect(tags.applyTo(after, 1_000)).toBe(after);
    // It stays hidden after later calls.
    tags.called(orders, tagKeys(orders, ["t"]), "soft");
    expect(tags.applyTo(before, 1_000)).toBe(undefined);
    expect(tags.applyTo(after, 1_000)).toBe(after);
  });

  it("a call that marks it stale makes it stale, and a later invalidation hides it", () => {
    const tags = new TagEvents();
    const one = entry();
    tags.called(root, tagKeys(root, ["t"]), "soft");
    expect(tags.applyTo(one, 1_040)).toMatchObject({ value: 1, staleAt: 1_040, deadAt: 1_300 });
    expect(tags.applyTo(one, 1_050)).toMatchObject({ staleAt: 1_050 });
    expect([tags.wasInvalidated(one.terms.dependsOn, 0), tags.wasCalled(one.terms.dependsOn, 0)]).toEqual([
      false,
      true,
    ]);
    tags.called(users, tagKeys(users, ["t"]), "hard");
    expect(tags.applyTo(one, 1_050)).toBe(undefined);
  });

  it("know which namespaces had a call since when", () => {
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

  it.for([
    ["hard", undefined, [true, true, true]],
    ["soft", 1_000, [false, true, true]],
  ] as const)(
    "C80 forgotten %s calls count as called: older entries are not trusted, newer ones are",
    ([mode, staleAt, [invalidated, called, joined]]) => {
      const tags = new TagEvents();
      const old = entry();
      const since = tags.sequence;
      for (let i = 0; i < 10_001; i += 1) tags.called(keySpaceBelow(root, `n${i}`), [`{~shop}:orders::${i}`], mode);
      expect(tags.applyTo(old, 1_000)?.staleAt).toBe(staleAt);
      expect([
        tags.wasInvalidated(old.terms.dependsOn, since),
        tags.wasCalled(old.terms.dependsOn, since),
        tags.hasEvents(users, since, since),
      ]).toEqual([invalidated, called, joined]);
      const fresh = entry(users, ["t"], { tagSequence: tags.sequence });
      expect(tags.applyTo(fresh, 1_000)).toBe(fresh);
      tags.called(users, tagKeys(users, ["t"]), "hard");
      expect(tags.applyTo(fresh, 1_000)).toBe(undefined);
    },
  );

  it("C80 an entry that was checked within the last 9,000 calls is kept, however many there were", () => {
    const tags = new TagEvents();
    const one = entry();
    for (let i = 0; i < 50_000; i += 1) {
      tags.called(orders, [`{~shop}:orders::${i}`], "hard");
      if (i % 8_999 !== 0) continue;
      expect(tags.applyTo(one, 1_000)).toBe(one);
      one.tagSequence = tags.sequence;
    }
  });

  it("C80 a tag that was called again is remembered from its last call on", () => {
    const tags = new TagEvents();
    tags.called(users, tagKeys(users, ["t"]), "hard");
    for (let i = 0; i < 9_000; i += 1) tags.called(orders, [`{~shop}:orders::${i}`], "hard");
    const before = entry(users, ["t"], { tagSequence: tags.sequence });
    tags.called(users, tagKeys(users, ["t"]), "hard");
    for (let i = 0; i < 5_000; i += 1) tags.called(orders, [`{~shop}:orders::again ${i}`], "hard");
    expect(tags.applyTo(before, 1_000)).toBe(undefined);
    const other = entry(users, ["u"], { tagSequence: before.tagSequence });
    expect(tags.applyTo(other, 1_000)).toBe(other);
  });

  it("are bounded by the tags that were called, not by the calls", () => {
    const tags = new TagEvents();
    const one = entry();
    for (let i = 0; i < 50_000; i += 1)
      tags.called(orders, tagKeys(orders, ["t", String(i % 100)]), i % 2 === 0 ? "hard" : "soft");
    expect(tags.applyTo(one, 1_000)).toBe(one);
  });
});

it("C616 copies are checked once in some thousand calls, before those are forgotten", () => {
  const events = new TagEvents();
  const checkedAt: number[] = [];
  events.checkCopies = () => {
    // Copies that were checked the last time are not lost yet.
    expect(events.wasInvalidated(["another"], checkedAt.at(-1) ?? 0)).toBe(false);
    checkedAt.push(events.sequence);
  };
  for (let i = 0; i < 50_000; i += 1) events.called(users, [`tag ${i}`], "hard");
  // The copies of the first 10,000 calls, and then those of each 7,000 at least.
  expect(checkedAt[0]).toBe(10_000);
  expect(checkedAt.length).toBeLessThanOrEqual(7);
});
