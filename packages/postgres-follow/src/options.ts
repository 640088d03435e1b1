import { InvalidArgumentError, parseDuration, type Duration } from "@hotset/core";
import { checkNames } from "@hotset/core/internal";
import type { Followed } from "./outbox.ts";
import { warnerOf, type FollowLogger } from "./warnings.ts";
import type { FollowPool } from "./pool.ts";
import { checkTables, PREFIX, type AnyRow, type Tables } from "./targets.ts";

/** Options of {@link follow}. `R` has the type of the rows of each table. */
export interface FollowOptions<R extends object = Readonly<Record<string, AnyRow>>> {
  /** The publication of the tables: `CREATE PUBLICATION hotset FOR TABLE products`. */
  readonly publication: string;
  /** Which entries a changed row ends, for each table. Other tables of the publication are ignored. */
  readonly tables: Tables<R>;
  /**
   * Beginning of the name of the replication slot; the timeline of the server is its end. Processes with the same one
   * share the work: one of them follows. Lower-case letters, digits and `_`, at most 40.
   *
   * @default `hotset_` and the name of the cache; must be given for a namespace
   */
  readonly slot?: string | undefined;
  /** Prefix of the messages of {@link emitted} that are taken; `false` for none. @default 'hotset' */
  readonly messages?: string | false | undefined;
  /**
   * After this silence the server frees the slot of a follower, and a follower connects again. 1 s to 5 minutes. A
   * frozen process is replaced after it. @default '5s'
   */
  readonly silence?: Duration | undefined;
  /**
   * Each invalidation is made again after so long, for loaders that read a replica: more than its lag. At most an hour.
   * @default 0: not again
   */
  readonly settleAfter?: Duration | undefined;
  /** Gets each warning. @default the first warning of each kind in a minute is one of Node's */
  readonly logger?: FollowLogger | undefined;
}

const KNOWN = ["publication", "tables", "slot", "messages", "silence", "settleAfter", "logger"];

/** {@link FollowOptions}, checked and with their defaults. */
export interface Settings {
  readonly publication: string;
  readonly tables: ReturnType<typeof checkTables>;
  readonly slot: string;
  /** Of messages; absent for none. */
  readonly prefix: string | undefined;
  readonly silenceMs: number;
  readonly settleMs: number;
  readonly warn: ReturnType<typeof warnerOf>;
}

/**
 * @throws {ConfigurationError} for an unknown option.
 * @throws {InvalidArgumentError} with the option and what it takes.
 */
export function settingsOf(pool: FollowPool, cache: Followed, options: FollowOptions<never>): Settings {
  checkNames(options ?? null, KNOWN, { place: "follow" });
  if (typeof pool?.query !== "function" || typeof pool.options !== "object") refuse("pool", "a Pool of pg");
  checkFollowed("follow", cache);
  const { publication, messages = PREFIX, logger, silence = 5_000, settleAfter = 0 } = options;
  const slot = options.slot ?? slotOf(cache);
  if (typeof publication !== "string" || !/^[\w$-]{1,63}$/.test(publication))
    refuse("publication", "the name of a publication: letters, digits, _, $ and -");
  if (slot === undefined) refuse("slot", "given for a namespace, such as a name for it");
  if (typeof slot !== "string" || !/^[a-z0-9_]{1,40}$/.test(slot))
    refuse("slot", "1 to 40 lower-case letters, digits and _");
  if (messages !== false && (typeof messages !== "string" || messages === ""))
    refuse("messages", "a prefix of messages, or false");
  if (logger !== undefined && typeof logger?.warn !== "function") refuse("logger", "an object with warn(message)");
  return Object.freeze({
    publication,
    tables: checkTables("follow", options.tables),
    slot,
    prefix: messages === false ? undefined : messages,
    silenceMs: milliseconds("silence", silence, [1_000, 300_000]),
    settleMs: milliseconds("settleAfter", settleAfter, [0, 3_600_000]),
    warn: warnerOf(logger),
  });
}

/** @throws {InvalidArgumentError} */
export function checkFollowed(place: string, cache: Followed): void {
  const isOne = typeof cache?.invalidateTags === "function" && typeof cache.deleteMany === "function";
  if (!isOne) throw new InvalidArgumentError(`${place}: cache must be a cache of createCache(...), or its namespace`);
}

/** Two caches with one slot would each miss what the other takes. */
function slotOf(cache: Followed): string | undefined {
  const { name } = cache as { readonly name?: unknown };
  return typeof name === "string"
    ? `hotset_${name.toLowerCase().replaceAll(/[^a-z0-9_]/g, "_")}`.slice(0, 40)
    : undefined;
}

function refuse(option: string, accepted: string): never {
  throw new InvalidArgumentError(`follow: ${option} must be ${accepted}`);
}

export function milliseconds(option: string, given: Duration, [least, most]: readonly [number, number]): number {
  const ms = typeof given === "number" ? given : parseDuration(given);
  return ms >= least && ms <= most ? ms : refuse(option, `a duration of ${least} to ${most} ms`);
}
