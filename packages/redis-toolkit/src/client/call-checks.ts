import { InvalidArgumentError } from "@hotset/core";
import { checkGiven, checkNames, MAX_TIMER_MS, option } from "@hotset/core/internal";

// Each check names the option and what it accepts. None may be used for an option that could hold a secret.

/**
 * Options of a single call; those of a connection or a backend are configuration.
 *
 * @throws {InvalidArgumentError} unless `given` is `undefined`, or an object with only `known` names.
 */
export function checkCallOptions(place: string, given: unknown, known: readonly string[]): void {
  checkNames(given, known, { place, as: InvalidArgumentError });
}

const KEY = option("a string or a Buffer", (given) => typeof given === "string" || Buffer.isBuffer(given), undefined);

/** The key that decides a node. */
export const checkKey = (name: string, given: unknown): void => checkGiven(given, name, KEY);

/** A number of milliseconds that a timer can wait for, as the options of one call have them: not text. */
const timeout = (leastMs: number) =>
  option(
    `from ${leastMs} ms to 24 days, in milliseconds`,
    (given) => typeof given === "number" && given >= leastMs && given <= MAX_TIMER_MS,
    undefined,
  );
const TIMEOUT = timeout(0);
const OF_OPENING = timeout(1);

export const checkTimeout = (name: string, given: number | undefined): void => checkGiven(given, name, TIMEOUT);

/** A connection cannot be opened in no time. */
export const checkOpeningTimeout = (name: string, given: number | undefined): void =>
  checkGiven(given, name, OF_OPENING);
