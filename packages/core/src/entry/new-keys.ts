import { InvalidArgumentError } from "../contracts/errors.ts";
import { describe, type Duration } from "../primitives/duration.ts";
import { keyedHash, randomSecret, type HashSecret } from "../primitives/keyed-hash.ts";
import { checkNames, duration, oneOf, option, readOptions, wholeNumber } from "../primitives/options.ts";

/** How many new keys a namespace stores: a budget of this process, as a token bucket. */
export interface NewKeysOptions {
  /** New keys that are stored in a second, on average. `0`: each new key is stored at its second miss. */
  readonly perSecond: number;
  /** New keys that are stored at one time, after a quiet spell. @default 10 times `perSecond` */
  readonly burst?: number | undefined;
  /** For how long a miss of a key is remembered, if no flood pushes it out. @default '5m' */
  readonly window?: Duration | undefined;
  /** The way into the cache when the budget is spent: a second miss within `window`. @default 'second-miss' */
  readonly admit?: "second-miss" | undefined;
}

/** The same in the form that the engine needs. */
export interface NewKeysBudget {
  readonly perSecond: number;
  readonly burst: number;
  readonly windowMs: number;
}

const NEW_KEYS = {
  perSecond: option<number | undefined>(
    "a number of at least 0",
    (given) => Number.isFinite(given) && given >= 0,
    undefined,
  ),
  burst: wholeNumber(undefined, 0),
  window: duration(300_000, 1_000, 86_400_000),
  admit: oneOf("second-miss"),
};

/** @throws {InvalidArgumentError} for an option that does not exist, is missing, or is out of its range. */
export function newKeysBudget(given: NewKeysOptions): NewKeysBudget {
  checkNames(given ?? null, NEW_KEYS, { inside: "newKeys", as: InvalidArgumentError });
  const { perSecond, burst, window } = readOptions(given, NEW_KEYS, "newKeys.");
  if (perSecond === undefined)
    throw new InvalidArgumentError(`newKeys.perSecond must be a number of at least 0, got ${describe(perSecond)}`);
  return { perSecond, burst: burst ?? Math.ceil(10 * perSecond), windowMs: window };
}

/** 1 MiB in all, taken with the first miss of a namespace that has a budget. */
const SLOTS = 2 ** 18;
const TAG_BITS = 14;
/** Instants are whole seconds, modulo three days. */
const SECONDS = 2 ** 18;
/** Keeps a mark from being 0, which is an empty slot. */
const FIRST_SECOND = 1;

interface Bucket {
  tokens: number;
  filledAt: number;
}

/**
 * Which keys of one cache were missed of late, and how many new ones each of its namespaces may store.
 *
 * A miss leaves a mark in one slot of a table: 14 bits of a keyed hash, and the second. A later miss that finds it is a
 * second one. A flood overwrites marks, so with `n` new keys a second a mark lasts some `SLOTS / n` seconds; one key of
 * 16,384 is taken for another, which stores it early. The counters of a frequency sketch would be saturated by the same
 * flood, and then let every key pass.
 *
 * An attacker cannot choose keys that meet in a slot, since the secret of the hash is made here: with the first miss, as workers
 * allow no random numbers before a request.
 */
export class NewKeys {
  #secret: HashSecret | undefined;
  readonly #buckets = new WeakMap<object, Bucket>();
  #marks: Uint32Array | undefined;

  /**
   * Counts a miss of a key that no tier knows.
   *
   * @param owner what the budget belongs to: the counters of its namespace.
   * @param localKey tells keys of different namespaces apart.
   * @returns whether the key may be stored.
   */
  admits(owner: object, { perSecond, burst, windowMs }: NewKeysBudget, localKey: string, now: number): boolean {
    if (this.#wasMissed(localKey, now, windowMs)) return true;
    const bucket = this.#buckets.get(owner) ?? { tokens: burst, filledAt: now };
    this.#buckets.set(owner, bucket);
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.filledAt) / 1_000) * perSecond);
    bucket.filledAt = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** Whether the key was missed within `windowMs`; from now on it was. */
  #wasMissed(localKey: string, now: number, windowMs: number): boolean {
    const marks = (this.#marks ??= new Uint32Array(SLOTS));
    const hash = keyedHash((this.#secret ??= randomSecret()), localKey);
    const slot = hash & (SLOTS - 1);
    const tag = hash >>> (32 - TAG_BITS);
    const second = Math.floor(now / 1_000) + FIRST_SECOND;
    const mark = marks[slot]!;
    marks[slot] = ((tag << (32 - TAG_BITS)) | (second % SECONDS)) >>> 0;
    if (mark === 0 || mark >>> (32 - TAG_BITS) !== tag) return false;
    const ageSeconds = (second - (mark % SECONDS) + SECONDS) % SECONDS;
    return ageSeconds * 1_000 <= windowMs;
  }
}
