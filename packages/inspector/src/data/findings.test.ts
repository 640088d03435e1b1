import { describe, expect, it } from "vitest";
import { findings, type Picture } from "./findings.ts";
import type { QueueRow } from "./pages.ts";

const NOW = 1_000_000;

const quiet: Picture["caches"][number] = {
  name: "shop",
  tiers: [
    { label: "memory", state: "up", since: undefined, failure: undefined },
    { label: "redis", state: "up", since: NOW - 5_000, failure: undefined },
  ],
  pending: 0,
  lastMinute: { loads: 40, loadErrors: 0 },
  lastError: undefined,
  busiest: undefined,
  fallbacks: { keys: 0, error: undefined },
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

const picture = (part: Partial<Picture>): Picture => ({
  caches: [quiet],
  hasRedisPage: true,
  bursts: [],
  processes: [],
  queues: [],
  servers: [],
  followers: [],
  silence: null,
  ...part,
});

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
const web2 = { cache: "shop", name: "web-2", silentMs: 0, isTrusted: true };
const server = { address: "10.0.0.7:6379", usedMemory: 91, maxMemory: 100, maxMemoryPolicy: "noeviction" };

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
    [ofCache({ busiest: { key: "a", callers: 19, forMs: 9_999 } }), []],
    [
      ofCache({ busiest: { key: "a", callers: 1_200, forMs: 300 } }),
      ['warning stampedes shop: 1,200 callers of "a" wait for one load, for 0 s'],
    ],
    [
      ofCache({ busiest: { key: "a", callers: 1, forMs: 200_000 } }),
      ['error stampedes shop: 1 caller of "a" waits for one load, for 3 min'],
    ],
    [
      ofCache({ fallbacks: { keys: 2, error: "Error: db" }, lastMinute: { loads: 1, loadErrors: 9 } }),
      ["error stale shop: 2 keys served stale because loads fail: Error: db"],
    ],
    [ofCache({ lastMinute: { loads: 40, loadErrors: 4 } }), []],
    [
      ofCache({ lastMinute: { loads: 40, loadErrors: 5 }, lastError: "Error: db" }),
      ["error overview shop: 5 loads failed in the last minute: Error: db"],
    ],
    [picture({ bursts: [{ ...burst, count: 29 }] }), []],
    [
      picture({ bursts: [{ ...burst, count: 1_200 }] }),
      ['warning invalidations shop: tag "prices" was invalidated 1,200 times in the last minute, by web-2'],
    ],
    [
      picture({ bursts: [{ ...burst, scope: "namespace", what: "everything", by: [], isAtLeast: true }] }),
      [
        "warning invalidations shop: a namespace was invalidated at least 30 times in the last minute, by another process",
      ],
    ],
    [picture({ processes: [web2] }), []],
    [picture({ processes: [{ ...web2, silentMs: 26_000 }] }), ["error fleet shop: web-2 has been silent for 26 s"]],
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
        ...ofCache({ busiest: { key: "k".repeat(100), callers: 20, forMs: 0 } }),
        queues: [{ ...queue, dead: 1 }],
      },
      NOW,
    );
    expect(found.map(({ level }) => level)).toEqual(["error", "warning"]);
    expect(found[1]!.text).toContain(`"${"k".repeat(60)}…"`);
  });
});
