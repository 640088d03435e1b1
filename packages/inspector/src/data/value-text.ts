import { inspect } from "node:util";
import type { ValueAnswer } from "./pages.ts";

/** Characters of a value that a page shows. */
const LONGEST = 64 * 1_024;

/** JSON where the value is plain data, else as Node prints it. */
export function valueText(value: unknown): ValueAnswer {
  const json = isPlain(value) ? JSON.stringify(value, undefined, 2) : undefined;
  const text = json ?? inspect(value, { depth: 20, maxArrayLength: 1_000, maxStringLength: LONGEST, breakLength: 100 });
  return {
    kind: json === undefined ? "text" : "json",
    text: text.slice(0, LONGEST),
    isCut: text.length > LONGEST,
  };
}

function isPlain(value: unknown, depth = 0): boolean {
  if (value === null || ["string", "number", "boolean"].includes(typeof value)) return true;
  if (typeof value !== "object" || depth > 50) return false;
  if (Array.isArray(value)) return value.every((each) => isPlain(each, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    (prototype === Object.prototype || prototype === null) &&
    Object.values(value).every((each) => isPlain(each, depth + 1))
  );
}
