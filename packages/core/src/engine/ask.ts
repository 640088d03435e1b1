import type { Awaitable } from "../contracts/awaitable.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError } from "../contracts/errors.ts";
import type { Ends } from "../primitives/ends.ts";
import { isThenable } from "../primitives/thenable.ts";
import { type Timeout, Timeouts } from "../primitives/timeouts.ts";
import type { Flight } from "./flight.ts";

/** A question of a flight to its backend. */
export interface Question<T> {
  readonly clock: Clock;
  /** One call of the backend has its own deadline: it may wait behind others for longer than the flight has time. */
  readonly of: "call" | "calls";
  send(ends: Ends<T>): void;
  /** The next step, unless the time was spent before. */
  answered(answer: T | Error): void;
  /** The next step, when the time is spent. @default as `answered` with an error */
  spent?(error: Error): void;
  /** An answer has come after that. */
  late?(answer: T | Error): void;
}

/**
 * Asks the backend within the time that a flight has left. While hardly any of it is spent, the deadline of the call
 * alone bounds it.
 */
export function ask<T>(flight: Flight, question: Question<T>): void {
  const { clock, of } = question;
  const { label, boundsCalls, deadlineMs } = flight.call.namespace.remote!;
  let timeout: Timeout | undefined;
  let isOver = false;
  const end = (next: () => void): void => {
    isOver = true;
    timeout?.end();
    flight.spend(clock.now());
    next();
  };
  const resolve = (answer: T): void => {
    if (isOver) flight.step(() => question.late?.(answer));
    else end(() => flight.step(() => question.answered(answer)));
  };
  const reject = (given: unknown): void => {
    const error = given instanceof Error ? given : new Error(`${label} rejected without one`, { cause: given });
    if (isOver) flight.step(() => question.late?.(error));
    else end(() => flight.goOn(() => question.answered(error)));
  };
  flight.send(clock.now());
  if (of === "calls" || !boundsCalls || flight.leftMs < NEARLY_ALL * deadlineMs)
    timeout = Timeouts.on(clock).start(flight.leftMs, () => {
      if (isOver || (of === "call" && flight.isBehind)) return;
      const error = noTimeLeft(label);
      end(() => flight.goOn(() => (question.spent ?? question.answered)(error)));
    });
  question.send({ resolve, reject });
}

/** Continues with a value, in the same turn if it is there; with `undefined` if it cannot be had in time. */
export function when<T>(flight: Flight, clock: Clock, value: Awaitable<T>, next: (value: T | undefined) => void): void {
  if (!isThenable(value)) return next(value);
  ask<T>(flight, {
    clock,
    of: "call",
    send: ({ resolve, reject }) => void value.then(resolve, reject),
    answered: (answer) => next(answer instanceof Error ? flight.unreached(answer) : answer),
  });
}

const noTimeLeft = (tier: string): BackendUnavailableError =>
  new BackendUnavailableError(`${tier}: no time is left to wait for it`, { tier, operation: "getOrSet" });

/** The part of the time that is left when no step has taken long. */
const NEARLY_ALL = 0.95;
