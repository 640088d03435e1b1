import { TESTS } from "../files.ts";
import type { Section } from "../row.ts";

const TOOLKIT = "@hotset/redis-toolkit";
const EXAMPLES = "docs/examples/examples.test.ts";
const PROMETHEUS = "packages/prometheus/test/observe.integration.test.ts";

export const SECTION: Section = {
  title: "RedisUtils",
  rows: [
    {
      id: "R3-01",
      what: "`create_redis_pool()` from the environment or `.env`",
      here: "`createRedis()`, with `env` and `envFile`",
      module: TOOLKIT,
      test: [TESTS.settings, "A3: an option counts more than a variable, that more than the file"],
      mutant: "toolkit: the file counts more than the variables of the process",
    },
    {
      id: "R3-02",
      what: "`get_redis_connection`, tried again with growing pauses",
      here: "the same for each connection, without end; a call waits for it within its deadline",
      module: "@hotset/redis",
      test: ["packages/redis/src/connection/single-link.test.ts", "A16: waits longer after each failure"],
    },
    {
      id: "R3-03",
      what: "`REDIS_DATABASE`, `REDIS_POOL_MAX_SIZE`, `REDIS_CONNECTION_TIMEOUT`, `REDIS_COMMAND_TIMEOUT`",
      here: "the same names, in seconds, or with `_MS`; two names that differ are refused",
      module: TOOLKIT,
      test: [TESTS.settings, "R3-03 R3-05: the variables of RedisUtils"],
    },
    {
      id: "R3-04",
      what: "`REDIS_TLS_ENABLED`, `_CERT_PATH`, `_KEY_PATH`, `_CA_PATH`",
      here: "the same; files are checked at once, and read again at each connection",
      module: TOOLKIT,
      test: [TESTS.redis, "A5: with TLS, a certificate of its own, and a password"],
    },
    {
      id: "R3-05",
      what: "`REDIS_MAX_RETRIES`, `REDIS_RETRY_DELAY_MS`, `REDIS_RETRY_MAX_DELAY_MS`",
      here: "the same; reads alone are sent again, writes never",
      module: TOOLKIT,
      test: [TESTS.settings, "R3-03 R3-05: the variables of RedisUtils"],
    },
    {
      id: "R3-06",
      what: "`pool.get()`, a connection of one's own",
      here: "`redis.pool.use(task)`, `redis.pool.status`",
      module: TOOLKIT,
      test: [TESTS.connections, "A22: a connection comes back to the pool as new"],
    },
    {
      id: "R3-07",
      what: "connections that are checked and replaced",
      here: "one that died with its server is not lent again",
      module: TOOLKIT,
      test: [TESTS.pool, "A23: connections that died with the server are replaced"],
    },
    {
      id: "R3-08",
      what: "market data that lives for a minute",
      here: '`setJson(key, value, { ttl: "60s" })`, or a script that keeps the newest tick',
      module: TOOLKIT,
      test: [EXAMPLES, "market-data.ts"],
      mutant: "toolkit: the keys of a script have no prefix",
    },
    {
      id: "R3-09",
      what: "a portfolio in a hash",
      here: "`hincrMany` with `bigint`: exact amounts",
      module: TOOLKIT,
      test: [EXAMPLES, "portfolio.ts"],
    },
    {
      id: "R3-10",
      what: "events as JSON on a channel",
      here: "`channel<T>(name, { schema })`",
      module: "@hotset/redis-toolkit/pubsub",
      test: [TESTS.pubsub, "A45: each subscription gets every message that is published after it was confirmed"],
    },
    {
      id: "R3-11",
      what: "modules for errors, metrics and configuration",
      here: "errors with a `code`; `observe({ redis })`; settings that are checked",
      module: "@hotset/prometheus",
      test: [PROMETHEUS, "are commands by name with durations and codes, connections, queues and consumers"],
    },
    {
      id: "R3-12",
      what: "an image with a health check, and compose",
      here: "a service as it is deployed: not an administrator, probed at its own `/ready`, drained by SIGTERM",
      module: "docs/examples/service",
      test: [
        "docs/examples/service/test/image.test.ts",
        "asks for its health with bounds that leave the probe its time",
      ],
    },
    {
      id: "R3-13",
      what: "advice on monitoring, scaling and high availability",
      here: "alert rules and a dashboard whose metrics exist; [production](guide/production.md)",
      module: "docs/operations",
      test: ["packages/prometheus/test/dashboard.test.ts", "names metrics that exist"],
    },
    {
      id: "R3-14",
      what: "figures that no benchmark of it shows, and words such as zero-copy",
      notTaken: "each figure is a row of its own below, and nothing is claimed that was not measured",
    },
    {
      id: "R3-15",
      what: "metrics: use of the pool, latency, errors, retries, memory, network",
      here:
        "`redis_pool_connections`, `redis_command_duration_seconds`, `redis_command_errors_total`, " +
        "`redis_losses_total`",
      module: "@hotset/prometheus",
      test: [PROMETHEUS, "are commands by name with durations and codes, connections, queues and consumers"],
    },
    {
      id: "R3-16",
      what: "tests and examples that run",
      here: "every program of docs/examples runs in CI, and its output is compared",
      module: "docs/examples",
      test: [EXAMPLES, "basic-use.ts"],
    },
    {
      id: "R3-17",
      what: "reading a number",
      here: "`getNumber`: a number, `undefined`, or `NOT_A_NUMBER`",
      module: TOOLKIT,
      test: [TESTS.commands, "A25: counters"],
    },
    {
      id: "R3-18",
      what: "automated backups",
      here: "scripts that back up and restore, a user that may do no more, a CronJob; [the page](guide/backup.md)",
      module: "docs/operations/backup.sh",
      test: [
        "docs/examples/service/test/backup.integration.test.ts",
        "is restored to a new server with every key, value",
      ],
    },
    {
      id: "R3-19",
      what: "Kubernetes manifests and a Helm chart",
      here: "three that are probed, bounded and without rights, and the same as a chart; not run in a cluster here",
      module: "docs/examples/service/kubernetes",
      test: [
        "docs/examples/service/test/kubernetes.test.ts",
        "runs three, spread over nodes, of which one may be taken",
      ],
    },
    {
      id: "R3-20",
      what: "order state with its history, results of backtests, trading events",
      here: "programs of docs/examples",
      module: TOOLKIT,
      test: [EXAMPLES, "order-state.ts"],
      mutant: "toolkit: the keys of a script have no prefix",
    },
  ],
};
