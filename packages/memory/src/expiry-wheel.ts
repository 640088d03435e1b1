import type { Clock } from "@hotset/core";

const SLOTS = 512;
/** The time one slot stands for; so also how long after its end an entry may linger. */
const SLOT_MS = 1_000;
/** Keys looked at before other work gets its turn, and the pause until the next ones. */
const SLICE_KEYS = 500;
const SLICE_PAUSE_MS = 1;

/**
 * Finds keys whose time has come without anybody asking for them: a hashed timing wheel.
 *
 *     slot = second of the end mod 512
 *
 *          ┌─────┬─────┬─────┬─────┬ ─ ─ ┬─────┐
 *     keys │ abc │     │ de  │ f   │     │ gh  │
 *          ├─────┼─────┼─────┼─────┼ ─ ─ ┼─────┤
 *     due  │ 512 │  ∞  │  2  │ 515 │     │ 511 │   no key of the slot ends before this second
 *          └─────┴─────┴─────┴─────┴ ─ ─ ┴─────┘
 *
 * Filing and unfiling a key cost one operation on a `Set`. One timer waits for the earliest `due`,
 * so a key is looked at when its second has passed, and otherwise only where it shares a slot with one that ends
 * 512 seconds, or a multiple, before it. Looks come 500 at a time, so that a million keys that
 * end together hold up nobody.
 *
 * @see G. Varghese and T. Lauck, Hashed and Hierarchical Timing Wheels (1987), scheme 6
 */
export class ExpiryWheel {
  readonly #clock: Clock;
  readonly #look: (key: string, now: number) => number;
  readonly #keys: Set<string>[] = Array.from({ length: SLOTS }, () => new Set<string>());
  readonly #due = new Float64Array(SLOTS).fill(Infinity);
  /** The second the timer waits for: `Infinity` without a timer, `-Infinity` between two slices. */
  #armedFor = Infinity;
  #disarm: () => void = () => undefined;
  /** What the last slice left over of its slot. */
  #rest: IterableIterator<string> | undefined;

  /**
   * @param look is called with each key whose time may have come. It removes what is over (and unfiles
   *   it), and returns when what is left ends: `Infinity` if nothing is left.
   */
  constructor(clock: Clock, look: (key: string, now: number) => number) {
    this.#clock = clock;
    this.#look = look;
  }

  /** Has `key` looked at within a second of `endsAt`; never for `Infinity`. */
  file(key: string, endsAt: number): void {
    if (endsAt === Infinity) return;
    const second = this.#add(key, endsAt);
    if (second < this.#armedFor) this.#armForSecond(second);
  }

  /** `endsAt` is what `key` was filed with. */
  unfile(key: string, endsAt: number): void {
    if (endsAt === Infinity) return;
    this.#keys[Math.floor(endsAt / SLOT_MS) % SLOTS]!.delete(key);
  }

  clear(): void {
    for (const keys of this.#keys) keys.clear();
    this.#due.fill(Infinity);
    this.#rest = undefined;
    this.#arm(Infinity, Infinity);
  }

  #add(key: string, endsAt: number): number {
    const second = Math.floor(endsAt / SLOT_MS);
    const slot = second % SLOTS;
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
    this.#disarm = delayMs === Infinity ? () => undefined : this.#clock.schedule(() => this.#turn(), delayMs);
  }

  #turn(): void {
    const now = this.#clock.now();
    const second = Math.floor(now / SLOT_MS);
    let looks = SLICE_KEYS;
    for (let keys = this.#rest ?? this.#takeDue(second); keys !== undefined; keys = this.#takeDue(second)) {
      for (let next = keys.next(); !next.done; next = keys.next()) {
        const endsAt = this.#look(next.value, now);
        if (endsAt !== Infinity) this.#add(next.value, endsAt);
        looks -= 1;
        if (looks > 0) continue;
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
   * Empties the first slot that holds keys whose second has passed. Its set is given up instead of being
   * emptied key by key: a large `Set` that shrinks is copied, in one go.
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
