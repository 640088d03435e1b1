import type { Clock } from "../contracts/clock.ts";
import { inNoCall } from "./async-context.ts";

/**
 * A deadline counts the time in which the event loop ran. While the loop stands still (a long computation, a garbage
 * collection, a process that was stopped), answers lie in the sockets and requests are not sent: that says nothing
 * about the peer.
 *
 *     started ──¼──▶ ──¼──▶ ──¼─ the loop stands still ─▶ ──¼──▶ passed
 *
 * A wait is divided into parts. If the timer of a part fires late, the loop stood still for as long, and each deadline
 * moves by that much. A pause that ends within a part counts: at most one part of each pause.
 */
const PARTS = 4;

/** Something that passes at an instant, unless it is ended before. */
export abstract class Deadline {
  /** By the clock. Moves while the event loop stands still. */
  dueAt = 0;
  isOver = false;
  /** Neighbours in the list of {@link Deadlines}. */
  previous: Deadline | undefined;
  next: Deadline | undefined;
  /** Cancels the timer of a deadline that has its own. */
  cancel: (() => void) | undefined;

  /** Called once, when the deadline has passed. */
  abstract pass(): void;
}

/**
 * Deadlines of calls. Nearly all have one length, so they are due in the order in which they began: one timer serves
 * all of them, and is armed at most four times per length, not once per call. A deadline of another length has its own
 * timer. An ended deadline is unlinked immediately and keeps nothing alive.
 */
export class Deadlines {
  static readonly #ofTime = new WeakMap<Clock, Map<number, Deadlines>>();

  /**
   * The deadlines of one length, shared by all caches on a clock. They pass at their instant, even if the event loop
   * stood still until then: for work that this process begins on its own.
   */
  static ofTime(clock: Clock, lengthMs: number): Deadlines {
    let byLength = Deadlines.#ofTime.get(clock);
    if (byLength === undefined) Deadlines.#ofTime.set(clock, (byLength = new Map()));
    let deadlines = byLength.get(lengthMs);
    if (deadlines === undefined) {
      const among = byLength;
      deadlines = new Deadlines(lengthMs, clock, () => among.delete(lengthMs));
      deadlines.#moves = false;
      among.set(lengthMs, deadlines);
    }
    return deadlines;
  }

  /** Cancels the timers of such a clock that serve no deadline. */
  static rest(clock: Clock): void {
    for (const each of [...(Deadlines.#ofTime.get(clock)?.values() ?? [])]) each.rest();
  }

  readonly lengthMs: number;
  /** Whether time in which the event loop stood still does not count. */
  #moves = true;
  readonly #clock: Clock;
  readonly #onIdle: (() => void) | undefined;
  #oldest: Deadline | undefined;
  #youngest: Deadline | undefined;
  #disarm: (() => void) | undefined;

  /**
   * @param lengthMs in milliseconds, the usual length.
   * @param onIdle called when its timer has fired, and there was nothing to arm it for.
   */
  constructor(lengthMs: number, clock: Clock, onIdle?: () => void) {
    this.lengthMs = lengthMs;
    this.#clock = clock;
    this.#onIdle = onIdle;
  }

  /** Starts `deadline`, again if it has ended: it passes after `lengthMs` in which the event loop ran. */
  start(deadline: Deadline, lengthMs: number = this.lengthMs): void {
    deadline.isOver = false;
    deadline.dueAt = this.#clock.now() + lengthMs;
    if (lengthMs !== this.lengthMs) {
      deadline.cancel = scheduleRunning(this.#clock, lengthMs, () => {
        if (this.end(deadline)) deadline.pass();
      });
      return;
    }
    deadline.previous = this.#youngest;
    if (this.#youngest === undefined) this.#oldest = deadline;
    else this.#youngest.next = deadline;
    this.#youngest = deadline;
    if (this.#disarm === undefined) this.#arm(this.lengthMs / PARTS);
  }

  /** Ends a deadline; `false` if it had ended already. */
  end(deadline: Deadline): boolean {
    if (deadline.isOver) return false;
    deadline.isOver = true;
    if (deadline.cancel !== undefined) {
      deadline.cancel();
      return true;
    }
    const { previous, next } = deadline;
    if (previous === undefined) this.#oldest = next;
    else previous.next = next;
    if (next === undefined) this.#youngest = previous;
    else next.previous = previous;
    // An ended deadline in the old generation would keep all later ones alive, one by one, until a full collection.
    deadline.previous = deadline.next = undefined;
    return true;
  }

  /** Cancels its timer where it serves no deadline. */
  rest(): void {
    if (this.#oldest !== undefined) return;
    this.#disarm?.();
    this.#disarm = undefined;
    this.#onIdle?.();
  }

  #arm(delayMs: number): void {
    const expectedAt = this.#clock.now() + delayMs;
    this.#disarm = inNoCall(() => this.#clock.schedule(() => this.#expire(expectedAt), delayMs));
  }

  #expire(expectedAt: number): void {
    const now = this.#clock.now();
    if (this.#moves) this.#moveBy(now - expectedAt, expectedAt);
    let oldest = this.#oldest;
    // The callback may start another deadline immediately: the timer that is armed below serves it.
    for (; oldest !== undefined && oldest.dueAt <= now; oldest = this.#oldest) {
      this.end(oldest);
      oldest.pass();
    }
    this.#disarm = undefined;
    if (oldest !== undefined) this.#arm(Math.min(oldest.dueAt - now, this.lengthMs / PARTS));
    else this.#onIdle?.();
  }

  /** The loop stood still from `since` on: a deadline that began meanwhile has its whole length from now on. */
  #moveBy(lateMs: number, since: number): void {
    if (lateMs <= 0) return;
    const latest = since + lateMs + this.lengthMs;
    for (let each = this.#oldest; each !== undefined; each = each.next)
      if (each.dueAt > since) each.dueAt = Math.min(each.dueAt + lateMs, latest);
  }
}

/** Calls `callback` after `delayMs` in which the event loop ran. @returns a function that cancels it. */
export function scheduleRunning(clock: Clock, delayMs: number, callback: () => void): () => void {
  let partsLeft = PARTS;
  let cancel: () => void;
  const wait = (): void => {
    partsLeft -= 1;
    cancel = clock.schedule(partsLeft === 0 ? callback : wait, delayMs / PARTS);
  };
  wait();
  return () => cancel();
}
