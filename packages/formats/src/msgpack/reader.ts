import { decodeLimits } from "@hotset/core/internal";
import { marked } from "./marks.ts";

const { HeapEstimate, indexIn, MAX_DEPTH, mayExceed, tooDeep, tooMuchHeap } = decodeLimits;

/** Why bytes are refused. The message does not quote them. */
export class Malformed extends Error {}

/**
 * The value in MessagePack that `encode` or another program wrote for the supported types.
 *
 * @throws {Malformed} for all other bytes, and where the value would take too much memory; nothing more is built from
 *   there on.
 */
export const read = (bytes: Buffer, maxBytes: number): unknown => new Reader(bytes, maxBytes, "build").whole();

/** Builds nothing. @throws {Malformed} where {@link read} would. */
export const check = (bytes: Buffer, maxBytes: number): void => void new Reader(bytes, maxBytes, "judge").whole();

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

type ValueIn = (bytes: Buffer, from: number, end: number) => unknown;

class Reader {
  readonly #bytes: Buffer;
  readonly #maxBytes: number;
  #at = 0;
  /** Absent for bytes that cannot take too much memory, until an index-like name occurs. */
  #heap: InstanceType<typeof HeapEstimate> | undefined;
  /** Whether values are built: until they would take too much memory. The rest is checked all the same. */
  #builds: boolean;

  constructor(bytes: Buffer, maxBytes: number, task: "build" | "judge") {
    if (bytes.byteLength > MAX_BYTES) throw new Malformed("they are longer than 2 GB");
    this.#bytes = bytes;
    this.#maxBytes = maxBytes;
    this.#heap = mayExceed(bytes.byteLength, HEAP_PER_BYTE, maxBytes) ? new HeapEstimate(MAX_GAP) : undefined;
    this.#builds = task === "build";
  }

