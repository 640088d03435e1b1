import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  randomBytes,
  type Cipher,
  type KeyObject,
} from "node:crypto";
import type { Backend, Seal } from "@hotset/core";
import { KeyRing, type SealOptions } from "./key-ring.ts";
import { sealed } from "./sealed.ts";

/**
 * Encrypts and authenticates entries: AES-256-GCM with random nonces of 192 bits, which is XAES-256-GCM. A key may seal
 * any number of entries in practice (2 ** 80), in any number of processes.
 *
 *     header of the key | nonce, 24 bytes | encrypted bytes | tag, 16 bytes
 *
 * `open` throws {@link DecodeError} for anything else. Synchronous; no secret appears in an error, nor when the seal is
 * inspected.
 *
 * @throws {InvalidArgumentError} for keys that are not of 32 bytes, and for ids that are not ids.
 * @see https://c2sp.org/XAES-256-GCM
 */
export function aesGcm(options: SealOptions): Seal {
  const ring = new KeyRing(ID, options);

  function seal(bytes: Uint8Array, context: Uint8Array): Uint8Array {
    const { header, secret } = ring.first;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", derivedKey(secret, nonce), nonce.subarray(12));
    cipher.setAAD(Buffer.concat([header, context]));
    return Buffer.concat([header, nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
  }

  function open(bytes: Uint8Array, context: Uint8Array): Uint8Array {
    const sealed = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const key = ring.keyOf(sealed);
    const from = key.header.length + NONCE_BYTES;
    const end = sealed.length - TAG_BYTES;
    if (end < from) throw ring.broken(key);
    const nonce = sealed.subarray(key.header.length, from);
    const decipher = createDecipheriv("aes-256-gcm", derivedKey(key.secret, nonce), nonce.subarray(12), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.concat([key.header, context]));
    decipher.setAuthTag(sealed.subarray(end));
    const opened = decipher.update(sealed.subarray(from, end));
    try {
      // An empty rest: GCM has no padding. It throws unless the tag is right, and until then nothing is returned.
      decipher.final();
    } catch (cause) {
      throw ring.broken(key, cause);
    }
    return opened;
  }

  function around(backend: Backend): Backend {
    return sealed(backend, { id: ID, seal, open });
  }

  return Object.freeze({ id: ID, seal, open, around });
}

/**
 * The key for one nonce, from its first half: two blocks of AES-CMAC, as in section "Derivation" of XAES-256-GCM (a
 * counter KDF of NIST SP 800-108r1).
 */
export function derivedKey(secret: KeyObject, nonce: Uint8Array): KeyObject {
  let cmac = cmacs.get(secret);
  if (cmac === undefined) cmacs.set(secret, (cmac = cmacOf(secret)));
  const blocks = Buffer.alloc(2 * BLOCK_BYTES);
  for (const [i, at] of [0, BLOCK_BYTES].entries()) {
    blocks.set([0, i + 1, 0x58, 0], at);
    blocks.set(nonce.subarray(0, 12), at + 4);
    for (let j = 0; j < BLOCK_BYTES; j++) blocks[at + j]! ^= cmac.subkey[j]!;
  }
  // As a KeyObject: a cipher takes three times as long to make from bytes.
  return createSecretKey(cmac.blockCipher.update(blocks));
}

interface Cmac {
  /** Encrypts each block alone. Kept, since making one costs more than using it. */
  readonly blockCipher: Cipher;
  readonly subkey: Buffer;
}

const cmacs = new WeakMap<KeyObject, Cmac>();

/** The first subkey is the encrypted zero block, doubled in GF(2^128): RFC 4493, section 2.3. */
function cmacOf(secret: KeyObject): Cmac {
  const blockCipher = createCipheriv("aes-256-ecb", secret, null).setAutoPadding(false);
  const zero = blockCipher.update(Buffer.alloc(BLOCK_BYTES));
  const subkey = Buffer.from(zero.map((byte, i) => (byte << 1) | ((zero[i + 1] ?? 0) >> 7)));
  if ((zero[0]! & 0x80) !== 0) subkey[BLOCK_BYTES - 1]! ^= 0x87;
  return { blockCipher, subkey };
}

const ID = "xaes-256-gcm";
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
const BLOCK_BYTES = 16;
