/**
 * hotset and its peers, side by side. Each cell names its source, and the tests look there again: in the
 * published files of the peer, or by running it.
 */

export interface Table {
  readonly title: string;
  /** Names of packages, in the order of columns; hotset is the first column. */
  readonly peers: readonly string[];
  readonly rows: readonly Row[];
}

export interface Row {
  readonly what: string;
  readonly hotset: Cell;
  /** By the name of the peer. */
  readonly cells: Readonly<Record<string, Cell>>;
}

export interface Cell {
  readonly says: string;
  readonly source: Source;
}

export type Source =
  /** A promise of docs/reference/promises.md, or a page. */
  | { readonly kind: "promise"; readonly number: string }
  /** A file of the package has this text. */
  | { readonly kind: "has"; readonly file: string; readonly text: string }
  /** No published file has it, in any case of letters. */
  | { readonly kind: "lacks"; readonly pattern: string }
  /** A page says what one loses: only for hotset. */
  | { readonly kind: "page"; readonly path: string }
  /** A program of probes.ts gave what the cell says. */
  | { readonly kind: "ran"; readonly probe: string };

const promise = (number: string, says = "yes"): Cell => ({ says, source: { kind: "promise", number } });
const has = (file: string, text: string, says = "yes"): Cell => ({ says, source: { kind: "has", file, text } });
const lacks = (pattern: string, says = "no"): Cell => ({ says, source: { kind: "lacks", pattern } });
const page = (path: string, says = "no"): Cell => ({ says, source: { kind: "page", path } });
const ran = (probe: string, says: string): Cell => ({ says, source: { kind: "ran", probe } });

const [BENTO, CACHEABLE, MANAGER, CACHIFIED, LAYERED] = [
  "bentocache",
  "cacheable",
  "cache-manager",
  "@epic-web/cachified",
  "layered-loader",
] as const;
const BENTO_TYPES = "build/bento_cache-KhHDdh3u.d.ts";

function caches(what: string, hotset: Cell, ...others: readonly [Cell, Cell, Cell, Cell, Cell]): Row {
  const [bento, cacheable, manager, cachified, layered] = others;
  return {
    what,
    hotset,
    cells: { [BENTO]: bento, [CACHEABLE]: cacheable, [MANAGER]: manager, [CACHIFIED]: cachified, [LAYERED]: layered },
  };
}

/** One probe in all columns, hotset's included. */
function probed(what: string, probe: string, says: readonly [string, string, string, string, string, string]): Row {
  const [hotset, ...others] = says.map((each) => ran(probe, each));
  return caches(what, hotset!, ...(others as [Cell, Cell, Cell, Cell, Cell]));
}

const CACHES: readonly Table[] = [
  {
    title: "Caches: what they have",
    peers: [BENTO, CACHEABLE, MANAGER, CACHIFIED, LAYERED],
    rows: [
      caches(
        "memory in front of Redis, as one cache",
        promise("C29"),
        has(BENTO_TYPES, "useL2Layer"),
        has("dist/index.d.mts", "secondary"),
        has("dist/index.d.mts", "stores?: Keyv[]"),
        lacks("useL2|secondary|asyncCache"),
        has("dist/lib/AbstractCache.d.ts", "asyncCache"),
      ),
      caches(
        "processes notify each other of changes",
        promise("C81", "that a key changed, by the server"),
        has(BENTO_TYPES, "useBus", "keys, over a bus"),
        has("dist/index.d.mts", "CacheableSync", "values, where `sync` is set"),
        lacks("publish"),
        lacks("publish"),
        has("dist/redis.d.ts", "createNotificationPair", "keys or values, over pub/sub"),
      ),
      caches(
        "tags",
        promise("C72", "versions in Redis"),
        has(BENTO_TYPES, "deleteByTag", "time stamps"),
        has("dist/index.d.mts", "tags", "counters, off by default"),
        lacks("\\btags?\\b"),
        lacks("\\btags?\\b"),
        has("dist/core.d.ts", "GroupLoader", "groups"),
      ),
      caches(
        "a stale value while it is refreshed",
        promise("C22"),
        has(BENTO_TYPES, "grace", "`grace`, with a timeout of 0"),
        lacks("revalidate|swr|grace"),
        has("dist/index.d.mts", "refreshThreshold", "before `ttl` ends"),
        has("dist/src/common.d.ts", "swr"),
        has("dist/lib/types/DataSources.d.ts", "ttlLeftBeforeRefreshInMsecs", "before `ttl` ends"),
      ),
      caches(
        "a stale value when the load fails",
        promise("C23"),
        has(BENTO_TYPES, "grace"),
        lacks("grace|staleIfError|fallback"),
        lacks("grace|staleIfError|fallback"),
        has("dist/src/common.d.ts", "fallbackToCache", "of forced loads alone"),
        lacks("grace|staleIfError"),
      ),
      caches(
        "a bound on a load",
        promise("C38"),
        has(BENTO_TYPES, "hardTimeout"),
        lacks("hardTimeout|loadTimeout"),
        lacks("timeout"),
        lacks("hardTimeout|loadTimeout"),
        lacks("hardTimeout|loadTimeout"),
      ),
      caches(
        "a circuit breaker before Redis",
        promise("C97"),
        has(BENTO_TYPES, "l2CircuitBreakerDuration"),
        lacks("circuit"),
        lacks("circuit"),
        lacks("circuit"),
        lacks("circuit"),
      ),
      caches(
        "a schema checks what Redis has",
        promise("C192"),
        lacks("StandardSchema"),
        lacks("StandardSchema"),
        lacks("StandardSchema"),
        has("dist/src/common.d.ts", "checkValue"),
        lacks("StandardSchema"),
      ),
    ],
  },
  {
    title: "Caches: what they do",
    peers: [BENTO, CACHEABLE, MANAGER, CACHIFIED, LAYERED],
    rows: [
      probed("ten callers at once: loads", "callers", ["1", "1", "1", "1", "1", "1"]),
      probed("ten callers at once, the load fails: loads", "failing-callers", ["1", "10", "1", "1", "1", "1"]),
      probed("a load that fails gives its caller", "failing", [
        "its error",
        "an error",
        "undefined",
        "its error",
        "its error",
        "its error",
      ]),
      probed("a `delete` while a load runs: afterwards the cache has", "delete-during-load", [
        "nothing",
        "the old value",
        "the old value",
        "the old value",
        "the old value",
        "nothing",
      ]),
      probed("`null` is kept", "null", ["yes", "yes", "yes", "yes", "yes", "yes"]),
      probed("two reads of an object give", "identity", [
        "one object",
        "copies",
        "copies",
        "copies",
        "one object",
        "one object",
      ]),
    ],
  },
];

