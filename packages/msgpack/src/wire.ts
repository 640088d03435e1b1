import { decodeLimits } from "@hotset/core";

const { HeapEstimate, indexIn, MAX_DEPTH, mayExceed, tooDeep, tooMuchHeap } = decodeLimits;

/** Why bytes are refused. The message does not quote them. */
export class Malformed extends Error {}

/**
 * Walks MessagePack without building anything, and accepts the bytes that `encode` or another program writes for the
 * supported values. msgpackr would read more: records, for which it generates code; errors, regular expressions and
 * references; strings that are read repeatedly; classes that the application has registered with it.
 *
 * @throws {Malformed} for all other bytes, and where the value would take too much memory.
 */
export function inspect(bytes: Uint8Array, maxBytes: number): { readonly hasMarks: boolean } {
  const walk = new Walk(bytes, maxBytes);
  walk.values(1, 0);
  walk.end(maxBytes);
  return walk;
}

/** The most heap that one byte of MessagePack can take, index-like names aside: an empty buffer takes 206 bytes. */
export const HEAP_PER_BYTE = 128;
/** The holes that V8 makes in an object for an index-like name. */
const MAX_GAP = 1024;
const BUFFER_BYTES = 200;
const TYPED_ARRAY_BYTES = 320;
const SET_BYTES = 240;
const DATE_BYTES = 128;

class Walk {
  hasMarks = false;
  readonly #bytes: Uint8Array;
  #at = 0;
  /** Absent for bytes that cannot take too much memory, until an index-like name occurs. */
  #heap: InstanceType<typeof HeapEstimate> | undefined;

  constructor(bytes: Uint8Array, maxBytes: number) {
    this.#bytes = bytes;
    this.#heap = mayExceed(bytes.byteLength, HEAP_PER_BYTE, maxBytes) ? new HeapEstimate(MAX_GAP) : undefined;
  }

  end(maxBytes: number): void {
    if (this.#at < this.#bytes.byteLength) throw new Malformed("something follows the value");
    if (this.#at > this.#bytes.byteLength) throw new Malformed("they are cut short");
    if (this.#heap?.exceeds(maxBytes) === true) throw new Malformed(tooMuchHeap(maxBytes));
  }

  /** Walks over `count` values. */
  values(count: number, depth: number): void {
    while (count-- > 0) this.#value(this.#byte(), depth);
  }

  #value(token: number, depth: number): void {
    if (token < 0x80 || token >= 0xe0) return; // small integers
    if (token < 0x90) return this.#map(token & 0x0f, depth);
    if (token < 0xa0) return this.#array(token & 0x0f, depth);
    if (token < 0xc0) return this.#text(token & 0x1f);
    switch (token) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return;
      case 0xc4:
        return this.#buffer(this.#byte());
      case 0xc5:
        return this.#buffer(this.#uint16());
      case 0xc6:
        return this.#buffer(this.#uint32());
      case 0xd9:
        return this.#text(this.#byte());
      case 0xda:
        return this.#text(this.#uint16());
      case 0xdb:
        return this.#text(this.#uint32());
      case 0xc7: // extensions of any length
        return this.#extension(this.#byte());
      case 0xc8:
        return this.#extension(this.#uint16());
      case 0xc9:
        return this.#extension(this.#uint32());
      case 0xcc: // integers
      case 0xd0:
        return this.#skip(1);
      case 0xcd:
      case 0xd1:
        return this.#skip(2);
      case 0xca: // float 32
      case 0xce:
      case 0xd2:
        return this.#skip(4);
      case 0xcb: // float 64
      case 0xcf:
      case 0xd3:
        return this.#skip(8);
      case 0xd4: // extensions of 1, 2, 4, 8 and 16 bytes
        return this.#shortExtension(depth);
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(1 << (token - 0xd4));
      case 0xdc:
        return this.#array(this.#uint16(), depth);
      case 0xdd:
        return this.#array(this.#uint32(), depth);
      case 0xde:
        return this.#map(this.#uint16(), depth);
      case 0xdf:
        return this.#map(this.#uint32(), depth);
      default: // c1 outside of a mark
        throw new Malformed("they hold the byte c1 in a place without a mark");
    }
  }

  #text(byteLength: number): void {
    this.#heap?.text(byteLength);
    this.#skip(byteLength);
  }

