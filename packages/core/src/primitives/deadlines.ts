import type { Clock } from "../contracts/clock.ts";
import { inNoCall } from "./async-context.ts";
import { IN_WORKER } from "./platform.ts";

/** A timer that is later was lost with the fake ones of a test, or may be armed again anyway. */
const LOST_MS = 1_000;

/** Without or with the time in which the event loop stood still: for calls, and for own work. */
type Time = "running" | "whole";

/** Something that passes at an instant, unless it is ended before. */
export class Deadline {
  /** When the deadline passes, by the clock of its list. */
  dueAt = 0;
  /** Whether the deadline has passed or was ended. */
  isOver = false;
  /** The list of the deadline. */
  among: Deadlines | undefined;
  /** The deadline before this one in its list. */
  previous: Deadline | undefined;
  /** The deadline behind this one in its list. */
  next: Deadline | undefined;

  /** Called once, when the deadline has passed. */
  pass(): void {}
}

/**
 * The time by which deadlines pass, and one timer for all of them on a clock. For calls only that counts in which the
 * event loop ran: while it stands still (a long computation, a process that was stopped, or waits for a processor),
 * answers lie in the sockets and requests are not sent, which says nothing about the peer.
 *
 *     clock    ──part──▶ ──part──▶ ──── the loop stands still ────▶ ──part──▶
 *     running  ──part──▶ ──part──▶ ──part──▶                        ──part──▶
 *
 * The timer ends each part. Until it fires, no more time passes: at most one part of each pause counts.
 */
class Timer {
  static readonly of: Record<Time, WeakMap<Clock, Timer>> = { running: new WeakMap(), whole: new WeakMap() };

  declare readonly clock: Clock;
  declare readonly time: Time;
  readonly byLength: Map<number, Deadlines> = new Map();
  readonly #served = new Set<Deadlines>();
  armedAt: number = -Infinity;
  firesAt: number = Infinity;
  /** How far its time is behind the clock, while the timer is not late. */
  lostMs = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, time: Time) {
    this.clock = clock;
    this.time = time;
    Timer.of[time].set(clock, this);
  }

  timeAt(now: number): number {
    return (this.time === "running" ? Math.min(now, this.firesAt) : now) - this.lostMs;
  }

  /** Fires in time for `list`, even if the timer was lost. */
  serve(list: Deadlines, now: number): void {
    list.isServed = true;
    this.#served.add(list);
    const isLost = now < this.armedAt || now > this.firesAt + LOST_MS;
    this.#arm(now, isLost ? Infinity : this.firesAt);
  }

  /** Forgets lists without a deadline, and cancels the timer if none is left. */
  rest(): void {
    for (const list of this.#served)
      if (list.oldest === undefined) {
        list.isServed = false;
        this.#served.delete(list);
        if (this.byLength.get(list.lengthMs) === list) this.byLength.delete(list.lengthMs);
      }
    if (this.#served.size > 0) return;
    this.#cancel?.();
    this.firesAt = Infinity;
  }

  /** Arms the timer unless it would fire after `firesAt`. */
  #arm(now: number, firesAt: number): void {
    const time = this.timeAt(now);
    let delayMs = Infinity;
    for (const { oldest, partMs } of this.#served)
      if (oldest !== undefined) delayMs = Math.min(delayMs, oldest.dueAt - time, partMs);
    if (now + delayMs >= firesAt) return;
    this.#cancel?.();
    this.#count(now);
    this.armedAt = now;
    this.firesAt = now + delayMs;
    this.#cancel = inNoCall(() => this.clock.schedule(() => this.#fire(), delayMs));
  }

  /** The timer is late by a time that did not pass. */
  #count(now: number): void {
    if (this.time === "running") this.lostMs += Math.max(0, now - this.firesAt);
    this.firesAt = Infinity;
  }

  #fire(): void {
    const now = this.clock.now();
    this.#count(now);
    const time = this.timeAt(now);
    for (const list of this.#served) list.passUntil(time);
    this.rest();
    this.#arm(now, this.firesAt);
  }
}

