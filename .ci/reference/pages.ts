import type { PageSpec } from "./page-spec.ts";
import { TOOLKIT_PAGES } from "./toolkit-pages.ts";

/** The order of pages and names. A name that is missing here stands at the end of a page of its package. */
export const PAGES: readonly PageSpec[] = [
  {
    file: "cache",
    title: "The cache",
    intro:
      "How a cache is made, and its life. It is also its root [namespace](namespace.md): `getOrSet`, `set`, " +
      "`delete` and the others are there. Step by step: [getting started](../../guide/getting-started.md).",
    names: [
      "createCache",
      "CacheOptions",
      "EmptyCacheBuilder",
      "LocalCacheBuilder",
      "CacheBuilder",
      "Cache",
      "CacheLogger",
      "Clock",
      "systemClock",
    ],
  },
  {
    file: "namespace",
    title: "Namespaces and calls",
    intro:
      "The calls of a cache and of each of its namespaces. Their options are on [a separate page](options.md), " +
      "and so are [loaders](loaders.md). In use: [getting started](../../guide/getting-started.md), [keys and " +
      "namespaces](../../guide/keys-and-namespaces.md).",
    names: ["Namespace", "NamespaceOptions", "ValueOf", "StandardSchema", "EntryInfo", "Decision", "SetOptions"],
  },
  {
    file: "options",
    title: "Options of calls",
    intro:
      "Lifetimes, stale windows and timeouts, and the options of single calls. Bounds: [options](../options.md); " +
      "their meaning, with pictures: [freshness](../../guide/freshness.md).",
    names: [
      ...["Lifetime", "Policy", "GetOrSetOptions", "GetOrSetManyOptions", "EntryOptions"],
      ...["LoadOptions", "GetManyOptions", "GetOptions", "ClearOptions", "TouchOptions"],
      ...["Served", "Duration", "parseDuration"],
    ],
  },
  {
    file: "results",
    title: "Results of writes",
    intro: "The results of calls that change entries. `pending` is explained in [failure](../../guide/failure.md).",
    names: [
      "WriteResult",
      "DeleteResult",
      "MarkStaleResult",
      "TouchResult",
      "InvalidateResult",
      "WriteManyResult",
      "DeleteManyResult",
    ],
  },
  {
    file: "loaders",
    title: "Loaders",
    intro:
      "The functions that compute values, and what they are given. In use: [the context of a " +
      "loader](../../guide/loaders.md#the-context-of-a-loader).",
    names: ["Loader", "LoadContext", "StaleValue", "NotModified", "BatchLoader", "BatchLoadContext", "Fence"],
  },
  {
    file: "wrap",
    title: "Wrapped functions",
    intro: "The results of a function, remembered by its arguments. In use: [`wrap.ts`](../../examples/wrap.ts).",
    names: ["WrapOptions", "Wrapped"],
  },
  {
    file: "keys",
    title: "Keys",
    intro: "Keys made of plain data. In use: [keys and namespaces](../../guide/keys-and-namespaces.md#keyof).",
    names: ["keyOf", "KeyPart"],
  },
  {
    file: "events",
    title: "Events",
    intro:
      "For `cache.on(event, listener)` and for diagnostics channels. When each occurs, limits, logs and warnings: " +
      "[events](../events.md).",
    names: ["CacheEvents", "CacheEvent"],
  },
  {
    file: "stats",
    title: "Statistics",
    intro: "The result of `stats()`. The meaning of each number: [statistics](../stats.md).",
    names: ["CacheStats", "NamespaceStats", "TierStats", "TierState", "Latency"],
  },
  {
    file: "metrics",
    title: "Metrics for Prometheus",
    intro: "The numbers and events of caches as metrics of prom-client. In use: [metrics](../../guide/metrics.md).",
    names: [
      "observe@@hotset/metrics/prometheus",
      "ObserveOptions@@hotset/metrics/prometheus",
      "Observation@@hotset/metrics/prometheus",
    ],
  },
  {
    file: "otel",
    title: "OpenTelemetry",
    intro: "These, and spans, for OpenTelemetry. In use: [metrics](../../guide/metrics.md#for-opentelemetry).",
    names: [
      "observe@@hotset/metrics/otel",
      "ObserveOptions@@hotset/metrics/otel",
      "Observation@@hotset/metrics/otel",
      "Durations",
      "CollectedDurations",
      "startTracing",
      "TracingOptions",
      "Tracing",
    ],
  },
  {
    file: "instruments",
    title: "Instruments, for authors of exporters",
    intro:
      "The definition of every metric, for those who write an exporter to another system. Why they are defined apart " +
      "from exporters: [decision 0122](../../decisions/log.md#0122).",
    names: [
      "connect",
      "Observed",
      "Modules",
      "HttpFigures",
      "FollowFigures",
      "Exporter",
      "Instrument",
      "Labels",
      "Sample",
      "Recorder@@hotset/metrics",
      "HistogramSeries",
      "prometheusName",
      "DURATION_BUCKETS",
      "checkBuckets",
      "checkObject",
    ],
  },
  {
    file: "errors",
    title: "Errors",
    intro:
      "Every error that hotset throws is a `CacheError` with a stable `code`. When each occurs, and what to do: " +
      "[errors](../errors.md).",
    names: [
      "CacheError",
      "CacheErrorCode",
      "CacheErrorCodes",
      "BackendUnavailableError",
      "CacheClosedError",
      "ConfigurationError",
      "DecodeError",
      "EncodeError",
      "InvalidArgumentError",
      "InvalidValueError",
      "LoadTimeoutError",
      "MissingConnectionError",
      "OverloadedError",
      "ReentrantLoadError",
    ],
  },
  {
    file: "memory",
    title: "The memory tier",
    intro:
      "The local tier. Bounds: [options](../options.md#memory); in use: [memory only](../../examples/memory-only.ts).",
    names: ["memory", "MemoryOptions", "Bytes"],
  },
  {
    file: "redis",
    title: "The Redis backend",
    intro:
      "The Redis backend and its connections. Bounds of each option: [options](../options.md#redis); in use: " +
      "[Redis](../../guide/redis.md).",
    names: [
      "redis",
      "RedisBackendBuilder",
      "RedisBackend",
      "RedisBackendSettings",
      "BreakerOptions",
      "single",
      "cluster",
      "sentinel",
      "fromClient",
      "Connection",
      "ClientConnection",
      "RedisClientLike",
      "IoRedisClientLike",
      "ServerAddress",
      "ConnectionOptions",
      "DiscoveryOptions",
      "TlsOptions",
      "TlsSource",
      "ResolveAddress",
      "redis@@hotset/redis",
      "RedisBackend@@hotset/redis",
    ],
  },
  {
    file: "formats",
    title: "Formats and compressors",
    intro: "How values become bytes. Which to take: [formats](../../guide/formats.md).",
    names: [
      "msgpack",
      "json",
      "v8",
      "gzip",
      "brotli",
      "zstd",
      "passthrough",
      "Format",
      "Compressor",
      "CompressorOptions",
    ],
  },
  {
    file: "seals",
    title: "Seals",
    intro: "Entries that no other program can forge, move or read. In use: [sealing](../../guide/sealing.md).",
    names: ["sealed", "SealedOptions", "aesGcm", "hmac", "SealOptions", "SealKey", "Seal"],
  },
  {
    file: "sqlite",
    title: "The SQLite backend",
    intro: "A backend in one file, without a server. In use: [SQLite](../../guide/sqlite.md).",
    names: ["sqlite", "SqliteOptions", "SqliteDatabase", "SqliteStatement", "SqliteValue", "sqlite@@hotset/sqlite"],
  },
  {
    file: "postgres",
    title: "PostgreSQL",
    intro: "A backend over PostgreSQL, and the SQL of its schema. In use: [PostgreSQL](../../guide/postgres.md).",
    names: ["postgres", "PostgresOptions", "schema", "SchemaOptions", "PostgresPool"],
  },
  {
    file: "postgres-follow",
    title: "Following PostgreSQL",
    intro: "The log of PostgreSQL as invalidations. In use: [follow PostgreSQL](../../guide/postgres-follow.md).",
    names: ["follow", "FollowOptions", "Follower", "TableRules", "Targets", "emitted", "consume", "ConsumeOptions"],
  },
  {
    file: "transactions",
    title: "Changes in transactions",
    intro: "Changes that belong to a database transaction. In use: [transactions](../../guide/transactions.md).",
    names: [
      ...["transactions", "TransactionsOptions", "CacheTransactions", "TransactionOptions@@hotset/transactions"],
      ...["Changes@@hotset/transactions", "ChangesOf", "TransactionOf"],
    ],
  },
  {
    file: "keyv",
    title: "Stores of Keyv",
    intro: "A store of Keyv as a backend, and a cache as a store of Keyv. In use: [Keyv](../../guide/keyv.md).",
    names: ["keyv", "KeyvBackendOptions", "KeyvAdapter", "keyvStore", "KeyvStoreOptions", "KeyvStore"],
  },
  {
    file: "adapters",
    title: "Adapters of frameworks",
    intro:
      "A cache in Nest, in Astro, in Next, and under Drizzle, GraphQL, unstorage, Nitro and Nuxt. In use: [use it with](../../guide/use-it-with.md).",
    names: [
      ...["HotsetModule", "HotsetModuleOptions", "HotsetModuleAsyncOptions", "getCacheToken", "InjectCache"],
      ...["HotsetInterceptor", "CacheKey", "CacheTTL", "CacheTags", "HotsetHealthIndicator", "HotsetHealth"],
      ...["hotsetDriver", "HotsetDriverOptions", "HotsetDriver"],
      ...["astroCache", "AstroCacheConfig", "AstroCacheProvider"],
      ...["drizzleCache", "DrizzleCacheOptions", "DrizzleCache"],
      ...["nextCache", "NextCache", "IncrementalHandler", "NextBuildContext", "NextReadContext", "NextWriteContext"],
      ...["NextPage", "NextPageLifetime", "UseCacheHandler", "UseCacheEntry"],
      ...["graphqlCache", "GraphQLCacheOptions", "GraphQLCache", "GraphQLEntity", "GraphQLResult"],
    ],
  },
  {
    file: "compose",
    title: "Composed backends",
    intro: "Two backends as one. In use: [composing backends](../../guide/composing-backends.md).",
    names: ["compose", "ComposeOptions", "gutter", "GutterOptions"],
  },
  {
    file: "backends",
    title: "Writing a backend or a local tier",
    intro:
      "The interfaces that the author of a store implements, and helpers for it. Step by step: [writing a " +
      "backend](../../guide/writing-a-backend.md).",
    names: [
      ...["StableBackend", "StoredEntry", "DeleteStatus", "fromSwap", "FromSwapOptions", "SwapLogOptions"],
      ...["SwapStore", "SwapRecord"],
      ...["packEntry", "unpackEntry", "LocalTier", "LocalTierHost", "LocalEntry", "Awaitable"],
    ],
  },
  {
    file: "backend-capabilities",
    title: "Capabilities of a backend",
    intro:
      "`hotset/backend/unstable`: what a store may do beyond [the stable contract](backends.md), so that a cache keeps more " +
      "promises across processes. It may change with a minor version. Step by step: [writing a " +
      "backend](../../guide/writing-a-backend.md#optional-capabilities).",
    names: [
      ...["Backend", "BreakerPolicy", "StoredAnswer", "Batch", "Leases", "LeaseRequest", "LeaseReply"],
      ...["TagVersions", "TagVersion", "Coherence", "CoherenceListener", "Parts", "markedStale"],
      ...[
        "pollChanges",
        "Changes@hotset/backend/unstable",
        "PollChangesOptions",
        "PolledChanges",
        "KeyWalk",
        "WalkedKeys",
        "WalkedKey",
      ],
    ],
  },
  {
    file: "adapter-kit",
    title: "Writing an adapter",
    intro:
      "`hotset/adapter`, or `@hotset/core/adapter`: the kit with which a cache is put under a framework. Step by step: " +
      "[writing an adapter](../../guide/writing-an-adapter.md).",
    names: [
      ...["OutsideValues", "Computation", "namespaceFor", "AdapterOptions", "AdapterDefaults", "checkCache"],
      ...["checkNames", "NamesCheck", "checkBuild", "tagOf", "getOrRun", "GetOrRunOptions", "hasCode", "warnOnce"],
    ],
  },
  {
    file: "decorators",
    title: "Decorators",
    intro: "`hotset/decorators`: methods that are cached. In use: [decorators](../../guide/decorators.md).",
    names: [
      ...["cached", "cachedMethod", "CachedOptions", "WithKey", "CachedDecorator", "PlainCachedDecorator"],
      ...["AnyCache", "PlainArguments"],
    ],
  },
  {
    file: "shapes",
    title: "Shapes of values",
    intro: "`hotset/shapes`: a namespace that is versioned by its values. In use: [shapes](../../guide/shapes.md).",
    names: ["shaped", "ShapedOptions"],
  },
  {
    file: "inspect",
    title: "Looking into a cache",
    intro: "`hotset/inspect`, experimental: what a cache holds and does. In use: [metrics](../../guide/metrics.md).",
    names: [
      ...["Inspection", "InspectOptions", "NamespaceFigures", "GroupFigures", "MemoryEntry", "MemoryState"],
      ...["WalkOptions", "StoredPage", "WalkedEntry", "RunningLoad", "WaitingCaller", "RunningLease", "Fallback"],
      ...[
        "Backoff@hotset/inspect",
        "Invalidation",
        "ProcessRecord",
        "inspect",
        "heartbeat",
        "Heartbeat",
        "HeartbeatOptions",
      ],
      ...["warm", "WarmOptions", "WarmedNamespace", "WarmResult"],
      "KeyGroup",
    ],
  },
  {
    file: "testing",
    title: "The testing kit",
    intro: "Time that a test moves, failures that it scripts. In use: [testing](../../guide/testing.md).",
    names: [
      ...["forkSwapStore", "ForkSwapStoreOptions", "answerForSwapStore"],
      ...["createTestCache", "TestCacheOptions", "TestClock", "gate", "Gate", "flush", "outcome", "Outcome"],
      ...["mapTier", "scriptedBackend", "ScriptedBackendOptions", "ScriptedBackend", "ScriptedOperation"],
      ...["ScriptedStep", "ScriptedCall", "ScriptedStore", "ScriptedCoherence", "ScriptedReport", "LoseOptions"],
    ],
  },
  {
    file: "http",
    title: "The HTTP cache",
    intro:
      "Responses by RFC 9111, and adapters: `@hotset/http/fetch`, `@hotset/http/node` and `@hotset/http/undici`; CDNs: " +
      "`@hotset/http/cdn`. In use: [cache HTTP responses](../../guide/http.md), [purge a CDN](../../guide/cdn.md).",
    names: [
      ...["httpCache", "HttpCache", "HttpCacheOptions", "RuleOptions", "HttpRule", "readRules", "KeyRule"],
      ...["RequestMatch", "ResponseMatch", "TextMatch", "HttpWindows", "Normaliser", "PurgeOptions", "Explanation"],
      ...["NotStored", "AnswerEvent", "HttpCacheStats", "cachedHandler", "FetchHandler", "honoCache", "cachedFetch"],
      ...["purgeHandler", "PurgeHandlerOptions", "cachedListener", "Listener", "expressCache"],
      ...["fastifyCache", "FastifyLike", "isLoad", "HonoContextLike@@hotset/http/fetch"],
      ...["httpInterceptor", "PlainRequest", "PlainResponse", "PlainOrigin", "OriginContext", "AnswerOptions", "Body"],
      ...["FieldLines", "FieldLine", "Head", "SentAlong"],
      ...["fastly", "FastlyOptions", "cloudflare", "CloudflareOptions", "akamai", "AkamaiOptions"],
      ...["bunny", "BunnyOptions", "varnish", "VarnishOptions", "cdnOf", "CdnTable", "CdnOptions", "PurgeCall"],
      ...["Cdn", "CdnField", "CdnError"],
    ],
  },
  {
    file: "contract-suites",
    title: "Contract suites",
    intro:
      "Tests that every backend, format, compressor, seal and local tier passes. They need vitest. In use: " +
      "[writing a backend](../../guide/writing-a-backend.md).",
    names: [
      ...["describeBackend", "DescribeBackendOptions", "describeFormat", "DescribeFormatOptions"],
      ...["KeptKind", "describeCompressor", "describeLocalTier", "describeSeal"],
    ],
  },
  ...TOOLKIT_PAGES,
];
