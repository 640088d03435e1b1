import { randomUUID } from "node:crypto";
import { BackendUnavailableError, InvalidArgumentError, type Clock, type Duration } from "@hotset/core";
import type { RedisView } from "../commands/view.ts";
import type { LimitCounts } from "../module/counts.ts";
import {
  checkView,
  durationMs,
  idText,
  keyBy,
  moduleOf,
  checkWholeNumber,
  type Id,
  type Module,
} from "../module/module.ts";
import { cannotDecide, isDisabled, onceBack, unlessAway } from "./breaker.ts";
import { change } from "./change.ts";
import { CostAboveLimitError } from "./cost-above-limit-error.ts";
import { LimitScript } from "./limit-script.ts";
import { LocalCounts, type LimitCall } from "./local-counts.ts";
import type { RateLimitOptions } from "./options.ts";
import { Refusals } from "./refusals.ts";
import { ResultWriter, type RateLimitResult, type RefusalReason } from "./result.ts";
import { RELEASE_SLOTS, RENEW_SLOTS } from "./rule-scripts.ts";
import { resolveOptions, type RateLimitSettings } from "./settings.ts";
import { nameUnits, readUnits, type Units } from "./units.ts";
import { readVerdict, type Verdict } from "./verdict.ts";

/**
 * Decides which calls are allowed, for all processes together. Keep it, and do not make one for each call: it remembers
 * refusals, and counts while Redis is down. A key is text of 1 to 512 characters.
 */
export interface RateLimit {
  /**
   * Takes `cost` units of `key` if they fit into every rule, else none.
   *
   * @param cost @default 1
   * @throws {CostAboveLimitError} for a cost that never fits; nothing was counted.
   * @throws {CommandError} where Redis refuses for another reason than that it is down, such as a missing right.
   */
  consume(key: Id, cost?: number): Promise<RateLimitResult>;
  /**
   * Answers as `consume` would, without taking anything.
   *
   * @throws {CostAboveLimitError} for a cost that never fits.
   */
  peek(key: Id, cost?: number): Promise<RateLimitResult>;
  /**
   * Counts `cost` units more, beyond the limit too: a log up to full, a bucket up to one bucket below empty. Slots of
   * `concurrency` stay. @returns the state after it, `allowed` for a call that costs 1
   *
   * @throws {CommandError} as {@link RateLimit.consume}.
   */
  penalty(key: Id, cost?: number): Promise<RateLimitResult>;
  /**
   * Gives units back; slots of `concurrency` stay. @returns the state after it, `allowed` for a call that costs 1
   *
   * @param units The `units` of a result: those of that call, once, as far as they still count. They are known by the
   *   instant at which they are free again, so after a `reset` a sliding counter or a bucket can take units of a later
   *   call for them. A number: so many, by any caller, the latest first. @default 1
   * @throws {CommandError} as {@link RateLimit.consume}.
   */
  reward(key: Id, units?: number | string): Promise<RateLimitResult>;
  /**
   * Forgets what is known of `key`, a block included. Like `block` and `release` it acts in memory alone where Redis is
   * disabled by choice. @throws {BackendUnavailableError} where Redis is down.
   */
  reset(key: Id): Promise<void>;
  /** Refuses `key` for so long from now on. @throws {BackendUnavailableError} where Redis is down. */
  block(key: Id, duration: Duration): Promise<void>;
  /**
   * Gives back the slots of a call that was allowed. Twice is harmless.
   *
   * @returns whether they were still held: those that have ended on their own are not
   * @throws {BackendUnavailableError} where Redis is down: then the slots end on their own, after `hold`.
   */
  release(key: Id, lease: string): Promise<boolean>;
  /**
   * Holds the slots of a call for `hold` from now on: for streams, uploads and other calls that may take longer. The
   * limits of requests do so on their own.
   *
   * @returns whether they were still held: those that have ended may be another call's
   * @throws {BackendUnavailableError} where Redis is down.
   */
  renew(key: Id, lease: string): Promise<boolean>;
}

/**
 * Limits over the keys of a view.
 *
 * @throws {InvalidArgumentError} for options that can never work. It opens nothing.
 */
export const rateLimit = (redis: RedisView, options: RateLimitOptions): RateLimit =>
  new RedisRateLimit(redis, resolveOptions(options));

/**
 * A response does not wait for `work`, which gives back slots or units. Where that fails they end on their own, and
 * trouble with Redis is reported.
 */
export function behind(limit: RateLimit, work: Promise<unknown>): void {
  work.catch((error: unknown) => reportTrouble(hosts.get(limit)?.module, error));
}

