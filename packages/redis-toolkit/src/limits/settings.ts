import { InvalidArgumentError, type Duration } from "@hotset/core";
import { callback, flag, oneOf, readOption, wholeMs, wholeNumber, type Option } from "@hotset/core/internal";
import { checkName, durationMs, optionsOf, readBy } from "../module/module.ts";
import type { RateLimitOptions } from "./options.ts";
import { fixedWindow, numbersOf, type Rule } from "./rules.ts";

const MOST_RULES = 8;

const TABLE = {
  name: readBy(keyPart, undefined),
  rules: readBy(checkRules, undefined),
  prefix: readBy(keyPart, "rate_limit"),
  key: callback<RateLimitOptions["key"]>(),
  whenAway: { ...oneOf("open", "closed", "memory"), default: "memory" as const },
  processes: wholeNumber(1, 1, 1_000_000),
  deadline: wholeMs(250, 1, 60_000),
  blockFor: wholeMs(0),
  countRefused: flag(),
  rememberRefusals: readBy(
    (option, given: Duration) => (given === Infinity ? Infinity : durationMs(option, given, { min: 0 })),
    1_000,
  ),
  maxKeys: wholeNumber(10_000, 1, 10_000_000),
  allow: readBy(keySet, undefined),
  deny: readBy(keySet, undefined),
  headers: oneOf("draft-8", "draft-6", "none"),
} satisfies Record<keyof RateLimitOptions, Option>;

export type RateLimitSettings = ReturnType<typeof resolveOptions>;

/** @throws {InvalidArgumentError} that names the option. */
export function resolveOptions(options: RateLimitOptions) {
  const {
    deadline: deadlineMs,
    blockFor: blockForMs,
    rememberRefusals: rememberRefusalsMs,
    rules = [fixedWindow()],
    allow = new Set<string>(),
    deny = new Set<string>(),
    ...others
  } = optionsOf("rateLimit()", options ?? null, TABLE, "rateLimit: ");
  const name = readOption(others.name, "rateLimit: name", TABLE.name)!;
  if (others.key !== undefined && rules.length > 1) refuse("key is the key of one rule; give one");
  return Object.freeze({ ...others, name, rules, deadlineMs, blockForMs, rememberRefusalsMs, allow, deny });
}

const refuse = (text: string): never => {
  throw new InvalidArgumentError(`rateLimit: ${text}`);
};

/** Braces begin the hash tag, which is the key of a call. */
export function keyPart(option: string, given: string): string {
  if (!/[{}]/.test(checkName(option, given))) return given;
  throw new InvalidArgumentError(`${option} must be text without braces, got ${JSON.stringify(given)}`);
}

function checkRules(_: string, rules: readonly Rule[]): readonly Rule[] {
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

function keySet(option: string, given: Iterable<string>): ReadonlySet<string> {
  // Text is an iterable too, of its characters.
  if (typeof given !== "object" || given === null || !(Symbol.iterator in given))
    throw new InvalidArgumentError(`${option} must be a list or a set of keys`);
  const keys = new Set(given);
  for (const key of keys)
    if (typeof key !== "string" || key === "")
      throw new InvalidArgumentError(`${option} must hold texts that are not empty`);
  return keys;
}
