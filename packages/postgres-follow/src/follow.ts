import { CacheError, BackendUnavailableError } from "@hotset/core";
import type { Follower } from "./figures.ts";
import { SlotFollower } from "./follower.ts";
import type { FollowOptions } from "./options.ts";
import type { Followed } from "./outbox.ts";
import { stateOf, type FollowPool } from "./pool.ts";
import type { AnyRow } from "./rows.ts";
import { settingsOf } from "./settings.ts";

/**
 * Reads the log of PostgreSQL, and ends the entries of `cache` that are made of changed rows. Each process calls it;
 * one of them follows, and another takes over if that ends.
 *
 * Resolves once this process follows, or another one does; immediately, while the backend of the cache does not answer.
 *
 * @param pool the Pool of `pg` that your queries use. None of its connections is taken: each process opens a separate
 *   one, and the one that follows opens another for the log.
 * @param cache the cache, or the namespace, that the rules are about.
 * @throws {ConfigurationError} where the log would lack something, with the statement that mends it.
 * @throws {InvalidArgumentError} for an option that can never work.
 * @throws {BackendUnavailableError} if PostgreSQL does not answer at the start. Later it is waited for.
 */
export async function follow<R extends object = Readonly<Record<string, AnyRow>>>(
  pool: FollowPool,
  cache: Followed,
  options: FollowOptions<R>,
): Promise<Follower> {
  const follower = new SlotFollower(settingsOf(pool, cache, options as FollowOptions<never>));
  try {
    await follower.start();
  } catch (error) {
    await follower.close();
    if (error instanceof CacheError) throw error;
    const reason = stateOf(error) === undefined ? "could not be reached" : `refused: ${(error as Error).message}`;
    throw new BackendUnavailableError(`follow: PostgreSQL ${reason}`, { operation: "follow", cause: error });
  }
  return follower;
}
