import { ConfigurationError, type Duration, type Format, type Namespace } from "@hotset/core";
import {
  describe,
  didYouMean,
  duration,
  NamespaceView,
  readOptions,
  type Option,
  type OptionTable,
  type OptionValues,
} from "@hotset/core/internal";
import type { WindowsMs } from "../semantics/settings.ts";

/** Lifetimes that a rule gives. */
export interface HttpWindows {
  /** How long a response is fresh. */
  readonly ttl?: Duration | undefined;
  /** How long after that it is served while one request refreshes it. */
  readonly staleWhileRevalidate?: Duration | undefined;
  /** How long after that it is served when the origin fails. */
  readonly staleIfError?: Duration | undefined;
}

export const refusal = (reason: string): ConfigurationError => new ConfigurationError(`httpCache: ${reason}`);

export function checkedNamespace(given: Namespace): Namespace {
  if (typeof (given as Partial<Namespace> | undefined)?.getOrSet !== "function")
    throw refusal("begin with a cache or a namespace: httpCache(cache, options)");
  const format = NamespaceView.formatOf(given);
  if (format !== undefined && !keepsBytes(format))
    throw refusal(`bodies are bytes, which the format ${format.id} does not keep; use valueFormat(msgpack()) or v8()`);
  return given;
}

function keepsBytes(format: Format): boolean {
  try {
    const [bytes] = format.decode(format.encode([Uint8Array.of(0xff)])) as readonly unknown[];
    return bytes instanceof Uint8Array;
  } catch {
    return false;
  }
}

/** The object at `at`, which may have these properties alone. */
export function objectAt(at: string, given: unknown, names: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw refusal(`${at} must be an object, got ${describe(given)}`);
  for (const name of Object.keys(given))
    if (!names.includes(name))
      throw refusal(
        `${at}: unknown property ${JSON.stringify(name)}${didYouMean(name, names)}; accepted: ${names.join(", ")}`,
      );
  return given as Record<string, unknown>;
}

export function listAt(at: string, given: unknown): readonly unknown[] {
  if (Array.isArray(given)) return given;
  const example = typeof given === "string" ? `, such as [${describe(given)}]` : "";
  throw refusal(`${at} must be an array${example}, got ${describe(given)}`);
}

export function textsAt(at: string, given: unknown): readonly string[] {
  return listAt(at, given).map((each, i) => {
    if (typeof each === "string" && each !== "") return each;
    throw refusal(`${at}[${i}] must be a non-empty string, got ${describe(each)}`);
  });
}

export function windowsOf(at: string, windows: unknown): WindowsMs {
  if (windows === undefined) return {};
  const given = objectAt(at, windows, Object.keys(WINDOWS));
  const { ttl, staleWhileRevalidate, staleIfError } = read(given, WINDOWS, `${at}.`);
  return { ttlMs: ttl, staleWhileRevalidateMs: staleWhileRevalidate, staleIfErrorMs: staleIfError };
}

const WINDOWS = {
  ttl: duration(undefined),
  staleWhileRevalidate: duration(undefined),
  staleIfError: duration(undefined),
} satisfies Record<keyof HttpWindows, Option>;

/** @param at begins their names in errors. @throws {ConfigurationError} */
export const read = <Table extends OptionTable>(given: object, table: Table, at = ""): OptionValues<Table> =>
  readOptions(given, table, `httpCache: ${at}`, ConfigurationError);

export function originNamed(option: string, text: string): string {
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  if (parsed !== undefined && parsed.origin !== "null" && parsed.pathname === "/") return parsed.origin;
  throw refusal(`${option} must be an origin such as "https://shop.example", got ${JSON.stringify(text)}`);
}

/** A host without a scheme is that of both. */
export const originsNamed = (option: string, text: string): readonly string[] =>
  text.includes("://")
    ? [originNamed(option, text)]
    : ["https", "http"].map((scheme) => originNamed(option, `${scheme}://${text}`));

/** Names of fields in lower case. */
export const namesAt = (at: string, given: unknown): readonly string[] | undefined =>
  given === undefined ? undefined : textsAt(at, given).map((name) => name.toLowerCase());
