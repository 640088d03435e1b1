import { HeapEstimate, indexIn, MAX_DEPTH, mayExceed, tooDeep, tooMuchHeap } from "./heap-estimate.ts";

/**
 * Walks bytes of `v8.serialize` without building anything, because `v8.deserialize` trusts them: twelve bytes that
 * claim an array of 33 million holes make it allocate 264 MB, and it ignores bytes after the value.
 *
 *     header   ff, version (13 to 15)
 *     value    one tag, then the content listed in `#valueOf()`; zero bytes before a tag are padding
 *     varint   seven bits a byte, the lowest first; a set high bit means that more follow
 *
 * Tags that `v8.serialize` never writes (transfers, shared memory, WebAssembly) are refused.
 *
 * @returns why `v8.deserialize` must not get the bytes; `undefined` if they are safe.
 * @see https://github.com/v8/v8/blob/main/src/objects/value-serializer.cc
 */
export function unsafeReason(bytes: Uint8Array, maxBytes: number): string | undefined {
  const walk = new Walk(bytes, maxBytes);
  try {
    walk.header();
    walk.value(0);
    walk.end(maxBytes);
  } catch (error) {
    // A RangeError is a stack overflow, where the stack was nearly full before.
    return error instanceof Unsafe ? error.message : tooDeep;
  }
  return undefined;
}

class Unsafe extends Error {}

const OBJECT_END = 0x7b; // {
const DENSE_END = 0x24; // $
const SPARSE_END = 0x40; // @
const MAP_END = 0x3a; // :
const SET_END = 0x2c; // ,

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

class Walk {
  readonly #bytes: Uint8Array;
  #at = 0;
  /** Absent for bytes that cannot take too much memory, until holes or an index-like name occur. */
  #heap: HeapEstimate | undefined;

  constructor(bytes: Uint8Array, maxBytes: number) {
    this.#bytes = bytes;
    this.#heap = mayExceed(bytes.byteLength, HEAP_PER_BYTE, maxBytes) ? new HeapEstimate(MAX_GAP) : undefined;
  }

  header(): void {
    if (this.#byte() !== 0xff) throw new Unsafe("it does not begin as a structured clone does");
    const version = this.#byte();
    if (version < OLDEST_VERSION || version > NEWEST_VERSION)
      throw new Unsafe(`its version is ${version}, not ${OLDEST_VERSION} to ${NEWEST_VERSION}`);
  }

  end(maxBytes: number): void {
    if (this.#at !== this.#bytes.byteLength) throw new Unsafe("something follows the value");
    if (this.#heap?.exceeds(maxBytes) === true) throw new Unsafe(tooMuchHeap(maxBytes));
  }

  value(depth: number): void {
    this.#valueOf(this.#tag(), depth);
  }

  /** @param depth number of enclosing containers. */
  #valueOf(tag: number, depth: number): void {
    this.#heap?.slots(1);
    switch (tag) {
      case 0x5f: // _: undefined
      case 0x30: // 0: null
      case 0x54: // T: true
      case 0x46: // F: false
      case 0x2d: // -: a hole, among the elements of a dense array
        return;
      case 0x79: // y: new Boolean(true)
      case 0x78: // x: new Boolean(false)
        this.#heap?.add(BOX_BYTES);
        return;
      case 0x49: // I: int32
      case 0x55: // U: uint32
      case 0x5e: // ^: reference to an earlier value
        this.#varint();
        return;
      case 0x4e: // N: double
      case 0x44: // D: Date
      case 0x6e: // n: new Number()
        if (tag !== 0x4e) this.#heap?.add(DATE_BYTES);
        return this.#skip(8);
      case 0x5a: // Z: bigint
      case 0x7a: // z: new Object(1n)
        this.#heap?.add(BOX_BYTES);
        return this.#skip(this.#varint() >>> 1);
      case 0x22: // ": text in Latin-1
      case 0x63: // c: in UTF-16
      case 0x53: // S: in UTF-8
        return this.#content(0);
      case 0x42: // B: ArrayBuffer
        return this.#content(BUFFER_BYTES);
      case 0x73: // s: new String()
        this.#heap?.add(BOX_BYTES);
        return this.#valueOf(this.#text(), depth);
      case 0x52: // R: RegExp: source, flags
        this.#heap?.add(DATE_BYTES);
        this.#valueOf(this.#text(), depth);
        this.#varint();
        return;
      case 0x7e: // ~: ArrayBuffer that can grow
        return this.#growingBuffer();
      case 0x5c: // \: Node's typed arrays: kind, bytes
        this.#varint();
        return this.#content(TYPED_ARRAY_BYTES);
      default:
        return this.#container(tag, depth);
    }
  }

  #container(tag: number, depth: number): void {
    if (depth === MAX_DEPTH) throw new Unsafe(tooDeep);
    switch (tag) {
      case 0x6f: // o: object
        this.#heap?.object(depth);
        this.#heap?.add(BOX_BYTES);
        this.#properties(OBJECT_END, depth);
        this.#varint();
        return;
      case 0x41: // A: array without holes
        return this.#denseArray(depth);
      case 0x61: // a: array with holes
        this.#holes(this.#varint(), depth);
        this.#properties(SPARSE_END, depth);
        this.#varint();
        this.#varint();
        return;
      case 0x3b: // ;: Map
        return this.#values(MAP_END, depth);
      case 0x27: // ': Set
        return this.#values(SET_END, depth);
      case 0x72: // r: Error
        return this.#error(depth);
      default:
        throw new Unsafe(`it holds a tag that v8.serialize does not write (${tag})`);
    }
  }

  #text(): number {
    const tag = this.#tag();
    if (tag !== 0x22 && tag !== 0x63 && tag !== 0x53) throw new Unsafe("it holds a value in the place of text");
    return tag;
  }

