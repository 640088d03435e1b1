import { ConfigurationError } from "@hotset/core";

type NodeRedis = typeof import("@redis/client");

let loading: Promise<NodeRedis> | undefined;

/**
 * node-redis, loaded when a connection is first opened: importing this package costs nothing.
 *
 * @throws {ConfigurationError} when it is not installed, or cannot be loaded.
 */
export function nodeRedis(): Promise<NodeRedis> {
  return (loading ??= import("@redis/client").catch((cause: unknown) => {
    loading = undefined;
    throw new ConfigurationError(
      "@hotset/redis: node-redis could not be loaded; install @redis/client 6 beside it (npm install @redis/client)",
      { cause },
    );
  }));
}
