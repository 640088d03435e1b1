import { parseArgs } from "node:util";
import { didYouMean } from "@hotset/core/internal";
import { UsageError } from "./errors.ts";

/** An option of a command. */
export interface OptionSpec {
  /** How its value is shown in the help; absent for a flag. */
  readonly value?: string;
  /** One line of the help. */
  readonly text: string;
}

/** The options and words of one run. */
export interface Arguments {
  readonly words: readonly string[];
  flag(name: string): boolean;
  text(name: string): string | undefined;
  /** Values of an option that may be given several times. */
  texts(name: string): readonly string[];
  /** @throws {UsageError} for what is not a whole number from `min` to `max`. */
  count(name: string, bounds: { readonly fallback: number; readonly max: number; readonly min?: number }): number;
}

/** @throws {UsageError} */
export function parseArguments(given: readonly string[], known: Readonly<Record<string, OptionSpec>>): Arguments {
  refuseSecrets(given);
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { value }]) => [
      name,
      { type: value === undefined ? ("boolean" as const) : ("string" as const), multiple: true as const },
    ]),
  );
  // Not strict: its messages quote the words, and know nothing near.
  const parsed = parseArgs({ args: [...given], options, allowPositionals: true, strict: false, tokens: true });
  const found = new Map<string, string[]>();
  for (const token of parsed.tokens) {
    if (token.kind !== "option") continue;
    const spec = known[token.name];
    if (spec === undefined) throw unknownOption(token.rawName, Object.keys(known));
    if (spec.value === undefined && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`);
    if (spec.value !== undefined && (token.value === undefined || token.value === ""))
      throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${spec.value}`);
    found.set(token.name, [...(found.get(token.name) ?? []), token.value ?? ""]);
  }
  // No cache, key pattern, queue or lock is named so.
  if (/^(?:rediss?|unix):\/\//i.test(parsed.positionals[0] ?? ""))
    throw new UsageError("a URL of Redis is given with --url <url>, or in REDIS_URL");
  const text = (name: string): string | undefined => found.get(name)?.at(-1);
  return {
    words: parsed.positionals,
    flag: (name) => found.has(name),
    text,
    texts: (name) => found.get(name) ?? [],
    count(name, { fallback, max, min = 1 }) {
      const number = text(name);
      if (number === undefined) return fallback;
      if (/^\d{1,15}$/.test(number) && Number(number) >= min && Number(number) <= max) return Number(number);
      throw new UsageError(`--${name} must be a whole number from ${min} to ${max}, got ${shown(number)}`);
    },
  };
}

/** A URL may hold a secret at any place, also one that no program can read. */
const isUrl = (word: string): boolean => word.includes("://");

/** A word of the arguments for a sentence, in quotes. */
export const shown = (word: string): string =>
  isUrl(word) ? "a URL" : JSON.stringify(word.length > 60 ? `${word.slice(0, 60)}…` : word);

/** The nearest word, as the end of a sentence. @param before stands before it, such as `--`. */
export function nearest(given: string, known: readonly string[], before = ""): string {
  const [, meant] = /^; did you mean (.+)\?$/.exec(didYouMean(given, known)) ?? [];
  return meant === undefined ? "" : `; did you mean ${before}${meant}?`;
}

const unknownOption = (rawName: string, known: readonly string[]): UsageError =>
  new UsageError(`unknown option ${shown(rawName)}${nearest(rawName.replace(/^-+/, ""), known, "--")}`);

const PASSWORD_OPTIONS = /^(?:-a|--pass|--password|--user-password|--auth)(?:=|$)/;
/** A colon and later an `@`, whatever is between: passwords that are not encoded hold any character. */
const URL_WITH_PASSWORD = /:\/\/.*:.*@|:\/\/.*[?&]password=/s;

/** Arguments are in the list of processes and in the history of the shell. The sentence does not quote them. */
function refuseSecrets(given: readonly string[]): void {
  if (given.some((word) => PASSWORD_OPTIONS.test(word)))
    throw new UsageError("passwords are read from the environment, never from arguments; set REDIS_PASSWORD");
  if (given.some((word) => URL_WITH_PASSWORD.test(word)))
    throw new UsageError(
      "a URL in the arguments holds a password, which every process on this machine can read; set REDIS_URL, " +
        "REDIS_PASSWORD, or PGPASSWORD for PostgreSQL",
    );
}