function tool(peers: readonly string[], title: string, rows: readonly (readonly [string, Cell, ...Cell[]])[]): Table {
  return {
    title,
    peers,
    rows: rows.map(([what, hotset, ...others]) => ({
      what,
      hotset,
      cells: Object.fromEntries(peers.map((peer, index) => [peer, others[index]!])),
    })),
  };
}

const TOOLS: readonly Table[] = [
  tool(["redlock"], "Locks", [
    ["a fence for the store that the lock guards", promise("A63"), lacks("fenc")],
    ["waiting callers are woken by a release", promise("A64"), lacks("subscribe|blpop", "they ask again")],
    ["extended while a function runs", promise("A65"), has("dist/index.d.ts", "automaticExtensionThreshold")],
    ["over independent servers", promise("C237"), has("dist/index.d.ts", "quorum")],
    ["semaphores, readers and writers", promise("C234"), lacks("semaphore")],
  ]),
  tool(["rate-limiter-flexible", "express-rate-limit"], "Rate limits", [
    ["a sliding window", promise("A74"), lacks("sliding"), lacks("sliding")],
    ["a token bucket", promise("A74"), lacks("token ?bucket", "two fixed windows"), lacks("token ?bucket")],
    [
      "several rules are one step",
      promise("A75"),
      has("lib/RateLimiterUnion.js", "promises.push(limiter.consume(key, points)", "each for itself"),
      lacks("union"),
    ],
    [
      "without Redis",
      promise("A76", "counts in memory, or open, or closed"),
      has("types.d.ts", "insuranceLimiter", "an error, or an insurance limiter"),
      has("dist/index.d.ts", "passOnStoreError", "an error, or open"),
    ],
    [
      "header fields `RateLimit` of the IETF",
      promise("A69"),
      lacks("RateLimit-Policy"),
      has("dist/index.d.ts", "draft-8"),
    ],
    [
      "other stores",
      page("../migrating/rate-limiter-flexible.md"),
      has("lib/RateLimiterPostgres.js", "", "SQL, MongoDB and more"),
      has("dist/index.d.ts", "MemoryStore", "by packages of others"),
    ],
  ]),
  tool(["bullmq"], "Queues", [
    [
      "a job of a lost worker comes back",
      promise("A56"),
      has("dist/esm/interfaces/worker-options.d.ts", "stalledInterval"),
    ],
    ["delays, priorities, repeats", promise("A57"), has("dist/esm/classes/job-scheduler.js", "cron-parser")],
    ["the same job once", promise("A60"), has("dist/esm/types/job-options.d.ts", "deduplication")],
    [
      "jobs that wait for others",
      page("../migrating/bullmq.md"),
      has("dist/esm/classes/flow-producer.d.ts", "FlowProducer"),
    ],
    [
      "handlers in separate processes",
      page("../migrating/bullmq.md"),
      has("dist/esm/interfaces/sandboxed-options.d.ts", ""),
    ],
    [
      "a store other than Redis",
      page("../migrating/bullmq.md"),
      has("dist/esm/postgres/postgres-queue-backend.d.ts", "", "PostgreSQL"),
    ],
  ]),
  tool(["connect-redis"], "Sessions, for express-session", [
    ["Redis holds no ids", promise("A78"), lacks("createHmac|createHash")],
    ["two requests at once keep the changes of both", promise("A81"), lacks("hset|eval\\(", "the later one wins")],
    ["log a user out everywhere", promise("C242"), lacks("destroyAll")],
    ["a serializer of your own", page("../migrating/connect-redis.md"), has("index.ts", "serializer?: Serializer")],
  ]),
  tool(["ioredis"], "Clients", [
    [
      "a deadline for each call",
      promise("C261", "5 s, or as said"),
      has("built/redis/RedisOptions.d.ts", "commandTimeout?: number", "none, or as said"),
    ],
    ["an error says whether the command may have run", promise("C260"), lacks("maybeExecuted")],
    [
      "commands of one tick leave in one write",
      promise("A19"),
      has("built/redis/RedisOptions.d.ts", "enableAutoPipelining", "where it is set"),
    ],
    ["tenants, also in scripts", promise("C249"), has("built/redis/RedisOptions.js", "keyPrefix", "`keyPrefix`")],
    ["clusters and sentinels", promise("C216"), has("built/cluster/ClusterOptions.js", "")],
  ]),
];

export const TABLES: readonly Table[] = [...CACHES, ...TOOLS];
