import * as figures from "@hotset/inspector/internal";

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

const known =
  (text: (value: number) => string) =>
  (value: number | undefined): string =>
    value === undefined ? "-" : text(value);

export const bytesText: (bytes: number | undefined) => string = known(figures.bytesText);

export const durationText: (ms: number | undefined) => string = known(figures.lifeText);

export const numberText: (value: number | undefined) => string = known(figures.numberText);

/** Under a list. @param isComplete whether the list is of all keys there are. */
export const sampleNote = (isComplete: boolean): string => (isComplete ? "(of all keys)" : "(of a sample)");
