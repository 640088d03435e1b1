export { redis, RedisBackend, type RedisBackendBuilder, type RedisBackendSettings } from "./builder.ts";
export {
  cluster,
  fromClient,
  sentinel,
  single,
  type ClientConnection,
  type Connection,
  type ConnectionOptions,
} from "./shared-connection.ts";
export type { RedisClientLike } from "./topology/client-link.ts";
export type { TlsOptions } from "./connection/session.ts";
export { MissingConnectionError } from "@hotset/core";
