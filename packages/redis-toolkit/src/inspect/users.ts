import type { RedisView } from "../commands/view.ts";
import { keyInView } from "./key-in-view.ts";
import { TENANT } from "./known-keys.ts";
import { nameInTag } from "./name-in-tag.ts";
import { serverNow } from "./server-now.ts";

/** docs/reference/toolkit-keys.md: what stands beside sessions, by user. */
const USER = new RegExp(
  `${TENANT}session:(?:~user:\\{\\k<tenant>(?<user>[^}]*)\\}:(?<part>.*)|~of:\\{\\k<tenant>(?<json>[^}]*)\\})$`,
  "s",
);

/**
 * The user whose sessions a key of sessions lists or ends.
 *
 * @returns `undefined` for a session itself; `isIndex` is `true` for the key that lists a user's sessions.
 */
export function userOfSessions(key: string): { readonly user: string; readonly isIndex: boolean } | undefined {
  const parts = USER.exec(key)?.groups;
  if (parts === undefined) return undefined;
  const { user, part, json } = parts;
  return { user: nameInTag(user ?? json ?? ""), isIndex: json !== undefined || part === "index" };
}

/**
 * Sessions of one user by its index, without those whose time there has ended. The index is a hint: it may hold
 * sessions that were destroyed, or that ended because they were idle.
 *
 * @param redis a view that has the key.
 * @param key of the index, as Redis has it.
 * @throws {InvalidArgumentError} for a key outside of the view.
 * @throws {CommandError} for a key of another type, and where its user may not read it.
 * @throws {BackendUnavailableError} where Redis is not reached.
 */
export async function sessionsOfUser(redis: RedisView, key: string): Promise<number> {
  const own = keyInView(redis, key, "sessionsOfUser");
  return Number(await redis.commands.zCount(own, `(${await serverNow(redis)}`, "+inf"));
}
