import {
  builderOver,
  type Connect,
  type RedisBackend as Backend,
  type RedisBackendBuilder,
  type RedisBackendSettings,
} from "./backend-builder.ts";
import type { ClientConnection, Connection, HttpConnection } from "./held-connection.ts";
import type { Shipped } from "./primitives/codecs.ts";
import { single } from "./shared-connection.ts";
import { isServerAddress, type ServerAddress } from "./url.ts";

export type RedisBackend = Backend;

/** Makes Redis backends. */
export const RedisBackend: {
  /**
   * `redis(connection)` without its connection yet.
   *
   * @param shipped For a package that bundles formats. @default none
   */
  builder(shipped?: Shipped): RedisBackendBuilder;
} = Object.freeze({
  builder: (shipped?: Shipped): RedisBackendBuilder => builderOver(connect, shipped),
});

/**
 * Starts a Redis backend, a tier once it is built: `redis("redis://localhost:6379").build()`. A URL is short for
 * `single(url)`, and `{ host, port }` for `single({ host, port })`.
 *
 * @throws {InvalidArgumentError} for an address that cannot be one.
 * @throws {ConfigurationError} for further arguments.
 */
export function redis(connection: string | URL | ServerAddress | Connection): RedisBackendBuilder;
export function redis(connection: Connection | ClientConnection | HttpConnection): RedisBackendSettings;
export function redis(
  connection: string | URL | ServerAddress | Connection | ClientConnection | HttpConnection,
  ...surplus: readonly unknown[]
): RedisBackendBuilder {
  const builder = builderOver(connect) as { connection(...given: readonly unknown[]): RedisBackendBuilder };
  return builder.connection(connection, ...surplus);
}

const connect: Connect = (given) =>
  typeof given === "string" || given instanceof URL || isServerAddress(given) ? single(given as string) : given;
