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
  if (bytes.byteLength > MAX_BYTES) throw new Malformed("they are longer than 2 GB");
  const walk = new Walk(bytes, maxBytes);
  const end = walk.value();
  if (end < bytes.byteLength) throw new Malformed("something follows the value");
  if (end > bytes.byteLength) throw cutShort();
  if (walk.heap?.exceeds(maxBytes) === true) throw new Malformed(tooMuchHeap(maxBytes));
  return walk;
}

/** Positions are integers of 32 bits, also those shortly after the end. */
const MAX_BYTES = 2e9;
/** The most heap that one byte of MessagePack can take, index-like names aside: an empty buffer takes 206 bytes. */
export const HEAP_PER_BYTE = 128;
/** The holes that V8 makes in an object for an index-like name. */
const MAX_GAP = 1024;
const BUFFER_BYTES = 200;
const TYPED_ARRAY_BYTES = 320;
const SET_BYTES = 240;
const DATE_BYTES = 128;

/**
 * For each enclosing container: how many members follow, below 0 if each has a name. One walk at a time uses it. The
 * innermost container is text with a mark, at a depth of `MAX_DEPTH`.
 */
const LEFT = /* @__PURE__ */ new Int32Array(MAX_DEPTH + 1);

class Walk {
  hasMarks = false;
  /** Absent for bytes that cannot take too much memory, until an index-like name occurs. */
  heap: InstanceType<typeof HeapEstimate> | undefined;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, maxBytes: number) {
    this.#bytes = bytes;
    this.heap = mayExceed(bytes.byteLength, HEAP_PER_BYTE, maxBytes) ? new HeapEstimate(MAX_GAP) : undefined;
  }

  /**
   * Walks over one value and all inside it: one loop over local variables, because each hit in Redis pays for the walk,
   * and a call for each value takes nearly twice as long. `| 0` makes a length or the result of a call an integer to
   * the compiler. Frequent tokens have branches, which a processor predicts; a table of sizes would make it wait.
   *
   * @returns where it ends, after the end of the bytes if they are cut short.
   */
  value(): number {
    const bytes = this.#bytes;
    const length = bytes.length | 0;
    let at = 0;
    /** Number of enclosing containers. */
    let depth = 0;
    /** How many members of the innermost one follow, below 0 if each has a name. */
    let left = 1;
    let isCharged = this.heap !== undefined;
    for (;;) {
      while (left === 0) {
        if (depth === 0) return at;
        depth--;
        left = LEFT[depth]!;
      }
      if (at >= length) throw cutShort();
      if (left > 0) left--;
      else {
        left++;
        const name = bytes[at]!;
        const end = at + 1 + (name & 0x1f);
        if (!isCharged && mayBeUsual(name) && end < length && isUsualFirst(bytes[at + 1]!)) at = end;
        else {
          at = this.#name(bytes, at, depth - 1) | 0;
          isCharged = this.heap !== undefined;
        }
      }
      let token = bytes[at++]!;
      if (token < 0x80) continue; // small integers
      if (isShortText(token)) {
        if (isCharged) this.heap?.text(token & 0x1f);
        at += token & 0x1f;
        continue;
      }
      if (token >= 0xe0) continue; // small negative integers
      switch (token) {
        case 0xc0: // nil
        case 0xc2: // false
        case 0xc3: // true
          continue;
        case 0xcc: // integers
        case 0xd0:
          at += 1;
          continue;
        case 0xcd:
        case 0xd1:
          at += 2;
          continue;
        case 0xca: // float 32
        case 0xce:
        case 0xd2:
          at += 4;
          continue;
        case 0xcb: // float 64
        case 0xcf:
        case 0xd3:
          at += 8;
          continue;
      }
      if (token === 0xd4 && bytes[at] === SET) {
        token = this.#membersOfSet(at);
        at += 3;
      }
      if (!isContainer(token)) {
        at = this.#scalar(token, at) | 0;
        continue;
      }
      const count = this.#count(token, at);
      const isInnerMap = token < 0x90 || token >= 0xde;
      at += countBytes(token);
      const isMark = this.#open(at, count, isInnerMap, depth);
      LEFT[depth] = left;
      depth++;
      // Not `-count`: for -0, of an empty map, the compiler keeps no integer, and later walks take twice as long.
      left = isInnerMap ? 0 - count : isMark ? count - 1 : count;
      if (isMark) at++;
    }
  }

  /** Charges a container whose members begin at `at`. @returns whether a mark comes first. */
  #open(at: number, count: number, isMap: boolean, depth: number): boolean {
    const isMark = !isMap && count > 0 && this.#bytes[at] === 0xc1;
    // Values are not deeper than `MAX_DEPTH`, but the innermost may be text that needs a mark.
    if (depth >= MAX_DEPTH && !(isMark && depth === MAX_DEPTH)) throw new Malformed(tooDeep);
    // A member has a byte at least.
    if (count > this.#bytes.length - at) throw cutShort();
    if (isMap) this.heap?.object(depth);
    else this.heap?.array(count);
    if (isMark) {
      this.hasMarks = true;
      this.heap?.add(SET_BYTES);
    }
    return isMark;
  }

  /** How many members a container has, after its `token`. */
  #count(token: number, at: number): number {
    if (token < 0xa0) return token & 0x0f;
    return token === 0xdc || token === 0xde ? this.#uint16(at) : this.#uint32(at);
  }

  /** @returns where a value without members ends, after its `token`. */
  #scalar(token: number, at: number): number {
    switch (token) {
      case 0xc4:
        return this.#buffer(at + 1, this.#byte(at));
      case 0xc5:
        return this.#buffer(at + 2, this.#uint16(at));
      case 0xc6:
        return this.#buffer(at + 4, this.#uint32(at));
      case 0xd9:
        return this.#text(at + 1, this.#byte(at));
      case 0xda:
        return this.#text(at + 2, this.#uint16(at));
      case 0xdb:
        return this.#text(at + 4, this.#uint32(at));
      case 0xc7: // extensions of any length
        return this.#extension(at + 1, this.#byte(at));
      case 0xc8:
        return this.#extension(at + 2, this.#uint16(at));
      case 0xc9:
        return this.#extension(at + 4, this.#uint32(at));
      case 0xd4: // extensions of 1, 2, 4, 8 and 16 bytes
        return this.#shortExtension(at);
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(at, 1 << (token - 0xd4));
      default: // c1 outside of a mark
        throw new Malformed("they hold the byte c1 in a place without a mark");
    }
  }

  #text(at: number, byteLength: number): number {
    this.heap?.text(byteLength);
    return this.#after(at, byteLength);
  }

  #buffer(at: number, byteLength: number): number {
    this.heap?.add(BUFFER_BYTES + byteLength);
    return this.#after(at, byteLength);
  }

  /** The name of a property. @returns where it ends, before the end of the bytes. */
  #name(bytes: Uint8Array, at: number, depth: number): number {
    const token = bytes[at++]!;
    let length = token & 0x1f;
    if (!isShortText(token)) {
      if (token < 0xd9 || token > 0xdb) throw new Malformed("a property name is not text");
      length = token === 0xd9 ? this.#byte(at) : token === 0xda ? this.#uint16(at) : this.#uint32(at);
      at += 1 << (token - 0xd9);
    }
    const end = at + length;
    if (end >= bytes.length) throw cutShort(); // its value must follow
    const first = bytes[at]!;
    if (length === PROTO.length && this.#isProto(at)) throw new Malformed("a property is named __proto__");
    if (isUsualFirst(first)) this.heap?.name(depth, bytes, at, end);
    else this.#oddName(at, end, depth);
    return end;
  }

  /** A name that may be a number, in UTF-8 or in an overlong form of it, which msgpackr reads. */
  #oddName(from: number, end: number, depth: number): void {
    for (let at = from; at < end; at++)
      if (isOverlong(this.#bytes[at]!, this.#bytes[at + 1]!)) throw new Malformed("a property name is not UTF-8");
    const index = indexIn(this.#bytes, from, end);
    if (index !== undefined) (this.heap ??= new HeapEstimate(MAX_GAP)).index(depth, index);
    else this.heap?.name(depth, this.#bytes, from, end);
  }

  #isProto(at: number): boolean {
    for (let i = 0; i < PROTO.length; i++) if (this.#bytes[at + i] !== PROTO.charCodeAt(i)) return false;
    return true;
  }

  #extension(at: number, byteLength: number): number {
    switch (this.#byte(at)) {
      case DATE:
        if (byteLength !== 4 && byteLength !== 8 && byteLength !== 12) throw new Malformed("a date is malformed");
        this.heap?.add(DATE_BYTES);
        break;
      case BIGINT:
        if (byteLength === 0) throw new Malformed("an extension is empty");
        this.heap?.add(DATE_BYTES + byteLength);
        break;
      case TYPED_ARRAY:
        if (byteLength === 0) throw new Malformed("an extension is empty");
        this.heap?.add(TYPED_ARRAY_BYTES + byteLength);
        break;
      default:
        throw new Malformed("they hold an extension that is not read");
    }
    return this.#after(at + 1, byteLength);
  }

  #shortExtension(at: number): number {
    switch (this.#byte(at)) {
      case UNDEFINED:
        return at + 2;
      case BIGINT:
      case DATE: // an invalid one
        this.heap?.add(DATE_BYTES);
        return at + 2;
      default:
        throw new Malformed("they hold an extension that is not read");
    }
  }

  /** @returns the token of the members of a Set, which msgpackr writes after its extension, as an array. */
  #membersOfSet(at: number): number {
    const token = this.#byte(at + 2);
    if ((token & 0xf0) !== 0x90 && token !== 0xdc && token !== 0xdd) throw new Malformed("a Set is malformed");
    this.heap?.add(SET_BYTES);
    return token;
  }

  #byte(at: number): number {
    if (at >= this.#bytes.length) throw cutShort();
    return this.#bytes[at]!;
  }

  #uint16(at: number): number {
    return this.#byte(at) * 0x100 + this.#byte(at + 1);
  }

  #uint32(at: number): number {
    return this.#uint16(at) * 0x1_0000 + this.#uint16(at + 2);
  }

  #after(at: number, byteLength: number): number {
    if (byteLength > this.#bytes.length - at) throw cutShort();
    return at + byteLength;
  }
}

