// Names of the properties of loaded values, by which processes are compared: another release may load another shape.

const MOST_FIELDS = 20;
const MOST_NAME = 40;
/** Values that have the same properties, one after another, are of one shape. */
const SAME = 20;
const MOST_OWNERS = 200;

/** Sorted; `undefined` for what has none, or too many. The properties of a list are those of its first element. */
export function fieldsOf(value: unknown): readonly string[] | undefined {
  const one: unknown = Array.isArray(value) ? value[0] : value;
  if (typeof one !== "object" || one === null || Array.isArray(one)) return undefined;
  const prototype: unknown = Object.getPrototypeOf(one);
  if (prototype !== Object.prototype && prototype !== null) return undefined;
  const fields = Object.keys(one);
  if (fields.length === 0 || fields.length > MOST_FIELDS || fields.some(({ length }) => length > MOST_NAME))
    return undefined;
  return fields.toSorted();
}

/** The properties that the last values of an owner have had, all of them the same. */
export class Shapes {
  readonly #known = new Map<string, { readonly id: string; readonly fields: readonly string[]; times: number }>();

  add(owner: string, fields: readonly string[]): void {
    const id = fields.join("\0");
    const known = this.#known.get(owner);
    if (known?.id === id) known.times += 1;
    else if (known !== undefined || this.#known.size < MOST_OWNERS) this.#known.set(owner, { id, fields, times: 1 });
  }

  of(owner: string): readonly string[] | undefined {
    const known = this.#known.get(owner);
    return known === undefined || known.times < SAME ? undefined : known.fields;
  }
}
