import type { Duration } from "@hotset/core";
import type { RedisView } from "../index.ts";
import { checkName, checkOptions, checkView, durationMs, idText, lifeMs, moduleOf } from "../module/module.ts";
import type { DurationText, Id } from "../module/module.ts";
import { presence, type ListOptions, type Presence } from "./presence.ts";
import { RecentReports } from "./recent-reports.ts";

/** Options of {@link userPresence}. */
export interface UserPresenceOptions {
  /** How long a connection is active after it was seen. @default '5m' */
  readonly ttl?: DurationText | undefined;
  /** As that of `presence`, for each connection. @default 0 */
  readonly throttle?: Duration | undefined;
}

/**
 * Which users have connections: a user with two tabs is active until both are gone, or were not seen for `ttl`. By the
 * server's clock. Calls reject as those of {@link Presence}.
 */
export interface UserPresence {
  /**
   * The connection is active for `ttl` from now on, and so is its user; never shorter than before. A user has at most
   * 1,000: those that end soonest are forgotten.
   *
   * @returns whether this makes the user active: it had no active connection before
   */
  seen(user: Id, connection: Id): Promise<boolean>;
  /**
   * A connection that is closed.
   *
   * @returns whether this makes the user inactive: it was the last active connection
   */
  gone(user: Id, connection: Id): Promise<boolean>;
  /** Forgets all connections of a user, such as after a logout. @returns how many were active */
  goneUser(user: Id): Promise<number>;
  /** Whether the user has an active connection. */
  isActive(user: Id): Promise<boolean>;
  /** How many users are active. */
  count(): Promise<number>;
  /** Active users, the one that stays longest first. */
  list(options?: ListOptions): Promise<readonly string[]>;
  /** Active connections of a user, the one that stays longest first. */
  connections(user: Id): Promise<readonly string[]>;
}

/**
 * Presence of users by their connections. `presence(redis, name)` of the same name reads the same users.
 *
 * @throws {InvalidArgumentError} for a name that is not text of 1 to 512 characters, and for options that can never
 *   work.
 */
export function userPresence(redis: RedisView, name: string, options: UserPresenceOptions = {}): UserPresence {
  const where = "userPresence(redis, name, options)";
  checkView(where, redis);
  checkName(`${where}: name`, name);
  checkOptions(where, options, ["ttl", "throttle"]);
  const { ttl = "5m", throttle = 0 } = options;
  const ttlMs = lifeMs(`${where}: ttl`, ttl);
  const throttleMs = durationMs(`${where}: throttle`, throttle, { min: 0 });
  return new RedisUserPresence(redis, name, { ttlMs, throttleMs });
}

// KEYS: users -> until when each is active, as of `presence`; and connections of one user -> the same. The time of a user
// is that of its connection that stays longest.

const NOW = `
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function isActive(user)
  local ends = redis.call("ZSCORE", KEYS[1], user)
  return ends and tonumber(ends) > now
end
`;

/**
 * ARGV: life in ms, user, connection. Returns 1 if the user was not active. What grows comes first: a full server refuses
 * the script there, as a whole.
 */
const SEEN = `${NOW}
local life, wasActive = tonumber(ARGV[1]), isActive(ARGV[2])
redis.call("ZADD", KEYS[2], "GT", now + life, ARGV[3])
redis.call("ZADD", KEYS[1], "GT", now + life, ARGV[2])
redis.call("ZREMRANGEBYSCORE", KEYS[2], "-inf", now)
redis.call("ZREMRANGEBYRANK", KEYS[2], 0, -1001)
local ended = redis.call("ZRANGE", KEYS[1], "-inf", now, "BYSCORE", "LIMIT", 0, 1000)
if #ended > 0 then redis.call("ZREM", KEYS[1], unpack(ended)) end
for _, key in ipairs(KEYS) do
  if redis.call("PTTL", key) < life then redis.call("PEXPIRE", key, life) end
end
return wasActive and 0 or 1`;

