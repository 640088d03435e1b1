import { ConfigurationError } from "@hotset/core";

type NodeRedis = typeof import("@redis/client");

let loading: Promise<NodeRedis> | undefined;

/**
 * node-redis, loaded when a backend is first built: importing this package costs nothing.
 *
 * @throws {ConfigurationError} when it is not installed, or cannot be loaded.
 */
export function nodeRedis(): Promise<NodeRedis> {
  return (loading ??= import("@redis/client").catch((cause: unknown) => {
    loading = undefined;
    throw loadingFailed(cause);
  }));
}

/** Begins to load it: that takes 0.1 s and more of CPU, which the first call need not wait for. */
export function beginToLoadNodeRedis(): void {
  nodeRedis().catch(() => undefined);
}

export const loadingFailed = (cause: unknown): ConfigurationError =>
  new ConfigurationError(`@hotset/redis: node-redis could not be loaded; ${adviceFor(cause)}; see the cause`, {
    cause,
  });

/** esbuild makes a function that throws of each `require` in a module of CommonJS, if the bundle is ESM. */
const adviceFor = (cause: unknown): string =>
  String((cause as Partial<Error> | undefined)?.message).startsWith("Dynamic require of")
    ? "a bundle in ESM by esbuild needs a `require`: build it with --format=cjs, or with the banner `import { " +
      'createRequire } from "node:module"; const require = createRequire(import.meta.url);`'
    : "install @redis/client 6 as well (npm install @redis/client)";