  #buffer(byteLength: number): void {
    this.#heap?.add(BUFFER_BYTES + byteLength);
    this.#skip(byteLength);
  }

  #array(length: number, depth: number): void {
    const isMark = length > 0 && this.#bytes[this.#at] === 0xc1;
    // Values are not deeper than `MAX_DEPTH`, but the innermost may be text that needs a mark.
    if (depth >= MAX_DEPTH && !(isMark && depth === MAX_DEPTH)) throw new Malformed(tooDeep);
    this.#heap?.array(length);
    if (isMark) {
      this.hasMarks = true;
      this.#heap?.add(SET_BYTES);
      this.#at++;
      length--;
    }
    this.values(length, depth + 1);
  }

  #map(size: number, depth: number): void {
    if (depth === MAX_DEPTH) throw new Malformed(tooDeep);
    this.#heap?.object(depth);
    while (size-- > 0) {
      this.#propertyName(depth);
      this.#value(this.#byte(), depth + 1);
    }
  }

  #propertyName(depth: number): void {
    const token = this.#byte();
    let length: number;
    if (token >= 0xa0 && token < 0xc0) length = token & 0x1f;
    else if (token === 0xd9) length = this.#byte();
    else if (token === 0xda) length = this.#uint16();
    else if (token === 0xdb) length = this.#uint32();
    else throw new Malformed("a property name is not text");
    if (length === PROTO.length && this.#isProto()) throw new Malformed("a property is named __proto__");
    const first = this.#bytes[this.#at]!;
    if (first <= NINE || first >= 0xc0) this.#oddName(depth, length);
    else this.#heap?.name(depth, this.#bytes, this.#at, this.#at + length);
    this.#skip(length);
  }

  /** A name that may be a number, in UTF-8 or in an overlong form of it, which msgpackr reads. */
  #oddName(depth: number, length: number): void {
    const to = this.#at + length;
    for (let at = this.#at; at < to; at++)
      if (isOverlong(this.#bytes[at]!, this.#bytes[at + 1]!)) throw new Malformed("a property name is not UTF-8");
    const index = indexIn(this.#bytes, this.#at, to);
    if (index !== undefined) (this.#heap ??= new HeapEstimate(MAX_GAP)).index(depth, index);
    else this.#heap?.name(depth, this.#bytes, this.#at, to);
  }

  #isProto(): boolean {
    for (let i = 0; i < PROTO.length; i++) if (this.#bytes[this.#at + i] !== PROTO.charCodeAt(i)) return false;
    return true;
  }

  #extension(byteLength: number): void {
    switch (this.#byte()) {
      case DATE:
        if (byteLength !== 4 && byteLength !== 8 && byteLength !== 12) throw new Malformed("a date is malformed");
        this.#heap?.add(DATE_BYTES);
        break;
      case BIGINT:
        if (byteLength === 0) throw new Malformed("an extension is empty");
        this.#heap?.add(DATE_BYTES + byteLength);
        break;
      case TYPED_ARRAY:
        if (byteLength === 0) throw new Malformed("an extension is empty");
        this.#heap?.add(TYPED_ARRAY_BYTES + byteLength);
        break;
      default:
        throw new Malformed("they hold an extension that is not read");
    }
    this.#skip(byteLength);
  }

  #shortExtension(depth: number): void {
    const type = this.#byte();
    this.#skip(1);
    switch (type) {
      case UNDEFINED:
        return;
      case BIGINT:
      case DATE: // an invalid one
        this.#heap?.add(DATE_BYTES);
        return;
      case SET: {
        // msgpackr writes the members after it, as an array.
        const token = this.#byte();
        if ((token & 0xf0) !== 0x90 && token !== 0xdc && token !== 0xdd) throw new Malformed("a Set is malformed");
        this.#heap?.add(SET_BYTES);
        this.#value(token, depth);
        return;
      }
      default:
        throw new Malformed("they hold an extension that is not read");
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new Malformed("they are cut short");
    return byte;
  }

  #uint16(): number {
    return this.#byte() * 0x100 + this.#byte();
  }

  #uint32(): number {
    return this.#uint16() * 0x1_0000 + this.#uint16();
  }

  #skip(byteLength: number): void {
    this.#at += byteLength;
  }
}

/** Whether the bytes begin a character of more bytes than UTF-8 has for it (RFC 3629, section 3). */
const isOverlong = (byte: number, next: number): boolean =>
  byte === 0xc0 || byte === 0xc1 || (byte === 0xe0 && next < 0xa0) || (byte === 0xf0 && next < 0x90);

const PROTO = "__proto__";
const NINE = 0x39;

// Types of extensions: MessagePack defines the date, msgpackr the others.
const UNDEFINED = 0x00;
const BIGINT = 0x42;
const SET = 0x73;
const TYPED_ARRAY = 0x74;
const DATE = 0xff;
