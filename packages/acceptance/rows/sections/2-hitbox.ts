import type { Section } from "../row.ts";

const REDIS = "@hotset/redis";

export const SECTION: Section = {
  title: "hitbox: the Redis backend",
  rows: [
    {
      id: "R1-01",
      what: "`SingleConfig`: a URL, and the base of the back-off",
      here: "`single(url)`, `backoff({ base, factor, max })`",
      module: REDIS,
      test: ["packages/redis/src/primitives/backoff.test.ts", "R1-01: base and factor can be set"],
    },
    {
      id: "R1-02",
      what: "`ClusterConfig`: nodes, and reads from replicas",
      here: "`cluster(nodes, { readFromReplicas })`",
      module: REDIS,
      test: ["packages/redis/test/cluster.integration.test.ts", "A44 R1-02: answer reads where the user asked for it"],
    },
    {
      id: "R1-03",
      what: "options that do not fit the kind of connection",
      here: "refused by the compiler, and at run time",
      module: REDIS,
      test: ["packages/redis/src/builder.test.ts", "R1-03: cluster"],
    },
    {
      id: "R1-04",
      what: "a builder: timeouts, retries, user, label, key format, value format, compressor",
      here: "`redis(connection)...build()`, with finite defaults",
      module: REDIS,
      test: ["packages/redis/src/builder.test.ts", "R1-04: is synchronous, opens nothing, and has the documented"],
    },
    {
      id: "R1-05",
      what: "a connection at first use, once for all who come meanwhile",
      here: "the same; `connect()` opens it early",
      module: REDIS,
      test: ["packages/redis/src/connection/single-link.test.ts", "A7 R1-05 C100: is opened by the first call"],
    },
    {
      id: "R1-06",
      what: "formats and compressors of values",
      here: "`json`, `msgpack`, `v8`; `gzip`, `brotli`, `zstd`; each entry names its own",
      module: "hotset",
      test: ["packages/acceptance/test/redis/format-swap.integration.test.ts", "R1-06: find values that the other has"],
    },
    {
      id: "R1-07",
      what: "readable and compact keys",
      here: '`keyFormat("readable" or "hashed")`',
      module: REDIS,
      test: ["packages/redis/src/store/redis-keys.test.ts", "hashed keys have a fixed length"],
    },
    {
      id: "R1-08",
      what: "value, staleness and end in one trip",
      here: "the same; an entry that has ended is a miss",
      module: REDIS,
      test: ["packages/redis/src/store/entry-fields.test.ts", "R1-08 A40: a PTTL of 0 or -2 is a miss"],
      mutant: "redis: a life that is over is read as one without an end",
    },
    {
      id: "R1-09",
      what: "writing a value with its end",
      here: "one step, in milliseconds, which leaves nothing of the former entry",
      module: REDIS,
      test: ["packages/redis/test/layout.integration.test.ts", "A39 R1-09: leaves nothing of the older entry"],
      mutant: "redis: a write leaves fields of the former entry",
    },
    {
      id: "R1-10",
      what: "`remove`: deleted or missing",
      here: "`cache.delete(key)`: `deleted`, `missing` or `pending`",
      module: "hotset",
      test: ["packages/redis/test/layout.integration.test.ts", "R1-10 A41: reports deleted or missing"],
    },
    {
      id: "R1-11",
      what: "a backend that is cloned, with a label in metrics",
      here: "one backend for several caches; `label`",
      module: REDIS,
      test: [
        "packages/acceptance/test/redis/round-trips.integration.test.ts",
        "is shared by caches, and its label is in",
      ],
    },
    {
      id: "R1-12",
      what: "errors that wrap those of the client",
      here: "typed errors with `cause`",
      module: REDIS,
      test: [
        "packages/acceptance/test/outage/redis-unreachable.integration.test.ts",
        "is a typed error, with the client",
      ],
    },
    {
      id: "R1-13",
      what: "one multiplexed connection",
      here: "the same",
      module: REDIS,
      test: ["packages/redis/test/round-trips.integration.test.ts", "R1-13: are shared by five hundred calls at once"],
    },
    {
      id: "R1-20",
      what: "keys made of named parts",
      here: "`keyOf(name, ...parts)`",
      module: "hotset",
      test: ["packages/acceptance/test/redis/keys.integration.test.ts", "R1-20: are written the same in any order"],
    },
  ],
};
