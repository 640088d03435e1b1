// Figures as text. `null` and `undefined` are unknown.

type Figure = number | null | undefined;

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value: Figure): string =>
  value == null ? "–" : Math.abs(value) < 100_000 ? WHOLE.format(value) : SHORT.format(value);

export const plural = (value: number, word: string): string => `${count(value)} ${word}${value === 1 ? "" : "s"}`;

export const rate = (value: Figure): string =>
  value == null ? "–" : value < 10 ? String(Math.round(10 * value) / 10) : count(value);

export const percent = (value: Figure): string => {
  if (value == null) return "–";
  // 99.97 % is not 100 %.
  const shown = value < 1 ? Math.min(99.9, Math.round(1_000 * value) / 10) : 100;
  return `${shown} %`;
};

export function bytes(value: Figure): string {
  if (value == null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1_000 && unit < units.length - 1) {
    size /= 1_000;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** @param value in milliseconds, not negative: a clock that is ahead shows 0. */
export function duration(value: Figure): string {
  if (value == null) return "–";
  const ms = Math.max(0, value);
  if (ms < 10) return `${Math.round(10 * ms) / 10} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 120) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  return hours < 48 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} days`;
}

/** Remaining freshness, in milliseconds. */
export const freshness = (value: Figure): string =>
  value != null && value <= 0 ? `stale for ${duration(-value)}` : duration(value);

/** Remaining life, in milliseconds; `null` without an end. */
export const ending = (value: Figure): string =>
  value == null ? "no end" : value <= 0 ? `expired ${duration(-value)} ago` : duration(value);

export const clock = (at: number): string => new Date(at).toLocaleTimeString("en-GB");

export const ago = (at: number, now: number): string => (now - at < 1_000 ? "now" : `${duration(now - at)} ago`);

export const place = (namespace: readonly string[]): string => namespace.join(" › ");
