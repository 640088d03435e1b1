/** Containers inside containers. Deeper values could exhaust the stack of the code that reads them. */
export const MAX_DEPTH = 500;

/** Estimated heap for each byte of `maxDecodedBytes`. */
const HEAP_PER_BYTE = 4;
/** Heap that values of any size may take. */
const FREE_HEAP_BYTES = 64 * 1024;

const budget = (maxBytes: number): number => FREE_HEAP_BYTES + HEAP_PER_BYTE * maxBytes;

/**
 * Adds up the heap that a value will take, while a format walks its bytes and has built nothing yet. The sum is at
 * least half of what V8 allocates, garbage included; decision 0061 has the figures.
 */
export class HeapEstimate {
  bytes = 0;
  /** For each enclosing object, a hash of its names so far. Objects of the same names in the same order are alike. */
  readonly #shapes = new Uint32Array(MAX_DEPTH + 2);
  /** For each enclosing object, how many elements it has room for. */
  readonly #elements = new Uint32Array(MAX_DEPTH + 2);
  readonly #seen = new Uint32Array(4_096);
  readonly #maxGap: number;

  /** @param maxGap The most holes that V8 makes for an index-like name; beyond that it takes a hash table. */
  constructor(maxGap: number) {
    this.#maxGap = maxGap;
  }

  add(bytes: number): void {
    this.bytes += bytes;
  }

  array(length: number): void {
    this.bytes += ARRAY_BYTES + SLOT_BYTES * length;
  }

  slots(count: number): void {
    this.bytes += SLOT_BYTES * count;
  }

  /** @param depth number of enclosing containers. */
  object(depth: number): void {
    this.bytes += OBJECT_BYTES;
    this.#shapes[depth] = 0;
    this.#elements[depth] = 0;
  }

  /** An array or object at `depth` that has `length` elements from the beginning. */
  elements(depth: number, length: number): void {
    this.#elements[depth] = length;
  }

  text(byteLength: number): void {
    this.bytes += TEXT_BYTES + byteLength;
  }

  /** The name of the next property of the object at `depth`: `bytes` from `from` to `to`. */
  name(depth: number, bytes: Uint8Array, from: number, to: number): void {
    let shape = this.#shapes[depth]! + 1;
    for (let i = from; i < to; i++) shape = Math.imul(shape ^ bytes[i]!, SECRET);
    shape = Math.imul(shape ^ (to - from), SECRET) >>> 0;
    this.#shapes[depth] = shape;
    if (this.#seen[shape >>> 20] === shape) {
      this.bytes += SLOT_BYTES;
      return;
    }
    this.#seen[shape >>> 20] = shape;
    this.bytes += NEW_NAME_BYTES + to - from;
  }

  /** Counts a name like {@link name}, for one that is the number `index`. */
  index(depth: number, index: number): void {
    const room = this.#elements[depth]!;
    if (index < room) this.bytes += SLOT_BYTES;
    else if (index - room < this.#maxGap) {
      const grown = Math.ceil(1.5 * index) + 17;
      this.bytes += OBJECT_BYTES + SLOT_BYTES * grown;
      this.#elements[depth] = grown;
    } else this.bytes += NEW_NAME_BYTES;
  }

  exceeds(maxBytes: number): boolean {
    return this.bytes > budget(maxBytes);
  }
}

/**
 * The whole number that the text in `bytes` from `from` to `to` is; `undefined` for other text.
 *
 * @param unitBytes 2 for UTF-16.
 */
export function indexIn(bytes: Uint8Array, from: number, to: number, unitBytes: 1 | 2 = 1): number | undefined {
  let index: number | undefined;
  for (let at = from; at < to; at += unitBytes) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9 || (unitBytes === 2 && bytes[at + 1] !== 0)) return undefined;
    index = (index ?? 0) * 10 + digit;
  }
  return index;
}

/** Whether a value of `byteLength` bytes could exceed the estimate, at `factor` bytes of heap for each byte. */
export const mayExceed = (byteLength: number, factor: number, maxBytes: number): boolean =>
  byteLength * factor > budget(maxBytes);

// The messages of all formats.
export const tooDeep: string = `it is nested more than ${MAX_DEPTH} levels deep`;
export const tooMuchHeap = (maxBytes: number): string =>
  `it would take more than ${HEAP_PER_BYTE} times maxDecodedBytes (${maxBytes} bytes) of memory`;

// Measured in Node 24.
const ARRAY_BYTES = 48;
const OBJECT_BYTES = 64;
const SLOT_BYTES = 8;
const TEXT_BYTES = 24;
/** An object with a name that no object before it had at this place gets its own hidden class or hash table. */
const NEW_NAME_BYTES = 128;

/** Odd, and of this process alone: names that collide cannot be chosen. */
const SECRET = /* @__PURE__ */ (Math.random() * 2 ** 32) | 1;

/** Limits for formats in other packages that read untrusted bytes. */
export interface DecodeLimits {
  /** How deep values may be nested. */
  readonly MAX_DEPTH: typeof MAX_DEPTH;
  /** Adds up the memory of a value while it is read. */
  readonly HeapEstimate: typeof HeapEstimate;
  /** The whole number that a text in bytes is, such as the index of an element. */
  readonly indexIn: typeof indexIn;
  /** Whether so many bytes may become a value that takes more memory than is allowed. */
  readonly mayExceed: typeof mayExceed;
  /** The message of the error for a value that is nested too deep. */
  readonly tooDeep: string;
  /** The message of the error for a value that takes too much memory. */
  readonly tooMuchHeap: typeof tooMuchHeap;
}

const LIMITS: DecodeLimits = { MAX_DEPTH, HeapEstimate, indexIn, mayExceed, tooDeep, tooMuchHeap };
/** Limits for formats in other packages that read untrusted bytes. */
export const decodeLimits: DecodeLimits = /* @__PURE__ */ Object.freeze(LIMITS);
