import type { Clock } from "@hotset/core";

const SLOTS = 512;
/** Width of one slot; also how long an entry may stay after its end. */
const SLOT_MS = 1_000;
/** Keys checked in one slice, and the pause before the next slice, in which other work can run. */
const SLICE_KEYS = 500;
const SLICE_PAUSE_MS = 1;

/**
 * Finds keys whose life has ended even if they are never read: a hashed timing wheel.
 *
 *     slot = second of the end mod 512
 *
 *          ┌─────┬─────┬─────┬─────┬ ─ ─ ┬─────┐
 *     keys │ abc │     │ de  │ f   │     │ gh  │
 *          ├─────┼─────┼─────┼─────┼ ─ ─ ┼─────┤
 *     due  │ 512 │  ∞  │  2  │ 515 │     │ 511 │   no key of the slot ends before this second
 *          └─────┴─────┴─────┴─────┴ ─ ─ ┴─────┘
 *
 * Filing and unfiling a key cost one operation on a `Set`. One timer waits for the earliest `due`, so a key is checked
 * when its second has passed, and earlier only if it shares a slot with a key that ends 512 seconds, or a multiple of
 * that, before it. Keys are checked 500 at a time, so a million keys that end together do not block the event loop.
 *
 * @see G. Varghese and T. Lauck, Hashed and Hierarchical Timing Wheels (1987), scheme 6
 */
export class ExpiryWheel {
  readonly #clock: Clock;
  readonly #check: (key: string, now: number) => number;
  readonly #keys: Set<string>[] = Array.from({ length: SLOTS }, () => new Set<string>());
  readonly #due = new Float64Array(SLOTS).fill(Infinity);
  /** The second the timer waits for: `Infinity` without a timer, `-Infinity` between two slices. */
  #armedFor = Infinity;
  #disarm: () => void = () => undefined;
  /** Keys of the current slot that the last slice did not reach. */
  #rest: IterableIterator<string> | undefined;

  /**
   * @param check is called with each key that may have ended. It removes an ended entry (and unfiles its key), and
   *   returns the instant at which the present entry ends: `Infinity` if there is none.
   */
  constructor(clock: Clock, check: (key: string, now: number) => number) {
    this.#clock = clock;
    this.#check = check;
  }

  /** Schedules a check of `key` within a second after `endsAt`; none for `Infinity`. */
  file(key: string, endsAt: number): void {
    if (endsAt === Infinity) return;
    const second = this.#add(key, endsAt);
    if (second < this.#armedFor) this.#armForSecond(second);
  }

  /** @param endsAt the instant with which `key` was filed. */
  unfile(key: string, endsAt: number): void {
    if (endsAt === Infinity) return;
    this.#keys[slotOf(Math.floor(endsAt / SLOT_MS))]!.delete(key);
  }

  clear(): void {
    for (const keys of this.#keys) keys.clear();
    this.#due.fill(Infinity);
    this.#rest = undefined;
    this.#arm(Infinity, Infinity);
  }

  #add(key: string, endsAt: number): number {
    const second = Math.floor(endsAt / SLOT_MS);
    const slot = slotOf(second);
    this.#keys[slot]!.add(key);
    if (second < this.#due[slot]!) this.#due[slot] = second;
    return second;
  }

  #armForSecond(second: number): void {
    this.#arm(second, (second + 1) * SLOT_MS - this.#clock.now());
  }

  #arm(second: number, delayMs: number): void {
    this.#disarm();
    this.#armedFor = second;
    // Held weakly: the timer of a cache that was dropped without close() must not keep its entries until they end.
    const wheel = weakly(this);
    const turn = (): void => {
      const alive = wheel.deref();
      if (alive !== undefined) alive.#turn();
    };
    this.#disarm = delayMs === Infinity ? () => undefined : this.#clock.schedule(turn, delayMs);
  }

  #turn(): void {
    const now = this.#clock.now();
    const second = Math.floor(now / SLOT_MS);
    let left = SLICE_KEYS;
    for (let keys = this.#rest ?? this.#takeDue(second); keys !== undefined; keys = this.#takeDue(second)) {
      for (let next = keys.next(); !next.done; next = keys.next()) {
        const endsAt = this.#check(next.value, now);
        if (endsAt !== Infinity) this.#add(next.value, endsAt);
        left -= 1;
        if (left > 0) continue;
        this.#rest = keys;
        return this.#arm(-Infinity, SLICE_PAUSE_MS);
      }
    }
    this.#rest = undefined;
    const next = this.#due.reduce((earliest, due) => Math.min(earliest, due), Infinity);
    if (next === Infinity) this.#arm(Infinity, Infinity);
    else this.#armForSecond(next);
  }

  /**
   * Empties the first slot that holds keys whose second has passed. The slot gets a new set, because a large `Set` that
   * shrinks key by key is copied, which blocks.
   */
  #takeDue(second: number): IterableIterator<string> | undefined {
    const slot = this.#due.findIndex((due) => due < second);
    if (slot === -1) return undefined;
    const keys = this.#keys[slot]!.values();
    this.#keys[slot] = new Set();
    this.#due[slot] = Infinity;
    return keys;
  }
}

/** A worker may have no `WeakRef`; nothing closes its caches, and its timers end with their requests. */
const weakly = <T extends object>(held: T): Pick<WeakRef<T>, "deref"> =>
  typeof WeakRef === "undefined" ? { deref: () => held } : new WeakRef(held);

/** Not the remainder alone: a clock may start anywhere, and before its zero a remainder is negative. */
const slotOf = (second: number): number => ((second % SLOTS) + SLOTS) % SLOTS;
