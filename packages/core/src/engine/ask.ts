import type { Awaitable } from "../contracts/awaitable.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError } from "../contracts/errors.ts";
import type { Settlers } from "../primitives/settlers.ts";
import { isThenable } from "../primitives/thenable.ts";
import { Timeout } from "../primitives/timeouts.ts";
import type { Flight } from "./flight.ts";

/** A question of a flight to its backend. */
export interface Question<T> {
  readonly clock: Clock;
  /** One call of the backend has its own deadline: it may wait behind others for longer than the flight has time. */
  readonly of: "call" | "calls";
  send(ends: Settlers<T>): void;
  /** The next step, unless the time was spent before. */
  answered(answer: T | Error, now: number): void;
  /** The next step, when the time is spent. @default as `answered` with an error */
  spent?(error: Error, now: number): void;
  /** An answer has come after that. */
  late?(answer: T | Error): void;
}

/** Asks the backend within the time a flight has left: the call's deadline, while hardly any is spent. */
export function ask<T>(flight: Flight, question: Question<T>, now: number): void {
  const { clock, of } = question;
  const { label, boundsCalls, deadlineMs } = flight.call.namespace.remote!;
  let timeout: Timeout | undefined;
  let isOver = false;
  const end = (): number => {
    const endedAt = clock.now();
    isOver = true;
    timeout?.end();
    flight.spend(endedAt);
    return endedAt;
  };
  const resolve = (answer: T): void => {
    if (isOver) return flight.guarded(() => question.late?.(answer));
    const endedAt = end();
    flight.guarded(() => question.answered(answer, endedAt));
  };
  const reject = (given: unknown): void => {
    const error = given instanceof Error ? given : new Error(`${label} rejected without one`, { cause: given });
    if (isOver) return flight.guarded(() => question.late?.(error));
    const endedAt = end();
    flight.runInContext(() => question.answered(error, endedAt));
  };
  flight.send(now);
  if (of === "calls" || !boundsCalls || flight.leftMs < NEARLY_ALL * deadlineMs)
    timeout = new Timeout(clock, flight.leftMs, () => {
      if (isOver || (of === "call" && flight.isBehind)) return;
      const error = noTimeLeft(label);
      const endedAt = end();
      flight.runInContext(() => (question.spent ?? question.answered)(error, endedAt));
    });
  question.send({ resolve, reject });
}

/** Continues with a value, in the same turn if it is there; with `undefined` if it cannot be had in time. */
export function when<T>(
  flight: Flight,
  clock: Clock,
  value: Awaitable<T>,
  next: (value: T | undefined, now: number) => void,
  now: number,
): void {
  if (!isThenable(value)) return next(value, now);
  const send = ({ resolve, reject }: Settlers<T>): void => void value.then(resolve, reject);
  const answered = (answer: T | Error, endedAt: number): void =>
    next(answer instanceof Error ? flight.unreached(answer) : answer, endedAt);
  ask<T>(flight, { clock, of: "call", send, answered }, now);
}

const noTimeLeft = (tier: string): BackendUnavailableError =>
  new BackendUnavailableError(`${tier}: no time is left to wait for it`, { tier, operation: "getOrSet" });

/** The part of the time that is left when no step has taken long. */
export const NEARLY_ALL = 0.95;
