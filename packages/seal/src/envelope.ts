import {
  DecodeError,
  EncodeError,
  type Awaitable,
  type Backend,
  type Clock,
  type Seal,
  type StoredAnswer,
  type StoredEntry,
} from "@hotset/core";
import { type CacheErrorDetails, scheduleRunning } from "@hotset/core/internal";

/**
 * Entries of a backend as they are stored under a seal:
 *
 *     meta     id of the seal ";", and once it has been touched base64 of its new life: sealed as data, but empty
 *     data     sealed: 1 | stale at, float64 | expires at, float64 | length of id, uint8 | id of the write
 *              | length of meta, uint16; from 65,535 on that, and then a uint32 | meta, UTF-8 | data
 *     context  JSON of the place: scope, and key with the prefix of its namespace; for a new life, also "life"
 *
 * Numbers are big-endian, instants epoch milliseconds. The store's own times, and a write id that the store changed
 * (`markStale`), can shorten what is sealed and never lengthen it.
 */
export class Envelope {
  readonly #backend: Pick<Backend, "label" | "sealScope" | "deadlineMs">;
  readonly #seal: Omit<Seal, "around">;
  readonly #clock: Clock;

  constructor(backend: Pick<Backend, "label" | "sealScope" | "deadlineMs">, seal: Omit<Seal, "around">, clock: Clock) {
    this.#backend = backend;
    this.#seal = seal;
    this.#clock = clock;
  }

