import { InvalidArgumentError, type BreakerPolicy } from "@hotset/core";
import {
  DEFAULT_MAX_DECODED_BYTES,
  oneOf,
  readBy,
  readOptions,
  refuse,
  text,
  timerMs,
  wholeMs,
  type OptionValues,
} from "@hotset/core/internal";
import { breakerPolicy, CLIENT_NAME, COMPRESSOR, count, FORMAT, PASSWORD, SEAL } from "./primitives/option-rules.ts";
import { MAX_LEASE_MS } from "./store/leases.ts";

const MIN_LEASE_MS = 500;

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

/** How to connect: a client of the user refuses these. */
export const CONNECTS = {
  username: text(undefined),
  password: PASSWORD,
  clientName: CLIENT_NAME,
  connectTimeout: timerMs(5_000),
  retries: count(Infinity),
  protocol: { ...oneOf<2 | 3>(2, 3), default: 3 as 2 | 3 },
  maxInFlight: count(5_000),
} as const;

/** The setters of one value. A test compares the reference page with them. Durations are milliseconds afterwards. */
export const SETTERS = {
  label: text("redis"),
  keyPrefix: readBy(keyPrefix, "hotset"),
  keyFormat: oneOf("readable", "hashed"),
  valueFormat: FORMAT,
  compressor: COMPRESSOR,
  seal: SEAL,
  layout: oneOf("full", "plain", "string"),
  coherence: oneOf("tracking", "pubsub", "none"),
  maxStaleness: timerMs(2_000),
  reissueWindow: timerMs(30_000, 0),
  leaseTime: wholeMs(2_000, MIN_LEASE_MS, MAX_LEASE_MS),
  breaker: readBy<BreakerPolicy, BreakerPolicy>(
    (_, given) => breakerPolicy(given),
    Object.freeze({ failures: 5, waitMs: 1_000, longestWaitMs: 30_000 }),
  ),
  maxEntryBytes: count(Infinity),
  maxDecodedBytes: count(DEFAULT_MAX_DECODED_BYTES),
  responseTimeout: timerMs(1_000),
  ...CONNECTS,
} as const;

/** The values of all setters. */
export type SetterValues = OptionValues<typeof SETTERS>;

export const SETTER_DEFAULTS: SetterValues = readOptions(undefined, SETTERS);