  /** Bytes after their number, which take `overhead` more. */
  #content(overhead: number): void {
    const byteLength = this.#varint();
    this.#heap?.text(overhead + byteLength);
    this.#skip(byteLength);
  }

  #growingBuffer(): void {
    const byteLength = this.#varint();
    this.#certainly().add(BUFFER_BYTES + Math.max(byteLength, this.#varint()));
    this.#skip(byteLength);
  }

  /** Few bytes can claim many holes. */
  #holes(length: number, depth: number): void {
    const heap = this.#certainly();
    heap.object(depth);
    heap.array(length);
    heap.elements(depth, length);
  }

  #certainly(): HeapEstimate {
    return (this.#heap ??= new HeapEstimate(MAX_GAP));
  }

  #denseArray(depth: number): void {
    let length = this.#varint();
    if (length > this.#bytes.byteLength - this.#at)
      throw new Unsafe("an array claims more elements than there are bytes");
    this.#heap?.object(depth);
    this.#heap?.elements(depth, length);
    while (length-- > 0) this.#valueOf(this.#tag(), depth + 1);
    this.#properties(DENSE_END, depth);
    this.#varint();
    this.#varint();
  }

  /** Names and values until `end`. */
  #properties(end: number, depth: number): void {
    for (let tag = this.#tag(); tag !== end; tag = this.#tag()) {
      this.#name(tag, depth);
      this.#valueOf(this.#tag(), depth + 1);
    }
  }

  #name(tag: number, depth: number): void {
    const from = this.#at;
    switch (tag) {
      case 0x49: // I, with its sign in the lowest bit
        return this.#certainly().index(depth, this.#varint() / 2);
      case 0x55: // U
        return this.#certainly().index(depth, this.#varint());
      case 0x4e: // N
        this.#skip(8);
        return this.#certainly().index(
          depth,
          new DataView(this.#bytes.buffer, this.#bytes.byteOffset + from).getFloat64(0, true),
        );
      case 0x22:
      case 0x63:
      case 0x53: {
        if (this.#isProto(tag)) throw new Unsafe("a property is named __proto__");
        const byteLength = this.#varint();
        const start = this.#at;
        this.#skip(byteLength);
        // v8.serialize writes indexes as numbers, but reads them as text, too.
        const index = indexIn(this.#bytes, start, this.#at, tag === 0x63 ? 2 : 1);
        if (index !== undefined) this.#certainly().index(depth, index);
        else this.#heap?.name(depth, this.#bytes, start, this.#at);
        return;
      }
      default:
        throw new Unsafe("a property name is neither text nor a number");
    }
  }

  /** Values until `end`, and their number. */
  #values(end: number, depth: number): void {
    this.#heap?.add(MAP_BYTES);
    for (let tag = this.#tag(); tag !== end; tag = this.#tag()) {
      this.#heap?.add(MEMBER_BYTES);
      this.#valueOf(tag, depth + 1);
    }
    this.#varint();
  }

  #error(depth: number): void {
    this.#heap?.add(ERROR_BYTES);
    for (;;) {
      switch (this.#byte()) {
        case 0x45: // E: EvalError, and so on
        case 0x52: // R
        case 0x46: // F
        case 0x53: // S
        case 0x54: // T: true
        case 0x55: // U
          break;
        case 0x6d: // m: message
        case 0x63: // c: cause
        case 0x73: // s: stack
          this.value(depth + 1);
          break;
        case 0x2e: // .
          return;
        default:
          throw new Unsafe("an error is malformed");
      }
    }
  }

  /** Whether the text that begins here, after its `tag`, is `__proto__`. */
  #isProto(tag: number): boolean {
    if (tag !== 0x22 && tag !== 0x53 && tag !== 0x63) return false;
    const unit = tag === 0x63 ? 2 : 1;
    if (this.#bytes[this.#at] !== PROTO.length * unit) return false;
    for (let i = 0; i < PROTO.length; i++)
      if (this.#bytes[this.#at + 1 + i * unit] !== PROTO.charCodeAt(i)) return false;
    return true;
  }

  #tag(): number {
    let byte = this.#byte();
    while (byte === 0) byte = this.#byte();
    return byte;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new Unsafe("it is cut short");
    return byte;
  }

  #varint(): number {
    let byte = this.#byte();
    if (byte < 0x80) return byte;
    let number = byte & 0x7f;
    for (let unit = 0x80; unit <= 0x1000_0000; unit *= 0x80) {
      byte = this.#byte();
      number += (byte & 0x7f) * unit;
      if (byte < 0x80) return number % 2 ** 32;
    }
    throw new Unsafe("a number has more than 32 bits");
  }

  #skip(byteLength: number): void {
    this.#at += byteLength;
    if (this.#at > this.#bytes.byteLength) throw new Unsafe("it is cut short");
  }
}

const PROTO = "__proto__";
