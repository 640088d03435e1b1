import { numbersOf, type Rule } from "./rules.ts";
import type { FreeAt } from "./units.ts";

/**
 * What one process counts of one key by one rule: the algorithm of the rule's script, over the share of this process.
 * Instants are whole ms of one clock, and never go back.
 */
export interface LocalRule {
  /** Units that fit now. Below 0 after penalties. */
  room(now: number): number;
  /** The ms until all units are free. */
  resetMs(now: number): number;
  /** How far `resetMs` is rounded up, in parts of 1 / limit ms. */
  over(now: number): number;
  /** The ms until the units fit, which do not fit now. */
  waitMs(wanted: number, now: number): number;
  /** Takes the units of a call that fits. */
  take(units: number, now: number, lease: string): void;
  /** Counts units, beyond the limit too. */
  count(units: number, now: number): void;
  /** Gives units back, the latest first. */
  give(units: number, now: number): void;
  /** Gives back the units that are free again then, as far as they are still in use. */
  giveBack(units: number, free: FreeAt, now: number): void;
  /** @returns whether slots of this name were held */
  release(lease: string, now: number): boolean;
  /** Holds slots for their whole time again. @returns whether slots of this name were held */
  renew(lease: string, now: number): boolean;
}

/** @param processes how many share the limit: each has its part, and at least one unit */
export function localRule(rule: Rule, processes: number): LocalRule {
  const [limit, windowMs, third] = numbersOf(rule) as readonly [number, number, number];
  const share = (units: number): number => Math.max(1, Math.floor(units / processes));
  switch (rule.kind) {
    case "fixed-window":
      return new FixedWindow(share(limit), windowMs);
    case "sliding-log":
      return new Sliding({ limit: share(limit), most: share(limit), freeAtOf: (now) => now + windowMs });
    case "sliding-counter":
      return new Sliding({
        limit: share(limit),
        most: Infinity,
        freeAtOf: (now) => (Math.floor(now / third) + 1) * third + windowMs,
      });
    case "token-bucket":
    case "gcra":
      // The limit comes back in `processes` times its window.
      return new Bucket({ limit, windowMs: windowMs * processes, burst: share(third) });
    case "concurrency":
      return new Slots(share(limit), windowMs);
  }
}

/** Units, and no slots. */
abstract class Counted {
  abstract count(units: number, now: number): void;

  take(units: number, now: number): void {
    this.count(units, now);
  }

  over(_now: number): number {
    return 0;
  }

  release(): boolean {
    return false;
  }

  renew(): boolean {
    return false;
  }
}

/** A number with the end of its window, which begins with the first unit. */
class FixedWindow extends Counted implements LocalRule {
  readonly #limit: number;
  readonly #windowMs: number;
  #used = 0;
  #endsAt = 0;

  constructor(limit: number, windowMs: number) {
    super();
    this.#limit = limit;
    this.#windowMs = windowMs;
  }

  room(now: number): number {
    return now < this.#endsAt ? this.#limit - this.#used : this.#limit;
  }

