import { expect, it } from "vitest";
import { EMPTY, type Picture } from "./picture.ts";
import { findings } from "./rules.ts";

const NOW = 10_000_000;
const on = (server: Partial<Picture["servers"][number]>, keyGroups: Picture["keyGroups"] = []): Picture => ({
  ...EMPTY,
  keyGroups,
  servers: [{ address: "r:1", usedMemory: 50, maxMemory: 100, maxMemoryPolicy: "allkeys-lru", ...server }],
});
const mine = { kind: "entries of a cache", owner: "hotset:shop", keys: 20, bytes: 19_000 };
const theirs = { kind: "other", owner: "other", keys: 540, bytes: 10_800_000 };

const FULL = { maxMemory: 12_000_000 };

it.for<[what: string, picture: Picture, found: readonly string[]]>([
  ["nothing of a server with room", on({ events: { evicted: 99 } }), []],
  [
    "whose keys fill the memory, and what they push out",
    on({ ...FULL, usedMemory: 10_920_000, events: { evicted: 1_200 } }, [mine, theirs]),
    [
      "Redis r:1: 91 % of maxmemory is used, with allkeys-lru; 1,200 keys evicted in the last minute; most of it is keys of other programs, other:…: 10.8 MB in 540 keys",
    ],
  ],
  [
    "nobody, where the keys that were counted are few",
    on({ ...FULL, usedMemory: 11_400_000 }, [mine]),
    ["Redis r:1: 95 % of maxmemory is used, with allkeys-lru"],
  ],
  [
    "evictions below the limit, which is of the whole",
    on({ usedMemory: 89, events: { evicted: 100 } }, [{ ...mine, bytes: null }]),
    ["Redis r:1: 89 % of maxmemory is used, with allkeys-lru; 100 keys evicted in the last minute"],
  ],
  [
    "a cache that fills it itself",
    on({ ...FULL, usedMemory: 11_400_000, maxMemoryPolicy: "noeviction" }, [{ ...mine, bytes: 10_800_000 }]),
    [
      "Redis r:1: 95 % of maxmemory is used, with noeviction; most of it is entries of a cache hotset:shop: 10.8 MB in 20 keys",
    ],
  ],
  [
    "commands that hold it up",
    on({ events: { slow: { times: 12, longestMs: 450, command: "EVAL", client: "report at 10.0.0.9:5000" } } }),
    ["Redis r:1: commands held it up 12 times in the last 10 min, for up to 450 ms: EVAL, by report at 10.0.0.9:5000"],
  ],
  ["nothing of two short ones", on({ events: { slow: { times: 2, longestMs: 999, command: "GET", client: "" } } }), []],
  [
    "one long one",
    on({ events: { slow: { times: 1, longestMs: 1_000, command: "KEYS", client: "" } } }),
    ["Redis r:1: commands held it up 1 time in the last 10 min, for up to 1 s: KEYS"],
  ],
  [
    "that it was emptied",
    on({ events: { flushes: 2 } }),
    ["Redis r:1: FLUSHALL or FLUSHDB removed all keys 2 times in the last 10 min"],
  ],
  [
    "that it restarted",
    on({ events: { restartedAt: NOW - 42_000 } }),
    ["Redis r:1: it started 42 s ago, while this process ran"],
  ],
  [
    "that another took over",
    on({ events: { tookOverAt: NOW - 42_000 } }),
    ["Redis r:1: it took over from another server 42 s ago: writes that had not reached it are lost"],
  ],
  [
    "processes with another database number",
    {
      ...EMPTY,
      elsewhere: [
        { owner: "hotset:shop@2", own: 0, database: 1, processes: 1 },
        { owner: "hotset:blog", own: 0, database: 3, processes: 2 },
      ],
    },
    [
      "shop@2: 1 process uses database 1 of Redis, and this one database 0",
      "blog: 2 processes use database 3 of Redis, and this one database 0",
    ],
  ],
  ["nothing of long ago", on({ events: { restartedAt: NOW - 600_000, tookOverAt: NOW - 600_000 } }), []],
])("the servers of Redis: finds %s", ([, given, found]) => {
  expect(findings(given, NOW).map(({ text }) => text)).toEqual(found);
});
