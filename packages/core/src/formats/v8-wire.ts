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
export function unsafeReason(bytes: Uint8Array): string | undefined {
  const walk = new Walk(bytes);
  try {
    walk.header();
    walk.value();
    walk.end();
  } catch (error) {
    // A RangeError is a stack overflow: the value is nested too deep for v8.deserialize, too.
    return error instanceof Unsafe ? error.message : "it is nested too deep";
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

/**
 * Memory that bytes may claim beyond their own size: for holes in arrays, and for room into which a buffer may grow.
 */
const FREE_CLAIM_BYTES = 65_536;
const CLAIM_PER_BYTE = 256;
const BYTES_PER_HOLE = 8;

class Walk {
  readonly #bytes: Uint8Array;
  #at = 0;
  #claim: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#claim = FREE_CLAIM_BYTES + CLAIM_PER_BYTE * bytes.byteLength;
  }

  header(): void {
    if (this.#byte() !== 0xff) throw new Unsafe("it does not begin as a structured clone does");
    const version = this.#byte();
    if (version < OLDEST_VERSION || version > NEWEST_VERSION)
      throw new Unsafe(`its version is ${version}, not ${OLDEST_VERSION} to ${NEWEST_VERSION}`);
  }

  end(): void {
    if (this.#at !== this.#bytes.byteLength) throw new Unsafe("something follows the value");
  }

  value(): void {
    this.#valueOf(this.#tag());
  }

  #valueOf(tag: number): void {
    switch (tag) {
      case 0x5f: // _: undefined
      case 0x30: // 0: null
      case 0x54: // T: true
      case 0x46: // F: false
      case 0x79: // y: new Boolean(true)
      case 0x78: // x: new Boolean(false)
      case 0x2d: // -: a hole, among the elements of a dense array
        return;
      case 0x49: // I: int32
      case 0x55: // U: uint32
      case 0x5e: // ^: reference to an earlier value
        this.#varint();
        return;
      case 0x4e: // N: double
      case 0x44: // D: Date
      case 0x6e: // n: new Number()
        return this.#skip(8);
      case 0x5a: // Z: bigint
      case 0x7a: // z: new Object(1n)
        return this.#skip(this.#varint() >>> 1);
      case 0x22: // ": text in Latin-1
      case 0x63: // c: in UTF-16
      case 0x53: // S: in UTF-8
      case 0x42: // B: ArrayBuffer
        return this.#skip(this.#varint());
      case 0x73: // s: new String()
        return this.value();
      case 0x52: // R: RegExp: source, flags
        this.value();
        this.#varint();
        return;
      case 0x7e: // ~: ArrayBuffer that can grow
        return this.#growingBuffer();
      case 0x5c: // \: Node's typed arrays: kind, bytes
        this.#varint();
        return this.#skip(this.#varint());
      case 0x6f: // o: object
        this.#properties(OBJECT_END);
        this.#varint();
        return;
      case 0x41: // A: array without holes
        return this.#denseArray();
      case 0x61: // a: array with holes
        this.#spend(BYTES_PER_HOLE * this.#varint());
        this.#properties(SPARSE_END);
        this.#varint();
        this.#varint();
        return;
      case 0x3b: // ;: Map
        return this.#values(MAP_END);
      case 0x27: // ': Set
        return this.#values(SET_END);
      case 0x72: // r: Error
        return this.#error();
      default:
        throw new Unsafe(`it holds a tag that v8.serialize does not write (${tag})`);
    }
  }

  #growingBuffer(): void {
    const byteLength = this.#varint();
    this.#spend(this.#varint() - byteLength);
    this.#skip(byteLength);
  }

  // Containers call `#valueOf` and not `value`: fewer stack frames for each level, so deeper values can be read.

  #denseArray(): void {
    let length = this.#varint();
    if (length > this.#bytes.byteLength - this.#at)
      throw new Unsafe("an array claims more elements than there are bytes");
    while (length-- > 0) this.#valueOf(this.#tag());
    this.#properties(DENSE_END);
    this.#varint();
    this.#varint();
  }

  /** Names and values until `end`. */
  #properties(end: number): void {
    for (let tag = this.#tag(); tag !== end; tag = this.#tag()) {
      if (this.#isProto(tag)) throw new Unsafe("a property is named __proto__");
      this.#valueOf(tag);
      this.#valueOf(this.#tag());
    }
  }

  /** Values until `end`, and their number. */
  #values(end: number): void {
    for (let tag = this.#tag(); tag !== end; tag = this.#tag()) this.#valueOf(tag);
    this.#varint();
  }

  #error(): void {
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
          this.value();
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

  #spend(bytes: number): void {
    this.#claim -= bytes;
    if (this.#claim < 0) throw new Unsafe("it claims far more memory than its bytes account for");
  }
}

const PROTO = "__proto__";
