import { isUtf8 } from "node:buffer";

// `pg` decodes each column as UTF-8, so bytes cross the wire as text. Most values are text (JSON) and go as they are;
// others go as base64. A mark at the front says which: of text it is a character outside ASCII, so a session whose
// encoding is not UTF-8 damages it too, and no value is read in a wrong way.
/** In front of bytes that are text: an é. */
export const TEXT_MARK: Buffer = Buffer.from("\u00e9");
const OTHER_MARK = Buffer.of(0);

/** Bytes as they are stored. */
export const packed = (bytes: Uint8Array): Buffer =>
  Buffer.concat([isUtf8(bytes) && !bytes.includes(0) ? TEXT_MARK : OTHER_MARK, bytes]);

/** @throws {EncodingError} if a session with another encoding has sent it. */
export function unpacked(text: string): Buffer {
  if (text.startsWith("\u00e9")) return Buffer.from(text.slice(1));
  if (!text.startsWith("A")) throw new EncodingError();
  return Buffer.from(text, "base64").subarray(1);
}

/** The session sends text in another encoding than UTF-8. */
export class EncodingError extends Error {
  /** The SQLSTATE of a character that cannot be converted, which is the other sign of such a session. */
  readonly code = "22P05";

  constructor() {
    super("the session sends text in another encoding than UTF-8; its client_encoding was changed");
  }
}

/** A list in the binary format of PostgreSQL: no escapes, and bytes as they are. */
export function arrayOf(type: string, values: readonly unknown[]): Buffer {
  const { oid, bytesOf } = ELEMENTS[type]!;
  const parts = values.map(bytesOf);
  const array = Buffer.allocUnsafe(20 + parts.reduce((sum, part) => sum + 4 + part.length, 0));
  // One dimension, without NULLs, from 1.
  let at = 0;
  for (const head of [1, 0, oid, values.length, 1]) at = array.writeInt32BE(head, at);
  for (const part of parts) {
    at = array.writeInt32BE(part.length, at);
    at += part.copy(array, at);
  }
  return array;
}

interface Element {
  readonly oid: number;
  bytesOf(value: unknown): Buffer;
}

const ELEMENTS: Readonly<Record<string, Element>> = {
  bool: { oid: 16, bytesOf: (value) => Buffer.of(value === true ? 1 : 0) },
  bytea: { oid: 17, bytesOf: (value) => value as Buffer },
  int: {
    oid: 23,
    bytesOf(value) {
      const bytes = Buffer.allocUnsafe(4);
      bytes.writeInt32BE(value as number);
      return bytes;
    },
  },
  text: { oid: 25, bytesOf: (value) => Buffer.from(value as string) },
  float8: {
    oid: 701,
    bytesOf(value) {
      const bytes = Buffer.allocUnsafe(8);
      bytes.writeDoubleBE(value as number);
      return bytes;
    },
  },
};
