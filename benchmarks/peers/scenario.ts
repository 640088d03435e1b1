import type { OwnRedis } from "@hotset/test-servers";
import type { Product } from "../contenders/contender.ts";
import type { Metrics } from "./workloads.ts";

/** The means of a scenario. */
export interface Conditions {
  /** For all contenders, and flushed before each scenario. */
  readonly server: OwnRedis;
  /** About how long a timed round takes. */
  readonly roundMs: number;
  /** Asked after each round: whether it counts as one of the rounds of the run, or is taken again. */
  readonly isUndisturbed: () => boolean;
  /** Multiplies numbers of entries: below 1 where only the code is tried. @default 1 */
  readonly scale: number;
}

/** One contender, ready for rounds. */
export interface Side {
  round(): Promise<Metrics>;
  close(): Promise<unknown>;
}

/** A comparison. Rounds of all contenders are interleaved, A B C A B C. */
export interface Scenario {
  /** Unique: results are found by it. */
  readonly name: string;
  /** The work that is done, for people. */
  readonly what: string;
  /** The figure that counts, and whether less of it is better. */
  readonly shows: { readonly metric: string; readonly unit: string; readonly better: "less" | "more" };
  takesPart(product: Product): boolean;
  /** @default as many as the run has */
  readonly rounds?: number;
  /** The contenders run at the same time: only where they mostly wait. */
  readonly isParallel?: boolean;
  /** Each contender is opened for its rounds alone, and closed before the next one: only where memory is measured. */
  readonly isAlone?: boolean;
  open?(product: Product, conditions: Conditions): Promise<Side>;
  /** Figures that are taken once, after all rounds: other programs of the machine do not change them. */
  counts?(product: Product, conditions: Conditions): Promise<Metrics>;
}
