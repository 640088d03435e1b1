import type { Awaitable } from "../contracts/awaitable.ts";
import type { Backend, StoredEntry } from "../contracts/backend.ts";
import { epochMs, type Clock } from "../contracts/clock.ts";
import { ConfigurationError, DecodeError, EncodeError } from "../contracts/errors.ts";
import type { Seal } from "../contracts/seal.ts";
import { isThenable, whenReady } from "../primitives/thenable.ts";
import { isMetaTooLong, MAX_META_BYTES } from "./entry-meta.ts";
import type { EntryKey } from "./key.ts";

/**
 * The last step of writing and the first of reading, over a backend with a {@link Seal}; without one entries pass as
 * they are.
 *
 *     meta     id of the seal ";" meta
 *     data     sealed: 1 | stale at, float64 | expires at, float64 | length of id, uint8 | id of the write | data
 *     context  JSON of the place (scope, prefix of the namespace, key) and of the meta
 *
 * Numbers are big-endian, instants epoch milliseconds. The store's own times, and a write id that the store changed
 * (`markStale`), can shorten what is sealed and never lengthen it.
 */
export class SealedEntries {
  readonly #backend: Pick<Backend, "label" | "seal" | "sealScope">;
  readonly #clock: Clock;

  constructor(backend: Pick<Backend, "label" | "seal" | "sealScope">, clock: Clock) {
    this.#backend = backend;
    this.#clock = clock;
  }

  /** @throws {EncodeError} (or rejects with it) when the seal fails, or the meta becomes longer than 4 KiB. */
  seal(key: EntryKey, entry: StoredEntry): Awaitable<StoredEntry> {
    const { seal, label: tier } = this.#backend;
    if (seal === undefined) return entry;
    const meta = `${seal.id};${entry.meta}`;
    const fail = (cause: unknown): never => {
      if (cause instanceof EncodeError) throw cause;
      throw new EncodeError(`${seal.id} cannot seal this entry; see cause`, { tier, operation: "encode", cause });
    };
    try {
      if (isMetaTooLong(meta))
        throw new EncodeError(
          `tags, validators and the name of the seal take more than ${MAX_META_BYTES} bytes; give fewer or shorter ones`,
          { tier, operation: "encode" },
        );
      const sealed = whenReady(seal.seal(this.#pack(entry), this.#context(key, meta)), (data) => ({
        ...entry,
        data,
        meta,
      }));
      return isThenable(sealed) ? sealed.then(undefined, fail) : sealed;
    } catch (cause) {
      return fail(cause);
    }
  }

  /**
   * The entry as it was before {@link seal}, with the remaining times that both the seal and the store allow;
   * `undefined` when its sealed life has just ended.
   *
   * @throws {DecodeError} (or rejects with it) for an entry that the seal does not open, one without a seal too; where
   *   the backend has no seal, for a sealed one.
   */
  open(key: EntryKey, stored: StoredEntry): Awaitable<StoredEntry | undefined> {
    const { seal } = this.#backend;
    const sealedBy = SEALED_META.exec(stored.meta)?.[1];
    if (sealedBy !== seal?.id) throw this.#refusal(seal === undefined ? sealed(sealedBy!) : unsealed(seal, sealedBy));
    return seal === undefined ? stored : this.#open(seal, key, stored);
  }

  #open(seal: Seal, key: EntryKey, stored: StoredEntry): Awaitable<StoredEntry | undefined> {
    const fail = (cause: unknown): never => {
      throw this.#refusal(cause instanceof DecodeError ? cause.message : `${seal.id} does not open it`, cause);
    };
    try {
      const opened = whenReady(seal.open(stored.data, this.#context(key, stored.meta)), (bytes) =>
        this.#unpack(bytes, stored, stored.meta.slice(seal.id.length + 1)),
      );
      return isThenable(opened) ? opened.then(undefined, fail) : opened;
    } catch (cause) {
      return fail(cause);
    }
  }

  #pack({ data, staleInMs, expiresInMs, version = "" }: StoredEntry): Uint8Array {
    const now = epochMs(this.#clock);
    const head = Buffer.alloc(HEAD_BYTES + version.length);
    head[0] = LAYOUT;
    head.writeDoubleBE(now + staleInMs, 1);
    head.writeDoubleBE(now + expiresInMs, 9);
    head[17] = version.length;
    head.write(version, HEAD_BYTES, "latin1");
    return Buffer.concat([head, data]);
  }

  #unpack(bytes: Uint8Array, stored: StoredEntry, meta: string): StoredEntry | undefined {
    const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (head.length < HEAD_BYTES || head[0] !== LAYOUT) throw new DecodeError("its sealed part has another layout");
    const now = epochMs(this.#clock);
    const expiresInMs = Math.min(stored.expiresInMs, Math.floor(head.readDoubleBE(9) - now));
    if (expiresInMs < -CLOCK_TOLERANCE_MS)
      throw new DecodeError(
        "its sealed life is over by more than 10 s: an old entry was put back, or the clocks of two processes differ",
      );
    if (expiresInMs < 1) return undefined;
    const end = HEAD_BYTES + head[17]!;
    const version = head.toString("latin1", HEAD_BYTES, end);
    // Only the end of freshness gives an entry another id: with another one it is stale, however it came there.
    const isRenamed = version !== "" && stored.version !== undefined && stored.version !== version;
    const staleInMs = Math.min(stored.staleInMs, Math.floor(head.readDoubleBE(1) - now), isRenamed ? 0 : Infinity);
    return { ...stored, data: bytes.subarray(end), meta, staleInMs, expiresInMs };
  }

  /** JSON shows where each part ends, so no two entries share a context. */
  #context({ space, name }: EntryKey, meta: string): Uint8Array {
    const place = [this.#backend.sealScope ?? "", space.backendPrefix, name];
    return Buffer.from(JSON.stringify(["hotset", LAYOUT, ...place, meta]));
  }

  #refusal(reason: string, cause?: unknown): UnopenedEntry {
    return new UnopenedEntry(`a stored entry cannot be read: ${reason}`, {
      tier: this.#backend.label,
      operation: "decode",
      cause,
    });
  }
}