  whole(): unknown {
    const value = this.#value(0);
    if (this.#at < this.#bytes.length) throw new Malformed("something follows the value");
    if (this.#heap?.exceeds(this.#maxBytes) === true) throw new Malformed(tooMuchHeap(this.#maxBytes));
    return value;
  }

  /**
   * Each hit in Redis pays for this. Frequent tokens come first.
   *
   * @param depth number of enclosing containers.
   */
  #value(depth: number): unknown {
    const token = this.#uint8();
    if (token < 0x80) return token;
    if (isShortText(token)) return this.#text(token & 0x1f);
    if (token >= 0xe0) return token - 0x100;
    if (token < 0x90) return this.#object(token & 0x0f, depth);
    if (token < 0xa0) return this.#array(token & 0x0f, depth);
    if (token <= 0xc3 && token !== 0xc1) return token === 0xc0 ? null : token === 0xc3;
    if (token === 0xcb) return this.#bytes.readDoubleBE(this.#skip(8));
    if (token >= 0xde) return this.#object(this.#uint(2 << (token - 0xde)), depth);
    if (token >= 0xdc) return this.#array(this.#uint(2 << (token - 0xdc)), depth);
    if (token >= 0xd9) return this.#text(this.#uint(1 << (token - 0xd9)));
    if (token >= 0xd5) return this.#extension(1 << (token - 0xd4));
    if (token === 0xd4) return this.#shortExtension(depth);
    if (token >= 0xca) return this.#number(token);
    if (token >= 0xc7) return this.#extension(this.#uint(1 << (token - 0xc7)));
    if (token === 0xc1) throw new Malformed("they hold the byte c1 in a place without a mark");
    const byteLength = this.#uint(1 << (token - 0xc4));
    return this.#part(byteLength, BUFFER_BYTES + byteLength, copy);
  }

  #number(token: number): number | bigint {
    const bytes = this.#bytes;
    switch (token) {
      case 0xca:
        return bytes.readFloatBE(this.#skip(4));
      case 0xcf:
        return bytes.readBigUInt64BE(this.#skip(8));
      case 0xd0:
        return bytes.readInt8(this.#skip(1));
      case 0xd1:
        return bytes.readInt16BE(this.#skip(2));
      case 0xd2:
        return bytes.readInt32BE(this.#skip(4));
      case 0xd3:
        return bytes.readBigInt64BE(this.#skip(8));
      default:
        return this.#uint(1 << (token - 0xcc));
    }
  }

  #text(byteLength: number): string {
    this.#heap?.text(byteLength);
    const from = this.#skip(byteLength);
    return this.#builds ? textIn(this.#bytes, from, this.#at) : "";
  }

  #array(count: number, depth: number): unknown {
    const isMark = count > 0 && this.#bytes[this.#at] === 0xc1;
    // Values are not deeper than `MAX_DEPTH`, but the innermost may be text that needs a mark.
    this.#open(count, isMark ? depth - 1 : depth);
    this.#heap?.array(count);
    if (isMark) {
      this.#heap?.add(SET_BYTES);
      this.#at++;
    }
    const array = this.#mayBuild() ? new Array<unknown>(count) : NOT_BUILT;
    for (let i = isMark ? 1 : 0; i < count; i++) {
      const value = this.#value(depth + 1);
      if (this.#mayBuild()) array[i] = value;
    }
    return isMark && this.#builds ? marked(array) : array;
  }

  #object(count: number, depth: number): unknown {
    this.#open(count, depth);
    this.#heap?.object(depth);
    const object: Record<string, unknown> = this.#builds ? {} : NOT_BUILT;
    for (let i = 0; i < count; i++) {
      const name = this.#name(depth);
      const value = this.#value(depth + 1);
      if (this.#mayBuild()) object[name] = value;
    }
    return object;
  }

  #open(count: number, depth: number): void {
    if (depth >= MAX_DEPTH) throw new Malformed(tooDeep);
    // A member has a byte at least.
    if (count > this.#bytes.length - this.#at) throw cutShort();
  }

  #mayBuild(): boolean {
    if (this.#heap?.exceeds(this.#maxBytes) === true) this.#builds = false;
    return this.#builds;
  }

  /** The name of a property of the object at `depth`. */
  #name(depth: number): string {
    const bytes = this.#bytes;
    const token = this.#uint8();
    const isShort = isShortText(token);
    if (!isShort && (token < 0xd9 || token > 0xdb)) throw new Malformed("a property name is not text");
    const length = isShort ? token & 0x1f : this.#uint(1 << (token - 0xd9));
    const from = this.#at;
    const end = from + length;
    if (end >= bytes.length) throw cutShort(); // its value must follow
    this.#at = end;
    const slot = slotOf(bytes, from, length);
    const known = NAMES[slot];
    if (known !== undefined && isWritten(known, bytes, from, length)) {
      this.#heap?.name(depth, bytes, from, end);
      return known;
    }
    if (isWritten("__proto__", bytes, from, length)) throw new Malformed("a property is named __proto__");
    const index = indexOf(bytes, from, end);
    if (index === undefined) this.#heap?.name(depth, bytes, from, end);
    else (this.#heap ??= new HeapEstimate(MAX_GAP)).index(depth, index);
    if (!this.#builds) return "";
    const name = bytes.toString("utf8", from, end);
    if (index === undefined && isShort) NAMES[slot] = name;
    return name;
  }

  #extension(byteLength: number): unknown {
    switch (this.#uint8()) {
      case DATE:
        if (byteLength !== 4 && byteLength !== 8 && byteLength !== 12) throw new Malformed("a date is malformed");
        return this.#part(byteLength, DATE_BYTES, date);
      case BIGINT:
        if (byteLength === 0) throw new Malformed("an extension is empty");
        return this.#part(byteLength, DATE_BYTES + byteLength, bigint);
      case TYPED_ARRAY:
        if (byteLength === 0) throw new Malformed("an extension is empty");
        return this.#part(byteLength, TYPED_ARRAY_BYTES + byteLength, view);
      default:
        throw new Malformed("they hold an extension that is not read");
    }
  }

  #shortExtension(depth: number): unknown {
    switch (this.#uint8()) {
      case UNDEFINED:
        return void this.#skip(1);
      case BIGINT:
        return this.#part(1, DATE_BYTES, bigint);
      case DATE:
        return this.#part(1, DATE_BYTES, () => new Date(NaN));
      case SET:
        this.#skip(1);
        return this.#set(depth);
      default:
        throw new Malformed("they hold an extension that is not read");
    }
  }

  /** The members of a Set follow its extension, as an array. */
  #set(depth: number): Set<unknown> | undefined {
    const token = this.#uint8();
    if ((token & 0xf0) !== 0x90 && token !== 0xdc && token !== 0xdd) throw new Malformed("a Set is malformed");
    this.#at--;
    this.#heap?.add(SET_BYTES);
    const members = this.#value(depth);
    if (!Array.isArray(members)) throw new Malformed("a Set is malformed");
    return this.#builds ? new Set(members) : undefined;
  }

  /** The value in the next `byteLength` bytes, which takes `heapBytes`. */
  #part(byteLength: number, heapBytes: number, valueIn: ValueIn): unknown {
    this.#heap?.add(heapBytes);
    const from = this.#skip(byteLength);
    return this.#mayBuild() ? valueIn(this.#bytes, from, this.#at) : undefined;
  }

  #uint8(): number {
    if (this.#at >= this.#bytes.length) throw cutShort();
    return this.#bytes[this.#at++]!;
  }

  #uint(byteLength: number): number {
    let value = 0;
    for (let i = 0; i < byteLength; i++) value = value * 0x100 + this.#uint8();
    return value;
  }

  /** Steps over `byteLength` bytes. @returns where they begin. */
  #skip(byteLength: number): number {
    const from = this.#at;
    if (byteLength > this.#bytes.length - from) throw cutShort();
    this.#at = from + byteLength;
    return from;
  }
}

/** Most texts are short and in ASCII, which takes half the time of a call into the runtime. */
function textIn(bytes: Buffer, from: number, end: number): string {
  if (end - from > 12) return bytes.toString("utf8", from, end);
  let text = "";
  let all = 0;
  let at = from;
  for (; at + 4 <= end; at += 4) {
    const first = bytes[at]!;
    const second = bytes[at + 1]!;
    const third = bytes[at + 2]!;
    const fourth = bytes[at + 3]!;
    all |= first | second | third | fourth;
    text += String.fromCharCode(first, second, third, fourth);
  }
  for (; at < end; at++) {
    all |= bytes[at]!;
    text += String.fromCharCode(bytes[at]!);
  }
  return all < 0x80 ? text : bytes.toString("utf8", from, end);
}

/** In place of a container that takes too much memory. */
const NOT_BUILT: unknown[] & Record<string, unknown> = /* @__PURE__ */ Object.freeze([] as never);

const cutShort = (): Malformed => new Malformed("they are cut short");

const isShortText = (token: number): boolean => (token & 0xe0) === 0xa0;

/** Short names that were read. To compare bytes with text takes a fifth of the time in which text is made. */
const NAMES: (string | undefined)[] = /* @__PURE__ */ new Array<undefined>(1024).fill(undefined);

const slotOf = (bytes: Buffer, from: number, length: number): number =>
  (length * 31 + bytes[from]! * 7 + bytes[from + (length >> 1)]! * 131 + bytes[from + length - 1]! * 17) & 1023;

/** Whether the bytes are `text`; never for text that is not in ASCII. */
function isWritten(text: string, bytes: Buffer, from: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) !== bytes[from + i]) return false;
  return true;
}

