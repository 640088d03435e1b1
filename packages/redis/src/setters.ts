import { InvalidArgumentError, type Awaitable, type BreakerPolicy, type Duration, type Seal } from "@hotset/core";
import { DEFAULT_MAX_DECODED_BYTES } from "@hotset/core/internal";
import {
  breakerPolicy,
  compressor,
  count,
  format,
  milliseconds,
  oneOf,
  refuse,
  seal,
  text,
} from "./primitives/option-checks.ts";
import { MAX_LEASE_MS } from "./store/leases.ts";

type Check<T> = (option: string, given: never) => T;
/** How the argument of a setter is checked, and its default. */
type Setter<T> = readonly [check: Check<T>, byDefault: T];

const setter = <T, Default extends T | undefined>(check: Check<T>, byDefault: Default): Setter<T | Default> => [
  check,
  byDefault,
];
const choice = <T extends string | number>(byDefault: T, ...accepted: readonly T[]): Setter<T> =>
  setter<T, T>((option, given) => oneOf(option, given, accepted), byDefault);

const MIN_LEASE_MS = 500;

function leaseTime(option: string, given: Duration): number {
  const ms = milliseconds(option, given);
  return ms < MIN_LEASE_MS || ms > MAX_LEASE_MS ? refuse(option, given, "a duration of 500 ms to 60 s") : ms;
}

function keyPrefix(option: string, given: string): string {
  if (typeof given !== "string") refuse(option, given, "a string");
  const must = !given.isWellFormed()
    ? "be well-formed text, got half of a surrogate pair"
    : /[:~]/.test(given)
      ? `have no ":" and no "~", which end it in keys: another prefix would lie inside it; got ${JSON.stringify(given)}`
      : /[{}]/.test(given) && !/^[^{}]*\{[^{}]+\}[^{}]*$/.test(given)
        ? `have no braces, or one complete hash tag ("{shop}"), got ${JSON.stringify(given)}`
        : undefined;
  if (must !== undefined) throw new InvalidArgumentError(`${option} must ${must}`);
  return given;
}

/** Not with refuse(): the message must not contain the password. */
function password(option: string, given: string | (() => Awaitable<string>)): string | (() => Awaitable<string>) {
  if (typeof given === "function" || typeof given === "string") return given;
  throw new InvalidArgumentError(`${option} must be a string, or a function that returns one`);
}

const clientName = (option: string, given: string): string =>
  typeof given === "string" && /^[!-~]{1,128}$/.test(given)
    ? given
    : refuse(option, given, "1 to 128 printable ASCII characters without spaces");

/** How to connect: a client of the user refuses these. */
export const CONNECTS = {
  username: setter(text, undefined),
  password: setter(password, undefined),
  clientName: setter(clientName, undefined),
  connectTimeout: setter(milliseconds, 5_000),
  retries: setter(count, Infinity),
  protocol: choice<2 | 3>(3, 2, 3),
  maxInFlight: setter(count, 5_000),
} as const;

/** The setters of one value. A test compares the reference page with them. Durations are milliseconds afterwards. */
export const SETTERS = {
  label: setter(text, "redis"),
  keyPrefix: setter(keyPrefix, "hotset"),
  keyFormat: choice("readable", "readable", "hashed"),
  valueFormat: setter(format, undefined),
  compressor: setter(compressor, undefined),
  seal: setter(seal, undefined as Seal | undefined),
  layout: choice("full", "full", "plain", "string"),
  coherence: choice("tracking", "tracking", "pubsub", "none"),
  maxStaleness: setter(milliseconds, 2_000),
  reissueWindow: setter((option: string, given: Duration) => milliseconds(option, given, 0), 30_000),
  leaseTime: setter(leaseTime, 2_000),
  breaker: setter<BreakerPolicy, BreakerPolicy>(
    (_, given) => breakerPolicy(given),
    Object.freeze({ failures: 5, waitMs: 1_000, longestWaitMs: 30_000 }),
  ),
  maxEntryBytes: setter(count, Infinity),
  maxDecodedBytes: setter(count, DEFAULT_MAX_DECODED_BYTES),
  responseTimeout: setter(milliseconds, 1_000),
  ...CONNECTS,
} as const;

/** The values of all setters. */
export type SetterValues = { readonly [Name in keyof typeof SETTERS]: (typeof SETTERS)[Name][1] };

export const SETTER_DEFAULTS = Object.fromEntries(
  Object.entries(SETTERS).map(([name, [, byDefault]]) => [name, byDefault]),
) as unknown as SetterValues;
