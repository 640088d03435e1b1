import type { Operation } from "./limit-script.ts";
import { localRule, type LocalRule } from "./local-rules.ts";
import type { Rule } from "./rules.ts";
import type { FreeAt } from "./units.ts";
import type { Verdict } from "./verdict.ts";

export interface LimitCall {
  readonly operation: Operation;
  readonly key: string;
  readonly cost: number;
  /** Names the slots that the call gets. */
  readonly lease: string;
  /** Of `giveBack`: when the units of each rule are free again. */
  readonly free?: readonly FreeAt[];
}

/**
 * Counts of this process, while Redis is down or disabled: by the same rules, over this process' share of each limit, at
 * least one unit. Nothing of it ever reaches Redis.
 */
export class LocalCounts {
  readonly #rules: readonly Rule[];
  readonly #processes: number;
  readonly #maxKeys: number;
  readonly #counts = new Map<string, readonly LocalRule[]>();
  /** When each block ends. */
  readonly #blocks = new Map<string, number>();

  constructor(rules: readonly Rule[], options: { readonly processes: number; readonly maxKeys: number }) {
    this.#rules = rules;
    this.#processes = options.processes;
    this.#maxKeys = options.maxKeys;
  }

  /** @param now by this process. So are the instants of the verdict, in whole ms. */
  decide({ operation, key, cost, lease, free = [] }: LimitCall, now: number): Verdict {
    const counts = this.#countsOf(key);
    const at = Math.floor(now);
    const wanted = operation === "consume" || operation === "peek" ? cost : 1;
    const blockedMs = Math.ceil(this.blockedMs(key, now));
    const fits = (): boolean => blockedMs === 0 && counts.every((count) => count.room(at) >= wanted);
    let isAllowed = fits();
    if (operation === "consume" && isAllowed) for (const count of counts) count.take(cost, at, lease);
    if (operation === "penalty") for (const count of counts) count.count(cost, at);
    if (operation === "reward") for (const count of counts) count.give(cost, at);
    if (operation === "giveBack") counts.forEach((count, i) => count.giveBack(cost, free[i]!, at));
    if (operation !== "consume") isAllowed = fits();
    const states = counts.map((count) => {
      const room = count.room(at);
      const waitMs = isAllowed || room >= wanted ? 0 : count.waitMs(wanted, at);
      return { room, waitMs, resetMs: count.resetMs(at), over: count.over(at) };
    });
    return { isAllowed, blockedMs, at, states };
  }

  /** @returns whether such a slot was held */
  release(key: string, lease: string, now: number): boolean {
    const released = this.#counts.get(key)?.map((count) => count.release(lease, Math.floor(now)));
    return released?.includes(true) ?? false;
  }

  /** @returns whether such a slot was held, and is for its whole time now */
  renew(key: string, lease: string, now: number): boolean {
    const renewed = this.#counts.get(key)?.map((count) => count.renew(lease, Math.floor(now)));
    return renewed?.includes(true) ?? false;
  }

  forget(key: string): void {
    this.#counts.delete(key);
    this.#blocks.delete(key);
  }

  /** Where Redis is disabled by choice. Beyond `maxKeys` the oldest block is forgotten. */
  block(key: string, ms: number, now: number): void {
    this.#blocks.delete(key);
    if (this.#blocks.size >= this.#maxKeys) this.#blocks.delete(this.#blocks.keys().next().value!);
    this.#blocks.set(key, now + ms);
  }

  /** How long `key` is blocked, 0 if it is not. */
  blockedMs(key: string, now: number): number {
    const leftMs = (this.#blocks.get(key) ?? now) - now;
    if (leftMs <= 0) this.#blocks.delete(key);
    return Math.max(0, leftMs);
  }

  /** Beyond `maxKeys` the key that was new longest ago is forgotten. */
  #countsOf(key: string): readonly LocalRule[] {
    let counts = this.#counts.get(key);
    if (counts !== undefined) return counts;
    if (this.#counts.size >= this.#maxKeys) this.#counts.delete(this.#counts.keys().next().value!);
    counts = this.#rules.map((rule) => localRule(rule, this.#processes));
    this.#counts.set(key, counts);
    return counts;
  }
}
