import { ConfigurationError, parseDuration, type Duration, type Format, type Namespace } from "@hotset/core";
import { didYouMean, NamespaceView } from "@hotset/core/internal";
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
    throw refusal(`${at} must be an object, got ${kindOf(given)}`);
  for (const name of Object.keys(given))
    if (!names.includes(name))
      throw refusal(
        `${at}: unknown property ${JSON.stringify(name)}${didYouMean(name, names)}; accepted: ${names.join(", ")}`,
      );
  return given as Record<string, unknown>;
}

export function listAt(at: string, given: unknown): readonly unknown[] {
  if (Array.isArray(given)) return given;
  const example = typeof given === "string" ? `, such as [${kindOf(given)}]` : "";
  throw refusal(`${at} must be an array${example}, got ${kindOf(given)}`);
}

export function textsAt(at: string, given: unknown): readonly string[] {
  return listAt(at, given).map((each, i) => {
    if (typeof each === "string" && each !== "") return each;
    throw refusal(`${at}[${i}] must be a non-empty string, got ${kindOf(each)}`);
  });
}

export function windowsOf(at: string, windows: unknown): WindowsMs {
  if (windows === undefined) return {};
  const { ttl, staleWhileRevalidate, staleIfError } = objectAt(at, windows, WINDOWS) as HttpWindows;
  const optional = (name: string, given: Duration | undefined): number | undefined =>
    given === undefined ? undefined : ms(`${at}.${name}`, given, 0);
  return {
    ttlMs: optional("ttl", ttl),
    staleWhileRevalidateMs: optional("staleWhileRevalidate", staleWhileRevalidate),
    staleIfErrorMs: optional("staleIfError", staleIfError),
  };
}

export function ms(option: string, given: Duration | undefined, otherwise: Duration): number {
  const duration: unknown = given ?? otherwise;
  try {
    const value = typeof duration === "string" ? parseDuration(duration) : duration;
    if (typeof value === "number" && value >= 0) return value;
  } catch {
    // Refused below.
  }
  throw refusal(`${option} must be milliseconds (60_000), or a number with a unit ("1m"), got ${kindOf(duration)}`);
}

export function count(option: string, given: number | undefined, otherwise: number): number {
  const value = given ?? otherwise;
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw refusal(`${option} must be a whole number of at least 0, got ${String(given)}`);
}

export function oneOf(option: string, given: string | undefined, accepted: readonly string[]): void {
  if (given !== undefined && !accepted.includes(given))
    throw refusal(`${option} must be one of ${accepted.join(", ")}, got ${JSON.stringify(given)}`);
}

export function functionOf<F>(option: string, given: F | undefined): F | undefined {
  if (given === undefined || typeof given === "function") return given;
  throw refusal(`${option} must be a function, got ${kindOf(given)}`);
}

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

export const lowered = (names: readonly string[] | undefined): readonly string[] | undefined =>
  names?.map((name) => name.toLowerCase());

const kindOf = (given: unknown): string =>
  given === null
    ? "null"
    : Array.isArray(given)
      ? "an array"
      : typeof given === "string"
        ? JSON.stringify(given.slice(0, 40))
        : typeof given === "object" || typeof given === "function"
          ? typeof given
          : String(given);

const WINDOWS = ["ttl", "staleWhileRevalidate", "staleIfError"] as const;
