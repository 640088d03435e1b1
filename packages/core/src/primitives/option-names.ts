import { ConfigurationError, type InvalidArgumentError } from "../contracts/errors.ts";
import { didYouMean } from "./did-you-mean.ts";
import { describe, kindOf } from "./duration.ts";

/** How {@link checkNames} refuses. */
export interface NamesCheck {
  /** What was called, as the error names it: `memory`. @default none */
  readonly place?: string | undefined;
  /** The option that holds these. @default none */
  readonly inside?: string | undefined;
  /** The error: `InvalidArgumentError` for a single call. @default ConfigurationError */
  readonly as?: typeof ConfigurationError | typeof InvalidArgumentError | undefined;
  /** What follows an unknown name. @default didYouMean */
  readonly hint?: ((given: string, accepted: Iterable<string>) => string) | undefined;
}

/**
 * Refuses names of options that do not exist: a misspelt one would be ignored in silence. `undefined` sets nothing.
 *
 *     memory: unknown option "maxEntry"; did you mean maxEntries?; accepted: label, maxEntries, maxBytes
 *
 * @throws {ConfigurationError} for anything but an object, and for a name that is not accepted; or as `check.as` says.
 */
export function checkNames(
  given: unknown,
  accepted: ReadonlySet<string> | readonly string[],
  check: NamesCheck = {},
): void {
  if (given === undefined) return;
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw notAnObject(given, accepted, check);
  for (const name of Object.keys(given))
    if (!("has" in accepted ? accepted.has(name) : accepted.includes(name))) throw unknownName(name, accepted, check);
}

function notAnObject(given: unknown, accepted: Iterable<string>, check: NamesCheck): Error {
  const { place, inside = "options", as: Refusal = ConfigurationError } = check;
  const start = place === undefined ? inside : `${place}: ${inside}`;
  return new Refusal(`${start} must be an object, got ${kindOf(given)}; ${listed(accepted)}`);
}

function unknownName(name: string, accepted: Iterable<string>, check: NamesCheck): Error {
  const { place = "options", inside, as: Refusal = ConfigurationError, hint = didYouMean } = check;
  // Data that was given in place of options may have a key or a value as a name.
  const isName = /^[a-z_$][\w$]{0,39}$/i.test(name);
  const shown = isName ? describe(inside === undefined ? name : `${inside}.${name}`) : kindOf(name);
  return new Refusal(`${place}: unknown option ${shown}${hint(name, accepted)}; ${listed(accepted)}`);
}

const listed = (accepted: Iterable<string>): string => `accepted: ${[...accepted].join(", ") || "none"}`;
