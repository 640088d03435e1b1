import { decodeLimits } from "@hotset/core/internal";

const { HeapEstimate, indexIn, MAX_DEPTH, mayExceed, tooDeep, tooMuchHeap } = decodeLimits;

/**
 * Walks bytes of `v8.serialize` without building anything, because `v8.deserialize` trusts them: twelve bytes that
 * claim an array of 33 million holes make it allocate 264 MB, and it ignores bytes after the value.
 *
 *     header   ff, version (13 to 15)
 *     value    one tag, then the content listed in `#scalar()` and `#open()`; zero bytes before a tag are padding
 *     varint   seven bits a byte, the lowest first; a set high bit means that more follow
 *
 * Tags that `v8.serialize` never writes (transfers, shared memory, WebAssembly) are refused.
 *
 * @returns why `v8.deserialize` must not get the bytes; `undefined` if they are safe.
 * @see https://github.com/v8/v8/blob/main/src/objects/value-serializer.cc
 */
export function unsafeReason(bytes: Uint8Array, maxBytes: number): string | undefined {
  if (bytes.byteLength > MAX_BYTES) return "it is longer than 2 GB";
  const walk = new Walk(bytes, maxBytes);
  try {
    walk.header();
    const end = walk.value(HEADER_BYTES);
    if (end > bytes.byteLength) throw cutShort();
    if (end < bytes.byteLength) return "something follows the value";
  } catch (error) {
    // A RangeError is a stack overflow, where the stack was nearly full before.
    return error instanceof Unsafe ? error.message : tooDeep;
  }
  return walk.heap?.exceeds(maxBytes) === true ? tooMuchHeap(maxBytes) : undefined;
}

class Unsafe extends Error {}

const ONE_BYTE_TEXT = 0x22; // ": in Latin-1
const TWO_BYTE_TEXT = 0x63; // c: in UTF-16
const UTF8_TEXT = 0x53; // S
const INT32 = 0x49; // I
const UINT32 = 0x55; // U
const DOUBLE = 0x4e; // N
const DENSE_ARRAY = 0x41; // A
const SPARSE_ARRAY = 0x61; // a

const OBJECT_END = 0x7b; // {
const DENSE_END = 0x24; // $
const SPARSE_END = 0x40; // @
const MAP_END = 0x3a; // :
const SET_END = 0x2c; // ,
const ERROR_END = 0x2e; // .

const HEADER_BYTES = 2;
/** Positions are integers of 32 bits, also those shortly after the end. */
const MAX_BYTES = 2e9;
// Node 22 and 24 write version 15. A later version may have tags that are missing below: add them, then raise the
// number.
const OLDEST_VERSION = 13;
const NEWEST_VERSION = 15;

/** The most heap that one byte can take, holes and index-like names aside: two bytes make an empty ArrayBuffer. */
const HEAP_PER_BYTE = 128;
/** The holes that V8 makes in an object for an index-like name. */
const MAX_GAP = 1024;
const BUFFER_BYTES = 160;
const TYPED_ARRAY_BYTES = 320;
const MAP_BYTES = 200;
const MEMBER_BYTES = 24;
const ERROR_BYTES = 400;
const DATE_BYTES = 112;
const BOX_BYTES = 48;

// For each enclosing container: how many elements follow, and the tag that ends it. One walk at a time uses them.
const LEFT = /* @__PURE__ */ new Int32Array(MAX_DEPTH);
const ENDS = /* @__PURE__ */ new Uint8Array(MAX_DEPTH);

