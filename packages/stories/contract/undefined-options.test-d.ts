// Each option of each public options type accepts `undefined` with `exactOptionalPropertyTypes`: callers pass on what
// they may not have. A test of the project says which exported type is missing here.

import type * as compose from "@hotset/compose";
import type * as core from "@hotset/core";
import type * as coreContractSuites from "@hotset/testing/contract-suites";
import type * as coreTesting from "@hotset/testing";
import type * as instruments from "@hotset/instruments";
import type * as memory from "@hotset/memory";
import type * as otel from "@hotset/otel";
import type * as prometheus from "@hotset/prometheus";
import type * as redis from "@hotset/redis";
import type * as toolkit from "@hotset/redis-toolkit";
import type * as toolkitCounters from "@hotset/redis-toolkit/counters";
import type * as toolkitHealth from "@hotset/redis-toolkit/health";
import type * as toolkitLeaderboard from "@hotset/redis-toolkit/leaderboard";
import type * as toolkitLock from "@hotset/redis-toolkit/lock";
import type * as toolkitModule from "@hotset/redis-toolkit/module";
import type * as toolkitPresence from "@hotset/redis-toolkit/presence";
import type * as toolkitPubsub from "@hotset/redis-toolkit/pubsub";
import type * as toolkitQueue from "@hotset/redis-toolkit/queue";
import type * as toolkitRateLimit from "@hotset/redis-toolkit/rate-limit";
import type * as toolkitScripts from "@hotset/redis-toolkit/scripts";
import type * as toolkitSessions from "@hotset/redis-toolkit/sessions";
import type * as toolkitSessionsExpressSession from "@hotset/redis-toolkit/sessions/express-session";
import type * as toolkitSessionsFastify from "@hotset/redis-toolkit/sessions/fastify";
import type * as toolkitStreams from "@hotset/redis-toolkit/streams";
import type * as sqlite from "@hotset/sqlite";
import type * as seal from "@hotset/seal";

