import { access, constants, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { startOwnRedis, startRedis, type OwnRedis, type TestRedis } from "@hotset/test-servers";
import { UsageError } from "./arguments.ts";

/** Where the shops keep their entries, below memory. */
export type StoreOptions = { readonly redisUrl: string; readonly keyPrefix: string } | { readonly sqliteFile: string };

/** The store that the demo uses. Disposing it leaves nothing behind. */
export interface DemoStore extends AsyncDisposable {
  readonly options: StoreOptions;
  /** The Redis that the demo started: only that may be killed and frozen. */
  readonly own: OwnRedis | undefined;
  readonly description: string;
}

/**
 * `REDIS_URL`, else a Redis that is started: a `redis-server` on the PATH, or one that is unpacked. A SQLite file where
 * that fails, for lack of a network say, and with `usesRedis: false`.
 *
 * @throws {UsageError} if the Redis of `REDIS_URL` does not answer: continuing without it would hide a mistake.
 */
export async function openStore(
  { usesRedis }: { readonly usesRedis: boolean },
  env: NodeJS.ProcessEnv,
  say: (text: string) => void,
): Promise<DemoStore> {
  const url = env["REDIS_URL"] ?? "";
  if (!usesRedis) return sqliteFile("as --no-redis asks for");
  if (url !== "") return givenRedis(url);
  if (!(await isOnPath(env, ["redis-server", "valkey-server"])))
    say("no redis-server on the PATH: unpacking one, which is kept for the next time");
  try {
    return ownRedis(await startOwnRedis());
  } catch (error) {
    return sqliteFile(`because no Redis could be started: ${(error as Error).message}`);
  }
}

async function sqliteFile(reason: string): Promise<DemoStore> {
  const folder = await mkdtemp(join(tmpdir(), "hotset-demo-"));
  return {
    options: { sqliteFile: join(folder, "cache.db") },
    own: undefined,
    description: `one SQLite file, ${reason}`,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

async function givenRedis(url: string): Promise<DemoStore> {
  const redis = await startRedis({ REDIS_URL: url }).catch((error: Error) => {
    throw new UsageError(`REDIS_URL: ${error.message}`);
  });
  const keyPrefix = `hotset-demo-${redis.keyPrefix}`;
  return {
    options: { redisUrl: url, keyPrefix },
    own: undefined,
    description: "the Redis of REDIS_URL, which is neither killed nor frozen",
    [Symbol.asyncDispose]: async () => {
      await sweep(redis, keyPrefix);
      await redis.stop();
    },
  };
}

function ownRedis(own: OwnRedis): DemoStore {
  return {
    options: { redisUrl: own.url, keyPrefix: "hotset" },
    own,
    description: `a Redis of the demo (pid ${own.pid}, port ${own.port})`,
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
