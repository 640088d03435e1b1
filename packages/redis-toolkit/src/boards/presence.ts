import { InvalidArgumentError, type Duration } from "@hotset/core";
import type { RedisView } from "../index.ts";
import {
  checkFunction,
  checkName,
  checkOptions,
  checkView,
  durationMs,
  lifeMs,
  moduleOf,
  type DurationText,
  idText,
  keyBy,
  type Id,
} from "../module/module.ts";
import { checkWholeNumber } from "./counters.ts";
import { RecentReports } from "./recent-reports.ts";

/** Options of {@link presence}. */
export interface PresenceOptions {
  /** How long a member is active after it was seen. @default '5m' */
  readonly ttl?: DurationText | undefined;
  /**
   * A member that this process has reported so recently is not reported again; it stays active for so much longer.
   * Then a member that another process removes comes back so much later.
   *
   * @default 0
   */
  readonly throttle?: Duration | undefined;
  /**
   * The key of the sorted set: members, and until when each is active, in ms since 1970.
   *
   * @default `presence:{name}:until`
   */
  readonly key?: ((name: string) => string) | undefined;
}

/** Options of {@link Presence.list}. */
export interface ListOptions {
  /** At most 10,000. @default 100 */
  readonly limit?: number | undefined;
  /** How many to leave out. @default 0 */
  readonly skip?: number | undefined;
}

/**
 * Which members were seen lately, by the server's clock. Calls reject with `CommandError` where Redis refuses,
 * `BackendUnavailableError` where it is not reached, and `InvalidArgumentError` for members and counts out of range.
 */
export interface Presence {
  /**
   * Each member is active for `ttl` from now on; never shorter than before. At most 1,000 per call. Also removes up to
   * 1,000 members that are not active any more.
   *
   * @returns how many were not active before
   */
  seen(...members: readonly Id[]): Promise<number>;
  /**
   * Members that are active no longer, such as after a logout. At most 1,000 per call.
   * @returns how many were active
   */
  gone(...members: readonly Id[]): Promise<number>;
  /** Whether the member was seen within `ttl`. */
  isActive(member: Id): Promise<boolean>;
  /** How many are active. */
  count(): Promise<number>;
  /** Active members, the one that stays longest first. */
  list(options?: ListOptions): Promise<readonly string[]>;
}

const MOST_AT_ONCE = 1_000;
const MOST_LISTED = 10_000;

/**
 * Presence: nothing is sent before it is used. Make one where you need it.
 *
 * @throws {InvalidArgumentError} for a name that is not text of 1 to 512 characters, and for options that can never
 *   work.
 */
export function presence(redis: RedisView, name: string, options: PresenceOptions = {}): Presence {
  const where = "presence(redis, name, options)";
  checkView(where, redis);
  checkName(`${where}: name`, name);
  checkOptions(where, options, ["ttl", "throttle", "key"]);
  const { ttl = "5m", throttle = 0 } = options;
  const ttlMs = lifeMs(`${where}: ttl`, ttl);
  const throttleMs = durationMs(`${where}: throttle`, throttle, { min: 0 });
  if (options.key !== undefined) checkFunction(`${where}: key`, options.key);
  const key = options.key
    ? keyBy(where, options.key, name)
    : `presence:${moduleOf(redis).space.hashTagged(name)}:until`;
  return new RedisPresence(redis, { key, ttlMs, throttleMs });
}

// KEYS[1] is a sorted set: member -> until when it is active, in milliseconds since 1970.

const NOW = `
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** ARGV: life in ms, then members. Ended members are removed, in parts, so that no call takes long. */
const SEEN = `${NOW}
local ended = redis.call("ZRANGE", KEYS[1], "-inf", now, "BYSCORE", "LIMIT", 0, 1000)
if #ended > 0 then redis.call("ZREM", KEYS[1], unpack(ended)) end
local life, new = tonumber(ARGV[1]), 0
for i = 2, #ARGV do
  local before = redis.call("ZSCORE", KEYS[1], ARGV[i])
  if not before or tonumber(before) <= now then new = new + 1 end
  redis.call("ZADD", KEYS[1], "GT", now + life, ARGV[i])
