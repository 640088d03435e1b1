import { DecodeError, EncodeError, json, type Compressor, type StandardSchema } from "@hotset/core";
import { gzip } from "@hotset/formats";
import { CommandError } from "../errors/command-error.ts";

/** Options of `setJson`. */
export interface JsonOptions {
  /** Values of more bytes are stored as gzip. Reading recognises both. @default never */
  readonly compressAbove?: number | undefined;
}

/** The first bytes of gzip. JSON begins with others. @see RFC 1952, section 2.3.1 */
const GZIP_MAGIC = [0x1f, 0x8b] as const;
/** Bound on what a compressed value may become. */
const MAX_DECODED_BYTES = 8 * 1_048_576;

const format = json();
let compressor: Compressor | undefined;
const gzipOnce = (): Compressor => (compressor ??= gzip({ minBytes: 0 }));

/** @throws {EncodeError} for what would come back as something else, see `json()` of `@hotset/core`. */
export async function encodeJson(value: unknown, { compressAbove = Infinity }: JsonOptions): Promise<Buffer> {
  if (value === undefined)
    throw new EncodeError("setJson: undefined cannot be written; use null, or delete the key", {
      operation: "setJson",
    });
  const bytes = Buffer.from(format.encode(value));
  return bytes.byteLength > compressAbove ? Buffer.from(await gzipOnce().compress(bytes)) : bytes;
}

/** @throws {CommandError} `CORRUPT_VALUE` for what is not JSON, or not what the schema accepts. */
export async function decodeJson<T>(
  operation: string,
  bytes: Buffer,
  schema: StandardSchema<T> | undefined,
): Promise<T> {
  let value: unknown;
  try {
    const isGzip = bytes[0] === GZIP_MAGIC[0] && bytes[1] === GZIP_MAGIC[1];
    const text = isGzip ? await gzipOnce().decompress(bytes, MAX_DECODED_BYTES) : bytes;
    value = await format.decode(text, MAX_DECODED_BYTES);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new CommandError(`${operation}: the stored value cannot be read: ${error.message}`, {
      code: "CORRUPT_VALUE",
      operation,
    });
  }
  if (schema === undefined) return value as T;
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value;
  const [issue] = result.issues;
  const path = issue?.path?.map((part) => String(typeof part === "object" ? part.key : part)).join(".") ?? "";
  throw new CommandError(`${operation}: the stored value does not fit the schema${path === "" ? "" : ` at ${path}`}`, {
    code: "CORRUPT_VALUE",
    operation,
  });
}