/**
 * Renews slots at each third of their time, until they have ended nevertheless.
 *
 * @returns a function that ends it
 */
export function keepSlots(limit: RateLimit, key: string, lease: string): () => void {
  const host = hosts.get(limit);
  if (host?.holdMs === undefined) return () => undefined;
  const { module, holdMs } = host;
  let isOver = false;
  let cancel: () => void;
  const renew = async (): Promise<void> => {
    let isHeld = true;
    try {
      isHeld = await limit.renew(key, lease);
    } catch (error) {
      reportTrouble(module, error);
    }
    if (isHeld && !isOver) renewLater();
  };
  const renewLater = (): void => void (cancel = module.clock.schedule(() => void renew(), holdMs / 3));
  renewLater();
  return () => {
    isOver = true;
    cancel();
  };
}

/** `undefined` where Redis is disabled by choice: there the limits of one process are all that there is. */
const unlessDisabled = <T>(work: Promise<T>): Promise<T | undefined> =>
  work.catch((error: unknown) => {
    if (!isDisabled(error)) throw error;
    return undefined;
  });

/** A disabled Redis was chosen: nothing is to be reported. */
export function reportTrouble(module: Module | undefined, error: unknown): void {
  if (!isDisabled(error)) module?.report("rate limit", error);
}

/** Of the limits of this file: others may have been given by the user. `holdMs`: of `concurrency`. */
const hosts = new WeakMap<RateLimit, { readonly module: Module; readonly holdMs: number | undefined }>();

class RedisRateLimit implements RateLimit {
  readonly #redis: RedisView;
  readonly #module: Module;
  /** Counts that all limits of this name share. */
  readonly #counts: LimitCounts;
  readonly #settings: RateLimitSettings;
  readonly #keyPrefix: string;
  readonly #script: LimitScript;
  readonly #refusals: Refusals;
  readonly #local: LocalCounts;
  readonly #results: ResultWriter;
  /** Of `concurrency`, if that is one of the rules. */
  readonly #holdMs: number | undefined;
  readonly #least: number;

