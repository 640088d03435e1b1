import { startOwnRedis, startRedis, type OwnRedis, type TestRedis } from "@hotset/test-servers";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { UsageError } from "./arguments.ts";

/** The Redis that the demo uses. Disposing it leaves nothing behind. */
export interface DemoRedis extends AsyncDisposable {
  readonly url: string;
  /** Only the demo uses keys below it. */
  readonly keyPrefix: string;
  /** The server, if the demo started it: only then may it be killed. */
  readonly own: OwnRedis | undefined;
  readonly description: string;
}

/**
 * `REDIS_URL`, else a server program on the PATH, which is started; `undefined` without either.
 *
 * @throws {UsageError} if the Redis of `REDIS_URL` does not answer: going on without it would hide a mistake.
 */
export async function findRedis(env: NodeJS.ProcessEnv): Promise<DemoRedis | undefined> {
  const url = env["REDIS_URL"] ?? "";
  if (url !== "") return givenRedis(url);
  return (await isOnPath(env, ["redis-server", "valkey-server"])) ? ownRedis(await startOwnRedis()) : undefined;
}

/** As {@link findRedis}; without either, a server is downloaded. */
export async function needRedis(env: NodeJS.ProcessEnv): Promise<DemoRedis> {
  return (await findRedis(env)) ?? ownRedis(await startOwnRedis());
}

async function givenRedis(url: string): Promise<DemoRedis> {
  const redis = await startRedis({ REDIS_URL: url }).catch((error: Error) => {
    throw new UsageError(`REDIS_URL: ${error.message}`);
  });
  const keyPrefix = `hotset-demo-${redis.keyPrefix}`;
  return {
    url,
    keyPrefix,
    own: undefined,
    description: "the Redis of REDIS_URL",
    [Symbol.asyncDispose]: async () => {
      await sweep(redis, keyPrefix);
      await redis.stop();
    },
  };
}

function ownRedis(own: OwnRedis): DemoRedis {
  return {
    url: own.url,
    keyPrefix: "hotset",
    own,
    description: `a Redis of its own (pid ${own.pid}, port ${own.port})`,
    [Symbol.asyncDispose]: () => own.stop(),
  };
}

/** Removes the demo's keys from a Redis that others use, too. If that fails, the keys expire. */
async function sweep(redis: TestRedis, keyPrefix: string): Promise<void> {
  try {
    let cursor = "0";
    do {
      const [next, keys] = (await redis.command("SCAN", cursor, "MATCH", `${keyPrefix}*`, "COUNT", 1_000)) as [
        string,
        string[],
      ];
      if (keys.length > 0) await redis.command("UNLINK", ...keys);
      cursor = next;
    } while (cursor !== "0");
  } catch (error) {
    console.error(`keys below ${keyPrefix} were left in Redis: ${String(error)}`);
  }
}

async function isOnPath(env: NodeJS.ProcessEnv, programs: readonly string[]): Promise<boolean> {
  const paths = (env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "")
    .flatMap((folder) => programs.map((program) => join(folder, program)));
  const found = await Promise.all(
    paths.map((path) =>
      access(path, constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}
