import { InvalidArgumentError } from "@hotset/core";
import { shown } from "../module/module.ts";
import { isEntryId, type EntryId } from "./entry-id.ts";

/** Which entries go: give `maxLen` or `minId`, not both. */
export interface TrimOptions {
  /** The newest so many entries stay. */
  readonly maxLen?: number | undefined;
  /** Entries below this id go. */
  readonly minId?: EntryId | undefined;
  /**
   * `approximate` removes whole nodes of the stream only (100 entries by default), which is cheaper: some more stay.
   *
   * @default 'approximate' when appending, 'exact' for `trim`
   */
  readonly trim?: "approximate" | "exact" | undefined;
  /** The most entries that one approximate trim removes; 0 for any number. @default 100 nodes of the stream */
  readonly limit?: number | undefined;
}

export const TRIM_OPTIONS: readonly string[] = ["maxLen", "minId", "trim", "limit"];

/** `MAXLEN` or `MINID` with its arguments; none without a threshold. @throws {InvalidArgumentError} */
export function trimArguments(
  operation: string,
  options: TrimOptions,
  usual: "approximate" | "exact",
): readonly string[] {
  const { maxLen, minId, trim: how = usual, limit } = options;
  const refuse = (text: string): never => {
    throw new InvalidArgumentError(`${operation}: ${text}`);
  };
  if (how !== "approximate" && how !== "exact") refuse('trim must be "approximate" or "exact"');
  if (maxLen !== undefined && minId !== undefined) refuse("give maxLen or minId, not both");
  if (maxLen !== undefined && !isWhole(maxLen)) refuse(`maxLen must be a whole number, got ${shown(maxLen)}`);
  if (minId !== undefined && !isEntryId(minId)) refuse(`minId must be an id, got ${shown(minId)}`);
  if (limit !== undefined && !isWhole(limit)) refuse(`limit must be a whole number, got ${shown(limit)}`);
  if (limit !== undefined && how === "exact") refuse('limit is for trim: "approximate"');
  const threshold = maxLen === undefined ? minId : String(maxLen);
  if (threshold === undefined) return [];
  const bound = limit === undefined ? [] : ["LIMIT", String(limit)];
  return [maxLen === undefined ? "MINID" : "MAXLEN", how === "exact" ? "=" : "~", threshold, ...bound];
}

const isWhole = (given: number): boolean => Number.isSafeInteger(given) && given >= 0;