/** ARGV: user, connection. Returns 1 if the user was active, and is not any more. */
const GONE = `${NOW}
local wasActive = isActive(ARGV[1])
redis.call("ZREM", KEYS[2], ARGV[2])
local last = redis.call("ZRANGE", KEYS[2], 0, 0, "REV", "WITHSCORES")
if last[2] and tonumber(last[2]) > now then
  redis.call("ZADD", KEYS[1], "XX", last[2], ARGV[1])
  return 0
end
redis.call("ZREM", KEYS[1], ARGV[1])
return wasActive and 1 or 0`;

/** ARGV: user. */
const GONE_USER = `${NOW}
local active = redis.call("ZCOUNT", KEYS[2], "(" .. now, "+inf")
redis.call("ZREM", KEYS[1], ARGV[1])
redis.call("UNLINK", KEYS[2])
return active`;

const CONNECTIONS = `${NOW}
return redis.call("ZRANGE", KEYS[2], "+inf", "(" .. now, "BYSCORE", "REV")`;

class RedisUserPresence implements UserPresence {
  readonly #redis: RedisView;
  readonly #users: Presence;
  readonly #key: string;
  readonly #ttlMs: number;
  readonly #throttleMs: number;

  constructor(
    redis: RedisView,
    name: string,
    { ttlMs, throttleMs }: { readonly ttlMs: number; readonly throttleMs: number },
  ) {
    this.#redis = redis;
    this.#users = presence(redis, name);
    this.#key = `presence:${moduleOf(redis).space.hashTagged(name)}`;
    this.#ttlMs = ttlMs;
    this.#throttleMs = throttleMs;
  }

  async seen(user: Id, connection: Id): Promise<boolean> {
    const [id, member] = pairOf("seen", user, connection);
    const recent = new RecentReports(this.#redis, this.#ofUser(id));
    if (recent.has(member)) return false;
    const args = [String(this.#ttlMs + this.#throttleMs), id, member];
    const begins = await this.#run("seen", [SEEN, id, args], isOne);
    if (this.#throttleMs > 0) recent.add(member, this.#throttleMs);
    return begins;
  }

  async gone(user: Id, connection: Id): Promise<boolean> {
    const [id, member] = pairOf("gone", user, connection);
    const recent = new RecentReports(this.#redis, this.#ofUser(id));
    // As `gone` of presence: what is seen from now on is reported, and what was reported meanwhile is not trusted.
    recent.delete(member);
    try {
      return await this.#run("gone", [GONE, id, [id, member]], isOne);
    } finally {
      recent.delete(member);
    }
  }

  async goneUser(user: Id): Promise<number> {
    const id = idText("goneUser(user)", user);
    const recent = new RecentReports(this.#redis, this.#ofUser(id));
    recent.deleteAll();
    try {
      return await this.#run("goneUser", [GONE_USER, id, [id]], Number);
    } finally {
      recent.deleteAll();
    }
  }

  async isActive(user: Id): Promise<boolean> {
    return this.#users.isActive(user);
  }

  async count(): Promise<number> {
    return this.#users.count();
  }

  async list(options: ListOptions = {}): Promise<readonly string[]> {
    return this.#users.list(options);
  }

  async connections(user: Id): Promise<readonly string[]> {
    const id = idText("connections(user)", user);
    return this.#run("connections", [CONNECTIONS, id, []], (reply) => reply as readonly string[], READ_ONLY);
  }

  #ofUser(user: string): string {
    return `${this.#key}:of:${user}`;
  }

  #run<T>(
    call: keyof UserPresence,
    [script, user, args]: readonly [script: string, user: string, args: readonly string[]],
    decode: (reply: unknown) => T,
    { isReadOnly = false } = {},
  ): Promise<T> {
    const keys = [`${this.#key}:until`, this.#ofUser(user)];
    const draft = { isReadOnly, decode, operation: `userPresence.${call}` };
    return moduleOf(this.#redis).runScript(script, keys, args, draft);
  }
}

const READ_ONLY = { isReadOnly: true };

const isOne = (reply: unknown): boolean => reply === 1;

const pairOf = (call: string, user: Id, connection: Id): readonly [user: string, connection: string] => [
  idText(`${call}(user, connection): user`, user),
  idText(`${call}(user, connection): connection`, connection),
];