/** Deadlines of one length, due in the order in which they began: one costs a few writes. */
export class Deadlines {
  /** The deadlines of one length on a clock. */
  static of(clock: Clock, lengthMs: number, time: Time = "running"): Deadlines {
    const known = IN_WORKER ? undefined : Timer.of[time].get(clock);
    const timer = known ?? new Timer(clock, time);
    let list = timer.byLength.get(lengthMs);
    if (list === undefined) timer.byLength.set(lengthMs, (list = new Deadlines(lengthMs, timer)));
    return list;
  }

  /** Cancels the timers of a clock that serve no deadline. */
  static rest(clock: Clock): void {
    for (const timers of Object.values(Timer.of)) timers.get(clock)?.rest();
  }

  /** How long each of its waits lasts. */
  declare readonly lengthMs: number;
  /** How long its timer may sleep: 25 ms, or a fortieth of a longer wait. */
  declare readonly partMs: number;
  /** Whether its timer looks after it. */
  isServed = false;
  /** The wait that ends next. */
  oldest: Deadline | undefined;
  readonly #timer: Timer;
  #youngest: Deadline | undefined;

  private constructor(lengthMs: number, timer: Timer) {
    this.lengthMs = lengthMs;
    this.#timer = timer;
    this.partMs = timer.time === "running" ? Math.max(25, Math.ceil(lengthMs / 40)) : Infinity;
  }

  /** Starts `deadline`, again if it has ended. @returns now, by the clock. */
  start(deadline: Deadline, lengthMs: number = this.lengthMs): number {
    const timer = this.#timer;
    if (lengthMs !== this.lengthMs) return Deadlines.of(timer.clock, lengthMs, timer.time).start(deadline);
    const now = timer.clock.now();
    deadline.isOver = false;
    deadline.among = this;
    deadline.dueAt = (now > timer.firesAt ? timer.timeAt(now) : now - timer.lostMs) + lengthMs;
    deadline.previous = this.#youngest;
    if (this.#youngest === undefined) this.oldest = deadline;
    else this.#youngest.next = deadline;
    this.#youngest = deadline;
    if (!this.isServed || now < timer.armedAt || now > timer.firesAt + LOST_MS) timer.serve(this, now);
    return now;
  }

  /** Ends a deadline, of any list; `false` if it had ended already. */
  end(deadline: Deadline): boolean {
    const { previous, next, among } = deadline;
    if (deadline.isOver || among === undefined) return false;
    deadline.isOver = true;
    if (previous === undefined) among.oldest = next;
    else previous.next = next;
    if (next === undefined) among.#youngest = previous;
    else next.previous = previous;
    // In the old generation it would keep all later ones alive, one by one, until a full collection.
    deadline.previous = deadline.next = undefined;
    return true;
  }

  /** What is left of a deadline of this list, in ms. */
  leftOf(deadline: Deadline): number {
    const timer = this.#timer;
    return deadline.dueAt - timer.timeAt(timer.clock.now());
  }

  /** The callback of one may start another one. */
  passUntil(time: number): void {
    for (let { oldest } = this; oldest !== undefined && oldest.dueAt <= time; { oldest } = this) {
      this.end(oldest);
      oldest.pass();
    }
  }
}

/** The time in which the event loop ran, by which deadlines pass. */
export type RunningTime = Pick<Timer, "clock" | "timeAt">;

export const runningTime = (clock: Clock): RunningTime => Timer.of.running.get(clock) ?? new Timer(clock, "running");

/** Calls `callback` after `delayMs` in which the event loop ran. @returns a function that cancels it. */
export function scheduleRunning(clock: Clock, delayMs: number, callback: () => void): () => void {
  const deadlines = Deadlines.of(clock, delayMs);
  const deadline = Object.assign(new Deadline(), { pass: callback });
  deadlines.start(deadline);
  return () => void deadlines.end(deadline);
}