/** The number that a name is, if it is one: the index of an element for V8. */
function indexOf(bytes: Buffer, from: number, end: number): number | undefined {
  // Neither a digit nor the beginning of an overlong form.
  if (bytes[from]! > 0x39 && bytes[from]! < 0xc0) return undefined;
  for (let at = from; at < end; at++)
    if (isOverlong(bytes[at]!, bytes[at + 1]!)) throw new Malformed("a property name is not UTF-8");
  return indexIn(bytes, from, end);
}

/** Whether the bytes begin a character of more bytes than UTF-8 has for it (RFC 3629, section 3). */
const isOverlong = (byte: number, next: number): boolean =>
  byte === 0xc0 || byte === 0xc1 || (byte === 0xe0 && next < 0xa0) || (byte === 0xf0 && next < 0x90);

/** In memory that no other value shares, of the same size. */
const copy = (bytes: Buffer, from: number, end: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.prototype.slice.call(bytes, from, end);

const bigint = (bytes: Buffer, from: number, end: number): bigint =>
  BigInt.asIntN((end - from) * 8, BigInt(`0x${bytes.toString("hex", from, end)}`));

/** 32 bits of seconds; 30 of nanoseconds and 34 of seconds; or 32 and 64, of which a `Date` needs 48 and the sign. */
function date(bytes: Buffer, from: number, end: number): Date {
  if (end - from === 4) return new Date(bytes.readUInt32BE(from) * 1000);
  if (end - from === 8) {
    const first = bytes.readUInt32BE(from);
    return new Date((first >>> 2) / 1e6 + ((first & 3) * 2 ** 32 + bytes.readUInt32BE(from + 4)) * 1000);
  }
  const seconds = bytes.readUIntBE(from + 6, 6) - (bytes[from + 4]! < 0x80 ? 0 : 2 ** 48);
  return new Date(bytes.readInt32BE(from) / 1e6 + seconds * 1000);
}

function view(bytes: Buffer, from: number, end: number): ArrayBuffer | ArrayBufferView {
  const { buffer } = copy(bytes, from + 1, end);
  const kind = bytes[from]!;
  if (kind === 16) return buffer;
  const View = kind === 17 ? DataView : VIEWS[kind];
  if (View === undefined) throw new Malformed("a typed array is of an unknown kind");
  return new View(buffer);
}

/** In the order of msgpackr. */
const VIEWS: readonly (new (buffer: ArrayBuffer) => ArrayBufferView)[] = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
];

// Types of extensions: MessagePack defines the date, msgpackr the others.
const UNDEFINED = 0x00;
const BIGINT = 0x42;
const SET = 0x73;
const TYPED_ARRAY = 0x74;
const DATE = 0xff;
