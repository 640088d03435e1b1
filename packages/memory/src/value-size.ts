import { types } from "./platform.ts";

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
/** Objects that a child is measured with, at least: with fewer, deep parts of it would be left out of the average. */
const FEWEST_OBJECTS = 50;
/** Deeper levels are not measured. */
const MAX_DEPTH = 100;

/**
 * Estimates the bytes that `value` occupies on the heap, for a value without a known encoded size.
 *
 * A string counts 2 bytes for each character, a property name counts as a string, binary data counts its length. An
 * object that is referenced twice or by itself counts once. The work is bounded: of a large collection only a sample is
 * measured (elements spread evenly over an array; otherwise the first ones), and at most 2,000 objects and 100 levels
 * in total, which the children of an object share. A child that no object is left for counts as the average of the
 * others. Getters are not called.
 */
export function estimateBytes(value: unknown): number {
  return measure(value, { seen: undefined, objectsLeft: MAX_OBJECTS }, 0, 1);
}

interface Walk {
  /** Made for the first object: a plain string or number needs none. */
  seen: Set<object> | undefined;
  objectsLeft: number;
}

/**
 * @param siblings that are still to be measured, with this one.
 * @returns `LEFT_OUT` for an object where none is left: as 0 it would make the average smaller, and a list of lists as
 *   small as its first ones.
 */
function measure(value: unknown, walk: Walk, depth: number, siblings: number): number {
  switch (typeof value) {
    case "string":
      return SLOT_BYTES + value.length * BYTES_PER_CHAR;
    case "bigint":
      return SLOT_BYTES + Math.ceil(value.toString(16).length / 2);
    case "object": {
      if (value === null) return SLOT_BYTES;
      const all = walk.objectsLeft;
      if (all === 0) return LEFT_OUT;
      // A share of the objects that are left, so the first children do not use them up.
      const share = Math.min(all, Math.max(FEWEST_OBJECTS, Math.ceil(all / siblings)));
      walk.objectsLeft = share;
      const bytes = SLOT_BYTES + measureObject(value, walk, depth);
      walk.objectsLeft += all - share;
      return bytes;
    }
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

  if (ArrayBuffer.isView(object) || types.isAnyArrayBuffer(object)) {
    return OBJECT_BYTES + object.byteLength;
  }
  if (Array.isArray(object)) return OBJECT_BYTES + measureArray(object, walk, depth + 1);
  if (types.isMap(object)) return OBJECT_BYTES + measureFirst(object, object.size, walk, depth + 1);
  if (types.isSet(object)) return OBJECT_BYTES + measureFirst(object, object.size, walk, depth + 1);
  return OBJECT_BYTES + measureProperties(object, walk, depth + 1);
}

function measureArray(array: readonly unknown[], walk: Walk, depth: number): number {
  const sampled = Math.min(array.length, MAX_CHILDREN);
  let measured = 0;
  let bytes = 0;
  for (let i = 0; i < sampled; i += 1) {
    const size = measure(array[Math.floor((i * array.length) / sampled)], walk, depth, sampled - i);
    if (size === LEFT_OUT) continue;
    measured += 1;
    bytes += size;
  }
  return scale(bytes, measured, array.length);
}

/** The first elements of a set, or the first pairs of a map. */
function measureFirst(elements: Iterable<unknown>, count: number, walk: Walk, depth: number): number {
  let left = Math.min(count, MAX_CHILDREN);
  let measured = 0;
  let bytes = 0;
  for (const element of elements) {
    if (left === 0) break;
    const size = measure(element, walk, depth, left);
    left -= 1;
    if (size === LEFT_OUT) continue;
    measured += 1;
    bytes += size;
  }
  return scale(bytes, measured, count);
}

function measureProperties(object: object, walk: Walk, depth: number): number {
  const names = Object.keys(object);
  const sampled = Math.min(names.length, MAX_CHILDREN);
  let measured = 0;
  let bytes = 0;
  for (let i = 0; i < sampled; i += 1) {
    const name = names[i]!;
    const property = Object.getOwnPropertyDescriptor(object, name);
    const size = property?.get === undefined ? measure(property?.value, walk, depth, sampled - i) : SLOT_BYTES;
    if (size === LEFT_OUT) continue;
    measured += 1;
    bytes += name.length * BYTES_PER_CHAR + size;
  }
  return scale(bytes, measured, names.length);
}

/** A size that no child has. */
const LEFT_OUT = -1;

const scale = (bytes: number, measured: number, count: number): number =>
  measured === 0 ? 0 : Math.ceil((bytes / measured) * count);