  resetMs(now: number): number {
    return Math.max(0, this.#endsAt - now);
  }

  waitMs(_wanted: number, now: number): number {
    return this.resetMs(now);
  }

  count(units: number, now: number): void {
    if (now >= this.#endsAt) [this.#used, this.#endsAt] = [0, now + this.#windowMs];
    this.#used += units;
  }

  give(units: number): void {
    this.#used = Math.max(0, this.#used - units);
  }

  giveBack(units: number, { at }: FreeAt): void {
    if (at === this.#endsAt) this.give(units);
  }
}

interface Run {
  readonly freeAt: number;
  units: number;
}

/**
 * Units by the instant at which they are free again, oldest first: the exact one of a sliding log, for a sliding counter
 * that of their slice.
 */
class Sliding extends Counted implements LocalRule {
  readonly #limit: number;
  /** Beyond it only the newest are kept: they alone decide. */
  readonly #most: number;
  readonly #freeAtOf: (now: number) => number;
  #runs: Run[] = [];
  #used = 0;

  constructor(options: { readonly limit: number; readonly most: number; readonly freeAtOf: (now: number) => number }) {
    super();
    this.#limit = options.limit;
    this.#most = options.most;
    this.#freeAtOf = options.freeAtOf;
  }

  room(now: number): number {
    this.#dropFree(now);
    return this.#limit - this.#used;
  }

  resetMs(now: number): number {
    this.#dropFree(now);
    const newest = this.#runs.at(-1);
    return newest === undefined ? 0 : newest.freeAt - now;
  }

  waitMs(wanted: number, now: number): number {
    let used = this.#used;
    for (const { freeAt, units } of this.#runs) {
      used -= units;
      if (used + wanted <= this.#limit) return freeAt - now;
    }
    return this.resetMs(now);
  }

  count(units: number, now: number): void {
    this.#dropFree(now);
    const freeAt = this.#freeAtOf(now);
    const newest = this.#runs.at(-1);
    if (newest?.freeAt === freeAt) newest.units += units;
    else this.#runs.push({ freeAt, units });
    this.#used += units;
    while (this.#used > this.#most) this.#drop(0, this.#used - this.#most);
  }

  give(units: number, now: number): void {
    this.#dropFree(now);
    for (let left = units; left > 0 && this.#runs.length > 0;) left -= this.#drop(this.#runs.length - 1, left);
  }

  giveBack(units: number, { at }: FreeAt, now: number): void {
    this.#dropFree(now);
    const index = this.#runs.findIndex(({ freeAt }) => freeAt === at);
    if (index !== -1) this.#drop(index, units);
  }

  /** Units of one run, all of them at most. @returns how many */
  #drop(at: number, units: number): number {
    const run = this.#runs[at]!;
    const dropped = Math.min(units, run.units);
    run.units -= dropped;
    this.#used -= dropped;
    if (run.units === 0) this.#runs.splice(at, 1);
    return dropped;
  }

  #dropFree(now: number): void {
    while (this.#runs.length > 0 && this.#runs[0]!.freeAt <= now) this.#drop(0, Infinity);
  }
}

/** A debt in parts of 1 / limit ms, of which a unit is worth `windowMs`: whole numbers, as in the script. */
class Bucket extends Counted implements LocalRule {
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #burst: number;
  #debt = 0;
  #at = 0;

  constructor(options: { readonly limit: number; readonly windowMs: number; readonly burst: number }) {
    super();
    this.#limit = options.limit;
    this.#windowMs = options.windowMs;
    this.#burst = options.burst;
  }

  room(now: number): number {
    return Math.floor((this.#burst * this.#windowMs - this.#debtAt(now)) / this.#windowMs);
  }

  resetMs(now: number): number {
    return Math.ceil(this.#debtAt(now) / this.#limit);
  }

  waitMs(wanted: number, now: number): number {
    return Math.ceil((this.#debtAt(now) + (wanted - this.#burst) * this.#windowMs) / this.#limit);
  }

  count(units: number, now: number): void {
    this.#owe(Math.min(this.#debtAt(now) + units * this.#windowMs, 2 * this.#burst * this.#windowMs), now);
  }

  give(units: number, now: number): void {
    this.#owe(Math.max(this.#debtAt(now) - units * this.#windowMs, 0), now);
  }

  override over(now: number): number {
    return this.resetMs(now) * this.#limit - this.#debtAt(now);
  }

  giveBack(units: number, { at, over }: FreeAt, now: number): void {
    const debt = this.#debtAt(now);
    const left = Math.max(0, (at - now) * this.#limit - over);
    this.#owe(debt - Math.min(units * this.#windowMs, left, debt), now);
  }

  #debtAt(now: number): number {
    return Math.max(0, this.#debt - (now - this.#at) * this.#limit);
  }

  #owe(debt: number, now: number): void {
    [this.#debt, this.#at] = [debt, now];
  }
}

/** Slots belong to calls that were allowed: units that are counted or given back are none. */
class Slots implements LocalRule {
  readonly #limit: number;
  readonly #holdMs: number;
  /** In the order of their ends. */
  #slots: readonly { readonly lease: string; readonly units: number; readonly endsAt: number }[] = [];

  constructor(limit: number, holdMs: number) {
    this.#limit = limit;
    this.#holdMs = holdMs;
  }

  room(now: number): number {
    this.#dropEnded(now);
    return this.#slots.reduce((room, { units }) => room - units, this.#limit);
  }

  resetMs(now: number): number {
    this.#dropEnded(now);
    return (this.#slots.at(-1)?.endsAt ?? now) - now;
  }

  over(): number {
    return 0;
  }

  waitMs(wanted: number, now: number): number {
    let room = this.room(now);
    for (const { units, endsAt } of this.#slots) {
      room += units;
      if (room >= wanted) return endsAt - now;
    }
    return this.resetMs(now);
  }

  take(units: number, now: number, lease: string): void {
    this.#slots = [...this.#slots, { lease, units, endsAt: now + this.#holdMs }];
  }

  count(): void {
    // See above.
  }

  give(): void {
    // See above.
  }

  giveBack(): void {
    // See above: `release` does that.
  }

  release(lease: string, now: number): boolean {
    return this.#remove(lease, now) > 0;
  }

  renew(lease: string, now: number): boolean {
    const units = this.#remove(lease, now);
    if (units > 0) this.take(units, now, lease);
    return units > 0;
  }

  #remove(lease: string, now: number): number {
    this.#dropEnded(now);
    const found = this.#slots.find((slot) => slot.lease === lease);
    this.#slots = this.#slots.filter((slot) => slot !== found);
    return found?.units ?? 0;
  }

  #dropEnded(now: number): void {
    this.#slots = this.#slots.filter(({ endsAt }) => now < endsAt);
  }
}
