import { CacheError, type CacheLogger, type Clock } from "@hotset/core";
import type { RedisArgument } from "../keys/key-space.ts";
import type { DurationText, Fields, SetOptions, Writable, WritableIn, IncrOptions, Life } from "./command-builder.ts";
import type { JsonOptions } from "./json-values.ts";
import type { Commands } from "./own-commands.ts";

/**
 * Commands that answer as if there were nothing, where they fail. For callers to whom Redis is an extra: each failure
 * is counted, and logged once a second. A call that can never work still rejects, with an `InvalidArgumentError`.
 */
export interface LenientCommands {
  /** `undefined` when it fails. */
  get(key: RedisArgument): Promise<string | undefined>;
  /** `undefined` when it fails. */
  getJson<T = unknown>(key: RedisArgument): Promise<T | undefined>;
  /** Whether it was set. */
  set(key: RedisArgument, value: Writable, options?: SetOptions): Promise<boolean>;
  /** Stores a value as JSON. Resolves with whether it was set. */
  setJson(key: RedisArgument, value: unknown, options?: SetOptions & JsonOptions): Promise<boolean>;
  /** 0 when it fails. */
  delete(...keys: readonly RedisArgument[]): Promise<number>;
  /** `false` when it fails. */
  exists(key: RedisArgument): Promise<boolean>;
  /** `ttl` has a unit, as in `"60s"`. `false` when it fails. */
  expire(key: RedisArgument, ttl: DurationText): Promise<boolean>;
  /** Seconds to live; -1 for a key without an end, -2 for one that is absent, and when it fails. */
  ttl(key: RedisArgument): Promise<number>;
  /** `undefined` when it fails. */
  incr(key: RedisArgument, options?: IncrOptions<number>): Promise<number | undefined>;
  /** 0 when it fails. */
  hset<T extends WritableIn<T>>(key: RedisArgument, fields: Fields<T>, options?: Life): Promise<number>;
  /** `undefined` when it fails. */
  hget(key: RedisArgument, field: RedisArgument): Promise<string | undefined>;
  /** How often each command failed, by `<command> <code>`, over all views of the connection. */
  readonly failures: ReadonlyMap<string, number>;
}

/** Counts and reports what lenient commands swallow: one for all views of a connection. */
export class LenientFailures {
  /** By `<command> <code>`. */
  readonly counts: Map<string, number> = new Map();
  readonly #logger: CacheLogger | undefined;
  readonly #clock: Clock;
  #loggedAt = -Infinity;
  #omitted = 0;

  constructor(logger: CacheLogger | undefined, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  count(operation: string, error: unknown): void {
    const code = error instanceof CacheError ? error.code : "UNKNOWN";
    const name = `${operation} ${code}`;
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    if (this.#clock.now() - this.#loggedAt < LOG_EVERY_MS) {
      this.#omitted += 1;
      return;
    }
    this.#loggedAt = this.#clock.now();
    const others = this.#omitted === 0 ? "" : `; ${this.#omitted} more since the last line`;
    this.#omitted = 0;
    this.#logger?.warn(`hotset: redis: ${operation} failed and was answered with its default: ${code}${others}`);
  }
}

const LOG_EVERY_MS = 1_000;
const NO = false;

/** @param strict must not wait for a Redis that is down. */
export function lenientOf(strict: Commands, failures: LenientFailures): LenientCommands {
  const or = async <T>(operation: string, call: Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await call;
    } catch (error) {
      if (error instanceof CacheError && (error.code === "INVALID_ARGUMENT" || error.code === "ENCODE_FAILED"))
        throw error;
      failures.count(operation, error);
      return otherwise;
    }
  };

  return {
    failures: failures.counts,
    get: (key) => or("get", strict.get(key), undefined),
    getJson: <T>(key: RedisArgument) => or<T | undefined>("getJson", strict.getJson<T>(key), undefined),
    set: async (key, value, options) => (await or("set", strict.set(key, value, options), "unchanged")) === "set",
    setJson: async (key, value, options) =>
      (await or("setJson", strict.setJson(key, value, options), "unchanged")) === "set",
    delete: (...keys) => or("delete", strict.delete(...keys), 0),
    exists: (key) => or("exists", strict.exists(key), NO),
    expire: (key, ttl) => or("expire", strict.expire(key, ttl), NO),
    ttl: async (key) => {
      const left = await or("ttl", strict.ttlMs(key), "missing");
      return left === "missing" ? -2 : left === "none" ? -1 : Math.ceil(left / 1_000);
    },
    incr: (key, options) => or<number | undefined>("incr", strict.incr(key, options), undefined),
    hset: (key, fields, options) => or("hset", strict.hset(key, fields, options), 0),
    hget: (key, field) => or("hget", strict.hget(key, field), undefined),
  };
}
