import type { Operation } from "./limit-script.ts";
import type { Rule } from "./rules.ts";
import type { Verdict } from "./verdict.ts";

export interface LimitCall {
  readonly operation: Operation;
  readonly key: string;
  readonly cost: number;
  /** Names the slots that the call gets. */
  readonly lease: string;
}

/** An instant by two clocks of this process: `now` is monotonic, `at` in milliseconds since 1970. */
export interface Instant {
  readonly now: number;
  readonly at: number;
}

/**
 * Counts of this process, while Redis is down. Every rule is counted in fixed windows: this process' share of what it
 * allows at once, at least one unit, in the time in which that comes back. Nothing of it ever reaches Redis.
 */
export class LocalCounts {
  readonly #rules: readonly Rule[];
  readonly #processes: number;
  readonly #maxKeys: number;
  readonly #counts = new Map<string, readonly Count[]>();
  /** When each block ends. */
  readonly #blocks = new Map<string, number>();

  constructor(rules: readonly Rule[], options: { readonly processes: number; readonly maxKeys: number }) {
    this.#rules = rules;
    this.#processes = options.processes;
    this.#maxKeys = options.maxKeys;
  }

  decide({ operation, key, cost, lease }: LimitCall, { now, at }: Instant): Verdict {
    const counts = this.#countsOf(key);
    const wanted = operation === "consume" || operation === "peek" ? cost : 1;
    const blockedMs = this.blockedMs(key, now);
    const fits = (): boolean => blockedMs === 0 && counts.every((count) => count.room(now) >= wanted);
    let isAllowed = fits();
    if (operation === "consume" && isAllowed) for (const count of counts) count.take(cost, now, lease);
    if (operation === "penalty" || operation === "reward") {
      for (const count of counts) count.adjust(operation === "penalty" ? cost : -cost, now);
      isAllowed = fits();
    }
    const states = counts.map((count) => {
      const [room, resetMs] = [count.room(now), Math.ceil(Math.max(0, count.endsAt - now))];
      return { room, waitMs: isAllowed || room >= wanted ? 0 : resetMs, resetMs };
    });
    return { isAllowed, blockedMs, at, states };
  }

  /** @returns whether such a slot was held */
  release(key: string, lease: string, now: number): boolean {
    const released = this.#counts.get(key)?.map((count) => count.release(lease, now));
    return released?.includes(true) ?? false;
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
  #countsOf(key: string): readonly Count[] {
    let counts = this.#counts.get(key);
    if (counts !== undefined) return counts;
    if (this.#counts.size >= this.#maxKeys) this.#counts.delete(this.#counts.keys().next().value!);
    counts = this.#rules.map((rule) => {
      const share = Math.max(1, Math.floor(rule.capacity / this.#processes));
      return rule.kind === "concurrency" ? new Slots(share, rule.periodMs) : new Window(share, rule.periodMs);
    });
    this.#counts.set(key, counts);
    return counts;
  }
}

/** Units of one key and one rule that are in use. */
interface Count {
  /** When all of them are free again. */
  readonly endsAt: number;
  room(now: number): number;
  take(cost: number, now: number, lease: string): void;
  /** Beyond the limit too; below zero gives back. */
  adjust(cost: number, now: number): void;
  release(lease: string, now: number): boolean;
}

class Window implements Count {
  readonly #share: number;
  readonly #lengthMs: number;
  #units = 0;
  endsAt = 0;

  constructor(share: number, lengthMs: number) {
    this.#share = share;
    this.#lengthMs = lengthMs;
  }

  room(now: number): number {
    return now < this.endsAt ? this.#share - this.#units : this.#share;
  }

  take(cost: number, now: number): void {
    this.adjust(cost, now);
  }

  adjust(cost: number, now: number): void {
    const units = now < this.endsAt ? this.#units : 0;
    if (units === 0 && cost > 0) this.endsAt = now + this.#lengthMs;
    this.#units = Math.max(0, units + cost);
  }

  release(): boolean {
    return false;
  }
}

class Slots implements Count {
  readonly #share: number;
  readonly #holdMs: number;
  #slots: readonly { readonly lease: string; readonly cost: number; readonly endsAt: number }[] = [];

  constructor(share: number, holdMs: number) {
    this.#share = share;
    this.#holdMs = holdMs;
  }

  get endsAt(): number {
    return this.#slots.at(-1)?.endsAt ?? 0;
  }

  room(now: number): number {
    this.#dropEnded(now);
    return this.#slots.reduce((room, { cost }) => room - cost, this.#share);
  }

  take(cost: number, now: number, lease: string): void {
    this.#slots = [...this.#slots, { lease, cost, endsAt: now + this.#holdMs }];
  }

  adjust(): void {
    // Slots belong to calls that were allowed.
  }

  release(lease: string, now: number): boolean {
    this.#dropEnded(now);
    const left = this.#slots.filter((slot) => slot.lease !== lease);
    const isFound = left.length < this.#slots.length;
    this.#slots = left;
    return isFound;
  }

  #dropEnded(now: number): void {
    this.#slots = this.#slots.filter(({ endsAt }) => now < endsAt);
  }
}