  /** @throws {EncodeError} when the seal fails. */
  async seal(key: string, entry: StoredEntry): Promise<StoredEntry> {
    return { ...entry, data: await this.#sealed(entry, this.#context(key)), meta: `${this.#seal.id};` };
  }

  /**
   * The life of the entry of version `version`.
   *
   * @throws {EncodeError} as above, and when its meta becomes longer than 8 MiB.
   */
  async sealLife(key: string, version: string, life: Life): Promise<Life> {
    const bytes = await this.#sealed({ ...life, version, data: NOTHING }, this.#context(key, "life"));
    const meta = `${this.#seal.id};${Buffer.from(bytes).toString("base64")}`;
    if (meta.length <= MAX_META_BYTES) return { ...life, meta };
    throw new EncodeError("tags and validators are too long to be sealed again", this.#details("encode", undefined));
  }

  async #sealed(entry: StoredEntry, context: Uint8Array): Promise<Uint8Array> {
    try {
      return await this.#inTime(this.#seal.seal(this.#pack(entry), context));
    } catch (cause) {
      if (cause instanceof EncodeError) throw cause;
      throw new EncodeError(`${this.#seal.id} cannot seal this entry; see cause`, this.#details("encode", cause));
    }
  }

  /** Opens an entry that was found under a key. */
  async openFound(key: string, found: StoredAnswer | undefined): Promise<StoredAnswer | undefined>;
  async openFound(key: string, found: Found): Promise<Found>;
  async openFound(key: string, found: Found): Promise<Found> {
    // Some backends say `null` where there is nothing.
    return found && !(found instanceof Error) ? this.open(key, found) : found;
  }

  /**
   * The entry as it was before {@link seal}, with the remaining times that both the seal and the store allow: with an
   * error if the seal does not open it; `undefined` if its sealed life has just ended.
   */
  async open(key: string, stored: StoredAnswer): Promise<StoredAnswer | undefined> {
    const { behind, error, ...rest } = stored;
    const more = behind && { behind: async () => this.openFound(key, await behind()) };
    if (error !== undefined) return { ...stored, ...more };
    try {
      const { id } = this.#seal;
      const [, sealedBy, touched] = SEALED_META.exec(stored.meta) ?? [];
      if (sealedBy !== id) throw new DecodeError(unsealed(id, sealedBy));
      const written = unpacked(await this.#inTime(this.#seal.open(stored.data, this.#context(key))));
      let life = written;
      if (touched !== "") {
        life = unpacked(
          await this.#inTime(this.#seal.open(Buffer.from(touched!, "base64"), this.#context(key, "life"))),
        );
        if (life.version === "" || life.version !== written.version)
          throw new DecodeError(`${id}: its life is that of another write`);
      }
      const opened = this.#withTimes(rest, { ...life, data: written.data });
      return opened && { ...opened, ...more };
    } catch (cause) {
      const reason = cause instanceof DecodeError ? cause.message : `${this.#seal.id} does not open it`;
      const refusal = new DecodeError(`a stored entry cannot be read: ${reason}`, this.#details("decode", cause));
      return { ...rest, ...more, data: NOTHING, meta: "", staleInMs: 0, error: refusal };
    }
  }

  #pack({ data, meta, staleInMs, expiresInMs, version = "" }: StoredEntry): Uint8Array {
    const now = this.#epochMs();
    const text = Buffer.from(meta);
    const isLong = text.length >= LONG;
    const head = Buffer.alloc(META_AT + version.length + (isLong ? 6 : 2));
    head[0] = LAYOUT;
    head.writeDoubleBE(now + staleInMs, STALE_AT);
    head.writeDoubleBE(now + expiresInMs, EXPIRES_AT);
    head[ID_AT] = version.length;
    head.write(version, META_AT, "latin1");
    head.writeUInt16BE(isLong ? LONG : text.length, META_AT + version.length);
    if (isLong) head.writeUInt32BE(text.length, META_AT + version.length + 2);
    return Buffer.concat([head, text, data]);
  }

  #withTimes(stored: StoredEntry, { data, meta, version, staleAt, expiresAt }: Unpacked): StoredEntry | undefined {
    const now = this.#epochMs();
    const expiresInMs = Math.min(stored.expiresInMs, Math.floor(expiresAt - now));
    if (expiresInMs < -CLOCK_TOLERANCE_MS)
      throw new DecodeError(
        "its sealed life ended more than 10 s ago: an old entry was put back, or the clocks of two processes differ",
      );
    if (expiresInMs < 1) return undefined;
    // Only the end of freshness gives an entry another id: with another one it is stale, however it came there.
    const isRenamed = version !== "" && stored.version !== undefined && stored.version !== version;
    const freshForMs = Math.floor(staleAt - now);
    const staleInMs = Math.min(stored.staleInMs, freshForMs, isRenamed ? 0 : Infinity);
    return { ...stored, data, meta, staleInMs, expiresInMs };
  }

  /** JSON shows where each part ends, so no two entries share a context. */
  #context(key: string, ...more: readonly string[]): Uint8Array {
    return Buffer.from(JSON.stringify(["hotset", LAYOUT, this.#backend.sealScope ?? "", key, ...more]));
  }

  /** The answer of a seal, within the deadline of the backend. */
  async #inTime(work: Awaitable<Uint8Array>): Promise<Uint8Array> {
    if (work instanceof Uint8Array) return work;
    const { deadlineMs = 1_000 } = this.#backend;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const end = scheduleRunning(this.#clock, deadlineMs, () =>
      reject(new Error(`${this.#seal.id}: no answer within ${deadlineMs} ms`)),
    );
    work.then(resolve, reject).then(end);
    return promise;
  }

  #epochMs(): number {
    return this.#clock.epochMs?.() ?? Date.now();
  }

  #details(operation: string, cause: unknown): CacheErrorDetails {
    return { tier: this.#backend.label, operation, cause };
  }
}

type Found = StoredAnswer | Error | undefined;
type Life = Omit<StoredEntry, "data" | "version">;

interface Unpacked {
  readonly data: Uint8Array;
  readonly meta: string;
  readonly version: string;
  readonly staleAt: number;
  readonly expiresAt: number;
}

function unpacked(bytes: Uint8Array): Unpacked {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lengthAt = META_AT + (head[ID_AT] ?? 0);
  const isLong = head.length >= lengthAt + 6 && head.readUInt16BE(lengthAt) === LONG;
  const textAt = lengthAt + (isLong ? 6 : 2);
  if (head.length < textAt || head[0] !== LAYOUT) throw new DecodeError("its sealed part has another layout");
  const dataAt = textAt + (isLong ? head.readUInt32BE(lengthAt + 2) : head.readUInt16BE(lengthAt));
  return {
    data: bytes.subarray(dataAt),
    meta: head.toString("utf8", textAt, dataAt),
    version: head.toString("latin1", META_AT, lengthAt),
    staleAt: head.readDoubleBE(STALE_AT),
    expiresAt: head.readDoubleBE(EXPIRES_AT),
  };
}

function unsealed(id: string, by: string | undefined): string {
  const found = by === undefined ? "not sealed" : `sealed by "${by}"`;
  return `it is ${found}, and this backend reads only entries that are sealed by "${id}"`;
}

/** No other meta begins like this: it is JSON, or empty. */
const SEALED_META = /^([a-z0-9.-]{1,32});(.*)$/s;
const NOTHING = new Uint8Array(0);
const LAYOUT = 1;
const MAX_META_BYTES = 8 * 2 ** 20;
/** The length of meta stands behind it. */
const LONG = 0xffff;
const STALE_AT = 1;
const EXPIRES_AT = 9;
const ID_AT = 17;
/** The id of the write; the length of the meta and the meta follow. */
const META_AT = 18;
/** Wall clocks of processes may differ by a few seconds. Within them the end of a sealed life is an ordinary miss. */
const CLOCK_TOLERANCE_MS = 10_000;
