import { types } from "node:util";
import { mapMark, textMark } from "./marks.ts";

/** Why a value cannot be written. The message does not quote it. */
export class Unwritable extends Error {}

/** Deeper values could exhaust the stack in msgpackr, depending on the stack depth of the caller. */
export const MAX_DEPTH = 500;

/**
 * The value that msgpackr writes for `value`: `value` itself, unless a part of it needs a mark or is an instance of a
 * class. Never changes `value`.
 *
 * msgpackr alone would write `{}` for a `Promise`, `undefined` for a function, `U+FFFD` for a lone surrogate and a
 * `Map` as if it were an object.
 *
 * @throws {Unwritable}
 */
export function writable(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case "string":
      return isWellFormed(value) ? value : textMark(value);
    case "number":
    case "boolean":
    case "bigint":
    case "undefined":
      return value;
    case "object":
      if (value === null) return value;
      if (depth === MAX_DEPTH)
        throw new Unwritable(
          `values that contain themselves or are nested more than ${MAX_DEPTH} deep cannot be written`,
        );
      return Array.isArray(value) ? elements(value, depth) : object(value, depth);
    default:
      throw new Unwritable(`a ${typeof value} cannot be written`);
  }
}

function elements(array: readonly unknown[], depth: number): readonly unknown[] {
  for (let i = 0; i < array.length; i++) {
    const given = array[i];
    if (typeof given === "number") continue;
    const written = writable(given, depth + 1);
    if (written !== given)
      return [...array.slice(0, i), written, ...array.slice(i + 1).map((rest) => writable(rest, depth + 1))];
  }
  return array;
}

function object(value: object, depth: number): unknown {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return properties(value as Record<string, unknown>, depth);
  // By brands: `instanceof` is false for those of another realm.
  if (types.isDate(value)) return value instanceof Date ? value : new Date(value);
  if (ArrayBuffer.isView(value)) return viewOfThisRealm(value);
  if (types.isArrayBuffer(value)) return value instanceof ArrayBuffer ? value : new Uint8Array(value).slice().buffer;
  if (types.isMap(value)) return mapMark(value, (member) => writable(member, depth + 1));
  if (types.isSet(value)) return new Set(elements([...value], depth));
  if ("toJSON" in value && typeof value.toJSON === "function") return writable(value.toJSON(), depth + 1);
  if (Object.prototype.toString.call(value) !== "[object Object]") {
    throw new Unwritable("an Error, RegExp, Promise or another instance of a built-in class cannot be written");
  }
  return properties({ ...value }, depth);
}

/** msgpackr finds the type of a view by the classes of its own realm. */
function viewOfThisRealm(view: ArrayBufferView): ArrayBufferView {
  if (view instanceof DataView || view instanceof Object.getPrototypeOf(Uint8Array)) return view;
  const bytes = Uint8Array.from(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  const name = Object.prototype.toString.call(view).slice("[object ".length, -1);
  const View = (globalThis as unknown as Readonly<Record<string, new (buffer: ArrayBuffer) => ArrayBufferView>>)[name];
  if (View === undefined) throw new Unwritable("bytes of an unknown kind cannot be written");
  return new View(bytes.buffer);
}

function properties(value: Readonly<Record<string, unknown>>, depth: number): Readonly<Record<string, unknown>> {
  let copy: Record<string, unknown> | undefined;
  for (const name of Object.keys(value)) {
    if (name === "__proto__") throw new Unwritable("a property named __proto__ cannot be written; rename it");
    if (!isWellFormed(name)) throw new Unwritable("a property name with a lone surrogate cannot be written");
    const given = value[name];
    if (typeof given === "number") continue;
    const written = writable(given, depth + 1);
    if (written !== given) (copy ??= { ...value })[name] = written;
  }
  return copy ?? value;
}

/** All supported runtimes have this method, but the type library of ES2023 does not declare it. */
const isWellFormed = (text: string): boolean => (text as string & { isWellFormed(): boolean }).isWellFormed();
