import type { ProcessStart } from "@hotset/core/inspect";
import type { Burst } from "../data/invalidations.ts";
import { secondsText } from "../figures.ts";

// Parts of sentences.

/** A namespace, or a key in it. */
export const nameOf = (namespace: readonly string[], key?: string): string =>
  [...namespace, ...(key === undefined ? [] : [key])].join(" › ");

export function quoted(namespace: readonly string[], key?: string): string {
  const text = nameOf(namespace, key);
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** What a call invalidated. */
export function invalidatedText({ namespace, scope, what }: Pick<Burst, "namespace" | "scope" | "what">): string {
  if (scope !== "namespace") return `${scope === "tags" ? "tag" : "key"} ${quoted(namespace, what)}`;
  return namespace.length === 0 ? "the cache" : `namespace ${quoted(namespace)}`;
}

/** Whether `inner` is below `outer`. */
export const within = (outer: readonly string[], inner: readonly string[]): boolean =>
  inner.length > outer.length && outer.every((name, i) => inner[i] === name);

/** A few names, and how many more there are. */
export const sumOf = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(", ") : `${names.slice(0, 2).join(", ")} and ${names.length - 2} others`;

/** What a release does otherwise. */
export const changesText = ({ changed }: Pick<ProcessStart, "changed">): string =>
  sumOf(changed.map(({ setting, was, is }) => `${setting} ${JSON.stringify(is)} (was ${JSON.stringify(was)})`));

/** Without its advice, which the page has, and with its reason. */
export function causeOf(message: string, label: string): string {
  const own = message.startsWith(`${label}: `) ? message.slice(label.length + 2) : message;
  // Redis says in which line of a script it refused.
  const text = own.split(/\.? script: /, 1)[0]!;
  const reason = text.split("; cause: ", 2)[1];
  return text.split("; ", 1)[0]! + (reason === undefined ? "" : `: ${reason}`);
}

export const silenceText = (
  { since, error }: { readonly since: number; readonly error: string },
  now: number,
): string => `Redis has not answered for ${secondsText(now - since)}: ${causeOf(error, "redis")}`;

export const windowText = (ms: number): string => (ms === 60_000 ? "minute" : secondsText(ms));

/** Where they come by a schedule. */
export function everyText(at: readonly number[]): string {
  if (at.length < 3) return "";
  const pauses = at.slice(1).map((each, i) => each - at[i]!);
  const [least, most] = [Math.min(...pauses), Math.max(...pauses)];
  return most - least <= 2_000 ? `, every ${secondsText((least + most) / 2)}` : "";
}
