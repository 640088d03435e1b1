import { types } from "../primitives/platform.ts";

/**
 * Where in `value` the part is that cannot be written: `items[37].onClick is a function`. Names and kinds, no values.
 *
 * @param isWritable asked about one part after another, from the outside in, so this fits every format.
 * @returns `undefined` if it is the whole value, or no part alone, or if it is nested so deep that each question costs
 *   milliseconds.
 */
export function unwritablePlace(value: unknown, isWritable: (part: unknown) => boolean): string | undefined {
  if (isTooDeep(value)) return undefined;
  const path: Step[] = [];
  const above = new Set<unknown>();
  let found = value;
  for (let left = MAX_PARTS; path.length < MAX_LEVELS && !above.has(found);) {
    above.add(found);
    const inner = partsOf(found).find(([, part]) => (left -= 1) >= 0 && !isWritable(part));
    if (inner === undefined) break;
    path.push(inner[0]);
    found = inner[1];
  }
  if (path.length === 0) return undefined;
  return above.has(found) && above.size < path.length + 1
    ? `${pathText(path)} is a value that contains it`
    : `${pathText(path)} is ${kindOf(found)}`;
}

/** A name or an index of a property, or the words for a member of a collection. */
export type Step = PropertyKey | { readonly member: string };

/** A level after the other: its own stack must not end. */
function isTooDeep(value: unknown): boolean {
  const depths = new Map([[value, 0]]);
  for (const [part, depth] of depths) {
    if (depth === MAX_DEPTH) return true;
    if (depths.size > MAX_PARTS) return false;
    // Each is visited once, so a cycle ends.
    for (const [, inner] of partsOf(part)) if (typeof inner === "object") depths.set(inner, depth + 1);
  }
  return false;
}

/** `items[37].price`, and `users["odd name"]`; names are cut. */
export function pathText(path: readonly Step[]): string {
  const text = path
    .slice(0, MAX_LEVELS)
    .map((step) => {
      if (typeof step === "object") return `[${step.member}]`;
      if (typeof step === "number" || (typeof step === "string" && /^\d+$/.test(step))) return `[${step}]`;
      const name = String(step);
      return /^[\p{ID_Start}$_][\p{ID_Continue}$]{0,39}$/u.test(name) ? `.${name}` : `[${JSON.stringify(cut(name))}]`;
    })
    .join("");
  return text.startsWith(".") ? text.slice(1) : text;
}

/** `message`, where each text and number of `value` that it quotes is `…`. No message of a value with too many. */
export function withoutValues(message: string, value: unknown): string {
  const reached = new Set<unknown>([value]);
  let shown = message;
  for (const part of reached) {
    if (reached.size > MAX_QUOTED) return "its message is not shown, since the value is large";
    if (typeof part === "object") for (const [, inner] of partsOf(part)) reached.add(inner);
    else if (typeof part !== "boolean" && part !== undefined && part !== "") shown = without(shown, String(part));
  }
  return shown;
}

/** A short text is taken out where it stands alone: as part of a word it comes from elsewhere. */
function without(message: string, quoted: string): string {
  if (quoted.length > 3) return message.replaceAll(quoted, "…");
  const literal = quoted.replaceAll(/[^\p{L}\p{N}]/gu, (sign) => `\\u{${sign.codePointAt(0)!.toString(16)}}`);
  return message.replaceAll(new RegExp(`(?<![\\p{L}\\p{N}])${literal}(?![\\p{L}\\p{N}])`, "gu"), "…");
}

function partsOf(value: unknown): readonly (readonly [Step, unknown])[] {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return [];
  if (Array.isArray(value)) return value.map((part: unknown, i) => [i, part]);
  if (types.isMap(value))
    return [...value].flatMap(([key, part], i) => [
      [{ member: `key ${i}` }, key],
      [{ member: `value ${i}` }, part],
    ]);
  if (types.isSet(value)) return Array.from(value, (part, i) => [{ member: `member ${i}` }, part]);
  return Object.entries(value);
}

function kindOf(part: unknown): string {
  if (typeof part !== "object") return part === undefined ? "undefined" : `a ${typeof part}`;
  if (part === null) return "null";
  if (Array.isArray(part)) return "an array";
  const { constructor } = part;
  if (constructor === Object || typeof constructor !== "function" || constructor.name === "") return "an object";
  return `an instance of ${cut(constructor.name)}`;
}

const cut = (name: string): string => (name.length > 40 ? `${name.slice(0, 40)}…` : name);

const MAX_LEVELS = 32;
const MAX_PARTS = 100_000;
/** Deepest place that is named: no built-in format reads values half as deep. */
const MAX_DEPTH = 1_000;
const MAX_QUOTED = 10_000;
