import type { OwnRedis } from "@hotset/test-servers";
import { spread } from "./measure.ts";

/**
 * Measures several processes together, or one without its Redis. Gives figures, some with a bound, and compares no two
 * sides. All that it starts has ended when it resolves.
 */
export interface Trial {
  readonly name: string;
  run(): Promise<readonly Figure[]>;
}

/** The arguments of a trial. */
export interface Conditions {
  /** Trials may read and write there, and must not break it. */
  readonly server: OwnRedis;
  /** How to reach it. */
  readonly url: string;
  /** How often to repeat a measurement. */
  readonly rounds: number;
  /** How long Redis is unreachable. */
  readonly outageMs: number;
}

export interface Figure {
  readonly what: string;
  readonly value: number;
  /** Behind the number: `" ms"`, `" %"`, `"/s"`. */
  readonly unit: string;
  readonly atMost?: number;
  readonly atLeast?: number;
  /** More about it, for people. */
  readonly remark?: string;
}

/** Whether its bounds hold; `undefined` without any. */
export function isHeld({ value, atMost, atLeast }: Figure): boolean | undefined {
  if (atMost === undefined && atLeast === undefined) return undefined;
  return value <= (atMost ?? Infinity) && value >= (atLeast ?? -Infinity);
}

/** The median of the rounds, with the range as remark. */
export function middle(values: readonly number[]): { readonly value: number; readonly remark: string } {
  const { median, least, most } = spread(values);
  return { value: median, remark: `${inShort(least)} to ${inShort(most)}` };
}

/** The value that a share of all does not exceed. @param share 0 to 1 */
export function percentile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

/** Three significant digits. */
export function inShort(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 4)).replace(/\B(?=(\d{3})+(?!\d)(?<!\.\d*))/g, ",");
}
