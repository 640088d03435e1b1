import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Outcome } from "./measure.ts";
import type { Figure } from "./trial.ts";

const RESULTS = join(import.meta.dirname, "results");

/** Results of `npm run bench`: hotset beside the raw limit. */
export interface Limits {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly redis: string | undefined;
  readonly commit: string;
  readonly rounds: number;
  readonly isAlone: boolean;
  /** The most of one core that other processes used. */
  readonly othersOfACore: number;
  readonly outcomes: readonly Outcome[];
  readonly figures: Readonly<Record<string, readonly Figure[]>>;
}

/** Keeps the results of a whole run. */
export function keepLimits(limits: Limits): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, "limits.json"), `${JSON.stringify(limits, null, 1)}\n`);
}
