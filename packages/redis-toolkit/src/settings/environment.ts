import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ConfigurationError } from "@hotset/core";
import { MAX_TIMER_MS } from "@hotset/core/internal";
import { parseEnvFile } from "./env-file.ts";

/** Where one setting came from. */
export interface Found<T> {
  readonly value: T;
  /** Names the variable or option in errors. */
  readonly name: string;
}

/** The variables of the process, and below them those of a `.env` file. */
export type Environment = ReadonlyMap<string, string>;

/**
 * Variables of the process count more than those of the file. Empty ones are unset, as in a shell's `${NAME:-default}`.
 *
 * @param file a path; `true` for `.env` in the working directory, where it exists; `false` for none.
 * @throws {ConfigurationError} when a file that was named cannot be read.
 */
export function readEnvironment(variables: Variables, file: string | boolean): Environment {
  const found = new Map<string, string>();
  for (const source of [file === false ? {} : readFile(file, variables), variables])
    for (const [name, value] of Object.entries(source))
      if (value !== undefined && value !== "" && (name.startsWith("REDIS_") || name === "ENABLE_REDIS"))
        found.set(name, value);
  return found;
}

type Variables = Readonly<Record<string, string | undefined>>;

function readFile(file: string | true, variables: Variables): Variables {
  const path = file === true ? ".env" : file;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (file === true && (cause as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw new ConfigurationError(
      `envFile: ${resolve(path)} cannot be read: ${(cause as Error).message}; give the path of a file, true, or false`,
    );
  }
  return parseEnvFile(text, variables);
}

/**
 * The value of one setting that has several names.
 *
 * @throws {ConfigurationError} for two names with different values.
 */
export function lookUp<T>(
  environment: Environment,
  names: Readonly<Record<string, (name: string, text: string) => T>>,
): Found<T> | undefined {
  let first: Found<T> | undefined;
  for (const [name, parse] of Object.entries(names)) {
    const text = environment.get(name);
    if (text === undefined) continue;
    const value = parse(name, text);
    if (first !== undefined && first.value !== value)
      throw new ConfigurationError(
        `${first.name} and ${name} are two names of one setting and differ; set one of them`,
      );
    first ??= { value, name };
  }
  return first;
}

const refuse = (name: string, text: string, accepted: string): never => {
  throw new ConfigurationError(`${name} must be ${accepted}, got ${JSON.stringify(text.slice(0, 40))}`);
};

/** `true`, `1`, `yes`, `on` and their opposites, in any case. */
export function readFlag(name: string, text: string): boolean {
  const word = text.trim().toLowerCase();
  if (["true", "1", "yes", "on"].includes(word)) return true;
  if (["false", "0", "no", "off"].includes(word)) return false;
  return refuse(name, text, "true, false, 1, 0, yes, no, on or off");
}

export const readWhole =
  (least: number, most: number) =>
  (name: string, text: string): number => {
    const number = /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : Number.NaN;
    const bounds = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    return number >= least && number <= most ? number : refuse(name, text, `a whole number ${bounds}`);
  };

const portNumber = readWhole(1, 65_535);

/** @throws {ConfigurationError} with the way out for the variable that Kubernetes sets for a service named "redis". */
export function port(name: string, text: string): number {
  if (/^(?:tcp|udp|sctp):\/\//.test(text))
    throw new ConfigurationError(
      `${name} must be a whole number from 1 to 65535, got ${JSON.stringify(text.slice(0, 40))}, which is a service ` +
        `link that Kubernetes sets for a Service named "redis"; set enableServiceLinks: false in the pod, or set ${name}`,
    );
  return portNumber(name, text);
}

/** Whole milliseconds of a number of `unitMs`, such as seconds with a fraction. */
export const timeIn =
  (unitMs: number, leastMs = 1) =>
  (name: string, text: string): number => {
    const number = /^\s*\d+(?:\.\d+)?\s*$/.test(text) ? Number(text) : Number.NaN;
    const ms = Math.round(number * unitMs);
    return ms >= leastMs && ms <= MAX_TIMER_MS
      ? ms
      : refuse(
          name,
          text,
          `${unitMs === 1 ? "milliseconds" : "seconds"}, at least ${leastMs / unitMs} and at most 24 days`,
        );
  };

/** A name or a path. It may be quoted in errors, so not for secrets. */
export function word(name: string, text: string): string {
  return text.trim() === "" ? refuse(name, text, "text that is not blank") : text.trim();
}

/** Never quoted. @throws {ConfigurationError} for blank text. */
export function secret(name: string, text: string): string {
  if (text.trim() === "") throw new ConfigurationError(`${name} must not be blank; leave it out`);
  return text;
}

/** Addresses with commas or spaces between them. */
export function list(name: string, text: string): readonly string[] {
  const parts = text.split(/[\s,]+/).filter((part) => part !== "");
  return parts.length > 0 ? parts : refuse(name, text, "at least one address");
}
