import type { ModuleName } from "./known-keys.ts";

/** What the user of a connection has to be allowed for one part of hotset. */
export interface ModuleRights {
  /** Commands of its scripts and calls, as an ACL rule has them, such as `xgroup|create`. */
  readonly commands: readonly string[];
  /** A key that it could have, with the default names. */
  readonly key: string;
  /** The channel that goes with a key: a plain one, or a sharded one. */
  readonly channel?: (key: string) => { readonly kind: "channel" | "shard"; readonly name: string };
}

const OBJECT = "{hotset-doctor}";

/** The commands that the scripts and calls of each part of hotset run. A test runs each with these rights alone. */
export const RIGHTS: Readonly<Record<ModuleName, ModuleRights>> = {
  cache: {
    key: "hotset:hotset-doctor::key",
    commands: (
      "ping pttl hmget hget mget script|exists script|load evalsha eval hset hdel hstrlen rename hlen hincrby del " +
      "pexpire persist set get getex time"
    ).split(" "),
  },
  queue: {
    key: `queue:${OBJECT}:state`,
    commands: (
      "eval evalsha time hset hget hmget hdel hexists hincrby del unlink zadd zrem zcard zcount zrange zrevrange " +
      "zrangebyscore zrangebylex zrandmember zscore zpopmin bzpopmin hrandfield"
    ).split(" "),
    channel: (key) => ({ kind: "shard", name: key.replace(/:[^:]*$/, ":events") }),
  },
  streams: {
    key: "hotset-doctor",
    commands: (
      "eval evalsha xadd xack xautoclaim xclaim xgroup|create xgroup|delconsumer xinfo|consumers xpending xrange " +
      "xreadgroup"
    ).split(" "),
  },
  lock: {
    key: `lock:${OBJECT}`,
    commands:
      "eval evalsha time get set del exists pexpire pexpireat pttl zadd zcount zrange zrem zremrangebyscore zscore".split(
        " ",
      ),
    channel: (key) => ({ kind: "channel", name: key.replace(/fence:/, "") }),
  },
  "rate-limit": {
    key: `rate_limit:hotset-doctor:${OBJECT}:block`,
    commands: (
      "eval evalsha time get set mget del decr decrby incr incrby unlink pexpire pttl pexpiretime rpush rpop llen lindex ltrim " +
      "hgetall hincrby hdel zadd zcount zrevrange zremrangebyscore"
    ).split(" "),
  },
  sessions: {
    key: `session:${OBJECT}:0`,
    commands: (
      "eval evalsha time get set del exists unlink rename hset hdel hgetall hmget pexpire pttl zadd zrem zrange " +
      "zremrangebyscore zremrangebyrank"
    ).split(" "),
  },
  leaderboard: {
    key: `leaderboard:${OBJECT}:scores`,
    commands: "eval evalsha time exists unlink hget zadd zcard zcount zrange zscore".split(" "),
  },
  presence: {
    key: `presence:${OBJECT}:until`,
    commands: "eval evalsha time zadd zcount zrange zscore pexpire pttl".split(" "),
  },
  counters: {
    key: `active:${OBJECT}:hotset-doctor`,
    commands: "eval evalsha time setbit bitcount pfadd pfcount pexpireat".split(" "),
  },
};

/** Further rights of a cache, for `layout("string")`. */
export const RIGHTS_OF_STRINGS: readonly string[] = ["exists", "getrange", "setrange"];