  constructor(redis: RedisView, settings: RateLimitSettings) {
    const { name, rules, headers, rememberRefusalsMs, maxKeys } = settings;
    this.#redis = checkView("rateLimit(redis, options)", redis);
    this.#module = moduleOf(redis);
    this.#settings = settings;
    this.#keyPrefix = `${settings.prefix}:${name}:`;
    this.#holdMs = rules.find(({ kind }) => kind === "concurrency")?.periodMs;
    hosts.set(this, { module: this.#module, holdMs: this.#holdMs });
    const { limits } = this.#module;
    this.#counts = limits.get(name) ?? { allowed: 0, refused: 0 };
    if (limits.size < MOST_NAMES) limits.set(name, this.#counts);
    this.#script = new LimitScript(rules, settings);
    this.#least = Math.min(...rules.map(({ capacity }) => capacity));
    this.#refusals = new Refusals({ longestMs: rememberRefusalsMs, maxKeys, random: Math.random });
    this.#local = new LocalCounts(rules, settings);
    this.#results = new ResultWriter(name, rules, headers);
  }

  async consume(id: Id, cost = 1): Promise<RateLimitResult> {
    const key = this.#checked(id, cost);
    const known = this.#listed(key) ?? this.#remembered(key, cost);
    if (known !== undefined) return this.#counted(known);
    const lease = this.#holdMs !== undefined ? `${randomUUID()}:${cost}` : "";
    return this.#counted(await this.#decide({ operation: "consume", key, cost, lease }));
  }

  #counted(result: RateLimitResult): RateLimitResult {
    const { counts } = this.#module;
    counts[result.allowed ? "limitsAllowed" : "limitsRefused"] += 1;
    this.#counts[result.allowed ? "allowed" : "refused"] += 1;
    if (result.degraded) counts.limitsDegraded += 1;
    return result;
  }

  async peek(id: Id, cost = 1): Promise<RateLimitResult> {
    const key = this.#checked(id, cost);
    return this.#listed(key) ?? this.#decide({ operation: "peek", key, cost, lease: "" });
  }

  penalty(key: Id, cost = 1): Promise<RateLimitResult> {
    return this.#adjust("penalty", key, cost);
  }

  async reward(key: Id, units: number | string = 1): Promise<RateLimitResult> {
    if (typeof units !== "string") return this.#adjust("reward", key, units);
    const { place, cost, free } = readUnits(units, this.#settings.rules.length);
    return this.#adjust("giveBack", key, cost, { place, free });
  }

  async reset(id: Id): Promise<void> {
    const key = idText(KEY, id);
    this.#local.forget(key);
    await unlessDisabled(change(this.#redis, "UNLINK", this.#keysOf(key)));
    this.#refusals.forget(key);
  }

  async block(id: Id, duration: Duration): Promise<void> {
    const key = idText(KEY, id);
    const ms = durationMs("block(key, duration): duration", duration);
    const blocked = change(this.#redis, "PSETEX", [this.#keysOf(key)[0]], [String(ms), "1"]);
    if ((await unlessDisabled(blocked)) === undefined) this.#local.block(key, ms, this.#module.clock.now());
    this.#refusals.forget(key);
  }

  async release(id: Id, lease: string): Promise<boolean> {
    const key = idText(KEY, id);
    const slots = slotsOf("release", lease);
    if (this.#local.release(key, lease, this.#module.clock.now())) return true;
    return this.#onSlots("release", key, RELEASE_SLOTS, slots);
  }

  async renew(id: Id, lease: string): Promise<boolean> {
    const key = idText(KEY, id);
    const slots = slotsOf("renew", lease);
    if (this.#local.renew(key, lease, this.#module.clock.now())) return true;
    return this.#onSlots("renew", key, RENEW_SLOTS, [String(this.#holdMs), ...slots]);
  }

  /** @returns whether any of the slots was held */
  async #onSlots(call: "release" | "renew", key: string, script: string, args: readonly string[]): Promise<boolean> {
    const at = this.#settings.rules.findIndex(({ kind }) => kind === "concurrency");
    if (at === -1) return false;
    const keys = [this.#keysOf(key)[at + 1]!];
    const draft = { decode: Number, operation: `rateLimit.${call}` };
    return ((await unlessDisabled(this.#module.runScript(script, keys, args, draft))) ?? 0) > 0;
  }

  async #adjust(
    operation: "penalty" | "reward" | "giveBack",
    id: Id,
    cost: number,
    units?: Pick<Units, "place" | "free">,
  ): Promise<RateLimitResult> {
    const key = idText(KEY, id);
    const name = operation === "penalty" ? "penalty(key, cost): cost" : "reward(key, units): units";
    checkWholeNumber(name, cost, { min: 1, max: MOST_COST });
    const listed = this.#listed(key);
    if (listed !== undefined) return listed;
    const call = { operation, key, cost, lease: "", ...(units !== undefined && { free: units.free }) };
    // Units that were counted in memory are none of Redis'.
    const result = units?.place === "memory" ? this.#withoutRedis(call) : await this.#decide(call);
    this.#refusals.forget(key);
    return result;
  }

  #checked(id: Id, cost: number): string {
    const key = idText(KEY, id);
    checkWholeNumber("cost", cost, { min: 1, max: MOST_COST });
    if (cost > this.#least) throw new CostAboveLimitError(this.#settings.name, cost, this.#least);
    return key;
  }

  /** By the lists alone. */
  #listed(key: string): RateLimitResult | undefined {
    const { allow, deny, rules } = this.#settings;
    const isDenied = deny.has(key);
    if (!isDenied && !allow.has(key)) return undefined;
    const states = rules.map(({ capacity }) =>
      isDenied
        ? { room: 0, waitMs: Infinity, resetMs: 0, over: 0 }
        : { room: capacity, waitMs: 0, resetMs: 0, over: 0 },
    );
    const verdict = { isAllowed: !isDenied, blockedMs: 0, at: this.#epochMs(), states };
    return this.#result(verdict, { reason: isDenied ? "denied" : undefined });
  }

  #remembered(key: string, cost: number): RateLimitResult | undefined {
    const verdict = this.#refusals.find(key, cost, this.#module.clock.now());
    return verdict === undefined ? undefined : this.#result(verdict);
  }

  async #decide(call: LimitCall): Promise<RateLimitResult> {
    let verdict: Verdict | undefined;
    try {
      verdict = await this.#ask(call);
    } catch (error) {
      if (!cannotDecide(error)) throw error;
      reportTrouble(this.#module, error);
      this.#giveBackLost(call, error);
    }
    const { operation, key, cost, lease } = call;
    // Units of Redis' are none that this process has counted: it only says how it decides.
    if (verdict === undefined)
      return this.#withoutRedis(operation === "giveBack" ? { ...call, operation: "peek", cost: 1 } : call);
    if (operation === "consume" && !verdict.isAllowed && this.#staysRefused(verdict))
      this.#refusals.keep(key, cost, verdict, this.#module.clock.now());
    const units = operation === "consume" && verdict.isAllowed ? nameUnits("redis", cost, verdict) : undefined;
    return this.#result(verdict, { lease, units });
  }

  #ask({ operation, key, cost, lease, free }: LimitCall): Promise<Verdict | undefined> {
    const { deadlineMs } = this.#settings;
    const keys = this.#keysOf(key);
    const [text, args] = [this.#script.text(operation), this.#script.args(cost, lease, free)];
    const draft = {
      isReadOnly: operation === "peek",
      deadlineMs,
      decode: readVerdict,
      operation: `rateLimit.${operation === "giveBack" ? "reward" : operation}`,
    };
    return unlessAway(this.#module, keys[0], () => this.#module.runScript(text, keys, args, draft));
  }

  /** Slots that Redis may have given, while the call is decided without it. Of an open limit its caller has the lease. */
  #giveBackLost({ key, lease }: LimitCall, error: unknown): void {
    const isLost = error instanceof BackendUnavailableError && error.maybeExecuted;
    if (lease === "" || !isLost || this.#settings.whenAway === "open") return;
    onceBack(this.#module, this.#keysOf(key)[0], () =>
      behind(this, this.#onSlots("release", key, RELEASE_SLOTS, slotsOf("release", lease))),
    );
  }

  /** Whether time alone can change the answer. */
  #staysRefused(verdict: Verdict): boolean {
    return this.#holdMs === undefined && (!this.#settings.countRefused || verdict.blockedMs > 0);
  }

  #withoutRedis(call: LimitCall): RateLimitResult {
    const { whenAway, rules } = this.#settings;
    const at = this.#epochMs();
    const now = this.#module.clock.now();
    if (whenAway === "memory" || this.#local.blockedMs(call.key, now) > 0) {
      const verdict = this.#local.decide(call, now);
      const hasTaken = call.operation === "consume" && verdict.isAllowed;
      const units = hasTaken ? nameUnits("memory", call.cost, verdict) : undefined;
      return this.#result({ ...verdict, at }, { degraded: true, lease: call.lease, units });
    }
    const isAllowed = whenAway === "open";
    const states = rules.map(({ capacity }) =>
      isAllowed
        ? { room: capacity, waitMs: 0, resetMs: 0, over: 0 }
        : { room: 0, waitMs: RETRY_MS, resetMs: RETRY_MS, over: 0 },
    );
    const verdict = { isAllowed, blockedMs: 0, at, states };
    // Redis may have given the slots: the call was sent, say, and its reply was lost.
    return this.#result(verdict, { degraded: true, lease: call.lease, reason: isAllowed ? undefined : "away" });
  }

  #result(
    verdict: Verdict,
    {
      degraded = false,
      lease = "",
      reason,
      units,
    }: { degraded?: boolean; lease?: string; reason?: RefusalReason | undefined; units?: string | undefined } = {},
  ): RateLimitResult {
    return this.#results.write(verdict, {
      degraded,
      reason: verdict.isAllowed ? undefined : (reason ?? (verdict.blockedMs > 0 ? "blocked" : "limit")),
      lease: verdict.isAllowed && lease !== "" ? lease : undefined,
      units,
    });
  }

  /** The block, then one key for each rule, all of one slot. */
  #keysOf(key: string): readonly [string, ...string[]] {
    const { rules, key: keyOf } = this.#settings;
    if (keyOf !== undefined) {
      const own = keyBy("rateLimit", keyOf, key);
      return [this.#module.space.beside(own, "block"), own];
    }
    const common = `${this.#keyPrefix}${this.#module.space.hashTagged(key)}:`;
    const keys: [string, ...string[]] = [`${common}block`];
    for (const { id } of rules) keys.push(common + id);
    return keys;
  }

  #epochMs(): number {
    const { clock }: { clock: Clock } = this.#module;
    return clock.epochMs?.() ?? Date.now();
  }
}

const KEY = "the key of a limit";
/** Limits that are counted apart. */
const MOST_NAMES = 1_000;
const MOST_COST = 1_000_000_000;

/** For a caller that is refused because Redis is down: by then it is asked again. */
const RETRY_MS = 1_000;

/** The members of the sorted set, one for each unit. */
function slotsOf(call: "release" | "renew", lease: string): string[] {
  const cost = typeof lease === "string" ? /^[0-9a-f-]{36}:(\d{1,5})$/.exec(lease)?.[1] : undefined;
  if (cost === undefined)
    throw new InvalidArgumentError(`${call}(key, lease): lease must be that of a result of consume`);
  return Array.from({ length: Number(cost) }, (_, i) => `${lease}:${i + 1}`);
}
