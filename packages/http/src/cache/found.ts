import type { Served } from "@hotset/core";
import type { Held } from "../semantics/reuse.ts";
import type { Stored, StoredResponse } from "./stored.ts";
import type { Visit } from "./visit.ts";

/** A key, and the value under it. */
export interface Looked {
  readonly key: string;
  readonly stored: Stored;
  readonly served: Served | undefined;
}

/** A stored response for a request. */
export interface Found {
  readonly key: string;
  readonly stored: StoredResponse;
  readonly held: Held;
}

/** The entry that was found, if it is a response to this request or to one with `selects`. */
export function responseIn(looked: Looked | undefined, { target, index }: Visit, selects: string): Found | undefined {
  if (looked === undefined || looked.stored.kind === "index" || !isFor(looked.stored, target, index && selects))
    return undefined;
  const { key, stored, served } = looked;
  return { key, stored, held: heldFrom(stored, served) };
}

/** Keys of variants are short names of their values, so the entry is compared. */
export const isFor = (stored: StoredResponse, target: string, selects: string | undefined): boolean =>
  stored.target === target && (selects === undefined || stored.selects === selects);

/** @param life as its tier says; without it the response has just come. */
export function heldFrom(
  { freshness }: StoredResponse,
  life: { readonly ageMs: number; readonly freshForMs: number } | undefined,
): Held {
  const ageMs = freshness.initialAgeMs + (life?.ageMs ?? 0);
  return { freshness, ageMs, tierFreshForMs: life?.freshForMs ?? Infinity };
}
