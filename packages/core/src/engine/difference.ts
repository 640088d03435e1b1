import type { Format } from "../contracts/backend.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import { checkBySchema } from "../entry/schema.ts";
import { types } from "../primitives/platform.ts";

/** Fields that are named. */
const MOST_FIELDS = 10;
/** Levels of a value that have names: deeper ones are compared, and reported by the name above them. */
const NAMED_DEPTH = 3;
/** Deeper values, cycles above all, count as equal. */
const MOST_DEPTH = 100;

/**
 * Names of the properties in which two values differ, or `undefined` if they don't. Empty where they differ as a whole.
 * Properties named in `ignore`, by their name or their path, count for nothing. A property that is `undefined` is
 * absent, items of a list have no names, and what is no plain name is shown as `*`: it may be data.
 */
export function differenceOf(
  one: unknown,
  other: unknown,
  ignore: ReadonlySet<string> = NOTHING,
): readonly string[] | undefined {
  const found = new Set<string>();
  const walk = new Comparison(ignore, found);
  return walk.isEqual(one, other, [], 0) ? undefined : [...found].slice(0, MOST_FIELDS);
}

const NOTHING: ReadonlySet<string> = new Set();

class Comparison {
  readonly #ignore: ReadonlySet<string>;
  readonly #found: Set<string>;

  constructor(ignore: ReadonlySet<string>, found: Set<string>) {
    this.#ignore = ignore;
    this.#found = found;
  }

  /** @param path of names, as far as there are any. */
  isEqual(one: unknown, other: unknown, path: readonly string[], depth: number): boolean {
    if (Object.is(one, other) || depth > MOST_DEPTH) return true;
    const [left, right] = [partsOf(one), partsOf(other)];
    if (left === undefined || right === undefined || left.kind !== right.kind) {
      if (left === undefined && right === undefined && isSameAtom(one, other)) return true;
      return this.#differs(path);
    }
    let isEqual = true;
    for (const name of new Set([...left.parts.keys(), ...right.parts.keys()])) {
      const inner = left.kind === "object" ? [...path, String(name)] : path;
      if (left.kind === "object" && this.#isIgnored(inner)) continue;
      const [a, b] = [left.parts.get(name), right.parts.get(name)];
      if (left.kind === "object" || (left.parts.has(name) && right.parts.has(name))) {
        if (!this.isEqual(a, b, inner, depth + 1)) isEqual = false;
      } else isEqual = this.#differs(path);
    }
    return isEqual;
  }

  #isIgnored(path: readonly string[]): boolean {
    return this.#ignore.has(path.at(-1)!) || this.#ignore.has(path.join("."));
  }

  #differs(path: readonly string[]): false {
    if (path.length !== 0)
      this.#found.add(
        path
          .slice(0, NAMED_DEPTH)
          .map((name) => (PLAIN_NAME.test(name) ? name : "*"))
          .join("."),
      );
    return false;
  }
}

const PLAIN_NAME = /^[A-Za-z_$][\w$-]{0,39}$/;

interface Parts {
  readonly kind: "object" | "list" | "map" | "set";
  readonly parts: ReadonlyMap<unknown, unknown>;
}

/** The members of a value; `undefined` for one that has none. */
function partsOf(value: unknown): Parts | undefined {
  if (typeof value !== "object" || value === null || isAtom(value)) return undefined;
  if (Array.isArray(value)) return { kind: "list", parts: new Map(value.entries()) };
  if (types.isMap(value)) return { kind: "map", parts: value };
  if (types.isSet(value)) return { kind: "set", parts: new Map(Array.from(value, (each) => [each, each])) };
  return { kind: "object", parts: new Map(Object.entries(value)) };
}

const isAtom = (value: object): boolean => types.isDate(value) || types.isUint8Array(value);

function isSameAtom(one: unknown, other: unknown): boolean {
  if (types.isDate(one)) return types.isDate(other) && one.getTime() === other.getTime();
  if (!types.isUint8Array(one) || !types.isUint8Array(other)) return false;
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/**
 * The value as a reader of the backend gets it: what a format leaves out or gives back in another form, dates in JSON
 * say, is no difference.
 */
export async function asRead(
  value: unknown,
  format: Format | undefined,
  schema: StandardSchema<unknown> | undefined,
): Promise<unknown> {
  if (value === undefined || format === undefined) return value;
  const read = writtenAndRead(value, format);
  const { refusal, value: output } = schema === undefined ? { value: read } : await checkBySchema(schema, read);
  return refusal === undefined ? output : read;
}

/** A value that the format cannot write is in memory alone. */
function writtenAndRead(value: unknown, format: Format): unknown {
  try {
    return format.decode(format.encode(value));
  } catch {
    return value;
  }
}
