import type { Awaitable } from "./awaitable.ts";
import type { Backend } from "./capabilities.ts";

/**
 * Protects entries in a store that other programs can write to. Applied last on writing and first on reading: nothing
 * of an entry is parsed, decompressed or decoded before it was opened.
 *
 * `sealed` of `@hotset/seal` puts one around a backend, and passes everything that an entry states about itself:
 * `bytes` hold the value, the absolute end of its freshness and of its life, the id of its write, and its meta (format,
 * compressor, windows, tags and their versions, validators); `context` stands for its place (cache, namespace, key). An
 * implementation must protect both.
 *
 * `@hotset/seal` has two: `aesGcm` and `hmac`.
 */
export interface Seal {
  /** Stored with each entry. A new layout needs a new id. 1 to 32 of `a-z 0-9 . -`. */
  readonly id: string;
  /**
   * If it throws or rejects, the entry is not written.
   *
   * @param context unambiguous bytes, equal on writing and on reading. They are not stored, so a seal binds them, as
   *   the associated data of an AEAD for example.
   */
  seal(bytes: Uint8Array, context: Uint8Array): Awaitable<Uint8Array>;
  /**
   * The `bytes` that were given to {@link seal}.
   *
   * @throws (or rejects) for everything that `seal` did not make under this context with a known secret. The message of
   *   a `DecodeError` is reported: it may name the ids of secrets, and contains no secret and no value.
   */
  open(bytes: Uint8Array, context: Uint8Array): Awaitable<Uint8Array>;
  /**
   * The backend with this seal around it, for builders of backends: `(backend) => sealed(backend, this)`. Throws
   * nothing.
   */
  around(backend: Backend): Backend;
}
