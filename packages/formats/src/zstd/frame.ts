import { DecodeError } from "@hotset/core";

/** Sizes from the headers of a Zstandard frame, known before anything is decompressed. */
export interface Frame {
  /** Absent if the frame was written as a stream. */
  readonly contentBytes: number | undefined;
  /** Maximum size of the content of its blocks. */
  readonly mostBytes: number;
}

/**
 * Reads the headers of `bytes`, which must be exactly one frame (RFC 8878, section 3.1.1):
 *
 *     magic(4)  descriptor(1)  [window(1)]  [dictionary(0-4)]  [content size(0-8)]  blocks  [checksum(4)]
 *
 * A block is a header of three bytes (last, kind, size) and its content; one holds at most 128 KiB.
 *
 * @throws {DecodeError} when `bytes` are not such a frame, are cut short, need a dictionary, continue after the frame,
 * or
 *   claim more content than their blocks can hold.
 */
export function readFrame(bytes: Uint8Array): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (view.getUint32(0, true) !== MAGIC) throw refusal(bytes, "are not a Zstandard frame");
    const descriptor = view.getUint8(4);
    let at = 5;
    const isSingleSegment = (descriptor & 0x20) !== 0;
    let windowBytes = isSingleSegment ? Infinity : windowSize(view.getUint8(at++));
    if ((descriptor & 0x03) !== 0) throw refusal(bytes, "need a dictionary");
    const sizeBytes = contentSizeBytes(descriptor >> 6, isSingleSegment);
    const contentBytes = contentSize(view, at, sizeBytes);
    at += sizeBytes;
    if (isSingleSegment) windowBytes = contentBytes!;
    else if (contentBytes === undefined && windowBytes > MAX_WINDOW_BYTES)
      throw refusal(bytes, "need too large a window");

    const maxBlockBytes = Math.min(windowBytes, MAX_BLOCK_BYTES);
    let mostBytes = 0;
    for (let isLast = false; !isLast;) {
      const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
      at += 3;
      isLast = (header & 1) !== 0;
      const kind = (header >> 1) & 3;
      const size = header >> 3;
      if (kind === RESERVED || size > MAX_BLOCK_BYTES) throw refusal(bytes, "hold a malformed block");
      at += kind === REPEATED_BYTE ? 1 : size;
      mostBytes += kind === COMPRESSED ? maxBlockBytes : size;
    }
    if ((descriptor & 0x04) !== 0) at += 4;
    if (at > bytes.byteLength) throw refusal(bytes, "are cut short");
    if (at < bytes.byteLength) throw refusal(bytes, "continue after the frame");
    if (contentBytes !== undefined && contentBytes > mostBytes)
      throw refusal(bytes, "claim more content than their blocks can hold");
    return { contentBytes, mostBytes };
  } catch (error) {
    if (error instanceof RangeError) throw refusal(bytes, "are cut short"); // thrown by the DataView
    throw error;
  }
}

const MAGIC = 0xfd2f_b528;
const MAX_BLOCK_BYTES = 128 * 1024;
/** The window size that decoders should support (RFC 8878, section 3.1.1.1.2). */
const MAX_WINDOW_BYTES = 8 * 1024 * 1024;

// Kinds of blocks; kind 0 is stored uncompressed.
const REPEATED_BYTE = 1;
const COMPRESSED = 2;
const RESERVED = 3;

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function contentSizeBytes(flag: number, isSingleSegment: boolean): number {
  return flag === 0 ? (isSingleSegment ? 1 : 0) : 2 ** flag;
}

function contentSize(view: DataView, at: number, sizeBytes: number): number | undefined {
  switch (sizeBytes) {
    case 0:
      return undefined;
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + 256;
    case 4:
      return view.getUint32(at, true);
    default:
      return Number(view.getBigUint64(at, true));
  }
}

const refusal = (bytes: Uint8Array, why: string): DecodeError =>
  new DecodeError(`zstd: ${bytes.byteLength} bytes ${why}`, { operation: "decompress" });
