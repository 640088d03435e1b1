/**
 * Redis's wire format (RESP2 and RESP3), as far as tests need it: commands out, frames in.
 *
 * @see https://redis.io/docs/latest/develop/reference/protocol-spec/
 */

/** One decoded frame. Bulk strings keep their bytes; maps and sets are flat arrays. */
export type Frame = Buffer | string | number | bigint | boolean | null | ReplyError | PushFrame | readonly Frame[];

/** An error reply (`-` or `!`). Inside an aggregate it is a value, not a throw. */
export class ReplyError extends Error {
  override readonly name = "ReplyError";
  /** The first word of the message: `WRONGTYPE`, `NOSCRIPT`, `MOVED`. */
  get prefix(): string {
    return /^[A-Z]+/.exec(this.message)?.[0] ?? "";
  }
}

/** An out-of-band message of RESP3 (`>`): pub/sub, invalidations. Answers no command. */
export class PushFrame {
  readonly items: readonly Frame[];
  constructor(items: readonly Frame[]) {
    this.items = items;
  }
}

/** Encodes a command for the wire: an array of bulk strings. */
export function encodeCommand(args: readonly (string | number | Uint8Array)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = typeof arg === "object" ? Buffer.from(arg) : Buffer.from(String(arg));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, CRLF);
  }
  return Buffer.concat(parts);
}

const CRLF = Buffer.from("\r\n");

export interface DecodedFrame {
  readonly frame: Frame;
  /** Offset of its first byte, in bytes since the start of the stream. */
  readonly startOffset: number;
  /** Offset behind its last byte. */
  readonly endOffset: number;
}

/**
 * Cuts a byte stream into frames, for any division into chunks. A line without a type byte is an inline command and
 * becomes an array of its words.
 *
 * @throws {SyntaxError} from `push` if the bytes are not RESP; then the decoder is unusable.
 */
export class RespDecoder {
  #chunks: Buffer[] = [];
  #pendingBytes = 0;
  /** Bytes that must have arrived before the next attempt can succeed: keeps the cost of large values linear. */
  #neededBytes = 1;

  /** Bytes received so far. */
  receivedBytes = 0;

  /** Whether the last received byte is inside a frame. */
  get isInsideFrame(): boolean {
    return this.#pendingBytes > 0;
  }

  /** @returns the frames that `chunk` completes, in order. */
  push(chunk: Buffer): DecodedFrame[] {
    this.receivedBytes += chunk.length;
    this.#chunks.push(chunk);
    this.#pendingBytes += chunk.length;
    if (this.#pendingBytes < this.#neededBytes) return [];

    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const reader = new FrameReader(bytes);
    const streamOffset = this.receivedBytes - bytes.length;
    const frames: DecodedFrame[] = [];
    let consumed = 0;
    for (;;) {
      const frame = reader.read();
      if (frame === INCOMPLETE) break;
      frames.push({ frame, startOffset: streamOffset + consumed, endOffset: streamOffset + reader.at });
      consumed = reader.at;
    }
    const rest = bytes.subarray(consumed);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#pendingBytes = rest.length;
    this.#neededBytes = Math.max(rest.length + 1, reader.neededUntil - consumed);
    return frames;
  }
}

const INCOMPLETE: unique symbol = Symbol("incomplete");

class FrameReader {
  readonly #bytes: Buffer;
  at = 0;
  /** Offset up to which bytes are known to be needed. */
  neededUntil = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  read(): Frame | typeof INCOMPLETE {
    const line = this.#line();
    if (line === INCOMPLETE) return INCOMPLETE;
    const rest = line.slice(1);
    switch (line[0]) {
      case "+":
        return rest;
      case "-":
        return new ReplyError(rest);
      case ":":
        return Number(rest);
      case "(":
        return BigInt(rest);
      case ",":
        return rest === "inf" ? Infinity : rest === "-inf" ? -Infinity : Number(rest);
      case "#":
        return rest === "t";
      case "_":
        return null;
      case "$":
        return this.#bulk(rest);
      case "=": {
        const text = this.#bulk(rest);
        return Buffer.isBuffer(text) ? text.subarray(4) : text;
      }
      case "!": {
        const text = this.#bulk(rest);
        return Buffer.isBuffer(text) ? new ReplyError(text.toString()) : text;
      }
      case "*":
      case "~":
        return this.#items(length(rest));
      case "%":
        return this.#items(length(rest) * 2);
      case ">": {
        const items = this.#items(length(rest));
        return Array.isArray(items) ? new PushFrame(items as readonly Frame[]) : INCOMPLETE;
      }
      case "|": {
        const attributes = this.#items(length(rest) * 2);
        return attributes === INCOMPLETE ? INCOMPLETE : this.read();
      }
      default:
        if (!/^[a-z]/i.test(line)) throw new SyntaxError("not RESP");
        return line.split(" ").map((word) => Buffer.from(word));
    }
  }

  #line(): string | typeof INCOMPLETE {
    const end = this.#bytes.indexOf("\r\n", this.at, "latin1");
    if (end < 0) {
      // A line is a type byte and a number, or a short text. A longer line belongs to another protocol.
      if (this.#bytes.length - this.at > 64 * 1024) throw new SyntaxError("not RESP");
      return INCOMPLETE;
    }
    const line = this.#bytes.toString("utf8", this.at, end);
    this.at = end + 2;
    return line;
  }

  #bulk(lengthText: string): Buffer | null | typeof INCOMPLETE {
    const bytes = length(lengthText);
    if (bytes < 0) return null;
    const end = this.at + bytes;
    if (this.#bytes.length < end + 2) {
      this.neededUntil = end + 2;
      return INCOMPLETE;
    }
    const bulk = this.#bytes.subarray(this.at, end);
    this.at = end + 2;
    return bulk;
  }

  #items(count: number): readonly Frame[] | null | typeof INCOMPLETE {
    if (count < 0) return null;
    const items: Frame[] = [];
    for (let i = 0; i < count; i++) {
      const item = this.read();
      if (item === INCOMPLETE) return INCOMPLETE;
      items.push(item);
    }
    return items;
  }
}

function length(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < -1) throw new SyntaxError("not RESP");
  return value;
}
