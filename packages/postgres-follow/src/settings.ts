import { InvalidArgumentError } from "@hotset/core";
import { anything, duration, having, option, optionsOf, readOption, type Option } from "@hotset/core/internal";
import type { FollowOptions } from "./options.ts";
import type { Followed } from "./outbox.ts";
import { placeOf } from "./place.ts";
import type { FollowPool } from "./pool.ts";
import { checkTables, PREFIX } from "./targets.ts";
import { warnerOf, type FollowLogger } from "./warnings.ts";

const matching = (accepts: string, pattern: RegExp): Option<string> =>
  option(accepts, (given) => typeof given === "string" && pattern.test(given), undefined as unknown as string);

/** For {@link follow} and of {@link consume}. */
const SHARED_OPTIONS = {
  tables: anything,
  messages: option(
    "a prefix of messages, or false",
    (given) => given === false || (typeof given === "string" && given !== ""),
    PREFIX as string | false,
  ),
  settleAfter: duration(0, 0, 3_600_000),
  logger: having<FollowLogger>("an object with warn(message)", "warn"),
};

/** A test compares the reference page with it. */
export const FOLLOW_OPTIONS = {
  publication: matching("the name of a publication: letters, digits, _, $ and -", /^[\w$-]{1,63}$/),
  slot: matching("1 to 40 lower-case letters, digits and _", /^[a-z0-9_]{1,40}$/),
  silence: duration(5_000, 1_000, 300_000),
  ...SHARED_OPTIONS,
} satisfies Record<keyof FollowOptions, Option>;

export const CONSUME_OPTIONS = { ...SHARED_OPTIONS, deadline: duration(30_000, 10, 3_600_000) };

/** {@link FollowOptions}, checked and with their defaults. */
export type Settings = ReturnType<typeof settingsOf>;

/**
 * @throws {ConfigurationError} for an unknown option.
 * @throws {InvalidArgumentError} with the option and what it takes.
 */
export function settingsOf(pool: FollowPool, cache: Followed, options: FollowOptions<never>) {
  if (typeof pool?.query !== "function" || typeof pool.options !== "object")
    throw new InvalidArgumentError("follow: pool must be a Pool of pg");
  checkFollowed("follow", cache);
  const read = optionsOf("follow", options ?? null, FOLLOW_OPTIONS);
  return Object.freeze({
    pool,
    cache,
    place: placeOf(cache),
    publication: readOption(read.publication, "follow: publication", FOLLOW_OPTIONS.publication),
    tables: checkTables("follow", read.tables),
    slot: read.slot ?? slotNameOf(cache),
    messages: read.messages,
    silenceMs: read.silence,
    settleMs: read.settleAfter,
    warn: warnerOf(read.logger),
  });
}

/** @throws {InvalidArgumentError} */
export function checkFollowed(place: string, cache: Followed): void {
  const isOne = typeof cache?.invalidateTags === "function" && typeof cache.deleteMany === "function";
  if (!isOne) throw new InvalidArgumentError(`${place}: cache must be a cache of createCache(...), or its namespace`);
}

/** Readable, and not unique: `slotOf` in records.ts adds what makes it so. */
function slotNameOf(cache: Followed): string {
  const { name } = cache as { readonly name?: unknown };
  if (typeof name !== "string")
    throw new InvalidArgumentError("follow: slot must be given for a namespace, such as a name for it");
  return `hotset_${name.toLowerCase().replaceAll(/[^a-z0-9_]/g, "_")}`.slice(0, 40);
}
