import { inShort } from "../trial.ts";

/** Whole numbers of up to four digits as they are, others in three digits. */
export function shown(value: number): string {
  return Number.isInteger(value) && value < 10_000 ? value.toLocaleString("en") : inShort(value);
}
