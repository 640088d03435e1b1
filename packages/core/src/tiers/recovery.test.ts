import { flush, gate, type Gate, outcome, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { BackendUnavailableError, EncodeError } from "../contracts/errors.ts";
import type { CacheEvents } from "../contracts/events.ts";
import { newEntry, type Entry } from "../entry/entry.ts";
import { entryKey, keySpaceBelow, rootKeySpace, type EntryKey, type KeySpace } from "../entry/key.ts";
import { termsIn } from "../entry/terms.ts";
import { createEvents } from "../primitives/event-port.ts";
import { promised } from "../primitives/settlers.ts";
import { BackendRefusedError } from "./backend-calls.ts";
import { orPending, Recovery } from "./recovery.ts";

const root = rootKeySpace("shop");
const users = keySpaceBelow(root, "users");
/** Keys of 2 KiB: two bytes for each character, and 128. 8,192 of them take 16 MiB. */
const longKey = (space: KeySpace, i: number): EntryKey =>
  entryKey(space, String(i).padStart((2_048 - 128) / 2 - space.backendPrefix.length, "k"));
const UNANSWERED = new BackendUnavailableError("no answer");

let clock: TestClock;
/** The calls that reached the backend. */
let sent: string[];
let replayed: string[];
let emitted: CacheEvents["recover"][];
let overflows: CacheEvents["pending:overflow"][];
let isDown: boolean;
/** How the calls begin that fail. */
let failing: string | undefined;
/** Whether every call is answered, and refused. */
let isRefusing: boolean;
let replaying: Gate<void> | undefined;
let retryInMs: number;

function recovery({
  hasVersions = true,
  reissueWindowMs = 0,
  partOf,
}: {
  readonly hasVersions?: boolean;
  readonly reissueWindowMs?: number;
  readonly partOf?: (key: string) => string;
} = {}): Recovery {
  const send = async (what: string): Promise<void> => {
    await replaying?.pass();
    if (isRefusing) throw new BackendRefusedError("NOPERM");
    if (isDown || (failing !== undefined && what.startsWith(failing))) throw UNANSWERED;
    sent.push(what);
  };
  const events = createEvents();
  events.recover.add((event) => emitted.push(event));
  events["pending:overflow"].add((event) => overflows.push(event));
  return new Recovery({
    clock,
    events,
    cache: "shop",
    root,
    reissueWindowMs,
    remote: {
      label: "redis",
      get retryInMs() {
        return retryInMs;
      },
      remove: (key) => send(`remove ${key.backend}`).then(() => "deleted"),
      ...(partOf !== undefined && { partOf }),
      versions: hasVersions ? { renew: (tags, mode) => send(`${mode} ${tags.join()}`) } : undefined,
    },
    replayed: { key: (key) => replayed.push(key.name), tags: (_, tags) => replayed.push(tags.join()) },
  });
}

beforeEach(() => {
  clock = new TestClock();
  [sent, replayed, emitted, overflows] = [[], [], [], []];
  isDown = false;
  failing = undefined;
  isRefusing = false;
  replaying = undefined;
  retryInMs = 0;
});

it("nothing is sent while the breaker is open, for any caller; the replay comes when it lets a call through", async () => {
  const one = recovery();
  retryInMs = 3_000;
  one.addKey(entryKey(root, "k"));
  await one.replay();
  await one.replayWithin(1_000);
  expect(sent).toEqual([]);
  retryInMs = 0;
  clock.advance(3_000);
  await flush();
  expect([sent, one.size]).toEqual([["remove shop::k"], 0]);
});

describe("a pending invalidation", () => {
  it("is one per key, for any number of changes, and covers only that key", () => {
    const one = recovery();
    expect([one.size, one.covers(entryKey(root, "k"), [])]).toEqual([0, false]);
    one.addKey(entryKey(root, "k"));
    one.addKey(entryKey(root, "k"));
    one.addKey(entryKey(users, "k"));
    expect(one.size).toBe(2);
    expect([
      one.covers(entryKey(root, "k"), []),
      one.covers(entryKey(users, "k"), []),
      one.covers(entryKey(root, "j"), []),
      one.covers(entryKey(users, "users"), []),
    ]).toEqual([true, true, false, false]);
  });

  it("covers everything under a tag or a namespace", () => {
    const one = recovery();
    one.addTags(users, ["{~shop}:users::t", "{~shop}:users::u"], "hard", 1);
    expect(one.size).toBe(2);
    expect([
      one.covers(entryKey(users, "k"), users.tagPrefixes),
      one.covers(entryKey(users, "k"), ["{~shop}::", "{~shop}:users::t"]),
    ]).toEqual([false, true]);
    one.addTags(users, ["{~shop}:users::"], "hard", 2);
    expect([
      one.covers(entryKey(users, "k"), users.tagPrefixes),
      one.covers(entryKey(root, "k"), root.tagPrefixes),
    ]).toEqual([true, false]);
  });

  it("is forgotten when a newer write of the key was acknowledged", () => {
    const one = recovery();
    one.addKey(entryKey(root, "k"));
    one.addKey(entryKey(users, "k"));
    one.forgetKey(entryKey(users, "k"));
    one.forgetKey(entryKey(root, "j"));
    expect([one.size, one.covers(entryKey(root, "k"), []), one.covers(entryKey(users, "k"), [])]).toEqual([
      1,
      true,
      false,
    ]);
  });

  it.for<readonly [string, readonly ["hard" | "soft", number][], readonly ["hard" | "soft", number], number]>([
    ["a later hard call covers a hard one", [["hard", 1]], ["hard", 2], 0],
    ["a later hard call covers a soft one", [["soft", 1]], ["hard", 2], 0],
    ["a later soft call covers a soft one", [["soft", 1]], ["soft", 2], 0],
    ["a later soft call covers no hard one", [["hard", 1]], ["soft", 2], 1],
    [
      "nor one that was hard and soft",
      [
        ["soft", 1],
        ["hard", 2],
      ],
      ["soft", 3],
      1,
    ],
    [
      "nor one that was soft after it was hard",
      [
        ["hard", 1],
        ["soft", 2],
      ],
      ["soft", 3],
      1,
    ],
    ["an earlier call, acknowledged late, covers nothing", [["hard", 2]], ["hard", 1], 1],
  ])("of tags: %s", ([, added, [mode, callSequence], left]) => {
    const one = recovery();
    for (const [each, at] of added) one.addTags(root, ["{~shop}::t"], each, at);
    one.acknowledgedTags(root, ["{~shop}::t", "{~shop}::other"], mode, callSequence);
    expect(one.size).toBe(left);
  });
});

describe("replay", () => {
  it("invalidates, tags first, reports each when it was acknowledged, and emits the sum", async () => {
    const one = recovery();
    one.addKey(entryKey(root, "a"));
    one.addKey(entryKey(users, "b"));
    one.addTags(root, ["{~shop}::t", "{~shop}::u"], "soft", 1);
    one.addTags(root, ["{~shop}::u"], "hard", 2);
    await one.replay();
    expect(sent).toEqual(["soft {~shop}::t", "hard {~shop}::u", "remove shop::a", "remove shop:users::b"]);
    expect(replayed).toEqual(["{~shop}::t", "{~shop}::u", "a", "b"]);
    expect(emitted).toEqual([{ cache: "shop", namespace: [], tier: "redis", replayed: 4, overflowed: false }]);
    expect(one.size).toBe(0);
    clock.advance("1h");
    await flush();
    expect(sent).toHaveLength(4);
  });

  it("covers until it was acknowledged", async () => {
    const one = recovery();
    one.addKey(entryKey(root, "a"));
    replaying = gate();
    const replay = one.replay();
    await replaying.arrived();
    expect(one.covers(entryKey(root, "a"), [])).toBe(true);
    replaying.open();
    await replay;
    expect(one.covers(entryKey(root, "a"), [])).toBe(false);
  });

  it("is one at a time", async () => {
    const one = recovery();
    one.addKey(entryKey(root, "a"));
    replaying = gate();
    const replays = [one.replay(), one.replay()];
    replaying.open();
    await Promise.all(replays);
    expect(sent).toEqual(["remove shop::a"]);
  });

  it("sends again a key that was added while its replay was in progress", async () => {
    const one = recovery();
    one.addKey(entryKey(root, "a"));
    replaying = gate();
    const replay = one.replay();
    await replaying.arrived();
    one.addKey(entryKey(root, "a"));
    replaying.open();
    await replay;
    expect([sent, one.size]).toEqual([["remove shop::a", "remove shop::a"], 0]);
  });

  it("keeps failed invalidations, never rejects, and tries again after a second, or after `retryInMs`", async () => {
    const one = recovery();
    isDown = true;
    one.addKey(entryKey(root, "a"));
    one.addTags(root, ["{~shop}::t"], "hard", 1);
    clock.advance(999);
    await flush();
    expect(replayed).toEqual([]);
    clock.advance(1);
    await flush();
    expect([one.size, sent, emitted]).toEqual([2, [], []]);
    retryInMs = 30_000;
    clock.advance(1_000);
    await flush();
    isDown = false;
    clock.advance(29_999);
    await flush();
    expect(sent).toEqual([]);
    clock.advance(1);
    await flush();
    expect([one.size, sent]).toEqual([0, ["hard {~shop}::t", "remove shop::a"]]);
  });

  it("replays many, some at a time", async () => {
    const one = recovery();
    for (let i = 0; i < 350; i += 1) one.addKey(entryKey(root, `k${i}`));
    replaying = gate();
    const replay = one.replay();
    await replaying.arrived();
    const first = replaying;
    replaying = gate();
    first.open();
    await replaying.arrived(100);
    expect(await outcome(replay)).toEqual({ status: "pending" });
    expect(replaying.waiting).toBe(100);
    replaying.open();
    await replay;
    expect([one.size, sent.length, emitted[0]?.replayed]).toEqual([0, 350, 350]);
  });

  it("schedules no attempt once it was stopped, also for a replay in progress", async () => {
    const one = recovery();
    isDown = true;
    one.addKey(entryKey(root, "a"));
    replaying = gate();
    const replay = one.replay();
    await replaying.arrived();
    one.stop();
    replaying.open();
    await replay;
    one.addKey(entryKey(root, "b"));
    isDown = false;
    clock.advance("1h");
    await flush();
    expect([sent, one.size]).toEqual([[], 2]);
  });
});

it("is refused from the refusal of a replay to the next one that is not, or is not answered", async () => {
  const one = recovery();
  one.addKey(entryKey(root, "k"));
  isRefusing = true;
  expect(one.isRefused).toBe(false);
  await one.replay();
  expect(one.isRefused).toBe(true);
  isRefusing = false;
  isDown = true;
  clock.advance(1_000);
  await one.replay();
  expect(one.isRefused).toBe(false);
  isDown = false;
  await one.replay();
  expect([one.isRefused, one.size]).toEqual([false, 0]);
});

it.for([
  ["of a key", (one: Recovery) => one.forgetKey(entryKey(root, "other"))],
  ["that replaced an entry", (one: Recovery) => one.acknowledgedKey(entryKey(root, "other"))],
  ["of tags", (one: Recovery) => one.acknowledgedTags(root, ["{~shop}::other"], "hard", 1)],
  ["of any other kind", (one: Recovery) => one.tookWrite()],
] as const)(
  "a write %s that the backend took starts a replay, 200 ms after the last one at the soonest",
  async ([, took]) => {
    const one = recovery();
    isRefusing = true;
    one.addKey(entryKey(root, "k"));
    await one.replay();
    isRefusing = false;
    clock.advance(199);
    took(one);
    await flush();
    expect(sent).toEqual([]);
    clock.advance(1);
    took(one);
    await flush();
    expect([sent, one.size]).toEqual([["remove shop::k"], 0]);
  },
);

describe("C96 more than 16 MiB", () => {
  it("become a clear of the whole cache, which covers everything", async () => {
    const one = recovery();
    for (let i = 0; i < 8_192; i += 1) one.addKey(longKey(users, i));
    one.addKey(longKey(users, 0));
    expect([one.size, one.covers(entryKey(root, "other"), root.tagPrefixes), overflows]).toEqual([8_192, false, []]);
    one.addTags(users, ["{~shop}:users::t"], "soft", 1);
    expect(one.size).toBe(1);
    expect([
      one.covers(entryKey(root, "other"), root.tagPrefixes),
      one.covers(entryKey(users, "k5"), users.tagPrefixes),
    ]).toEqual([true, true]);
    expect(overflows).toEqual([{ cache: "shop", namespace: [], tier: "redis", effect: "clear" }]);
    for (let i = 0; i < 8_192; i += 1) one.addKey(longKey(users, i));
    expect([one.size, overflows.length]).toEqual([1, 1]);
    one.addKey(entryKey(users, "after"));
    await one.replay();
    expect(sent).toEqual(["hard {~shop}::", "remove shop:users::after"]);
    expect(emitted).toMatchObject([{ replayed: 2, overflowed: true }]);
    one.addKey(entryKey(root, "a"));
    await one.replay();
    expect(emitted[1]).toMatchObject({ replayed: 1, overflowed: false });
    for (let i = 0; i <= 8_192; i += 1) one.addKey(longKey(users, i));
    expect(overflows.length).toBe(2);
  });

  it("are counted in bytes of keys and tags together", () => {
    const one = recovery();
    const tags = Array.from({ length: 8_191 }, (_, i) => `{~shop}::${String(i).padStart(951, "t")}`);
    one.addTags(root, tags, "hard", 1);
    one.addKey(longKey(root, 0));
    expect([one.size, overflows]).toEqual([8_192, []]);
    one.acknowledgedTags(root, tags.slice(0, 1), "hard", 2);
    for (let i = 0; i < 14; i += 1) one.addKey(entryKey(root, String(i)));
    expect(one.size).toBe(8_205);
    one.addKey(entryKey(root, "one more"));
    expect([one.size, overflows.length]).toEqual([1, 1]);
  });

  it("are reported with each part of their replay", async () => {
    const one = recovery();
    for (let i = 0; i <= 8_192; i += 1) one.addKey(longKey(users, i));
    one.addKey(entryKey(users, "after"));
    failing = "remove";
    await one.replay();
    expect(one.size).toBe(1);
    failing = undefined;
    await one.replay();
    expect(emitted.map(({ replayed, overflowed }) => [replayed, overflowed])).toEqual([
      [1, true],
      [1, true],
    ]);
  });

  it("that clear is not covered by a later tag call or key", () => {
    const one = recovery();
    for (let i = 0; i <= 8_192; i += 1) one.addKey(longKey(users, i));
    one.acknowledgedTags(root, ["{~shop}::"], "hard", 1_000_000);
    one.forgetKey(longKey(users, 1));
    expect(one.size).toBe(1);
  });

  it("lose the oldest if there are no tag versions", () => {
    const one = recovery({ hasVersions: false });
    for (let i = 0; i <= 8_192; i += 1) one.addKey(longKey(root, i));
    // The oldest MiB at a time.
    expect([
      one.size,
      one.covers(longKey(root, 512), []),
      one.covers(longKey(root, 513), []),
      one.covers(longKey(root, 8_192), []),
      overflows,
    ]).toEqual([7_680, false, true, true, [{ cache: "shop", namespace: [], tier: "redis", effect: "forget" }]]);
  });
});

describe("an acknowledged invalidation", () => {
  it("is issued again when the server was replaced, if it is within the window", async () => {
    const one = recovery({ reissueWindowMs: 30_000 });
    one.acknowledgedKey(entryKey(users, "before"));
    clock.advance(30_001);
    one.acknowledgedKey(entryKey(users, "k"));
    one.acknowledgedTags(users, ["{~shop}:users::t"], "soft", 1);
    one.reissue(1);
    await flush();

    expect(sent.toSorted()).toEqual(["remove shop:users::k", "soft {~shop}:users::t"]);
  });

  it("hides what a read found that was sent before, in each part that was replaced", async () => {
    const one = recovery({ reissueWindowMs: 30_000, partOf: (key) => key.slice(-1) });
    const keys = ["in-a", "in-b", "not-changed-in-a"].map((name) => entryKey(users, name));
    for (const key of keys.slice(0, 2)) one.acknowledgedKey(key);
    one.reissue(5, "a");
    await flush();
    one.reissue(7, "b");
    await flush();
    expect([one.size, sent]).toEqual([0, ["remove shop:users::in-a", "remove shop:users::in-b"]]);
    const life = { staleWhileRevalidateMs: 0, staleIfErrorMs: 0, localTtlMs: Infinity };
    const terms = termsIn(users, life, { tags: [], etag: undefined, lastModified: undefined });
    const found = (tagSequence: number): Entry =>
      newEntry({ value: "v", ttlMs: 1, terms, now: 0, tagSequence, version: "1" });
    expect(keys.map((key) => [4, 5, 6, 7].filter((at) => one.hides(key, found(at))))).toEqual([[4], [4, 5, 6], []]);
  });

  it("is within the window however long the link was lost, and for the rest of the window after that", async () => {
    const one = recovery({ reissueWindowMs: 30_000 });
    one.acknowledgedKey(entryKey(users, "old"));
    clock.advance(10_001);
    const aliveAt = clock.now();
    one.acknowledgedKey(entryKey(users, "k"));
    clock.advance(1_000);
    one.linkLost(aliveAt);
    clock.advance(60_000);
    one.linkLost(clock.now());
    clock.advance(60_000);
    one.linkBack();
    one.reissue(1);
    await one.replay();
    expect(sent.toSorted()).toEqual(["remove shop:users::k", "remove shop:users::old"]);
    sent = [];
    clock.advance(30_001);
    one.reissue(1);
    await one.replay();
    expect(sent).toEqual([]);
  });

  it("counts toward the window only while the link is up", async () => {
    const one = recovery({ reissueWindowMs: 30_000 });
    one.acknowledgedKey(entryKey(users, "old"));
    clock.advance(10_001);
    one.acknowledgedKey(entryKey(users, "k"));
    one.linkLost(clock.now());
    clock.advance(60_000);
    one.linkBack();
    clock.advance(20_000);
    one.reissue(1);
    await one.replay();
    expect(sent).toEqual(["remove shop:users::k"]);
  });

  it("C96 becomes a clear with more than 16 MiB within the window, until the window has passed", async () => {
    for (const count of [8_193, 10_000]) {
      [sent, overflows] = [[], []];
      const one = recovery({ reissueWindowMs: 30_000 });
      for (let i = 0; i < count; i += 1) one.acknowledgedKey(longKey(users, i));
      clock.advance(30_000);
      one.reissue(1);
      await one.replay();
      expect(sent).toContain("hard {~shop}::");
      expect(sent.length).toBeLessThan(8_193);
      expect(overflows).toEqual([{ cache: "shop", namespace: [], tier: "redis", effect: "clear" }]);
    }
  });

  it("does not become a clear if there were more, but most are older than the window", async () => {
    const one = recovery({ reissueWindowMs: 30_000 });
    for (let i = 0; i < 8_192; i += 1) one.acknowledgedKey(longKey(root, i));
    clock.advance(30_001);
    for (let i = 0; i < 8_192; i += 1) one.acknowledgedKey(longKey(users, i));
    one.reissue(1);
    await one.replay();
    expect([sent.length, sent.includes("hard {~shop}::"), overflows]).toEqual([8_192, false, []]);
  });

  it("counts as acknowledged again once it was replayed or issued again", async () => {
    const one = recovery({ reissueWindowMs: 30_000 });
    one.addKey(entryKey(users, "pending"));
    one.addTags(users, ["{~shop}:users::pending"], "soft", 1);
    await one.replay();
    for (let i = 0; i < 3; i += 1) {
      sent = [];
      clock.advance(20_000);
      one.reissue(1);
      await one.replay();
      expect(sent.toSorted()).toEqual(["remove shop:users::pending", "soft {~shop}:users::pending"]);
    }
    clock.advance(30_001);
    one.reissue(1);
    expect(one.size).toBe(0);
  });

  it("C96 loses the oldest of more than 16 MiB if there are no tag versions, and reports that", async () => {
    const one = recovery({ reissueWindowMs: 30_000, hasVersions: false });
    // One more than a MiB beyond the bound, when the oldest are forgotten.
    for (let i = 0; i < 8_705; i += 1) one.acknowledgedKey(longKey(users, i));
    one.reissue(1);
    await one.replay();
    const last = `remove ${longKey(users, 8_704).backend}`;
    expect([one.size, sent.length, sent.includes(last), emitted.at(-1)?.overflowed]).toEqual([0, 8_192, true, true]);
    expect(overflows).toEqual([{ cache: "shop", namespace: [], tier: "redis", effect: "forget" }]);
  });
});

describe("orPending", () => {
  const sendOf = (recoveryOf: Recovery | undefined, send: () => Promise<string>): Promise<string> =>
    promised((ends) =>
      orPending(recoveryOf, entryKey(root, "k"), ({ resolve, reject }) => void send().then(resolve, reject), ends),
    );

  it("returns the result of the write, and forgets what was pending for the key", async () => {
    const one = recovery();
    one.addKey(entryKey(root, "k"));
    expect(await sendOf(one, async () => "stored")).toBe("stored");
    expect(one.size).toBe(0);
    expect(await sendOf(undefined, async () => "stored")).toBe("stored");
  });

  it("remembers the key if the write failed", async () => {
    const one = recovery();
    expect(await sendOf(one, () => Promise.reject(UNANSWERED))).toBe("pending");
    expect(one.covers(entryKey(root, "k"), [])).toBe(true);
    expect(await sendOf(undefined, () => Promise.reject(UNANSWERED))).toBe("pending");
  });

  it("rejects with the error of a value that can never be written, and remembers nothing", async () => {
    const one = recovery();
    const error = new EncodeError("no such type");
    await expect(sendOf(one, () => Promise.reject(error))).rejects.toBe(error);
    expect(one.size).toBe(0);
  });
});
