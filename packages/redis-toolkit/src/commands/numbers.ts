import { CommandError } from "../errors/command-error.ts";

const WHOLE = /^-?(?:0|[1-9]\d*)$/;
/** A number as Redis and JavaScript write it. */
const DECIMAL = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/**
 * A whole number that Redis answered, as text, which is exact, or as a number.
 *
 * @throws {CommandError} `NOT_A_NUMBER` beyond 2^53, where JavaScript leaves whole numbers out.
 */
export function exactNumber(operation: string, reply: unknown): number {
  const number = Number(reply);
  if (Number.isSafeInteger(number)) return number;
  throw new CommandError(
    `${operation}: the number in Redis is beyond 2^53${typeof reply === "number" ? "" : ` (${String(reply)})`}; ask for a bigint, which is exact`,
    { code: "NOT_A_NUMBER", operation, maybeExecuted: true },
  );
}

/**
 * A reply whose numbers are whole ones, or doubles below 2^53.
 *
 * @throws {CommandError} `NOT_A_NUMBER` for a whole number beyond 2^53, which came as another one.
 */
export function exactIn(operation: string, reply: unknown): unknown {
  if (Array.isArray(reply)) for (const one of reply as readonly unknown[]) exactIn(operation, one);
  else if (Number.isInteger(reply)) exactNumber(operation, reply);
  return reply;
}

/** @throws {CommandError} `NOT_A_NUMBER` where it did not come as text, and lies beyond 2^53. */
const exactBigInt = (operation: string, reply: unknown): bigint =>
  BigInt(typeof reply === "number" ? exactNumber(operation, reply) : String(reply));

/** A reply as an exact number of the type that `by` has. */
export const exactAs = <By extends number | bigint>(by: By, operation: string, reply: unknown): By =>
  (typeof by === "bigint" ? exactBigInt(operation, reply) : exactNumber(operation, reply)) as By;

/**
 * The number that a stored text is.
 *
 * @throws {CommandError} `NOT_A_NUMBER` for other text, and for a whole number beyond 2^53.
 */
export function numberIn(operation: string, stored: unknown): number | undefined {
  if (stored === null) return undefined;
  const text = String(stored);
  if (WHOLE.test(text)) return exactNumber(operation, text);
  const number = DECIMAL.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(number) ? number : notANumber(operation, "a number");
}

/** @throws {CommandError} `NOT_A_NUMBER` for what is not a whole number. */
export function bigIntIn(operation: string, stored: unknown): bigint | undefined {
  if (stored === null) return undefined;
  const text = String(stored);
  return WHOLE.test(text) ? BigInt(text) : notANumber(operation, "a whole number");
}

function notANumber(operation: string, wanted: string): never {
  throw new CommandError(`${operation}: the stored value is not ${wanted}`, { code: "NOT_A_NUMBER", operation });
}
