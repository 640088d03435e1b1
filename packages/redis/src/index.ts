export { redis, RedisBackend, type RedisBackendBuilder, type RedisBackendSettings } from "./builder.ts";
export type { KeyContent } from "./store/entry-backend.ts";
export {
  cluster,
  fromClient,
  sentinel,
  single,
  type ClientConnection,
  type Connection,
  type ConnectionOptions,
  type DiscoveryOptions,
} from "./shared-connection.ts";
export { hashSlot, openConnection } from "./redis-connection.ts";
export type {
  Args,
  BurstOptions,
  Caller,
  CallOptions,
  ConnectionCounts,
  DedicatedCallOptions,
  DedicatedConnection,
  ExclusiveConnection,
  OpenOptions,
  Pool,
  PoolOptions,
  PoolStatus,
  PrimaryConnection,
  RedisConnection,
  RedisConnectionOptions,
  Subscriber,
  SubscriberEvents,
  SubscriptionKind,
  UseOptions,
} from "./client/contract.ts";
export type { IoRedisClientLike } from "./topology/ioredis-commands.ts";
export type { RedisClientLike } from "./topology/client-link.ts";
export type { TlsOptions, TlsSource } from "./connection/tls.ts";
export type { ResolveAddress } from "./topology/named-address.ts";
export type { ServerAddress } from "./url.ts";
export type { Shipped } from "./primitives/codecs.ts";
export type { BreakerOptions } from "./primitives/option-checks.ts";
export { MissingConnectionError } from "@hotset/core";
