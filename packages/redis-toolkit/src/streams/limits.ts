import type { Duration } from "@hotset/core";
import { checkWholeNumber, durationMs } from "../module/module.ts";

/** The most entries of one read. */
export const MOST_AT_ONCE = 10_000;

/** One at a time, as long as a caller does not ask for more. */
export const DEFAULT_COUNT = 1;

const LONGEST_BLOCK_MS = 3_600_000;

/** @throws {InvalidArgumentError} unless it is a whole number from 1 to `most`. */
export const countOf = (option: string, given: number, most: number = MOST_AT_ONCE): number =>
  checkWholeNumber(option, given, { min: 1, max: most });

/** Redis would take 0 forever. */
export const blockMsOf = (option: string, given: Duration): number =>
  durationMs(option, given, { min: 1, max: LONGEST_BLOCK_MS });

/** `COUNT` and `BLOCK`. */
export function readArguments(
  operation: string,
  count: number = DEFAULT_COUNT,
  block?: Duration,
): { readonly args: readonly string[]; readonly blockMs: number | undefined } {
  const args = ["COUNT", String(countOf(`${operation}: count`, count))];
  if (block === undefined) return { args, blockMs: undefined };
  const blockMs = blockMsOf(`${operation}: block`, block);
  return { args: [...args, "BLOCK", String(blockMs)], blockMs };
}
