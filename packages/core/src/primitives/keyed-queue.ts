import type { Awaitable } from "../contracts/awaitable.ts";
import { inThisContext } from "./async-context.ts";
import { KeyNode, KeyTable } from "./key-table.ts";
import { promised } from "./settlers.ts";

/**
 * The writes of one key, one after another in the order of their calls: the next is sent when the previous one was
 * acknowledged or failed. Otherwise a slow compression, or a backend without order, would let an older write win.
 */
export class KeyedQueue {
  readonly #turns = new KeyTable<Turn>();
  readonly #others = new Set<Promise<unknown>>();

  /** The number of writes in progress or waiting. */
  get size(): number {
    return this.#turns.size + this.#others.size;
  }

  /** Whether a write of this key has been called and is not settled, also while it is being called. */
  has(key: string): boolean {
    return this.#turns.first(key) !== undefined;
  }

  /**
   * Calls `begin` in the turn of a write: after the earlier ones of this key, immediately if there are none. The turn
   * lasts until {@link end} is called with it.
   *
   * @param waiting returned by {@link waiting} until it has begun.
   * @param isPatient leaves it to the earlier ones when they are sent. @default they hurry
   */
  take(key: string, begin: (turn: Turn) => void, waiting?: object, isPatient = false): void {
    const before = this.#turns.first(key);
    const turn = new Turn();
    turn.waiting = waiting;
    this.#turns.add(key, turn);
    if (before === undefined) return begin(turn);
    if (!isPatient) this.hurry(key);
    before.successor = inThisContext(() => begin(turn));
  }

  /** A turn among the writes of this key: now if there are no earlier ones. It lasts until {@link end}. */
  turn(key: string): Awaitable<Turn> {
    if (this.has(key)) return new Promise((begin) => this.take(key, begin));
    const turn = new Turn();
    this.#turns.add(key, turn);
    return turn;
  }

  /** A call waits for the writes of this key that others of their call must not keep waiting. */
  hurry(key: string): void {
    for (let each = this.#turns.first(key); each !== undefined; each = this.#turns.after(each)) each.hurry();
  }

  end(turn: Turn): void {
    this.#turns.remove(turn);
    turn.over?.resolve();
    turn.successor?.();
  }

  /** Runs `write` in its turn. The next one begins once the caller has continued: what it fences is not written. */
  run<T>(key: string, write: () => Promise<T>): Promise<T> {
    return promised(({ resolve, reject }) =>
      this.take(key, (turn) => {
        const done = write();
        done.then(resolve, reject);
        const end = (): void => queueMicrotask(() => this.end(turn));
        done.then(end, end);
      }),
    );
  }

  /** The object that {@link take} was given with the last write of this key, if that write has not begun. */
  waiting(key: string): object | undefined {
    return this.#turns.first(key)?.waiting;
  }

  /** Counts as a write for {@link settled}, and waits for no other. */
  include<T>(write: Promise<T>): Promise<T> {
    this.#others.add(write);
    const end = (): void => void this.#others.delete(write);
    write.then(end, end);
    return write;
  }

  /** Resolves when every write called so far is settled, and what these have included. */
  async settled(): Promise<void> {
    await Promise.allSettled([...Array.from(this.#turns, (turn) => turn.whenOver()), ...this.#others]);
    await Promise.allSettled(this.#others);
  }
}

/** One write, from its call to its end. */
export class Turn extends KeyNode {
  waiting: object | undefined;
  isUrgent = false;
  /** Called when it is to hurry, while it has not begun. */
  onUrgent: (() => void) | undefined;
  /** Begins the write that waits for this one. */
  successor: (() => void) | undefined;
  over: { readonly promise: Promise<void>; resolve(): void } | undefined;

  #hasBegun = false;

  /** `false` if it has begun before. */
  begin(): boolean {
    if (this.#hasBegun) return false;
    this.waiting = this.onUrgent = undefined;
    return (this.#hasBegun = true);
  }

  hurry(): void {
    if (this.isUrgent) return;
    this.isUrgent = true;
    this.onUrgent?.();
  }

  whenOver(): Promise<void> {
    return (this.over ??= Promise.withResolvers<void>()).promise;
  }
}
