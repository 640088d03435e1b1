import { InvalidArgumentError, type Duration } from "@hotset/core";
import { checkFlag, checkFunction, checkName, checkOptions, durationMs, shown, wholeNumber } from "../module/module.ts";
import type { HeaderStyle } from "./result.ts";
import { fixedWindow, numbersOf, type Rule } from "./rules.ts";

/** Options of {@link rateLimit}. */
export interface RateLimitOptions {
  /** Part of its keys, and of its header fields. No braces. */
  readonly name: string;
  /** All must allow a call, one to eight. @default [fixedWindow()]: 100 in an hour */
  readonly rules?: readonly Rule[] | undefined;
  /** Begins its keys. No braces. @default 'rate_limit' */
  readonly prefix?: string | undefined;
  /**
   * The key of the one rule, in place of `prefix` and `name`, for programs that count there in the same way: a
   * `fixedWindow` is a number with the life that is left of its window. A block lies next to it.
   */
  readonly key?: ((key: string) => string) | undefined;
  /**
   * The policy while Redis is down, or disabled: everything is allowed, nothing is, or each process counts its share
   * in memory. @default 'memory'
   */
  readonly whenAway?: "open" | "closed" | "memory" | undefined;
  /** How many processes share the limits while Redis is down. @default 1 */
  readonly processes?: number | undefined;
  /** How long one decision waits for Redis. @default '250ms' */
  readonly deadline?: Duration | undefined;
  /** A refused call blocks its key for so long. @default none */
  readonly blockFor?: Duration | undefined;
  /** Whether refused calls count as well. @default false */
  readonly countRefused?: boolean | undefined;
  /**
   * How long a refusal may be answered from memory, at most until the call fits. By then every process knows of a
   * `reset` by another one. `0` asks Redis each time; `Infinity` never before the call fits. @default '1s'
   */
  readonly rememberRefusals?: Duration | undefined;
  /** Keys that are kept in memory, of refusals and of counts while Redis is down. @default 10_000 */
  readonly maxKeys?: number | undefined;
  /** Keys that are always allowed, and not counted. Compared as a whole. */
  readonly allow?: Iterable<string> | undefined;
  /** Keys that are always refused. It counts more than `allow`. */
  readonly deny?: Iterable<string> | undefined;
  /**
   * `RateLimit` and `RateLimit-Policy` as in drafts 8 to 10, or `RateLimit-Limit`, `-Remaining` and `-Reset` as in
   * draft 6. @default 'draft-8'
   */
  readonly headers?: HeaderStyle | undefined;
}

export interface RateLimitSettings {
  readonly name: string;
  readonly rules: readonly Rule[];
  readonly prefix: string;
  readonly key: ((key: string) => string) | undefined;
  readonly whenAway: "open" | "closed" | "memory";
  readonly processes: number;
  readonly deadlineMs: number;
  readonly blockForMs: number;
  readonly countRefused: boolean;
  readonly rememberRefusalsMs: number;
  readonly maxKeys: number;
  readonly allow: ReadonlySet<string>;
  readonly deny: ReadonlySet<string>;
  readonly headers: HeaderStyle;
}

const OPTIONS: readonly (keyof RateLimitOptions)[] = [
  "name",
  "rules",
  "prefix",
  "key",
  "whenAway",
  "processes",
  "deadline",
  "blockFor",
  "countRefused",
  "rememberRefusals",
  "maxKeys",
  "allow",
  "deny",
  "headers",
];

const MOST_RULES = 8;

/** @throws {InvalidArgumentError} that names the option. */
export function resolveOptions(options: RateLimitOptions): RateLimitSettings {
  checkOptions("rateLimit()", options ?? null, OPTIONS);
  const {
    rules = [fixedWindow()],
    prefix = "rate_limit",
    whenAway = "memory",
    processes = 1,
    deadline = 250,
  } = options;
  const { blockFor, countRefused = false, rememberRefusals = "1s", maxKeys = 10_000, headers = "draft-8" } = options;
  checkFlag("rateLimit: countRefused", countRefused);
  if (options.key !== undefined) {
    checkFunction("rateLimit: key", options.key);
    if (Array.isArray(rules) && rules.length > 1) refuse("key is the key of one rule; give one");
  }
  const isEndless = rememberRefusals === Infinity;
  return Object.freeze({
    name: keyPart("name", options.name),
    rules: checkRules(rules),
    prefix: keyPart("prefix", prefix),
    key: options.key,
    whenAway: oneOf("whenAway", whenAway, ["open", "closed", "memory"]),
    processes: wholeNumber("rateLimit: processes", processes, { min: 1, max: 1_000_000 }),
    deadlineMs: durationMs("rateLimit: deadline", deadline, { max: 60_000 }),
    blockForMs: blockFor === undefined ? 0 : durationMs("rateLimit: blockFor", blockFor),
    countRefused,
    rememberRefusalsMs: isEndless ? Infinity : durationMs("rateLimit: rememberRefusals", rememberRefusals, { min: 0 }),
    maxKeys: wholeNumber("rateLimit: maxKeys", maxKeys, { min: 1, max: 10_000_000 }),
    allow: keySet("allow", options.allow),
    deny: keySet("deny", options.deny),
    headers: oneOf("headers", headers, ["draft-8", "draft-6", "none"]),
  });
}

const refuse = (text: string): never => {
  throw new InvalidArgumentError(`rateLimit: ${text}`);
};

/** Braces begin the hash tag, which is the key of a call. */
export function keyPart(option: string, given: string): string {
  checkName(`rateLimit: ${option}`, given);
  return /[{}]/.test(given) ? refuse(`${option} must be text without braces, got ${JSON.stringify(given)}`) : given;
}

function checkRules(rules: readonly Rule[]): readonly Rule[] {
  const isList = Array.isArray(rules) && rules.length >= 1 && rules.length <= MOST_RULES;
  if (!isList) refuse(`rules must be a list of 1 to ${MOST_RULES} rules`);
  const ids = new Set<string>();
  for (const rule of rules) {
    if (typeof rule?.id !== "string" || numbersOf(rule) === undefined)
      refuse("each of rules must be made by fixedWindow, slidingLog, slidingCounter, tokenBucket, gcra or concurrency");
    if (ids.has(rule.id)) refuse(`two of rules are ${rule.kind} with the same window: leave out the looser one`);
    ids.add(rule.id);
  }
  return Object.freeze([...rules]);
}

function oneOf<T extends string>(option: string, given: T, accepted: readonly T[]): T {
  if (accepted.includes(given)) return given;
  return refuse(`${option} must be ${accepted.map((one) => JSON.stringify(one)).join(" or ")}, got ${shown(given)}`);
}

function keySet(option: string, given: Iterable<string> | undefined): ReadonlySet<string> {
  // Text is an iterable too, of its characters.
  if (given !== undefined && (typeof given !== "object" || given === null || !(Symbol.iterator in given)))
    refuse(`${option} must be a list or a set of keys`);
  const keys = new Set(given);
  for (const key of keys)
    if (typeof key !== "string" || key === "") refuse(`${option} must hold texts that are not empty`);
  return keys;
}
