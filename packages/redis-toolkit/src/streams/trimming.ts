import { InvalidArgumentError } from "@hotset/core";
import { oneOf, readOptions, wholeNumber, type Option } from "@hotset/core/internal";
import { readBy } from "../module/module.ts";
import { entryId, type EntryId } from "./entry-id.ts";

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

const TRIM = {
  maxLen: wholeNumber(undefined, 0),
  minId: readBy(entryId, undefined),
  trim: oneOf("approximate", "exact"),
  limit: wholeNumber(undefined, 0),
} satisfies Record<keyof TrimOptions, Option>;

export const TRIM_OPTIONS: readonly string[] = Object.keys(TRIM);

/** `MAXLEN` or `MINID` with its arguments; none without a threshold. @throws {InvalidArgumentError} */
export function trimArguments(
  operation: string,
  options: TrimOptions,
  usual: "approximate" | "exact",
): readonly string[] {
  const { maxLen, minId, limit, ...read } = readOptions(options, TRIM, `${operation}: `);
  const how = options.trim === undefined ? usual : read.trim;
  if (maxLen !== undefined && minId !== undefined)
    throw new InvalidArgumentError(`${operation}: give maxLen or minId, not both`);
  if (limit !== undefined && how === "exact")
    throw new InvalidArgumentError(`${operation}: limit is for trim: "approximate"`);
  const threshold = maxLen === undefined ? minId : String(maxLen);
  if (threshold === undefined) return [];
  const bound = limit === undefined ? [] : ["LIMIT", String(limit)];
  return [maxLen === undefined ? "MINID" : "MAXLEN", how === "exact" ? "=" : "~", threshold, ...bound];
}
