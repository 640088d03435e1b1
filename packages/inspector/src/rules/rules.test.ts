import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { QueueRow } from "../data/pages.ts";
import { EMPTY, type Figures, type Picture } from "./picture.ts";
import { findings, RULES, rulesList } from "./rules.ts";

const NOW = 1_000_000;

const quiet: Picture["caches"][number] = {
  name: "shop",
  tiers: [
    { label: "memory", state: "up", since: undefined, failure: undefined },
    { label: "redis", state: "up", since: NOW - 5_000, failure: undefined },
  ],
  pending: 0,
  busiest: undefined,
  fallbacks: { keys: 0, namespace: [], error: undefined },
  recordFailure: undefined,
};

const burst: Picture["bursts"][number] = {
  cache: "shop",
  namespace: [],
  scope: "tags",
  what: "prices",
  by: ["web-2"],
  count: 30,
  isAtLeast: false,
  lastAt: NOW,
};

const follower: Picture["followers"][number] = { name: "shop", lagBytes: 0, lagMs: undefined, error: undefined };

const queue: QueueRow = {
  name: "mails",
  waiting: 0,
  delayed: 0,
  active: 0,
  completed: 0,
  dead: 0,
  isPaused: false,
  oldestWaitingMs: null,
  lastReason: null,
};

const picture = (part: Partial<Picture>): Picture => ({ ...EMPTY, caches: [quiet], hasRedisPage: true, ...part });

const ofCache = (part: Partial<Picture["caches"][number]>): Picture => picture({ caches: [{ ...quiet, ...part }] });
const failure = {
  tier: "redis",
  at: NOW - 40_100,
  operation: "read",
  kind: "BACKEND_UNAVAILABLE",
  message: "redis: no answer to read within 1000 ms; check that Redis runs",
};
const silence = { since: NOW - 8_000, shownAt: null, error: "no answer within 1000 ms" };
const redisIs = (state: string, more: Partial<typeof failure> = {}): Picture =>
  ofCache({ tiers: [{ label: "redis", state, since: NOW - 40_000, failure: { ...failure, ...more } }] });
const because = "BACKEND_UNAVAILABLE, no answer to read within 1000 ms";
const web2 = {
  ...{ cache: "shop", name: "web-2", startedAt: 0, silentMs: 1, clockAheadMs: 0, everyMs: 10_000, isTrusted: true },
  figures: undefined as Figures | undefined,
  settings: undefined as Readonly<Record<string, string>> | undefined,
};
type Group = Figures["groups"][number];
const before: Group["before"] = {
  ms: 0,
  calls: 1_000,
  hitRatio: 0.97,
  loads: 30,
  loadErrors: 0,
  timed: 30,
  p95Ms: 100,
};
const recent: Group["recent"] = { ...before, ms: 15_000, calls: 100, loads: 3, timed: 3 };
const NEVER_HIT: Group["recent"] = { ms: 15_000, calls: 1_071, hitRatio: 0, loads: 1_071, loadErrors: 0, timed: 0 };
const root: Group = { namespace: [], recent, before };
const group = (more: Partial<Group>): Group => ({ ...root, ...more });
const well = { label: "redis", state: "up", hits: 0, misses: 0, errors: 0 } as const;
const figures = (more: Partial<Figures>): Figures => ({
  ...{ at: NOW, windowMs: 60_000, groups: [root], tiers: [well], ...more },
});
/** Two processes with the same figures, and this one, which has no name. */
const on = (more: Partial<Figures>, names: readonly (string | undefined)[] = [undefined]): Picture =>
  picture({
    processes: names.map((name) => ({
      ...web2,
      name: name as string,
      silentMs: name === undefined ? 0 : 1,
      figures: figures(more),
    })),
  });
const failing = (kind: string, message: string, more: Partial<Figures["tiers"][number]> = {}): Partial<Figures> => ({
  tiers: [{ ...well, errors: 79, lastError: { at: NOW - 1_000, operation: "write", kind, message }, ...more }],
});
const server = { address: "10.0.0.7:6379", usedMemory: 91, maxMemory: 100, maxMemoryPolicy: "noeviction" };

