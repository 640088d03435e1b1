import { TESTS } from "../files.ts";
import type { Section } from "../row.ts";

const TOOLKIT = "@hotset/redis-toolkit";
const EXAMPLES = "docs/examples/examples.test.ts";

export const SECTION: Section = {
  title: "redis_interface: what it promises, and who uses it",
  rows: [
    {
      id: "R0-126",
      what: "a pool of connections",
      here: "one connection for all commands; `redis.pool` for transactions and for what needs one of its own",
      module: TOOLKIT,
      test: [TESTS.connections, "A21: the pool has a bound, hands out in order, and refuses who waits too long"],
      mutant: "redis: a pool lends more sockets than its maximum",
    },
    {
      id: "R0-127",
      what: "automatic pipelining",
      here: "commands of one tick leave in one write; `redis.pipeline` has a result for each",
      module: TOOLKIT,
      test: [TESTS.commands, "A19: commands of one tick leave in one write"],
      mutant: "R0-65 commands of one tick leave at different times",
    },
    {
      id: "R0-128",
      what: "backpressure",
      here: "beyond `maxInFlight` calls wait, or are refused by `onOverload`",
      module: TOOLKIT,
      test: ["packages/redis/test/connection.integration.test.ts", "C218: a call without room waits, or is refused"],
      mutant: "redis: a call without room is queued although it should be refused",
    },
    {
      id: "R0-129",
      what: "timeouts of commands",
      here: "`commandTimeout`; `redis.within({ deadline, signal })` for some calls",
      module: TOOLKIT,
      test: [TESTS.connections, "C261: bounds of a view hold for each of its calls"],
      mutant: "toolkit: a call is not bounded by its view",
    },
    {
      id: "R0-130",
      what: "reconnection with back-off",
      here: "`backoff`, with full jitter, without end",
      module: TOOLKIT,
      test: ["packages/redis/src/primitives/backoff.test.ts", "A16: a thousand clients come back evenly"],
    },
    {
      id: "R0-131",
      what: "the router: cache, limits and locks over one Redis",
      here: "`redis(...)` of the cache, `rateLimit`, `locks` over one server",
      module: TOOLKIT,
      test: [TESTS.rows, "R0-131: a cache, limits, locks and a queue over one Redis do not meet"],
    },
    {
      id: "R0-132",
      what: "the scheduler: streams and consumer groups",
      here: "`consumer(stream, group, options, handler)`: retries, dead letters",
      module: "@hotset/redis-toolkit/streams",
      test: [EXAMPLES, "payments-stream.ts"],
      mutant: "streams: entries are acknowledged before they are handled",
    },
    {
      id: "R0-133",
      what: "storage: results of the database in Redis",
      here: "`createCache().tier(memory()).tier(redis(...))`, `getOrSet`",
      module: "hotset",
      test: [EXAMPLES, "memory-over-redis.ts"],
    },
  ],
};
