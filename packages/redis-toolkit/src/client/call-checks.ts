import { InvalidArgumentError, type Clock } from "@hotset/core";
import { checkNames } from "@hotset/core/internal";
import { MAX_TIMER_MS, refuse } from "@hotset/redis/internal";

// Each check names the option and what it accepts. None may be used for an option that could hold a secret.

/**
 * Options of a single call; those of a connection or a backend are configuration.
 *
 * @throws {InvalidArgumentError} unless `given` is `undefined`, or an object with only `known` names.
 */
export function checkCallOptions(place: string, given: unknown, known: readonly string[]): void {
  checkNames(given, known, { place, as: InvalidArgumentError });
}

/** A function of the caller. */
export function checkFunction(option: string, given: unknown): void {
  if (typeof given !== "function") refuse(option, given, "a function");
}

export function checkSignal(option: string, given: unknown): void {
  if (given !== undefined && !(given instanceof AbortSignal)) refuse(option, given, "an AbortSignal");
}

/** The key that decides a node. */
export function checkKey(option: string, given: unknown): void {
  if (given !== undefined && typeof given !== "string" && !Buffer.isBuffer(given))
    refuse(option, given, "a string or a Buffer");
}

export const clockOf = (option: string, given: Clock): Clock =>
  typeof given?.now === "function" && typeof given.schedule === "function"
    ? given
    : refuse(option, given, "an object with now() and schedule()");

/** A number of milliseconds that a timer can wait for, as the options of one call have them: not text. */
export function checkTimeout(option: string, given: number | undefined, atLeast = 0): void {
  if (given === undefined || (typeof given === "number" && given >= atLeast && given <= MAX_TIMER_MS)) return;
  refuse(option, given, `a duration of ${atLeast} ms to 24 days, in milliseconds`);
}
