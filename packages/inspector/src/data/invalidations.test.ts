import { expect, it } from "vitest";
import type { Invalidation } from "@hotset/core/inspect";
import { invalidationsPage, REMEMBERED } from "./invalidations.ts";

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

it("counts the same thing in the last minute, by all of its processes", () => {
  const list = [tag(0), tag(10, { origin: "elsewhere", process: "web-2" }), key(20), tag(59_000), tag(61_000)];
  const { bursts, seconds, count, recent } = invalidationsPage([{ cache: "shop", invalidations: list }], NOW);
  expect({ seconds, count, listed: recent.length }).toEqual({ seconds: 60, count: 4, listed: 5 });
  expect(bursts).toEqual([
    {
      cache: "shop",
      namespace: [],
      scope: "tags",
      what: "prices",
      by: ["web-1", "web-2"],
      count: 3,
      isAtLeast: true,
      lastAt: NOW,
    },
    {
      cache: "shop",
      namespace: [],
      scope: "key",
      what: "a",
      by: ["this process"],
      count: 1,
      isAtLeast: false,
      lastAt: NOW - 20,
    },
  ]);
});

it("says a shorter time where more came than are remembered, and lists tags between any number of keys", () => {
  const list = [...Array.from({ length: REMEMBERED - 1 }, (_, i) => key(i, `k${i}`)), tag(REMEMBERED)];
  const { recent, seconds, count } = invalidationsPage([{ cache: "shop", invalidations: list }], NOW);
  expect({ seconds, count }).toEqual({ seconds: 5, count: REMEMBERED });
  expect([recent.length, recent.at(-1)?.tags]).toEqual([101, ["prices"]]);
});

it("tells namespaces and caches apart", () => {
  const lists = [
    { cache: "shop", invalidations: [tag(0), tag(1, { namespace: ["eu"] })] },
    { cache: "users", invalidations: [tag(2, { origin: "elsewhere", process: undefined as never })] },
  ];
  const { bursts } = invalidationsPage(lists, NOW);
  expect(bursts.map(({ cache, namespace, by }) => [cache, namespace, by])).toEqual([
    ["shop", [], ["web-1"]],
    ["shop", ["eu"], ["web-1"]],
    ["users", [], []],
  ]);
});
