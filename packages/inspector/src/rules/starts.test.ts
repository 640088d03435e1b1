import { expect, it } from "vitest";
import { EMPTY, type Figures, type Picture } from "./picture.ts";
import { findings } from "./rules.ts";

const NOW = 10_000_000;
type Group = Figures["groups"][number];
type Start = Picture["starts"][number];

const start = (name: string, agoMs: number, more: Partial<Start> = {}): Start => ({
  ...{ cache: "shop", id: `${name} ${agoMs}`, name, startedAt: NOW - agoMs, lastAt: NOW - agoMs },
  ...{ isLiving: false, changed: [], ...more },
});
const rates = (hitRatio: number, calls = 1_000): Group["recent"] => ({
  ...{ ms: 15_000, calls, hitRatio, loads: 10, loadErrors: 0, timed: 0 },
});
const fallen = (recent: Group["recent"], before = rates(0.97), more: Partial<Picture> = {}): Picture => ({
  ...EMPTY,
  ...more,
  processes: [
    {
      ...{ cache: "shop", name: "web-1", startedAt: 0, silentMs: 1, clockAheadMs: 0, everyMs: 10_000 },
      ...{ isTrusted: true, settings: undefined },
      figures: { at: NOW, windowMs: 60_000, groups: [{ namespace: [], recent, before }], tiers: [] },
    },
  ],
});
const cleared: Picture["bursts"][number] = {
  ...{ cache: "shop", namespace: [], scope: "namespace", what: "everything", by: ["web-2"], count: 1 },
  ...{ isAtLeast: false, lastAt: NOW },
};
const wide = (kind: "clear" | "tags", text: string, at: number): Picture["wide"][number] => ({
  ...{ cache: "shop", kind, text, at },
});
const silent = (name: string): Picture["processes"][number] => ({
  ...{ ...fallen(rates(0.97)).processes[0]!, name, silentMs: 40_000 },
});

const loop = [0, 7_000, 14_000, 21_000].map((agoMs) => start("web-3", 1_000 + agoMs));
const LOOP = "shop: web-3 has started 4 times in 22 s, the last time 1 s ago: it ends soon after each start";
const ttl = { setting: "default ttl", was: "600000", is: "300000" };

/** Two processes that live, with these ttls. */
const released = (ttls: readonly string[], agoMs = 60_000, change = ttl): Picture => ({
  ...EMPTY,
  starts: ttls.map((_, i) => start(`web-${i + 1}`, agoMs, { changed: [change], isLiving: true })),
  processes: ttls.map((each, i) => ({
    ...fallen(rates(0.97)).processes[0]!,
    ...{ name: `web-${i + 1}`, startedAt: i, settings: { "default ttl": each } },
  })),
});

it.for<[what: string, picture: Picture, found: readonly string[]]>([
  ["a crash loop", { ...EMPTY, starts: loop }, [LOOP]],
  ["one whose last start lives", { ...EMPTY, starts: [{ ...loop[0]!, isLiving: true }, ...loop.slice(1)] }, [LOOP]],
  ["it alone, where it is silent in between", { ...EMPTY, starts: loop, processes: [silent("web-3")] }, [LOOP]],
  [
    "the silence of another process",
    { ...EMPTY, starts: loop, processes: [silent("web-4")] },
    ["shop: web-4 has been silent for 40 s", LOOP],
  ],
  ["two starts", { ...EMPTY, starts: loop.slice(2) }, []],
  [
    "starts of processes that all live under one name",
    { ...EMPTY, starts: loop.map((each) => ({ ...each, isLiving: true })) },
    [],
  ],
  [
    "processes that ran for a minute",
    { ...EMPTY, starts: loop.map((each) => ({ ...each, lastAt: each.startedAt + 60_000 })) },
    [],
  ],
  ["starts of long ago", { ...EMPTY, starts: loop.map((each) => ({ ...each, startedAt: NOW - 600_001 })) }, []],
  [
    "a few points of a high ratio",
    fallen(rates(0.86, 200)),
    ["shop on web-1: the hit ratio is 86 %, 97 % before (200 calls in 15 s)"],
  ],
  ["a few points over few calls", fallen(rates(0.86, 199)), []],
  ["fewer than three times the misses", fallen(rates(0.75), rates(0.9)), []],
  [
    "one clear as the cause",
    fallen(rates(0.5), rates(0.97), { bursts: [cleared] }),
    [
      "shop on web-1: the hit ratio is 50 %, 97 % before (1,000 calls in 15 s); the cache was invalidated 1 time in the last minute, by web-2",
    ],
  ],
  [
    "a release as the cause, with what it changed",
    fallen(rates(0.8), rates(0.97), { starts: [start("web-2", 90_000, { changed: [ttl], isLiving: true })] }),
    [
      'shop on web-1: the hit ratio is 80 %, 97 % before (1,000 calls in 15 s); web-2 started 90 s ago with default ttl "300000" (was "600000")',
    ],
  ],
  [
    "no release of another cache, of long ago, or that changed nothing",
    fallen(rates(0.5), rates(0.97), {
      starts: [
        start("web-2", 90_000),
        start("web-2", 1_800_001, { changed: [ttl] }),
        start("web-2", 90_000, { cache: "blog", changed: [ttl] }),
      ],
    }),
    ["shop on web-1: the hit ratio is 50 %, 97 % before (1,000 calls in 15 s)"],
  ],
  [
    "a release that changed what decides answers, everywhere",
    released(["300000", "300000"]),
    ['shop: web-1, web-2 started 60 s ago with default ttl "300000" (was "600000")'],
  ],
  [
    "another setting, and no change, while only some have it",
    released(["600000", "300000"]),
    ['shop: web-2 differs in default ttl: "300000", the other "600000"'],
  ],
  ["no release of long ago", released(["300000", "300000"], 900_001), []],
  [
    "no release that changed its name alone",
    released(["300000", "300000"], 60_000, { ...ttl, setting: "release" }),
    [],
  ],
  [
    "clears by a schedule",
    { ...EMPTY, wide: [0, 30_000, 60_500].map((at) => wide("clear", "the cache was cleared, by web-2", at)) },
    ["shop: the cache was cleared 3 times in 61 s, every 30 s, by web-2"],
  ],
  [
    "calls of a wide tag",
    { ...EMPTY, wide: [0, 5_000, 60_000].map((at) => wide("tags", "tag catalog was invalidated, by web-2", at)) },
    ["shop: tag catalog was invalidated 3 times in 60 s, by web-2"],
  ],
  [
    "no single clear, and no two calls of a wide tag",
    {
      ...EMPTY,
      wide: [
        wide("clear", "the cache was cleared, by web-1", 0),
        wide("clear", "the cache was cleared, by web-2", 0),
        wide("tags", "tag catalog was invalidated, by web-2", 0),
        wide("tags", "tag catalog was invalidated, by web-2", 9_000),
      ],
    },
    [],
  ],
])("finds %s", ([, given, found]) => {
  expect(findings(given, NOW).map(({ text }) => text)).toEqual(found);
});