type Verified = NonNullable<Figures["verified"]>[number];
const verified = (more: Partial<Verified>): Verified => ({
  ...{
    namespace: ["checkout"],
    checked: 60,
    wrong: 0,
    drift: 0,
    unclear: 0,
    unsteady: 0,
    unsteadyFields: [],
    failed: 0,
  },
  ...{ curve: [], shape: "none", writers: [], reasons: [], isInvalidated: false, ...more },
});
/** Each with so many of 60 values that differ, which say nothing by themselves. */
const comparing = (...all: readonly (readonly [name: string, unclear: number])[]): Picture =>
  picture({
    processes: all.map(([name, unclear]) => ({
      ...web2,
      name,
      figures: figures({ verified: [verified({ unclear, shape: "few" })] }),
    })),
  });
const GROWING: Verified["curve"] = [
  { meanMs: 2_500, upToMs: 5_000, checked: 15, different: 0 },
  { meanMs: 50_000, upToMs: 60_000, checked: 15, different: 3 },
];
const BY_STAGING: Partial<Verified> = {
  shape: "other-writer",
  writers: [
    { writer: "AAAA", isOwn: false, checked: 20, different: 6 },
    { writer: "BBBB", isOwn: true, checked: 40, different: 0 },
  ],
};

describe("findings", () => {
  it.for<[given: Picture, found: readonly string[]]>([
    [picture({}), []],
    [redisIs("down"), [`error redis shop: redis has been down for 40 s: ${because}`]],
    [redisIs("detached"), [`warning redis shop: redis has been detached for 40 s: ${because}`]],
    [redisIs("detached", { at: NOW - 60_000 }), ["warning redis shop: redis has been detached for 40 s"]],
    [redisIs("bypassed"), ["warning redis shop: redis has been bypassed for 40 s"]],
    [{ ...redisIs("down"), hasRedisPage: false }, [`error overview shop: redis has been down for 40 s: ${because}`]],
    [
      ofCache({ tiers: [{ label: "postgres", state: "down", since: undefined, failure: undefined }] }),
      ["error overview shop: postgres has been down"],
    ],
    [ofCache({ pending: 1 }), ["warning overview shop: 1 invalidation pending until the backend answers"]],
    [ofCache({ busiest: { namespace: [], key: "a", callers: 19, forMs: 9_999 } }), []],
    [
      ofCache({ busiest: { namespace: [], key: "a", callers: 1_200, forMs: 300 } }),
      ['warning stampedes shop: 1,200 callers of "a" wait for one load, for 0 s'],
    ],
    [
      ofCache({ busiest: { namespace: [], key: "a", callers: 1, forMs: 200_000 } }),
      ['error stampedes shop: 1 caller of "a" waits for one load, for 3 min'],
    ],
    [
      ofCache({ fallbacks: { keys: 2, namespace: [], error: "Error: db" } }),
      ["error stale shop: 2 keys served stale because loads fail: Error: db"],
    ],
    [
      ofCache({ fallbacks: { keys: 2, namespace: ["tenant:acme"], error: "Error: db" } }),
      ["error stale shop: 2 keys of tenant:acme served stale because loads fail: Error: db"],
    ],
    [
      ofCache({ recordFailure: { since: NOW - 9_000, error: "redis: write failed; cause: OOM command not allowed" } }),
      ["error fleet shop: records of processes are refused for 9 s: write failed: OOM command not allowed"],
    ],
    [picture({ bursts: [{ ...burst, count: 29 }] }), []],
    // A popular product whose price changes.
    [picture({ bursts: [{ ...burst, scope: "key", what: "p:1", by: ["web-2"], count: 119 }] }), []],
    [
      picture({ bursts: [{ ...burst, count: 1_200 }] }),
      ['warning invalidations shop: tag "prices" was invalidated 1,200 times in the last minute, by web-2'],
    ],
    [
      picture({ bursts: [{ ...burst, scope: "namespace", what: "everything", by: [], isAtLeast: true }] }),
      [
        "warning invalidations shop: the cache was invalidated at least 30 times in the last minute, by another process",
      ],
    ],
    // Another process replaced it: perhaps after its ttl.
    [picture({ bursts: [{ ...burst, scope: "key", what: "rate:EUR", by: [], isAtLeast: true, count: 68 }] }), []],
    [
      picture({ bursts: [{ ...burst, scope: "key", namespace: ["search"], what: "q:0", by: ["web-3"], count: 120 }] }),
      ['warning invalidations shop: key "search › q:0" was invalidated 120 times in the last minute, by web-3'],
    ],
    [picture({ processes: [web2] }), []],
    [on({}), []],
    [
      on(failing("DECODE_FAILED", "not written by json()")),
      [
        "error overview shop: redis is up, but entries cannot be read: 79 errors in the last minute, the last: not written by json()",
      ],
    ],
    [
      on(
        failing(
          "BACKEND_REFUSED",
          "redis: write failed; cause: OOM command not allowed when used memory > 'maxmemory'. script: dc19, on @user_script:45",
        ),
      ),
      [
        "error overview shop: redis is up, but writes are refused: its memory is full: 79 errors in the last minute, the last: write failed: OOM command not allowed when used memory > 'maxmemory'",
      ],
    ],
    [
      on(
        failing(
          "BACKEND_REFUSED",
          "redis: lease was refused: OOM command not allowed. script: dc19, on @user_script:4",
        ),
      ),
      [
        "error overview shop: redis is up, but writes are refused: its memory is full: 79 errors in the last minute, the last: lease was refused: OOM command not allowed",
      ],
    ],
    [
      on(failing("BACKEND_ACCESS", "redis: NOPERM this user has no permissions"), ["web-1", "web-2", "web-3", "web-4"]),
      [
        "error overview shop on web-1, web-2 and 2 others: redis is up, but its user has not the rights: 79 errors in the last minute, the last: NOPERM this user has no permissions",
      ],
    ],
    // Few, over, or of a tier that is down.
    [on(failing("DECODE_FAILED", "x", { errors: 2 })), []],
    [on(failing("DECODE_FAILED", "x", { lastError: { at: NOW - 21_000, operation: "", kind: "", message: "" } })), []],
    [on(failing("BACKEND_UNAVAILABLE", "x", { state: "down" })), []],
    [
      on({ groups: [group({ recent: { ...recent, hitRatio: 0 } })] }),
      ["warning keys shop: the hit ratio is 0 %, 97 % before (100 calls in 15 s)"],
    ],
    [
      on({
        groups: [
          group({ recent: { ...recent, hitRatio: 0.5 } }),
          group({ namespace: ["search"], recent: { ...recent, hitRatio: 0 } }),
          group({ group: "queries", recent: { ...recent, hitRatio: 0 } }),
        ],
      }),
      ["warning keys shop: the hit ratio of search is 0 %, 97 % before (100 calls in 15 s)"],
    ],
    [on({ groups: [group({ recent: { ...recent, hitRatio: 0.73 } })] }), []],
    [on({ groups: [group({ recent: { ...recent, hitRatio: 0, calls: 49 } })] }), []],
    [on({ groups: [group({ recent: { ...recent, hitRatio: 0 }, before: { ...before, calls: 99 } })] }), []],
    [
      on({
        groups: [
          group({ namespace: ["invoice"], recent: { ...recent, p95Ms: 5_100 }, slowest: { key: "9", ms: 5_100 } }),
        ],
      }),
      ['warning keys shop: loads of invoice take 5.1 s (95 %), 100 ms before; the slowest is "invoice › 9"'],
    ],
    [on({ groups: [group({ recent: { ...recent, p95Ms: 999 } })] }), []],
    [
      on({ groups: [group({ recent: { ...recent, timed: 10, p95Ms: 800 } })] }),
      ["warning keys shop: loads take 800 ms (95 %), 100 ms before"],
    ],
    [on({ groups: [group({ recent: { ...recent, timed: 10, p95Ms: 799 } })] }), []],
    [on({ groups: [group({ recent: { ...recent, timed: 10, p95Ms: 249 }, before: { ...before, p95Ms: 10 } })] }), []],
    [on({ groups: [group({ recent: { ...recent, p95Ms: 5_000 }, before: { ...before, p95Ms: 2_000 } })] }), []],
    [
      on({ groups: [group({ failed: { count: 95, at: NOW, error: "Error: db" } })] }),
      ["error keys shop: 95 loads failed in the last minute: Error: db"],
    ],
    [on({ groups: [group({ failed: { count: 4, at: NOW, error: "Error: db" } })] }), []],
    [
      on({
        groups: [
          root,
          group({
            namespace: ["settings"],
            failed: { count: 15, at: NOW, error: "Error: db", most: { key: "acme", count: 12 } },
          }),
        ],
      }),
      [
        'error keys shop: 15 loads of settings failed in the last minute, 12 times that of "settings › acme": Error: db',
      ],
    ],
    [
      {
        ...on({ groups: [root, group({ namespace: ["products"], recent: { ...recent, hitRatio: 0.62 } })] }),
        bursts: [
          { ...burst, scope: "key", what: "p:1", count: 40 },
          { ...burst, namespace: ["carts"], count: 9 },
          { ...burst, scope: "namespace", what: "everything", count: 2 },
        ],
      },
      [
        "warning keys shop: the hit ratio of products is 62 %, 97 % before (100 calls in 15 s); the cache was invalidated 2 times in the last minute, by web-2",
      ],
    ],
    [
      on({
        groups: [
          group({ recent: { ...recent, unadmitted: 2_101 } }),
          group({ namespace: ["products"], recent: { ...recent, unadmitted: 2_001 } }),
          group({ namespace: ["pages"], recent: { ...recent, unadmitted: 99 } }),
        ],
      }),
      [
        "warning keys shop: a flood of new keys of products: 2,001 loads in 15 s were beyond newKeys and are kept nowhere, of 100 calls",
      ],
    ],
    [on({ groups: [group({ recent: { ...recent, unadmitted: 99 } })] }), []],
    [
      on({ groups: [root, group({ namespace: ["quote"], recent: NEVER_HIT, before: NEVER_HIT })] }, ["web-1"]),
      ["warning keys shop on web-1: calls of quote never hit: 1,071 calls in 15 s, 1,071 loads"],
    ],
    [
      on({ groups: [root, group({ namespace: ["quote"], recent: NEVER_HIT, before: { ...NEVER_HIT, calls: 99 } })] }),
      [],
    ],
    [
      on({
        groups: [root, group({ namespace: ["quote"], recent: { ...NEVER_HIT, hitRatio: 0.03 }, before: NEVER_HIT })],
      }),
      [],
    ],
    [
      on({ queued: { seen: 3, looks: 12, loads: 4, forMs: 210, maxLoads: 1 } }, ["web-3"]),
      [
        "warning stampedes shop on web-3: up to 4 loads waited for a free slot, up to 210 ms, at 3 of 12 looks; maxLoads is 1",
      ],
    ],
    [on({ verified: [verified({})] }), []],
    [on({ verified: [verified({ drift: 60 })] }), []],
    [on({ verified: [verified({ unclear: 2, shape: "few" })] }), []],
    [
      on(
        {
          verified: [
            verified({
              wrong: 3,
              reasons: [{ why: "other-namespace", count: 3, otherNamespace: ["catalog"] }],
              last: { key: "product:7", at: NOW, ageMs: 9_000, fields: ["cents"], tags: [] },
            }),
          ],
        },
        ["web-1"],
      ),
      [
        'error keys shop on web-1: 3 of 60 values of checkout that were compared with their source are wrong: their keys or tags were invalidated in catalog alone; the last: "checkout › product:7" in cents',
      ],
    ],
    [
      on({ verified: [verified({ unclear: 6, shape: "grows", curve: GROWING })] }, ["web-3"]),
      [
        "warning keys shop on web-3: 6 of 60 values of checkout differ from their source, more of the older ones (0 % up to 5 s old, 20 % up to 60 s): changes at the source don't reach the cache; this process has invalidated none of them itself",
      ],
    ],
    [
      on({ verified: [verified({ unclear: 6, shape: "from-start", group: "cart", curve: GROWING.toReversed() })] }),
      [
        "warning keys shop: 6 of 60 values of checkout › cart differ from their source whatever their age (20 % up to 60 s old, 0 % up to 5 s): they were wrong when they were stored",
      ],
    ],
    [
      picture({
        processes: [
          { ...web2, name: "web-1", figures: figures({ verified: [verified({ unclear: 6, ...BY_STAGING })] }) },
          { ...web2, name: "staging-1", id: "AAAAbbbb" },
        ],
      }),
      [
        "warning keys shop on web-1: 6 of 60 values of checkout differ from their source, where other processes wrote them, and not where this one did; 6 were written by staging-1",
      ],
    ],
    [
      picture({
        processes: [
          {
            ...web2,
            name: "web-1",
            figures: figures({
              verified: [
                verified({ wrong: 4, unclear: 2, reasons: [{ why: "early-delete", count: 4 }], ...BY_STAGING }),
              ],
            }),
          },
          { ...web2, name: "staging-1", id: "AAAAbbbb" },
        ],
      }),
      [
        "warning keys shop on web-1: 6 of 60 values of checkout differ from their source, where other processes wrote them, and not where this one did; 6 were written by staging-1",
      ],
    ],
    [
      comparing(["web-1", 3], ["staging-1", 30], ["web-2", 21]),
      [
        "error fleet shop: staging-1 has another source than the others: 50 % of the values of checkout that it compared differ, at most 35 % elsewhere",
      ],
    ],
    [comparing(["web-1", 3], ["staging-1", 29], ["web-2", 21]), []],
    [comparing(["web-1", 3], ["staging-1", 60], ["web-2", 22]), []],
    [comparing(["web-1", 3], ["staging-1", 60]), []],
    [
      on({ verified: [verified({ unsteady: 61, unsteadyFields: ["servedAt"] })] }),
      [
        "warning keys shop: 61 values of checkout differ from load to load in servedAt: they cannot be compared with their source",
      ],
    ],
    [on({ queued: { seen: 2, looks: 12, loads: 4, forMs: 210 } }), []],
    [on({ groups: [group({ failed: { count: 95, at: NOW - 21_000, error: "Error: db" } })] }), []],
    [
      on({ tiers: [{ ...well, label: "memory", entries: 50, maxEntries: 50, evicted: 771 }] }, ["web-2"]),
      ["warning overview shop on web-2: memory is full: 771 evictions in the last minute, with 50 of 50 entries"],
    ],
    [on({ tiers: [{ ...well, label: "memory", entries: 50, evicted: 49 }] }), []],
    [on({ tiers: [{ ...well, label: "memory", entries: 10_000, evicted: 999 }] }), []],
    [
      on({ largest: { namespace: ["doc"], key: "1", bytes: 5_240_000, at: NOW, before: 640 } }),
      ['warning keys shop: "doc › 1" has 5.24 MB, the largest before had 640 B'],
    ],
    [on({ largest: { namespace: [], key: "1", bytes: 999_999, at: NOW, before: 640 } }), []],
    [on({ largest: { namespace: [], key: "1", bytes: 5_000_000, at: NOW, before: 1_300_000 } }), []],
    [
      on({ shared: { namespace: [], key: "report", callers: 150, ms: 3_100, at: NOW } }),
      ['warning stampedes shop: 150 callers of "report" waited for one load of 3.1 s'],
    ],
    [on({ shared: { namespace: [], key: "report", callers: 150, ms: 499, at: NOW } }), []],
    [
      picture({
        processes: [0.8, 0.82, 0.24].map((hitRatio, i) => ({
          ...web2,
          name: `web-${i}`,
          figures: figures({ groups: [group({ recent: { ...recent, hitRatio } })] }),
        })),
      }),
      // Their own past was no better.
      [
        "warning keys shop on web-2: the hit ratio is 24 %, 97 % before (100 calls in 15 s)",
        "warning fleet shop: web-2 has a hit ratio of 24 %, the other 2 have 80 % or more",
      ],
    ],
    [
      picture({
        processes: [{ ...web2, silentMs: 26_000, isTrusted: false, figures: figures(failing("DECODE_FAILED", "x")) }],
      }),
      ["error fleet shop: web-2 has been silent for 26 s"],
    ],
    [
      picture({
        processes: [
          { ...web2, clockAheadMs: 300_000 },
          { ...web2, name: "web-3", clockAheadMs: -10_000 },
          { ...web2, name: "web-4", clockAheadMs: 9_999 },
        ],
      }),
      [
        "warning fleet shop: the clock of web-2 is 5 min ahead",
        "warning fleet shop: the clock of web-3 is 10 s behind",
      ],
    ],
    [
      picture({
        processes: [
          { ...web2, name: "web-1", settings: { coherence: "tracking", release: "a" } },
          { ...web2, settings: { coherence: "tracking", release: "a", seal: "none" } },
          { ...web2, name: "web-3", settings: { coherence: "pubsub", release: "b" } },
          { ...web2, name: "web-4", settings: { coherence: "none", release: "a" }, silentMs: 25_001 },
          { ...web2, cache: "blog", name: "web-5", settings: { coherence: "none" } },
        ],
      }),
      [
        "error fleet shop: web-4 has been silent for 25 s",
        'warning fleet shop: web-3 differs in coherence: "pubsub", the others "tracking"',
        'warning fleet shop: web-3 differs in release: "b", the others "a"',
      ],
    ],
    [
      // Of two, the one that has started last.
      picture({
        processes: [
          { ...web2, startedAt: 2, settings: { release: "b" } },
          { ...web2, name: "web-1", startedAt: 1, settings: { release: "a" } },
        ],
      }),
      ['warning fleet shop: web-2 differs in release: "b", the other "a"'],
    ],
    [
      picture({ processes: [{ ...web2, isTrusted: false }] }),
      [
        "warning fleet shop: web-2 cannot trust its copies: it may miss invalidations, and asks the backend for each call",
      ],
    ],
    [picture({ queues: [{ ...queue, waiting: 3, oldestWaitingMs: 30_000 }] }), []],
    [picture({ queues: [{ ...queue, waiting: 3, active: 1, oldestWaitingMs: 90_000 }] }), []],
    [
      picture({ queues: [{ ...queue, waiting: 3, oldestWaitingMs: 90_000 }] }),
      ["error queues queue mails: no worker takes jobs; the oldest has been waiting for 90 s"],
    ],
    [
      picture({ queues: [{ ...queue, isPaused: true, waiting: 3, oldestWaitingMs: 90_000 }] }),
      ["warning queues queue mails is paused"],
    ],
    [
      picture({ queues: [{ ...queue, dead: 7, lastReason: "mailbox full" }] }),
      ["error queues queue mails: 7 dead jobs, the last: mailbox full"],
    ],
    [picture({ followers: [{ ...follower, lagBytes: 2 ** 26, lagMs: 10_000 }] }), []],
    [
      picture({ followers: [{ ...follower, lagBytes: 2 ** 27, lagMs: 12_000 }] }),
      ["warning overview follower shop: 12 s and 128 MiB of the log behind the database"],
    ],
    [
      picture({ followers: [{ ...follower, error: "ECONNREFUSED" }] }),
      ["error overview follower shop: the log of the database is not followed here: ECONNREFUSED"],
    ],
    [picture({ silence, servers: [server] }), ["error redis Redis has not answered for 8 s: no answer within 1000 ms"]],
    [{ ...redisIs("down"), silence }, [`error redis shop: redis has been down for 40 s: ${because}`]],
    [picture({ servers: [{ ...server, usedMemory: 90 }] }), []],
    [picture({ servers: [server] }), ["error redis Redis 10.0.0.7:6379: 91 % of maxmemory is used, with noeviction"]],
    [
      picture({ servers: [{ ...server, maxMemoryPolicy: "allkeys-lfu" }] }),
      ["warning redis Redis 10.0.0.7:6379: 91 % of maxmemory is used, with allkeys-lfu"],
    ],
    [picture({ servers: [{ address: "a:1", error: "TIMEOUT" }] }), ["error redis Redis a:1: does not answer: TIMEOUT"]],
    [
      picture({ servers: [{ address: "a:1", isPersistenceWell: false }] }),
      ["error redis Redis a:1: the last snapshot, or write of its log, failed"],
    ],
  ])("%#", ([given, found]) => {
    expect(findings(given, NOW).map(({ level, page, text }) => `${level} ${page} ${text}`)).toEqual(found);
  });

  it("errors come first, and a long key is cut", () => {
    const found = findings(
      {
        ...ofCache({ busiest: { namespace: [], key: "k".repeat(100), callers: 20, forMs: 0 } }),
        queues: [{ ...queue, dead: 1 }],
      },
      NOW,
    );
    expect(found.map(({ level }) => level)).toEqual(["error", "warning"]);
    expect(found[1]!.text).toContain(`"${"k".repeat(60)}…"`);
  });
});

it("each rule has its row for the guide, and names of their own", () => {
  const cells = RULES.flatMap(({ what, when, remedy }) => [what, when, remedy]);
  expect(cells.filter((cell) => cell === "" || cell.includes("|"))).toEqual([]);
  expect(new Set(RULES.map(({ name }) => name)).size).toBe(RULES.length);
});

it("the guide lists the rules", () => {
  const guide = readFileSync(new URL("../../../../docs/guide/inspector.md", import.meta.url), "utf8");
  expect(guide).toContain(`\n${rulesList()}\n`);
});
