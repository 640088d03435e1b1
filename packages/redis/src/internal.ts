// For packages of hotset, which all have one version: a name that `index.ts` does not hand on may change or go in each
// release. This file is what the package is built into, and the main entry a list of names from it.

export { redis, RedisBackend } from "./builder.ts";
export type { RedisBackendBuilder, RedisBackendSettings } from "./backend-builder.ts";
export {
  hold,
  type ClientConnection,
  type Connection,
  type ConnectSettings,
  type Hold,
  type HttpConnection,
} from "./held-connection.ts";
export {
  cluster,
  fromClient,
  sentinel,
  single,
  type ConnectionOptions,
  type DiscoveryOptions,
} from "./shared-connection.ts";
export type { KeyContent } from "./store/entry-backend.ts";
export { CommandQueue, type Command, type RawClient, type SendOptions } from "./connection/command-queue.ts";
export { closed, CONNECT, type Link, type LinkSettings } from "./connection/link.ts";
export type { Servers } from "./connection/servers.ts";
export { rejectInFlight, type NodeClient, type Session } from "./connection/session.ts";
export { SingleLink } from "./connection/single-link.ts";
export type { TlsOptions, TlsSource } from "./connection/tls.ts";
export { backoffMs } from "./primitives/backoff.ts";
export type { Shipped } from "./primitives/codecs.ts";
export {
  connectFault,
  fault,
  isRedirection,
  isReply,
  isTemporary,
  lost,
  unreachable,
  type Origin,
} from "./primitives/faults.ts";
export { slotOf } from "./primitives/hash-slots.ts";
export { CLIENT_NAME, count, factor, PASSWORD, type BreakerOptions } from "./primitives/option-rules.ts";
export { ignore } from "./primitives/ignore.ts";
export { needsTcp } from "./primitives/needs-tcp.ts";
export { conceal } from "./primitives/secrets.ts";
export type { RedisClientLike } from "./topology/client-link.ts";
export type { IoRedisClientLike } from "./topology/ioredis-commands.ts";
export type { ResolveAddress } from "./topology/named-address.ts";
export type { ServerAddress } from "./url.ts";
