import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError } from "../contracts/errors.ts";
import type { Settlers } from "../primitives/settlers.ts";
import { Timeout } from "../primitives/timeouts.ts";
import type { Flight } from "./flight.ts";

/** The time of a flight was spent before its backend answered. */
export class OutOfTime<T> extends BackendUnavailableError {
  readonly #late = Promise.withResolvers<T | Error>();

  /** The answer that came after the time was over. */
  get late(): Promise<T | Error> {
    return this.#late.promise;
  }

  answered(answer: T | Error): void {
    this.#late.resolve(answer);
  }
}

/**
 * What the backend answers within the time that a flight has left; an error where it fails, or {@link OutOfTime}.
 *
 * @param send sends the question.
 */
export function ask<T>(
  flight: Flight,
  clock: Clock,
  send: (ends: Settlers<T>) => void,
  of: "call" | "calls" = "call",
): Promise<T | Error> {
  const { label } = flight.call.namespace.remote!;
  return new Promise((resolve) => {
    let outOfTime: OutOfTime<T> | undefined;
    const end = startTime(flight, clock, of, () => {
      const context = { tier: label, operation: "getOrSet" } as const;
      outOfTime = new OutOfTime(`${label}: no time is left to wait for it`, context);
      resolve(outOfTime);
    });
    const ended = (answer: T | Error): void => {
      if (outOfTime !== undefined) return outOfTime.answered(answer);
      end();
      resolve(answer);
    };
    send({
      resolve: ended,
      reject: (given) =>
        ended(given instanceof Error ? given : new Error(`${label} rejected without one`, { cause: given })),
    });
  });
}

/** Does what {@link ask} does, for an answer that is a promise. */
export const answerIn = <T>(
  flight: Flight,
  clock: Clock,
  answer: PromiseLike<T>,
  of?: "call" | "calls",
): Promise<T | Error> => ask<T>(flight, clock, ({ resolve, reject }) => void answer.then(resolve, reject), of);

/** The value; `undefined` if it cannot be had in time. */
export async function inTime<T>(flight: Flight, clock: Clock, value: PromiseLike<T>): Promise<T | undefined> {
  const answer = await answerIn(flight, clock, value);
  return answer instanceof Error ? flight.unreached(answer) : answer;
}

/**
 * The time that a flight has left for its backend runs from now on, until the answer.
 *
 * @param of `call`: one call, which has its own deadline; it may wait behind others for longer than the flight has time.
 * @param spent called if it is spent before.
 * @returns to be called with the answer.
 */
export function startTime(flight: Flight, clock: Clock, of: "call" | "calls", spent: () => void): () => void {
  const { boundsCalls, deadlineMs } = flight.call.namespace.remote!;
  let timeout: Timeout | undefined;
  let isOver = false;
  const end = (): void => {
    if (isOver) return;
    isOver = true;
    timeout?.end();
    flight.spend(clock.now());
  };
  flight.send(clock.now());
  // The call's deadline counts, while hardly any time is spent.
  if (of === "calls" || !boundsCalls || flight.leftMs < NEARLY_ALL * deadlineMs)
    timeout = new Timeout(clock, flight.leftMs, () => {
      if (isOver || (of === "call" && flight.isBehind)) return;
      end();
      spent();
    });
  return end;
}

/** The part of the time that is left when no step has taken long. */
export const NEARLY_ALL = 0.95;
