export { MissingConnectionError } from "@hotset/core";
export { cluster, fromClient, redis, RedisBackend, sentinel, single } from "./internal.ts";
export type { RedisBackendBuilder, RedisBackendSettings } from "./internal.ts";
export type {
  ClientConnection,
  Connection,
  ConnectionOptions,
  DiscoveryOptions,
  HttpConnection,
  ServerAddress,
} from "./internal.ts";
export type { BreakerOptions, ResolveAddress, TlsOptions, TlsSource } from "./internal.ts";
export type { IoRedisClientLike, RedisClientLike } from "./internal.ts";
