import { expect, it } from "vitest";
import { EMPTY, type Figures, type Picture, type ProcessPicture } from "./picture.ts";
import { findings } from "./rules.ts";

const NOW = 10_000_000;
type Group = Figures["groups"][number];

const rates: Group["recent"] = {
  ...{ ms: 60_000, calls: 1_000, hitRatio: 0.9, loads: 100, loadErrors: 0 },
  ...{ timed: 100, p95Ms: 20 },
};
const group = (more: Partial<Group> = {}): Group => ({ namespace: [], recent: rates, before: rates, ...more });
const web = (name: string, groups: readonly Group[], more: Partial<Figures> = {}): ProcessPicture => ({
  ...{ cache: "shop", name, startedAt: Number(name.slice(4)), silentMs: 1, clockAheadMs: 0, everyMs: 10_000 },
  ...{ isTrusted: true, settings: undefined },
  figures: { at: NOW, windowMs: 60_000, groups: [group(), ...groups], tiers: [], ...more },
});
const on = (...processes: readonly ProcessPicture[]): Picture => ({ ...EMPTY, processes });

const empty = (more: Partial<NonNullable<Group["empty"]>>): Partial<Group> => ({
  namespace: ["product"],
  empty: { loads: 100, nothing: 0, nulls: 0, emptied: 0, before: { loads: 1_000, nulls: 20 }, ...more },
});
const hits = (slow: number, count = 250): ProcessPicture => {
  const process = web("web-1", []);
  const calls = { hit: { count, p50Ms: 2, p95Ms: 180, p99Ms: 450, slow } };
  return { ...process, figures: { ...process.figures!, groups: [group({ calls })] } };
};
const loaded = (p95Ms: number, count = 30): Group =>
  group({ namespace: ["product"], calls: { loaded: { count, p50Ms: 25, p95Ms, p99Ms: 9_000, slow: 1 } } });
const spikes = (...at: readonly number[]): Partial<Figures> => ({
  spikes: { namespace: ["rate"], key: "EUR", at, loads: 200, usual: 3 },
});
const growing = (bytes: number): Partial<Figures> => ({
  growing: {
    ...{ namespace: ["feed"], key: "home", bytes, at: NOW - 5_000 },
    ...{ before: 300_000, since: NOW - 1_200_000, stores: 12 },
  },
});
const unstorable = (count: number): Partial<Figures> => ({
  unstorable: {
    ...{ tier: "redis", namespace: ["misc"], key: "report:1", at: NOW, count },
    error: "redis: 9437189 bytes are more than maxDecodedBytes (8388608); raise it",
  },
});
const held = (seen: number): Partial<Figures> => ({ heldLoop: { seen, looks: 12, longestMs: 1_400 } });
const shaped = (...fields: readonly string[]): Group => group({ group: "product", fields });

const SPIKES =
  'up to 200 loads began in the same second, 2 times in 20 s, where 3 are usual; the last: "rate › EUR" and others';

