import type { PageSpec } from "./page-spec.ts";

/** The pages of the toolkit: one for each entry. */
export const TOOLKIT_PAGES: readonly PageSpec[] = [
  {
    file: "toolkit",
    title: "The Redis toolkit",
    intro:
      "`@hotset/redis-toolkit`: one client for a service, and commands with types. Each module is an entry with " +
      "[a page](README.md). In use: [the toolkit](../../guide/toolkit.md); variables of the environment and what " +
      "commands answer: [in full](../toolkit.md).",
    names: [
      ...["createRedis", "defaultRedis", "resetDefaultRedis", "RedisOptions", "TlsFiles", "Redis", "RedisView"],
      ...["CallBounds", "FallbackOptions", "Commands", "OwnCommands", "BytesCommands", "OwnBytesCommands"],
      ...["LenientCommands", "SetOptions@@hotset/redis-toolkit", "JsonOptions", "IncrOptions", "ExpireOptions"],
      ...["ScanOptions", "ScanHashOptions", "Life", "DurationText", "Fields", "Writable", "Transaction"],
      ...["TransactionOptions@@hotset/redis-toolkit", "TransactionResult", "Discard", "ViewPool", "RedisEvents"],
      ...["RedisState", "CommandEvent", "RedisClientStats", "ModuleCounts", "redisAddress", "RedisAddress"],
      ...["CommandError", "CommandErrorCode", "CommandErrorDetails"],
    ],
  },
  {
    file: "toolkit-connection",
    title: "Toolkit: connections",
    intro:
      "`@hotset/redis-toolkit/connection`: any command, over links like those of a cache. In full: " +
      "[connections](../connection.md).",
    names: ["openConnection", "OpenOptions", "RedisConnection", "RedisConnectionOptions", "CallOptions", "Pool"],
  },
  {
    file: "toolkit-locks",
    title: "Toolkit: locks",
    intro: "`@hotset/redis-toolkit/lock`. In use: [locks](../../guide/toolkit-locks.md).",
    names: [
      ...["locks", "LocksOptions", "LeaseOptions", "AcquireOptions", "TryOptions", "Locks", "Lockable", "Lease"],
      ...["Hold", "Task", "LockUnavailableError", "LockLostError"],
    ],
  },
  {
    file: "toolkit-limits",
    title: "Toolkit: rate limits",
    intro: "`@hotset/redis-toolkit/rate-limit`. In use: [rate limits](../../guide/toolkit-limits.md).",
    names: [
      ...["rateLimit", "RateLimitOptions", "RateLimit", "RateLimitResult", "fixedWindow", "slidingLog"],
      ...["slidingCounter", "tokenBucket", "gcra", "concurrency"],
      ...["WindowOptions@@hotset/redis-toolkit/rate-limit", "SlidingCounterOptions", "TokenBucketOptions"],
      ...["GcraOptions", "ConcurrencyOptions", "expressRateLimit", "fastifyRateLimit", "honoRateLimit"],
      ...["RequestLimitOptions", "ipKey", "IpKeyOptions", "expressRateLimitStore", "ExpressStoreOptions"],
      "CostAboveLimitError",
    ],
  },
  {
    file: "toolkit-queue",
    title: "Toolkit: queues",
    intro: "`@hotset/redis-toolkit/queue`. In use: [queues](../../guide/toolkit-queue.md).",
    names: [
      ...[
        "queue",
        "QueueOptions",
        "Queue",
        "AddOptions",
        "JobOptions",
        "RepeatOptions",
        "Backoff@@hotset/redis-toolkit/queue",
      ],
      ...["BackoffFunction", "Keep", "FlowOptions", "FlowChild", "Worker", "WorkerOptions", "Handler", "Job"],
      ...["JobContext", "JobSnapshot", "JobState", "DeadLetters@@hotset/redis-toolkit/queue", "QueueEvent"],
      ...["QueueListening", "simpleQueue", "SimpleQueue"],
    ],
  },
  {
    file: "toolkit-streams",
    title: "Toolkit: streams",
    intro: "`@hotset/redis-toolkit/streams`. In use: [streams](../../guide/toolkit-streams.md).",
    names: [
      ...[
        "streams",
        "StreamOptions",
        "Streams",
        "Stream",
        "AppendOptions",
        "TrimOptions",
        "RangeOptions",
        "ReadOptions",
      ],
      ...["ReaderOptions", "StreamReader", "ConsumerGroup", "GroupReadOptions", "consumer", "ConsumerOptions"],
      ...["Consumer", "ConsumerHandler", "ConsumerContext", "Delivery"],
    ],
  },
  {
    file: "toolkit-sessions",
    title: "Toolkit: sessions",
    intro:
      "`@hotset/redis-toolkit/sessions`, with `/fastify`, `/hono` and `/express-session`. In use: " +
      "[sessions](../../guide/toolkit-sessions.md).",
    names: [
      ...["sessions", "SessionOptions", "JsonSessionOptions", "Sessions", "Session", "SessionInfo"],
      ...["CreateSessionOptions", "RegenerateOptions", "SessionChanges", "SessionConflictError", "SessionStore"],
      ...["SessionStoreOptions", "fastifySessions", "honoSessions"],
    ],
  },
  {
    file: "toolkit-boards",
    title: "Toolkit: leaderboards, presence, counters",
    intro:
      "`@hotset/redis-toolkit/leaderboard`, `/presence` and `/counters`. In use: " +
      "[boards](../../guide/toolkit-boards.md).",
    names: [
      ...["leaderboard", "LeaderboardOptions", "Leaderboard", "presence", "PresenceOptions", "Presence"],
      ...["userPresence", "UserPresenceOptions", "UserPresence", "activeUsers", "ActiveUsersOptions", "ActiveUsers"],
      ...["uniques", "UniquesOptions", "Uniques"],
    ],
  },
  {
    file: "toolkit-health",
    title: "Toolkit: health",
    intro: "`@hotset/redis-toolkit/health`. In use: [health](../../guide/toolkit-health.md).",
    names: ["health", "HealthOptions", "Health", "HealthStatus", "Readiness", "RedisStats"],
  },
  {
    file: "toolkit-pubsub",
    title: "Toolkit: pub/sub",
    intro: "`@hotset/redis-toolkit/pubsub`. In use: [the toolkit](../../guide/toolkit.md).",
    names: ["pubsub", "PubSub", "ChannelOptions", "Channel", "Subscription", "Listening"],
  },
  {
    file: "toolkit-scripts",
    title: "Toolkit: scripts",
    intro: "`@hotset/redis-toolkit/scripts`. In use: [the toolkit](../../guide/toolkit.md).",
    names: ["defineScript", "ScriptDefinition", "Script", "ScriptArgument", "ScriptReply"],
  },
  {
    file: "toolkit-inspect",
    title: "Toolkit: what its keys mean",
    intro: "`@hotset/redis-toolkit/inspect`, for tools that look at Redis. Keys: [every key](../toolkit-keys.md).",
    names: ["knownKey", "KnownKey", "MODULES", "ModuleName"],
  },
  {
    file: "toolkit-modules",
    title: "Toolkit: writing a module",
    intro: "`@hotset/redis-toolkit/module`: what the modules of the toolkit are made with.",
    names: ["moduleOf", "Module", "KeySpace"],
  },
];