/** An entry that is not sealed as its backend wants it. */
export class UnopenedEntry extends DecodeError {}

/** @throws {ConfigurationError} for a seal that is not one, or that the layout of the backend has no room for. */
export function checkSeal({ label, seal, keepsMeta }: Pick<Backend, "label" | "seal" | "keepsMeta">): void {
  if (seal === undefined) return;
  const hasId = typeof seal?.id === "string" && SEAL_ID.test(seal.id);
  // The message does not show what was given: it may be the secret itself.
  if (!hasId || typeof seal.seal !== "function" || typeof seal.open !== "function")
    throw new ConfigurationError(
      `${label}: seal must be a Seal, such as aesGcm({ keys }), with an id of 1 to 32 of a-z 0-9 . -`,
    );
  if (keepsMeta === false)
    throw new ConfigurationError(
      `${label}: seal does not work with keepsMeta: false, whose layout has no room for it; use the full layout, or no seal`,
    );
}

const sealed = (by: string): string => `it is sealed by ${JSON.stringify(by)}, and this backend has no seal`;
const unsealed = ({ id }: Seal, by: string | undefined): string =>
  `it is ${by === undefined ? "not sealed" : `sealed by ${JSON.stringify(by)}`}, and this backend reads only entries that are sealed by ${JSON.stringify(id)}`;

const SEAL_ID = /^[a-z0-9.-]{1,32}$/;
/** No other meta begins like this: it is JSON, or empty. */
const SEALED_META = /^([a-z0-9.-]{1,32});/;
const LAYOUT = 1;
const HEAD_BYTES = 18;
/** Wall clocks of processes may differ by a few seconds. Within them the end of a sealed life is an ordinary miss. */
const CLOCK_TOLERANCE_MS = 10_000;
