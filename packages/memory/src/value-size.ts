/** Size of a property, an element, a number or a reference. */
const SLOT_BYTES = 8;
const BYTES_PER_CHAR = 2;
/** An object, array or collection without its contents. */
const OBJECT_BYTES = 32;
/** A function, or an object with hidden contents: a promise, a weak collection. */
const OPAQUE_BYTES = 64;

/** Children of one object or collection that are measured; the others count as the average of these. */
const MAX_CHILDREN = 256;
/** Objects measured in total. */
const MAX_OBJECTS = 2_000;
/** Deeper levels are not measured. */
const MAX_DEPTH = 100;

/**
 * Estimates the bytes that `value` occupies on the heap, for a value without a known encoded size.
 *
 * A string counts 2 bytes for each character, a property name counts as a string, binary data counts its length. An
 * object that is referenced twice or by itself counts once. The work is bounded: of a large collection only a sample is
 * measured (elements spread evenly over an array; otherwise the first ones), and at most 2,000 objects and 100 levels
 * in total. Getters are not called.
 */
export function estimateBytes(value: unknown): number {
  return measure(value, { seen: undefined, objectsLeft: MAX_OBJECTS }, 0);
}

interface Walk {
  /** Made for the first object: a plain string or number needs none. */
  seen: Set<object> | undefined;
  objectsLeft: number;
}

function measure(value: unknown, walk: Walk, depth: number): number {
  switch (typeof value) {
    case "string":
      return SLOT_BYTES + value.length * BYTES_PER_CHAR;
    case "bigint":
      return SLOT_BYTES + Math.ceil(value.toString(16).length / 2);
    case "object":
      return value === null ? SLOT_BYTES : SLOT_BYTES + measureObject(value, walk, depth);
    case "function":
      return OPAQUE_BYTES;
    default:
      return SLOT_BYTES;
  }
}

function measureObject(object: object, walk: Walk, depth: number): number {
  walk.seen ??= new Set();
  if (depth > MAX_DEPTH || walk.objectsLeft === 0 || walk.seen.has(object)) return 0;
  walk.seen.add(object);
  walk.objectsLeft -= 1;

  if (ArrayBuffer.isView(object) || object instanceof ArrayBuffer || object instanceof SharedArrayBuffer) {
    return OBJECT_BYTES + object.byteLength;
  }
  if (Array.isArray(object)) return OBJECT_BYTES + measureArray(object, walk, depth + 1);
  if (object instanceof Map) return OBJECT_BYTES + measureFirst(object, object.size, walk, depth + 1);
  if (object instanceof Set) return OBJECT_BYTES + measureFirst(object, object.size, walk, depth + 1);
  return OBJECT_BYTES + measureProperties(object, walk, depth + 1);
}

function measureArray(array: readonly unknown[], walk: Walk, depth: number): number {
  const measured = Math.min(array.length, MAX_CHILDREN);
  let bytes = 0;
  for (let i = 0; i < measured; i += 1) bytes += measure(array[Math.floor((i * array.length) / measured)], walk, depth);
  return scale(bytes, measured, array.length);
}

/** The first elements of a set, or the first pairs of a map. */
function measureFirst(elements: Iterable<unknown>, count: number, walk: Walk, depth: number): number {
  let measured = 0;
  let bytes = 0;
  for (const element of elements) {
    if (measured === MAX_CHILDREN) break;
    measured += 1;
    bytes += measure(element, walk, depth);
  }
  return scale(bytes, measured, count);
}

function measureProperties(object: object, walk: Walk, depth: number): number {
  const names = Object.keys(object);
  const measured = Math.min(names.length, MAX_CHILDREN);
  let bytes = 0;
  for (let i = 0; i < measured; i += 1) {
    const name = names[i]!;
    const property = Object.getOwnPropertyDescriptor(object, name);
    bytes +=
      name.length * BYTES_PER_CHAR + (property?.get === undefined ? measure(property?.value, walk, depth) : SLOT_BYTES);
  }
  return scale(bytes, measured, names.length);
}

const scale = (bytes: number, measured: number, count: number): number =>
  measured === 0 ? 0 : Math.ceil((bytes / measured) * count);