/** Methods that take `at`, where something begins, return where it ends, unless they say otherwise. */
class Walk {
  /** Absent for bytes that cannot take too much memory, until holes or an index-like name occur. */
  heap: InstanceType<typeof HeapEstimate> | undefined;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, maxBytes: number) {
    this.#bytes = bytes;
    this.heap = mayExceed(bytes.byteLength, HEAP_PER_BYTE, maxBytes) ? new HeapEstimate(MAX_GAP) : undefined;
  }

  header(): void {
    if (this.#byte(0) !== 0xff) throw new Unsafe("it does not begin as a structured clone does");
    const version = this.#byte(1);
    if (version < OLDEST_VERSION || version > NEWEST_VERSION)
      throw new Unsafe(`its version is ${version}, not ${OLDEST_VERSION} to ${NEWEST_VERSION}`);
  }

  /**
   * Walks over one value and all inside it: one loop over local variables, because each hit in Redis pays for the walk,
   * and a call for each value takes twice as long. `| 0` makes a length or the result of a call an integer to the
   * compiler.
   *
   * @returns where it ends, after the end of the bytes if they are cut short.
   */
  value(at: number): number {
    const bytes = this.#bytes;
    const length = bytes.length | 0;
    /** Number of enclosing containers. */
    let depth = 0;
    /** How many elements follow, of an array without holes; at first, the value itself. */
    let left = 1;
    /** The tag that ends the innermost container. */
    let end = 0;
    /** Whether there is an estimate: read after the calls that may begin one, not for each value. */
    let isCharged = this.heap !== undefined;
    for (;;) {
      if (left > 0) left--;
      else if (depth === 0) return at;
      else if (end === OBJECT_END && !isCharged && isUsualName(bytes, at, length)) at += 2 + bytes[at + 1]!;
      else {
        at = (end === ERROR_END ? this.#errorField(at) : this.#padding(at)) | 0;
        if (bytes[at] === end) {
          at = this.#close(end, at + 1) | 0;
          depth--;
          left = LEFT[depth]!;
          end = ENDS[depth]!;
          continue;
        }
        if (end === OBJECT_END || end === DENSE_END || end === SPARSE_END) {
          at = this.#name(bytes[at]!, at + 1, depth - 1) | 0;
          isCharged = this.heap !== undefined;
        } else if (end === ERROR_END) at++;
        else this.heap?.add(MEMBER_BYTES);
      }
      if (at >= length || bytes[at] === 0) at = this.#padding(at) | 0;
      const tag = bytes[at++]!;
      if (isCharged) this.heap?.slots(1);
      if (tag === ONE_BYTE_TEXT && bytes[at]! < 0x80) {
        if (isCharged) this.heap?.text(bytes[at]!);
        at += 1 + bytes[at]!;
      } else if (tag === INT32) {
        // Most have one to three bytes.
        if (bytes[at++]! >= 0x80 && bytes[at++]! >= 0x80 && bytes[at++]! >= 0x80) at = this.#afterNumber(at - 3) | 0;
      } else if (tag === DOUBLE) at += 8;
      else if (isConstant(tag)) continue;
      else if (isContainer(tag)) {
        if (depth === MAX_DEPTH) throw new Unsafe(tooDeep);
        let elements = 0;
        if (hasLength(tag)) {
          elements = this.#number(at);
          at = this.#afterNumber(at) | 0;
        }
        LEFT[depth] = left;
        ENDS[depth] = end;
        left = tag === DENSE_ARRAY ? this.#room(at, elements) : 0;
        end = this.#open(tag, elements, depth);
        depth++;
        isCharged = this.heap !== undefined;
      } else {
        at = this.#scalar(tag, at) | 0;
        isCharged = this.heap !== undefined;
      }
    }
  }

  /** Charges a container that claims `length` elements. @returns the tag that ends it. */
  #open(tag: number, length: number, depth: number): number {
    switch (tag) {
      case 0x6f: // o: object
        this.heap?.object(depth);
        this.heap?.add(BOX_BYTES);
        return OBJECT_END;
      case DENSE_ARRAY: // A: without holes
        this.heap?.object(depth);
        this.heap?.elements(depth, length);
        return DENSE_END;
      case SPARSE_ARRAY: // a: with holes. Few bytes can claim many
        this.#certainly().object(depth);
        this.#certainly().array(length);
        this.#certainly().elements(depth, length);
        return SPARSE_END;
      case 0x3b: // ;: Map
        this.heap?.add(MAP_BYTES);
        return MAP_END;
      case 0x27: // ': Set
        this.heap?.add(MAP_BYTES);
        return SET_END;
      default: // r: Error
        this.heap?.add(ERROR_BYTES);
        return ERROR_END;
    }
  }

  /** The numbers of properties and elements, after the tag `end`. */
  #close(end: number, at: number): number {
    if (end === ERROR_END) return at;
    at = this.#afterNumber(at);
    return end === DENSE_END || end === SPARSE_END ? this.#afterNumber(at) : at;
  }

  /** A value that contains no others, after its `tag`. */
  #scalar(tag: number, at: number): number {
    switch (tag) {
      case 0x79: // y: new Boolean(true)
      case 0x78: // x: new Boolean(false)
        this.heap?.add(BOX_BYTES);
        return at;
      case UINT32:
      case 0x5e: // ^: reference to an earlier value
        return this.#afterNumber(at);
      case 0x44: // D: Date
      case 0x6e: // n: new Number()
        this.heap?.add(DATE_BYTES);
        return this.#after(at, 8);
      case 0x5a: // Z: bigint
      case 0x7a: // z: new Object(1n)
        this.heap?.add(BOX_BYTES);
        return this.#after(this.#afterNumber(at), this.#number(at) >>> 1);
      case ONE_BYTE_TEXT:
      case TWO_BYTE_TEXT:
      case UTF8_TEXT:
        return this.#content(at, 0);
      case 0x42: // B: ArrayBuffer
        return this.#content(at, BUFFER_BYTES);
      case 0x73: // s: new String()
        this.heap?.add(BOX_BYTES);
        return this.#text(at);
      case 0x52: // R: RegExp: source, flags
        this.heap?.add(DATE_BYTES);
        return this.#afterNumber(this.#text(at));
      case 0x7e: // ~: ArrayBuffer that can grow
        return this.#growingBuffer(at);
      case 0x5c: // \: Node's typed arrays: kind, bytes
        return this.#content(this.#afterNumber(at), TYPED_ARRAY_BYTES);
      default:
        throw new Unsafe(`it holds a tag that v8.serialize does not write (${tag})`);
    }
  }

  #text(at: number): number {
    at = this.#padding(at);
    if (!isText(this.#byte(at))) throw new Unsafe("it holds a value in the place of text");
    this.heap?.slots(1);
    return this.#content(at + 1, 0);
  }

  /** Bytes after their number, which take `overhead` more. */
  #content(at: number, overhead: number): number {
    const byteLength = this.#number(at);
    this.heap?.text(overhead + byteLength);
    return this.#after(this.#afterNumber(at), byteLength);
  }

  #growingBuffer(at: number): number {
    const byteLength = this.#number(at);
    at = this.#afterNumber(at);
    this.#certainly().add(BUFFER_BYTES + Math.max(byteLength, this.#number(at)));
    return this.#after(this.#afterNumber(at), byteLength);
  }

  #certainly(): InstanceType<typeof HeapEstimate> {
    return (this.heap ??= new HeapEstimate(MAX_GAP));
  }

  /** The name of a property of the object at `depth`, after its `tag`. */
  #name(tag: number, at: number, depth: number): number {
    if (!isText(tag)) return this.#numberedName(tag, at, depth);
    const byteLength = this.#number(at);
    const from = this.#afterNumber(at);
    const end = this.#after(from, byteLength);
    const unitBytes = tag === TWO_BYTE_TEXT ? 2 : 1;
    if (byteLength === PROTO.length * unitBytes && this.#isProto(from, unitBytes))
      throw new Unsafe("a property is named __proto__");
    // v8.serialize writes indexes as numbers, but reads them as text, too.
    const index = indexIn(this.#bytes, from, end, unitBytes);
    if (index !== undefined) this.#certainly().index(depth, index);
    else this.heap?.name(depth, this.#bytes, from, end);
    return end;
  }

  #numberedName(tag: number, at: number, depth: number): number {
    switch (tag) {
      case INT32: // with its sign in the lowest bit
        this.#certainly().index(depth, this.#number(at) / 2);
        return this.#afterNumber(at);
      case UINT32:
        this.#certainly().index(depth, this.#number(at));
        return this.#afterNumber(at);
      case DOUBLE: {
        const end = this.#after(at, 8);
        const { buffer, byteOffset } = this.#bytes;
        this.#certainly().index(depth, new DataView(buffer, byteOffset + at).getFloat64(0, true));
        return end;
      }
      default:
        throw new Unsafe("a property name is neither text nor a number");
    }
  }

  #isProto(from: number, unitBytes: 1 | 2): boolean {
    for (let i = 0; i < PROTO.length; i++) if (this.#bytes[from + i * unitBytes] !== PROTO.charCodeAt(i)) return false;
    return true;
  }

  /** The next part of an error. @returns the position of the tag before a value, or of the end. */
  #errorField(at: number): number {
    for (;;) {
      switch (this.#byte(at)) {
        case 0x45: // E: EvalError, and so on
        case 0x52: // R
        case 0x46: // F
        case 0x53: // S
        case 0x54: // T: true
        case 0x55: // U
          at++;
          break;
        case 0x6d: // m: message
        case 0x63: // c: cause
        case 0x73: // s: stack
        case ERROR_END:
          return at;
        default:
          throw new Unsafe("an error is malformed");
      }
    }
  }

  /** @returns `length`, if there are so many bytes after `at`: an element has one at least. */
  #room(at: number, length: number): number {
    if (length > this.#bytes.length - at) throw new Unsafe("an array claims more elements than there are bytes");
    return length;
  }

  /** @returns the position of the next tag. */
  #padding(at: number): number {
    while (this.#byte(at) === 0) at++;
    return at;
  }

  /** @returns the byte at `at`. */
  #byte(at: number): number {
    if (at >= this.#bytes.length) throw cutShort();
    return this.#bytes[at]!;
  }

  /** @returns the varint at `at`. */
  #number(at: number): number {
    const byte = this.#byte(at);
    return byte < 0x80 ? byte : this.#longNumber(at);
  }

  #longNumber(at: number): number {
    const end = this.#afterNumber(at);
    let number = 0;
    for (let unit = 1; at < end; unit *= 0x80) number += (this.#byte(at++) & 0x7f) * unit;
    return number % 2 ** 32;
  }

  #afterNumber(at: number): number {
    return this.#byte(at) < 0x80 ? at + 1 : this.#afterLongNumber(at);
  }

  #afterLongNumber(at: number): number {
    for (let bytes = 0; bytes < 5; bytes++) if (this.#byte(at++) < 0x80) return at;
    throw new Unsafe("a number has more than 32 bits");
  }

  #after(at: number, byteLength: number): number {
    if (byteLength > this.#bytes.length - at) throw cutShort();
    return at + byteLength;
  }
}