it.for<[picture: Picture, found: readonly string[]]>([
  [on(web("web-1", [])), []],
  [
    on(web("web-1", [group(empty({ nothing: 20, most: { key: "9", count: 4 } }))])),
    [
      'shop on web-1: 20 of 100 loads of product returned undefined in the last minute, so nothing was cached; 4 times that of "product › 9"',
    ],
  ],
  [on(web("web-1", [group(empty({ nothing: 19 }))])), []],
  [on(web("web-1", [group(empty({ nothing: 20, loads: 101 }))])), []],
  [
    on(web("web-1", [group(empty({ nulls: 10 }))])),
    ["shop on web-1: 10 of 100 loads of product returned null in the last minute, 2 % before"],
  ],
  // As many as before, too few, or nothing to compare with.
  [on(web("web-1", [group(empty({ nulls: 10, before: { loads: 1_000, nulls: 21 } }))])), []],
  [on(web("web-1", [group(empty({ nulls: 9, loads: 20 }))])), []],
  [on(web("web-1", [group(empty({ nulls: 10, before: { loads: 49, nulls: 0 } }))])), []],
  [
    on(
      web("web-1", [
        group(empty({ nulls: 5, emptied: 5, before: { loads: 0, nulls: 0 }, most: { key: "a", count: 5 } })),
      ]),
    ),
    [
      'shop on web-1: 5 of 100 loads of product returned null in the last minute; 5 replaced a value; 5 times that of "product › a"',
    ],
  ],
  [
    on(web("web-1", [], unstorable(1))),
    [
      'shop on web-1: "misc › report:1" cannot be stored in redis: 9437189 bytes are more than maxDecodedBytes (8388608)',
    ],
  ],
  [
    on(web("web-1", [], unstorable(3))),
    [
      'shop on web-1: "misc › report:1" cannot be stored in redis: 9437189 bytes are more than maxDecodedBytes (8388608); 3 values in the last minute',
    ],
  ],
  [
    on(web("web-1", [], growing(1_000_000))),
    ['shop on web-1: "feed › home" grows: 1 MB, 300 kB 20 min ago, 12 writes since'],
  ],
  [on(web("web-1", [], growing(999_999))), []],
  [on(web("web-1", [], spikes(NOW - 25_000, NOW - 5_000))), [`shop on web-1: ${SPIKES}`]],
  [on(web("web-1", [], spikes(NOW - 5_000))), []],
  [on(web("web-1", [], spikes(NOW - 3_920_000, NOW - 3_900_001))), []],
  [
    on(web("web-1", [], spikes(NOW - 7_201_000, NOW - 3_600_000, NOW - 1_000))),
    [
      'shop on web-1: up to 200 loads began in the same second, 3 times in 2 h, every 60 min, where 3 are usual; the last: "rate › EUR" and others',
    ],
  ],
  [
    on(hits(5)),
    [
      "shop on web-1: 5 of 250 hits in the backend took 200 ms or longer in the last minute, up to 450 ms (99 %); half of them at most 2 ms",
    ],
  ],
  [on(hits(4, 5)), []],
  [on(hits(5, 251)), []],
  [on({ ...hits(5), startedAt: NOW - 29_999 }), []],
  [on(web("web-3", [], held(3))), ["shop on web-3: the event loop was held up for up to 1.4 s, at 3 of 12 looks"]],
  [on(web("web-3", [], held(2))), []],
  [on({ ...web("web-3", [], held(3)), startedAt: NOW - 29_999 }), []],
  [
    on(web("web-3", [loaded(220)])),
    ["shop on web-3: calls of product that load take up to 220 ms (95 %), their loads up to 20 ms"],
  ],
  [on({ ...web("web-3", [loaded(220)]), startedAt: NOW - 29_999 }), []],
  [on(web("web-3", [loaded(219)])), []],
  [on(web("web-3", [loaded(5_000, 29)])), []],
  [
    on(
      web("web-1", [shaped("cents", "id")]),
      web("web-2", [shaped("cents", "id")]),
      web("web-3", [shaped("id", "price")]),
    ),
    ["shop: web-3 loads values of group product with price and without cents; the others do not"],
  ],
  // Of two, the one that has started last. A namespace says less than the group inside.
  [
    on(
      web("web-1", [shaped("id"), group({ namespace: ["catalog"], fields: ["id"] })]),
      web("web-2", [shaped("id", "stock"), group({ namespace: ["catalog"], fields: ["id", "stock"] })]),
    ),
    ["shop: web-2 loads values of group product with stock; the others do not"],
  ],
  [on(web("web-1", [shaped("id")]), { ...web("web-2", [shaped("no")]), cache: "blog" }), []],
  [on(web("web-1", [shaped("id")]), web("web-2", [shaped("id")])), []],
])("what loaders give, and the time around them, are findings: %#", ([given, found]) => {
  expect(findings(given, NOW).map(({ text }) => text)).toEqual(found);
});
