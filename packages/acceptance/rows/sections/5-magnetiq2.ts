import { TESTS } from "../files.ts";
import type { Section } from "../row.ts";

const TOOLKIT = "@hotset/redis-toolkit";
const HEALTH = "@hotset/redis-toolkit/health";
const INFO = "packages/redis-toolkit/src/health/info.test.ts";

export const SECTION: Section = {
  title: "Magnetiq2: Redis services",
  rows: [
    {
      id: "R4-01",
      what: "`RedisManager.connect` by `REDIS_URL`, retries after a timeout",
      here: "`url` or `REDIS_URL`; reads alone are sent again",
      module: TOOLKIT,
      test: [TESTS.redis, "a database, by a URL, by its parts and by both"],
    },
    {
      id: "R4-02",
      what: "`CacheService.set`, `get`, `get_json`: text as it is, else JSON",
      here: "`set` and `get` for text, `setJson` and `getJson` for values: none guesses",
      module: TOOLKIT,
      test: [TESTS.commands, "A32: JSON values come back as they were"],
      mutant: "R0-10 a corrupt value is a string",
    },
    {
      id: "R4-03",
      what: "`SessionService`: user, begin and last activity",
      here: "`userId`, `createdAt`, `lastActivity`, which moves",
      module: "@hotset/redis-toolkit/sessions",
      test: [TESTS.sessions, "A80: touch writes at most once a minute, and moves the last activity then"],
      mutant: "sessions: touch does not move the end",
    },
    {
      id: "R4-04",
      what: "`RealtimeService`: updates of bookings on a channel each, as a generator",
      here: "`channel.subscribe()`: an iterator for each subscriber; the last one ends it at the server",
      module: "@hotset/redis-toolkit/pubsub",
      test: [TESTS.pubsub, "A45: any number of listeners is one connection and one subscription at the server"],
      mutant: "toolkit: the last listener leaves its connection open",
    },
    {
      id: "R4-05",
      what: "compose with Redis, a volume and its configuration",
      here: "a cache and a durable server, healthy before the service starts, without a port of the host",
      module: "docs/examples/service",
      test: [
        "docs/examples/service/test/compose.integration.test.ts",
        "starts Redis before the service, publishes no port",
      ],
    },
    {
      id: "R4-06",
      what: "redis.conf: memory, eviction, persistence, a password",
      here: "a configuration for a cache and one for durable data",
      module: "docs/operations",
      test: [TESTS.operations, "starts a server that is set as it says"],
    },
    {
      id: "R4-07",
      what: "lists as queues, sets of active users, sorted sets of scores, hashes",
      here: "`queue`, `simpleQueue`, `presence`, `leaderboard`, `hset`",
      module: "@hotset/redis-toolkit/presence",
      test: [TESTS.counters, "A85: members that were seen lately are active"],
      mutant: "presence: members whose time is over are counted until they are removed",
    },
    {
      id: "R4-08",
      what: "an audit of keys without an end; large values compressed",
      here: "`health(redis).ttlAudit({ match, fix })`; `setJson` with `compressAbove`",
      module: HEALTH,
      test: [TESTS.health, "A91: the largest keys, the bytes of one, and what has no end"],
      mutant: "toolkit: an audit gives every key of its pattern a new end",
    },
    {
      id: "R4-09",
      what: "`acquire_lock`, `release_lock`",
      here: "`locks(redis).tryAcquire`, `lease.release`: `released` or `lost`",
      module: "@hotset/redis-toolkit/lock",
      test: [TESTS.locks, "A62: only its holder releases it"],
      mutant: "lock: a lock is released without a look at its token",
    },
    {
      id: "R4-10",
      what: "`is_rate_limited(limit, window)`",
      here: "`rateLimit(redis, { rules: [fixedWindow({ limit, window })] })`: every window ends",
      module: "@hotset/redis-toolkit/rate-limit",
      test: ["packages/redis-toolkit/test/limits-processes.integration.test.ts", "A72: among 10,000 calls"],
      mutant: "limits: a fixed window has no end",
    },
    {
      id: "R4-11",
      what: "`MONITOR`, `INFO`, `SLOWLOG GET`, `MEMORY USAGE` on the command line",
      here:
        "`health(redis)`: `monitor` for who says that it halves the throughput, `stats`, `slowlog`, `memoryUsage`; " +
        "`npx hotset`",
      module: HEALTH,
      test: [TESTS.health, "A91: every command of one server, for as long as asked"],
      mutant: "toolkit: a monitor needs no word",
    },
    {
      id: "R4-12",
      what: "`get_redis_stats`: memory, clients, commands, hits, misses",
      here: "`health(redis).stats()`: numbers, `hitRatio`",
      module: HEALTH,
      test: [INFO, "of several are sums; the hit ratio is that of all, and null before the first read"],
      mutant: "toolkit: a hit ratio before the first read",
    },
    {
      id: "R4-13",
      what: "pipelines",
      here: "`redis.pipeline`, a result for each; `redis.transaction`, all or none",
      module: TOOLKIT,
      test: [TESTS.commands, "a pipeline has a result for each command, in one go"],
    },
    {
      id: "R4-20",
      what: "bitmaps of daily active users, HyperLogLog",
      here: "`activeUsers(redis, name)`, `uniques(redis, name)`",
      module: "@hotset/redis-toolkit/counters",
      test: [TESTS.counters, "active users are exactly those that were marked, by window and over windows"],
    },
    {
      id: "R4-21",
      what: "helpers for operations: slow commands, latency, large keys",
      here: "`health(redis)`: `slowlog`, `latency`, `bigKeys`",
      module: HEALTH,
      test: [TESTS.health, "A91: slow commands of all primaries, newest first, and round trips"],
    },
    {
      id: "R4-22",
      what: "other servers: Valkey, KeyDB, DragonflyDB, ElastiCache",
      here: "each tested, expected or not supported; one that is too old is refused by a sentence",
      module: "docs/guide/which-server.md",
      test: [
        "packages/redis/test/wrong-servers.integration.test.ts",
        "is refused by a sentence, and not tried again and",
      ],
      mutant: "redis: an old server is used, and half works",
    },
  ],
};
