import { BackendUnavailableError, InvalidArgumentError, type Duration } from "@hotset/core";
import type { RedisView } from "../commands/view.ts";
import { checkOptions, checkView, durationMs, type Module, moduleOf, shown } from "../module/module.ts";
import { unlessAway } from "./breaker.ts";
import { change } from "./change.ts";
import { reportTrouble } from "./limiter.ts";
import { keyPart } from "./settings.ts";

/** Options of {@link expressRateLimitStore}. */
export interface ExpressStoreOptions {
  /** Begins its keys: another one for each limiter of the application. No braces. @default 'rate_limit:express' */
  readonly prefix?: string | undefined;
  /** How long one call waits for Redis. @default '250ms' */
  readonly deadline?: Duration | undefined;
}

/** The count of one key. */
export interface ExpressStoreHits {
  /** Hits in the window, this one included. */
  readonly totalHits: number;
  /** By the clock of this process, which express-rate-limit compares it with. */
  readonly resetTime: Date;
}

/** The `Store` of express-rate-limit 7 and 8. */
export interface ExpressStore {
  /** express-rate-limit compares it, to find requests that are counted twice. */
  readonly prefix: string;
  /** Counts are those of all processes. */
  readonly localKeys: false;
  /**
   * Called by express-rate-limit with its options. Calls before it are refused.
   *
   * @throws {InvalidArgumentError} for a window out of range.
   */
  init(options: { readonly windowMs: number }): void;
  /**
   * The count of a key; `undefined` without one.
   *
   * @throws {BackendUnavailableError} where Redis is down.
   */
  get(key: string): Promise<ExpressStoreHits | undefined>;
  /** @throws {BackendUnavailableError} where Redis is down, immediately where that is known; see `passOnStoreError`. */
  increment(key: string): Promise<ExpressStoreHits>;
  /**
   * Trouble with Redis is reported, and the hit counts until its window ends: express-rate-limit catches no error here.
   * Never rejects for trouble with Redis: that is reported. It has only the key, so a late call gives back a unit of a
   * later window.
   *
   * @throws {InvalidArgumentError} for a key that is not text.
   */
  decrement(key: string): Promise<void>;
  /**
   * Forgets a key.
   *
   * @throws {BackendUnavailableError} where Redis is down.
   */
  resetKey(key: string): Promise<void>;
  /**
   * Removes all keys of this prefix, by `SCAN`.
   *
   * @throws {BackendUnavailableError} where Redis is down; then some may be gone.
   */
  resetAll(): Promise<void>;
  /** Nothing: the connection belongs to `redis`. */
  shutdown(): void;
}

/**
 * Counts for express-rate-limit: a fixed window for each key, in one step, by Redis' clock.
 *
 * @throws {InvalidArgumentError} for options that can never work.
 */
export function expressRateLimitStore(redis: RedisView, options: ExpressStoreOptions = {}): ExpressStore {
  checkOptions("expressRateLimitStore()", options, ["prefix", "deadline"]);
  const { prefix = "rate_limit:express", deadline = 250 } = options;
  return new RedisExpressStore(checkView("expressRateLimitStore(redis, options)", redis), {
    prefix: keyPart("rateLimit: prefix", prefix),
    deadlineMs: durationMs("expressRateLimitStore: deadline", deadline, { max: 60_000 }),
  });
}

/** One hit more. ARGV: the window in ms. Replies with the hits and the ms that are left. */
const INCREMENT = `
local left = redis.call('PTTL', KEYS[1])
if left >= 0 then return {redis.call('INCR', KEYS[1]), left} end
redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])
return {1, tonumber(ARGV[1])}`;

/** One hit less, if there is one. */
const DECREMENT = `
if redis.call('PTTL', KEYS[1]) >= 0 and tonumber(redis.call('GET', KEYS[1])) > 0 then redis.call('DECR', KEYS[1]) end
return {0, 0}`;

const GET = `
return {tonumber(redis.call('GET', KEYS[1]) or '-1'), redis.call('PTTL', KEYS[1])}`;

class RedisExpressStore implements ExpressStore {
  readonly prefix: string;
  readonly localKeys = false;
  readonly #redis: RedisView;
  readonly #module: Module;
  readonly #deadlineMs: number;
  #windowMs: number | undefined;

  constructor(redis: RedisView, options: { readonly prefix: string; readonly deadlineMs: number }) {
    this.prefix = options.prefix;
    this.#redis = redis;
    this.#module = moduleOf(redis);
    this.#deadlineMs = options.deadlineMs;
  }

  init(options: { readonly windowMs: number }): void {
    // express-rate-limit gives all of its options.
    this.#windowMs = durationMs("expressRateLimitStore: init({ windowMs }): windowMs", options?.windowMs);
  }

  async get(key: string): Promise<ExpressStoreHits | undefined> {
    const [hits, leftMs] = await this.#run("get", GET, key);
    return hits === -1 ? undefined : this.#hits(hits, leftMs);
  }

  async increment(key: string): Promise<ExpressStoreHits> {
    const [hits, leftMs] = await this.#run("increment", INCREMENT, key);
    return this.#hits(hits, leftMs);
  }

  async decrement(key: string): Promise<void> {
    try {
      await this.#run("decrement", DECREMENT, key);
    } catch (error) {
      if (error instanceof InvalidArgumentError) throw error;
      reportTrouble(this.#module, error);
    }
  }

  async resetKey(key: string): Promise<void> {
    await change(this.#redis, "UNLINK", [this.#keyOf(key)]);
  }

  async resetAll(): Promise<void> {
    const match = `${this.prefix.replace(/[\\*?[\]^]/g, String.raw`\$&`)}:{*}`;
    for await (const key of this.#redis.commands.scan({ match, type: "string" }))
      await change(this.#redis, "UNLINK", [key]);
  }

  shutdown(): void {
    // The connection belongs to its owner.
  }

  #hits(totalHits: number, leftMs: number): ExpressStoreHits {
    const { clock } = this.#module;
    return { totalHits, resetTime: new Date((clock.epochMs?.() ?? Date.now()) + leftMs) };
  }

  async #run(call: keyof ExpressStore, script: string, key: string): Promise<readonly [number, number]> {
    if (this.#windowMs === undefined)
      throw new InvalidArgumentError("expressRateLimitStore: init({ windowMs }) must be called first");
    const inside = this.#keyOf(key);
    const operation = `expressRateLimitStore.${call}`;
    const draft = {
      operation,
      isReadOnly: script === GET,
      deadlineMs: this.#deadlineMs,
      decode: (reply: unknown) => reply as [number, number],
    };
    const reply = await unlessAway(this.#module, inside, () =>
      this.#module.runScript(script, [inside], [String(this.#windowMs)], draft),
    );
    if (reply !== undefined) return reply;
    throw new BackendUnavailableError(`${operation}: Redis is unreachable`, { operation, maybeExecuted: false });
  }

  #keyOf(key: string): string {
    if (typeof key !== "string")
      throw new InvalidArgumentError(`expressRateLimitStore: the key must be text, got ${shown(key)}`);
    return `${this.prefix}:${this.#module.space.hashTagged(key)}`;
  }
}