interface OptionTypes {
  "core.CacheErrorDetails": core.CacheErrorDetails;
  "core.BreakerPolicy": core.BreakerPolicy;
  "core.CompressorOptions": core.CompressorOptions;
  "core.CacheOptions": core.CacheOptions;
  "core.Changes": core.Changes<never>;
  "core.PollChangesOptions": core.PollChangesOptions;
  "compose.ComposeOptions": compose.ComposeOptions;
  "sqlite.SqliteOptions": sqlite.SqliteOptions;
  "seal.SealedOptions": seal.SealedOptions;
  "core.NamespaceOptions": core.NamespaceOptions<never>;
  "core.EntryOptions": core.EntryOptions;
  "core.LoadOptions": core.LoadOptions;
  "core.ClearOptions": core.ClearOptions;
  "core.GetOptions": core.GetOptions;
  "core.GetOrSetManyOptions": core.GetOrSetManyOptions<never, never>;
  "core.GetOrSetOptions": core.GetOrSetOptions;
  "core.Lifetime": core.Lifetime;
  "core.Policy": core.Policy;
  "core.TouchOptions": core.TouchOptions;
  "core.WrapOptions": core.WrapOptions<never>;
  "coreContractSuites.DescribeBackendOptions": coreContractSuites.DescribeBackendOptions;
  "coreContractSuites.DescribeFormatOptions": coreContractSuites.DescribeFormatOptions;
  "coreTesting.ScriptedBackendOptions": coreTesting.ScriptedBackendOptions;
  "coreTesting.ScriptedStep": coreTesting.ScriptedStep;
  "coreTesting.LoseOptions": coreTesting.LoseOptions;
  "coreTesting.MapTierOptions": coreTesting.MapTierOptions;
  "coreTesting.TestCacheOptions": coreTesting.TestCacheOptions;
  "instruments.Observed": instruments.Observed;
  "memory.MemoryOptions": memory.MemoryOptions;
  "otel.ObserveOptions": otel.ObserveOptions;
  "otel.TracingOptions": otel.TracingOptions;
  "prometheus.ObserveOptions": prometheus.ObserveOptions;
  "redis.ConnectionOptions": redis.ConnectionOptions;
  "redis.DiscoveryOptions": redis.DiscoveryOptions;
  "redis.CallOptions": redis.CallOptions;
  "redis.DedicatedCallOptions": redis.DedicatedCallOptions;
  "redis.OpenOptions": redis.OpenOptions;
  "redis.PoolOptions": redis.PoolOptions;
  "redis.RedisConnectionOptions": redis.RedisConnectionOptions;
  "redis.UseOptions": redis.UseOptions;
  "redis.TlsOptions": redis.TlsOptions;
  "redis.ServerAddress": redis.ServerAddress;
  "redis.BreakerOptions": redis.BreakerOptions;
  "toolkit.RedisOptions": toolkit.RedisOptions;
  "toolkit.TlsFiles": toolkit.TlsFiles;
  "toolkit.CallBounds": toolkit.CallBounds;
  "toolkit.TransactionOptions": toolkit.TransactionOptions;
  "toolkit.FallbackOptions": toolkit.FallbackOptions;
  "toolkit.ExpireOptions": toolkit.ExpireOptions;
  "toolkit.SetOptions": toolkit.SetOptions;
  "toolkit.JsonOptions": toolkit.JsonOptions;
  "toolkit.ScanOptions": toolkit.ScanOptions;
  "toolkit.Invocation": toolkit.Invocation<never>;
  "toolkit.CommandErrorDetails": toolkit.CommandErrorDetails;
  "toolkitCounters.WindowOptions": toolkitCounters.WindowOptions;
  "toolkitCounters.WindowScript": toolkitCounters.WindowScript;
  "toolkitCounters.LastWindows": toolkitCounters.LastWindows;
  "toolkitCounters.ActiveUsersOptions": toolkitCounters.ActiveUsersOptions;
  "toolkitCounters.UniquesOptions": toolkitCounters.UniquesOptions;
  "toolkitHealth.BigKeysOptions": toolkitHealth.BigKeysOptions;
  "toolkitHealth.MonitorOptions": toolkitHealth.MonitorOptions;
  "toolkitHealth.TtlAuditOptions": toolkitHealth.TtlAuditOptions;
  "toolkitHealth.HealthOptions": toolkitHealth.HealthOptions;
  "toolkitLeaderboard.LeaderboardOptions": toolkitLeaderboard.LeaderboardOptions;
  "toolkitLeaderboard.UnionOptions": toolkitLeaderboard.UnionOptions;
  "toolkitLock.AcquireOptions": toolkitLock.AcquireOptions;
  "toolkitLock.LeaseOptions": toolkitLock.LeaseOptions;
  "toolkitLock.LocksOptions": toolkitLock.LocksOptions;
  "toolkitModule.DurationBounds": toolkitModule.DurationBounds;
  "toolkitPresence.PresenceOptions": toolkitPresence.PresenceOptions;
  "toolkitPresence.ListOptions": toolkitPresence.ListOptions;
  "toolkitPubsub.ChannelOptions": toolkitPubsub.ChannelOptions<never>;
  "toolkitQueue.AddOptions": toolkitQueue.AddOptions;
  "toolkitQueue.JobChanges": toolkitQueue.JobChanges<unknown>;
  "toolkitQueue.RepeatOptions": toolkitQueue.RepeatOptions;
  "toolkitQueue.QueueOptions": toolkitQueue.QueueOptions;
  "toolkitQueue.WorkerOptions": toolkitQueue.WorkerOptions;
  "toolkitRateLimit.ConcurrencyOptions": toolkitRateLimit.ConcurrencyOptions;
  "toolkitRateLimit.GcraOptions": toolkitRateLimit.GcraOptions;
  "toolkitRateLimit.SlidingCounterOptions": toolkitRateLimit.SlidingCounterOptions;
  "toolkitRateLimit.TokenBucketOptions": toolkitRateLimit.TokenBucketOptions;
  "toolkitRateLimit.WindowOptions": toolkitRateLimit.WindowOptions;
  "toolkitRateLimit.ExpressStoreOptions": toolkitRateLimit.ExpressStoreOptions;
  "toolkitRateLimit.IpKeyOptions": toolkitRateLimit.IpKeyOptions;
  "toolkitRateLimit.RequestLimitOptions": toolkitRateLimit.RequestLimitOptions<never>;
  "toolkitRateLimit.RateLimitOptions": toolkitRateLimit.RateLimitOptions;
  "toolkitScripts.ScriptDefinition": toolkitScripts.ScriptDefinition<never, never>;
  "toolkitSessions.SessionOptions": toolkitSessions.SessionOptions;
  "toolkitSessions.CreateSessionOptions": toolkitSessions.CreateSessionOptions<never>;
  "toolkitSessions.RegenerateOptions": toolkitSessions.RegenerateOptions;
  "toolkitSessionsExpressSession.SessionStoreOptions": toolkitSessionsExpressSession.SessionStoreOptions;
  "toolkitSessionsFastify.FastifySessionOptions": toolkitSessionsFastify.FastifySessionOptions;
  "toolkitSessionsFastify.SessionCookieOptions": toolkitSessionsFastify.SessionCookieOptions;
  "toolkitStreams.ConsumerOptions": toolkitStreams.ConsumerOptions;
  "toolkitStreams.GroupReadOptions": toolkitStreams.GroupReadOptions;
  "toolkitStreams.PositionOptions": toolkitStreams.PositionOptions;
  "toolkitStreams.ReaderOptions": toolkitStreams.ReaderOptions;
  "toolkitStreams.AppendOptions": toolkitStreams.AppendOptions;
  "toolkitStreams.RangeOptions": toolkitStreams.RangeOptions;
  "toolkitStreams.ReadOptions": toolkitStreams.ReadOptions;
  "toolkitStreams.TrimOptions": toolkitStreams.TrimOptions;
  "toolkitStreams.StreamOptions": toolkitStreams.StreamOptions;
}

/** The options of `T` that may be left out and refuse `undefined`. */
type Refusing<T> = T extends unknown
  ? {
      [Name in keyof T]-?: {} extends Pick<T, Name> ? (undefined extends Required<T>[Name] ? never : Name) : never;
    }[keyof T]
  : never;

/** An error here names the type and its options. */
export const refusing: { readonly [Type in keyof OptionTypes]: never } = {} as {
  readonly [Type in keyof OptionTypes]: Refusing<OptionTypes[Type]>;
};
