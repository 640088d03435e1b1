import type { Invalidation } from "@hotset/core/inspect";
import { expect, it } from "vitest";
import { countsOf, invalidationsPage, type Counted } from "./invalidations.ts";

const NOW = 1_000_000;
const tag = (agoMs: number, more: Partial<Invalidation> = {}): Invalidation => ({
  at: NOW - agoMs,
  namespace: [],
  scope: "tags",
  mode: "remove",
  tags: ["prices"],
  origin: "here",
  process: "web-1",
  ...more,
});
const key = (agoMs: number, name = "a"): Invalidation => ({
  at: NOW - agoMs,
  namespace: [],
  scope: "key",
  mode: "remove",
  key: name,
  origin: "here",
});

const times = (count: number, more: Partial<Counted> = {}): Counted => ({
  namespace: [],
  scope: "tags",
  tags: ["prices"],
  times: count,
  lastAt: NOW,
  process: "web-1",
  isAtLeast: false,
  ...more,
});

it("adds what all processes count", () => {
  const counts = [times(600), times(40, { process: "web-2" }), times(3, { scope: "key", key: "a", tags: [] })];
  const { bursts } = invalidationsPage([{ cache: "shop", invalidations: [], counts }], NOW);
  const shared = { cache: "shop", namespace: [], isAtLeast: false, lastAt: NOW };
  expect(bursts).toEqual([
    { ...shared, scope: "tags", what: "prices", by: ["web-1", "web-2"], count: 640 },
    { ...shared, scope: "key", what: "a", by: ["web-1"], count: 3 },
  ]);
});

it("the same again within a second is one line with its number", () => {
  const invalidations = [tag(100), tag(120), key(130), tag(140), tag(1_200)];
  const { recent } = invalidationsPage([{ cache: "shop", invalidations, counts: [] }], NOW);
  expect(recent.map(({ at, scope, times }) => [NOW - at, scope, times])).toEqual([
    [100, "tags", 3],
    [130, "key", 1],
    [1_200, "tags", 1],
  ]);
});

it("lists tags between any number of keys", () => {
  const invalidations = [...Array.from({ length: 500 }, (_, i) => key(i, `k${i}`)), tag(600)];
  const { recent } = invalidationsPage([{ cache: "shop", invalidations, counts: [] }], NOW);
  expect([recent.length, recent.at(-1)?.tags]).toEqual([101, ["prices"]]);
});

it("tells namespaces and caches apart", () => {
  const lists = [
    { cache: "shop", invalidations: [], counts: [times(3), times(2, { namespace: ["eu"] })] },
    { cache: "users", invalidations: [], counts: [times(1, { process: undefined, isAtLeast: true })] },
  ];
  const { bursts } = invalidationsPage(lists, NOW);
  expect(bursts.map(({ cache, namespace, by, isAtLeast }) => [cache, namespace, by, isAtLeast])).toEqual([
    ["shop", [], ["web-1"], false],
    ["shop", ["eu"], ["web-1"], false],
    ["users", [], [], true],
  ]);
});

it("takes the number of a process from its record, and what no record has as a floor", () => {
  const prices = { namespace: [], scope: "tags", tags: ["prices"], lastAt: NOW - 1_000 } as const;
  const record = (name: string, more: object) => ({ name, isOwn: false, at: NOW - 1_000, lastMinute: [], ...more });
  const counted = countsOf(
    [
      { ...prices, times: 2, origin: "here" },
      { ...prices, times: 1, origin: "elsewhere" },
      { ...prices, tags: ["offers"], times: 4, origin: "elsewhere" },
    ],
    [
      record("web-1", { isOwn: true, lastMinute: [{ ...prices, times: 1 }] }),
      record("web-2", { lastMinute: [{ ...prices, tags: ["prices", "sale"], times: 600 }] }),
      record("gone", { at: NOW - 61_000, lastMinute: [{ ...prices, times: 9 }] }),
    ],
    NOW,
  );
  expect(counted).toEqual([
    { ...prices, times: 2, process: "web-1", isAtLeast: false },
    { ...prices, tags: ["offers"], times: 4, process: undefined, isAtLeast: true },
    { ...prices, tags: ["prices", "sale"], times: 600, process: "web-2", isAtLeast: false },
  ]);
});