const cutShort = (): Malformed => new Malformed("they are cut short");

const isShortText = (token: number): boolean => (token & 0xe0) === 0xa0;
/** Whether a name with this token is short and not `__proto__`. */
const mayBeUsual = (token: number): boolean => isShortText(token) && token !== PROTO_TOKEN;
/** Whether a name that begins with this byte is neither a number nor in an overlong form. */
const isUsualFirst = (byte: number): boolean => byte > NINE && byte < 0xc0;
/** Those tokens 80 to df that are neither short text nor numbers. */
const isContainer = (token: number): boolean => token < 0xa0 || token >= 0xdc;
/** Bytes that the number of members takes after the `token` of a container. */
const countBytes = (token: number): number => (token < 0xa0 ? 0 : (token & 1) === 0 ? 2 : 4);

/** Whether the bytes begin a character of more bytes than UTF-8 has for it (RFC 3629, section 3). */
const isOverlong = (byte: number, next: number): boolean =>
  byte === 0xc0 || byte === 0xc1 || (byte === 0xe0 && next < 0xa0) || (byte === 0xf0 && next < 0x90);

const PROTO = "__proto__";
const PROTO_TOKEN = 0xa9;
const NINE = 0x39;

// Types of extensions: MessagePack defines the date, msgpackr the others.
const UNDEFINED = 0x00;
const BIGINT = 0x42;
const SET = 0x73;
const TYPED_ARRAY = 0x74;
const DATE = 0xff;
