import { bytesText, durationText, numberText, percentText } from "../figures.ts";

// Figures as text. `null` and `undefined` are unknown.

type Figure = number | null | undefined;

const known =
  (text: (value: number) => string) =>
  (value: Figure): string =>
    value == null ? "–" : text(value);

const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = known((value) =>
  Math.abs(value) < 100_000 ? numberText(Math.round(value)) : SHORT.format(value),
);

export const plural = (value: number, word: string): string => `${count(value)} ${word}${value === 1 ? "" : "s"}`;

export const rate = known((value) => (value < 10 ? String(Math.round(10 * value) / 10) : count(value)));

export const percent = known(percentText);

export const bytes = known(bytesText);

export const duration = known(durationText);

/** Remaining freshness, in milliseconds. */
export const freshness = (value: Figure): string =>
  value != null && value <= 0 ? `stale for ${duration(-value)}` : duration(value);

/** Remaining life, in milliseconds; `null` without an end. */
export const ending = (value: Figure): string =>
  value == null ? "no end" : value <= 0 ? `expired ${duration(-value)} ago` : duration(value);

export const clock = (at: number): string => new Date(at).toLocaleTimeString("en-GB");

export const ago = (at: number, now: number): string => (now - at < 1_000 ? "now" : `${duration(now - at)} ago`);

export const place = (namespace: readonly string[]): string => namespace.join(" › ");
