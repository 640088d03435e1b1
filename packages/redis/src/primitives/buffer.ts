/**
 * The part of Node's Buffer that entries are written and read with, for runtimes without it. `subarray` returns one of
 * the same class, as Uint8Array provides it.
 */
export class WebBuffer extends Uint8Array {
  static override from(from: unknown, encodingOrOffset?: unknown, length?: number): WebBuffer {
    if (typeof from === "string") return encodingOrOffset === "latin1" ? ofLatin1(from) : view(ENCODER.encode(from));
    if (from instanceof ArrayBuffer) return new WebBuffer(from, encodingOrOffset as number | undefined, length);
    return new WebBuffer(from as ArrayLike<number>);
  }

  static override of(...bytes: readonly number[]): WebBuffer {
    return new WebBuffer(bytes);
  }

  static alloc(length: number): WebBuffer {
    return new WebBuffer(length);
  }

  static allocUnsafe(length: number): WebBuffer {
    return new WebBuffer(length);
  }

  static byteLength(text: string): number {
    return ENCODER.encode(text).length;
  }

  static isBuffer(value: unknown): value is WebBuffer {
    return value instanceof WebBuffer;
  }

  static concat(parts: readonly Uint8Array[]): WebBuffer {
    const whole = new WebBuffer(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  override toString(encoding: string = "utf8", from = 0, to: number = this.length): string {
    const bytes = this.subarray(from, to);
    if (encoding !== "latin1") return DECODER.decode(bytes);
    let text = "";
    // In parts: each byte is an argument.
    for (let at = 0; at < bytes.length; at += PART) text += String.fromCharCode(...bytes.subarray(at, at + PART));
    return text;
  }

  /** @returns how many bytes were written. */
  write(text: string, at = 0, encoding = "utf8"): number {
    const bytes = WebBuffer.from(text, encoding);
    this.set(bytes, at);
    return bytes.length;
  }

  equals(other: Uint8Array): boolean {
    return this.compare(other) === 0;
  }

  compare(
    other: Uint8Array,
    otherFrom = 0,
    otherTo: number = other.length,
    from = 0,
    to: number = this.length,
  ): number {
    const [mine, its] = [this.subarray(from, to), other.subarray(otherFrom, otherTo)];
    const at = mine.findIndex((byte, i) => byte !== its[i]);
    if (at === -1) return Math.sign(mine.length - its.length);
    return at >= its.length || mine[at]! > its[at]! ? 1 : -1;
  }

  readUIntBE(at: number, bytes: number): number {
    let value = 0;
    for (let i = at; i < at + bytes; i += 1) value = value * 256 + this[i]!;
    return value;
  }

  readUInt16BE(at: number): number {
    return this.readUIntBE(at, 2);
  }

  readUInt32BE(at: number): number {
    return this.readUIntBE(at, 4);
  }

  /** @returns where the next byte is written. */
  writeUIntBE(value: number, at: number, bytes: number): number {
    let rest = value;
    for (let i = at + bytes - 1; i >= at; i -= 1) {
      this[i] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    return at + bytes;
  }

  writeUInt16BE(value: number, at = 0): number {
    return this.writeUIntBE(value, at, 2);
  }

  writeUInt32BE(value: number, at = 0): number {
    return this.writeUIntBE(value, at, 4);
  }
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf8", { ignoreBOM: true });

/** As many arguments as every engine takes. */
const PART = 8_192;

const view = ({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): WebBuffer =>
  new WebBuffer(buffer, byteOffset, length);

function ofLatin1(text: string): WebBuffer {
  const bytes = new WebBuffer(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Node's Buffer, or {@link WebBuffer} in its place. */
export type Buffer = globalThis.Buffer;
export const Buffer: typeof globalThis.Buffer = /* @__PURE__ */ (() =>
  (globalThis as { readonly Buffer?: typeof globalThis.Buffer }).Buffer ??
  (WebBuffer as unknown as typeof globalThis.Buffer))();
