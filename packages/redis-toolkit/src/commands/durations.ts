import { InvalidArgumentError, parseDuration, type Duration } from "@hotset/core";

/** The longest life that Redis takes, in milliseconds: its clock is added. */
const MAX_MS = 2 ** 53;

/** Whole milliseconds of a life. @throws {InvalidArgumentError} for 0, for a negative one, and for anything else. */
export function lifeMs(option: string, given: Duration): number {
  const ms = typeof given === "string" ? parsed(option, given) : given;
  if (typeof ms === "number" && ms > 0 && ms <= MAX_MS) return Math.ceil(ms);
  throw new InvalidArgumentError(
    `${option} must be above 0, as milliseconds or like "5m", got ${String(given)}; leave it out for a key without an end`,
  );
}

function parsed(option: string, given: string): number {
  try {
    return parseDuration(given);
  } catch {
    throw new InvalidArgumentError(
      `${option} must be milliseconds, or a number with a unit of ms, s, m, h or d ("5m"), got ${JSON.stringify(given.slice(0, 40))}`,
    );
  }
}
