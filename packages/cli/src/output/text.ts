const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** Names of keys come from anywhere: a terminal must not take a part of them for its own commands. */
export const safe = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- they are what is replaced
  text.replace(/[\u0000-\u001F\u007F-\u009F\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/g, escaped);

/** The same for JSON, which escapes those below U+0020 itself, and means the same with the others escaped. */
export const jsonText = (value: object, indent?: number): string =>
  JSON.stringify(value, undefined, indent).replace(
    /[\u007F-\u009F\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/g,
    escaped,
  );

/** Text that fits into a line. */
export const cut = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text;

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Powers of 1,000, three digits: `52.4 MB`. */
export function bytesText(bytes: number | undefined): string {
  if (bytes === undefined) return "-";
  let [amount, unit] = [bytes, 0];
  for (; amount >= 999.5 && unit < UNITS.length - 1; unit += 1) amount /= 1_000;
  return `${amount.toPrecision(3).replace(/\.?0+$/, (zeros) => (zeros.startsWith(".") ? "" : zeros))} ${UNITS[unit]}`;
}

/** The largest two units: `3 d 4 h`, `250 ms`. */
export function durationText(ms: number | undefined): string {
  if (ms === undefined) return "-";
  if (ms === Infinity) return "no end";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const parts = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ] as const;
  let left = Math.floor(ms / 1_000);
  const words: string[] = [];
  for (const [seconds, unit] of parts) {
    const amount = Math.floor(left / seconds);
    left -= amount * seconds;
    if (amount > 0) words.push(`${amount} ${unit}`);
  }
  return words.slice(0, 2).join(" ");
}

export const numberText = (value: number | undefined): string =>
  value === undefined ? "-" : value.toLocaleString("en-US");

/** Under a list. @param isComplete whether the list is of all keys there are. */
export const sampleNote = (isComplete: boolean): string => (isComplete ? "(of all keys)" : "(of a sample)");
