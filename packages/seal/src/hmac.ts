import { createHmac, timingSafeEqual } from "node:crypto";
import type { Backend, Seal } from "@hotset/core";
import { KeyRing, type RingKey, type SealOptions } from "./key-ring.ts";
import { sealed } from "./sealed.ts";

/**
 * Authenticates entries by HMAC-SHA-256, and leaves them readable.
 *
 *     header of the key | HMAC, 32 bytes | bytes
 *
 * The HMAC is that of the header, the length of the context in 4 bytes (big-endian), the context and the bytes. `open`
 * throws {@link DecodeError} for anything else. Synchronous; no secret appears in an error, nor when the seal is
 * inspected.
 *
 * @throws {InvalidArgumentError} for keys that are not of 32 bytes, and for ids that are not ids.
 * @see https://www.rfc-editor.org/rfc/rfc2104
 */
export function hmac(options: SealOptions): Seal {
  const ring = new KeyRing(ID, options);

  function seal(bytes: Uint8Array, context: Uint8Array): Uint8Array {
    return Buffer.concat([ring.first.header, macOf(ring.first, context, bytes), bytes]);
  }

  function open(bytes: Uint8Array, context: Uint8Array): Uint8Array {
    const sealed = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const key = ring.keyOf(sealed);
    const from = key.header.length + MAC_BYTES;
    const opened = sealed.subarray(from);
    if (sealed.length < from || !timingSafeEqual(macOf(key, context, opened), sealed.subarray(key.header.length, from)))
      throw ring.broken(key);
    return opened;
  }

  function around(backend: Backend): Backend {
    return sealed(backend, { id: ID, seal, open });
  }

  return Object.freeze({ id: ID, seal, open, around });
}

function macOf({ header, secret }: RingKey, context: Uint8Array, bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(context.length);
  return createHmac("sha256", secret).update(header).update(length).update(context).update(bytes).digest();
}

const ID = "hmac-sha-256";
const MAC_BYTES = 32;