end
if redis.call("PTTL", KEYS[1]) < life then redis.call("PEXPIRE", KEYS[1], life) end
return new`;

const GONE = `${NOW}
local active = 0
for _, member in ipairs(ARGV) do
  local before = redis.call("ZSCORE", KEYS[1], member)
  if before and tonumber(before) > now then active = active + 1 end
  redis.call("ZREM", KEYS[1], member)
end
return active`;

const IS_ACTIVE = `${NOW}
local last = redis.call("ZSCORE", KEYS[1], ARGV[1])
return last and tonumber(last) > now and 1 or 0`;

const COUNT = `${NOW}
return redis.call("ZCOUNT", KEYS[1], "(" .. now, "+inf")`;

const LIST = `${NOW}
return redis.call("ZRANGE", KEYS[1], "+inf", "(" .. now, "BYSCORE", "REV", "LIMIT", ARGV[1], ARGV[2])`;

class RedisPresence implements Presence {
  readonly #redis: RedisView;
  readonly #key: string;
  readonly #ttlMs: number;
  readonly #throttleMs: number;

  constructor(
    redis: RedisView,
    { key, ttlMs, throttleMs }: { readonly key: string; readonly ttlMs: number; readonly throttleMs: number },
  ) {
    this.#redis = redis;
    this.#key = key;
    this.#ttlMs = ttlMs;
    this.#throttleMs = throttleMs;
  }

  async seen(...ids: readonly Id[]): Promise<number> {
    const members = membersOf("seen(...members)", ids);
    const recent = new RecentReports(this.#redis, this.#key);
    const due = [...new Set(members)].filter((member) => !recent.has(member));
    if (due.length === 0) return 0;
    const life = this.#ttlMs + this.#throttleMs;
    const begun = await this.#run("seen", SEEN, [String(life), ...due], Number);
    if (this.#throttleMs > 0) for (const member of due) recent.add(member, this.#throttleMs);
    return begun;
  }

  async gone(...ids: readonly Id[]): Promise<number> {
    const members = membersOf("gone(...members)", ids);
    if (members.length === 0) return 0;
    const recent = new RecentReports(this.#redis, this.#key);
    const forget = (): void => {
      for (const member of members) recent.delete(member);
    };
    // A member that is seen from now on is reported, since Redis carries that out later.
    forget();
    try {
      return await this.#run("gone", GONE, [...new Set(members)], Number);
    } finally {
      // An earlier report may have been answered meanwhile; without an answer the member may be gone all the same.
      forget();
    }
  }

  async isActive(member: Id): Promise<boolean> {
    return this.#run("isActive", IS_ACTIVE, membersOf("isActive(member)", [member]), (reply) => reply === 1, {
      isReadOnly: true,
    });
  }

  async count(): Promise<number> {
    return this.#run("count", COUNT, [], Number, { isReadOnly: true });
  }

  async list(options: ListOptions = {}): Promise<readonly string[]> {
    const where = "list(options)";
    checkOptions(where, options, ["limit", "skip"]);
    const { limit = 100, skip = 0 } = options;
    checkWholeNumber(`${where}: limit`, limit, { min: 1, max: MOST_LISTED });
    checkWholeNumber(`${where}: skip`, skip, { min: 0, max: 2 ** 32 });
    return this.#run("list", LIST, [String(skip), String(limit)], (reply) => reply as readonly string[], {
      isReadOnly: true,
    });
  }

  async #run<T>(
    call: keyof Presence,
    script: string,
    args: readonly string[],
    decode: (reply: unknown) => T,
    { isReadOnly = false } = {},
  ): Promise<T> {
    return moduleOf(this.#redis).runScript(script, [this.#key], args, {
      isReadOnly,
      decode,
      operation: `presence.${call}`,
    });
  }
}

function membersOf(where: string, members: readonly Id[]): readonly string[] {
  if (members.length > MOST_AT_ONCE)
    throw new InvalidArgumentError(`${where}: at most 1,000 per call, got ${members.length}`);
  return members.map((member) => idText(`${where}: a member`, member));
}