const cutShort = (): Unsafe => new Unsafe("it is cut short");

/** T, F, 0, _ and -: true, false, null, undefined, and a hole among the elements of a dense array. */
const isConstant = (tag: number): boolean =>
  tag === 0x54 || tag === 0x46 || tag === 0x30 || tag === 0x5f || tag === 0x2d;
const isText = (tag: number): boolean => tag === ONE_BYTE_TEXT || tag === TWO_BYTE_TEXT || tag === UTF8_TEXT;
/** Whether a short name that is neither a number nor `__proto__` begins at `at`, and something follows it. */
function isUsualName(bytes: Uint8Array, at: number, length: number): boolean {
  if (at + 2 >= length || bytes[at] !== ONE_BYTE_TEXT) return false;
  const byteLength = bytes[at + 1]!;
  return byteLength < 0x80 && byteLength !== PROTO.length && at + 2 + byteLength < length && bytes[at + 2]! > NINE;
}
const hasLength = (tag: number): boolean => tag === DENSE_ARRAY || tag === SPARSE_ARRAY;
/** o, A, a, ;, ' and r: objects, arrays, Map, Set and errors. */
const isContainer = (tag: number): boolean =>
  tag === 0x6f || hasLength(tag) || tag === 0x3b || tag === 0x27 || tag === 0x72;

const PROTO = "__proto__";
const NINE = 0x39;
