import type { Clock } from "../contracts/clock.ts";
import { holdProcess } from "./async-context.ts";
import { Deadline, Deadlines } from "./deadlines.ts";

/** The timeouts that run on a clock, and what ends their hold of the process. */
type Running = { count: number; release?: (() => void) | undefined };

/**
 * A timeout of any length, for calls that are many at a time. It counts time in which the event loop ran, as
 * {@link Deadlines} do, and keeps the process alive meanwhile: a call may wait for a peer without a socket.
 */
export class Timeout extends Deadline {
  static readonly #runningOn = new WeakMap<Clock, Running>();
  readonly #running: Running;
  readonly #passed: () => void;

  /** @param lengthMs rounded down to whole milliseconds, so that few lengths occur. */
  constructor(clock: Clock, lengthMs: number, passed: () => void) {
    super();
    this.#passed = passed;
    this.#running = Timeout.#runningOn.get(clock) ?? { count: 0 };
    Timeout.#runningOn.set(clock, this.#running);
    if (this.#running.count === 0) this.#running.release = holdProcess(clock);
    this.#running.count += 1;
    Deadlines.of(clock, Math.max(0, Math.floor(lengthMs))).start(this);
  }

  override pass(): void {
    this.#ended();
    this.#passed();
  }

  /** `false` if it has passed, or was ended before. */
  end(): boolean {
    const isEnded = this.among!.end(this);
    if (isEnded) this.#ended();
    return isEnded;
  }

  #ended(): void {
    this.#running.count -= 1;
    if (this.#running.count === 0) this.#running.release?.();
  }
}
