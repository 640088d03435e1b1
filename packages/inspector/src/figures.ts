// Figures as text, for the page, its findings and the command line.

const NUMBER = new Intl.NumberFormat("en");

/** With separators, and at most three decimals: `12,345`. */
export const numberText = (value: number): string => NUMBER.format(value);

/** `1 call`, `1,200 calls`. */
export const plural = (value: number, word: string): string => `${numberText(value)} ${word}${value === 1 ? "" : "s"}`;

/** A share of 1, with a tenth where it has one. 99.97 % is not 100 %. */
export const percentText = (share: number): string =>
  `${share < 1 ? Math.min(99.9, Math.round(1_000 * share) / 10) : 100} %`;

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Powers of 1,000, three digits: `52.4 MB`. */
export function bytesText(bytes: number): string {
  let [amount, unit] = [bytes, 0];
  for (; amount >= 999.5 && unit < UNITS.length - 1; unit += 1) amount /= 1_000;
  return `${Number(amount.toPrecision(3))} ${UNITS[unit]}`;
}

/** The largest unit, rounded: `0.4 ms`, `1.5 s`, `3 min`. A clock that is ahead shows 0. */
export function durationText(ms: number): string {
  if (ms < 9.95) return `${tenths(Math.max(0, ms))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 120) return `${seconds < 9.95 ? tenths(seconds) : Math.round(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 120) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  return hours < 48 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} days`;
}

/** The same in whole seconds, for text that is shown again and again while it grows. */
export function secondsText(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  return seconds > 0 ? durationText(1_000 * seconds) : "0 s";
}

const tenths = (value: number): number => Math.round(10 * value) / 10;

const PARTS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
] as const;

/** The time that is left: the largest two units, `3 d 4 h`, not rounded up. `Infinity` has no end. */
export function lifeText(ms: number): string {
  if (ms === Infinity) return "no end";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  let left = Math.floor(ms / 1_000);
  const words: string[] = [];
  for (const [seconds, unit] of PARTS) {
    const amount = Math.floor(left / seconds);
    left -= amount * seconds;
    if (amount > 0) words.push(`${amount} ${unit}`);
  }
  return words.slice(0, 2).join(" ");
}
