import { InvalidArgumentError } from "@hotset/core";
import { shown } from "../module/module.ts";
import type { Verdict } from "./verdict.ts";

/** The units that one call took, as a reward names them. */
export interface Units {
  /** Which counts have them: the clocks of the two differ. */
  readonly place: "redis" | "memory";
  /** How many, of each rule. */
  readonly cost: number;
  /** In the order of the rules. */
  readonly free: readonly FreeAt[];
}

/** When the units of one rule are free again. */
export interface FreeAt {
  /** In ms of the clock that decided, rounded up. */
  readonly at: number;
  /** Of a bucket: how far it was rounded up, in parts of 1 / limit ms. Else 0. */
  readonly over: number;
}

/**
 * The name of the units that a call has just taken. They are the newest of their key, so they are free again when all of
 * it are: in their window, slot of a log, slice or bucket no other instant is the same.
 */
export const nameUnits = (place: Units["place"], cost: number, { at, states }: Verdict): string =>
  `${place}:${cost}:${states.map(({ resetMs, over }) => `${at + resetMs}-${over}`).join(":")}`;

/** @throws {InvalidArgumentError} for text that names no units of a limit with so many rules. */
export function readUnits(name: string, rules: number): Units {
  const [, place, cost, freeAt] = /^(redis|memory):(\d{1,10}):(\d+-\d+(?::\d+-\d+)*)$/.exec(name) ?? [];
  const free = freeAt?.split(":").map((text): FreeAt => {
    const [at, over] = text.split("-").map(Number);
    return { at: at!, over: over! };
  });
  if (free?.length !== rules)
    throw new InvalidArgumentError(
      `reward(key, units): units must be a number, or the units of a result of consume, got ${shown(name)}`,
    );
  return { place: place as Units["place"], cost: Number(cost), free };
}
