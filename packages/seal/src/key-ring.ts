import { createSecretKey, KeyObject } from "node:crypto";
import { DecodeError, InvalidArgumentError } from "@hotset/core";
import { checkNames, kindOf } from "@hotset/core/internal";

/** A secret and its name. */
export interface SealKey {
  /** Stored with each entry, readable by all. 1 to 32 of `A-Z a-z 0-9 . _ -`. */
  readonly id: string;
  /** 32 random bytes: themselves, as a secret `KeyObject`, or as text in base64 or base64url. */
  readonly key: Uint8Array | KeyObject | string;
}

/** Options of a seal. */
export interface SealOptions {
  /** The first one seals, all of them open. */
  readonly keys: readonly SealKey[];
}

export interface RingKey {
  readonly id: string;
  /**
   * Stands before everything that is sealed with this key:
   *
   *     1 | length of id, uint8 | id, ASCII
   */
  readonly header: Buffer;
  readonly secret: KeyObject;
}

/** The keys of one seal. Holds secrets as `KeyObject`s, which show nothing when they are inspected. */
export class KeyRing {
  /** Seals. */
  readonly first: RingKey;
  readonly #seal: string;
  readonly #keys: ReadonlyMap<string, RingKey>;

  /**
   * @throws {ConfigurationError} for an unknown option.
   * @throws {InvalidArgumentError} which contains no part of a key.
   */
  constructor(seal: string, options: SealOptions) {
    checkNames(options, ["keys"], { place: seal });
    const keys: unknown = options?.keys;
    if (!Array.isArray(keys) || keys.length === 0)
      throw new InvalidArgumentError(`${seal}: keys must be a list of at least one { id, key }`);
    // Not `map`, which leaves out holes.
    const ring = Array.from(keys, (each: unknown, i) => ringKey(`${seal}: keys[${i}]`, each));
    this.#seal = seal;
    this.#keys = new Map(ring.map((each) => [each.id, each]));
    this.first = ring[0]!;
    if (this.#keys.size < ring.length) throw new InvalidArgumentError(`${seal}: keys must have different ids`);
  }

  /**
   * The key that the header of `sealed` names.
   *
   * @throws {DecodeError} for a header that is not one, and for an unknown key.
   */
  keyOf(sealed: Buffer): RingKey {
    const id = sealed[0] === LAYOUT ? sealed.toString("latin1", 2, 2 + sealed[1]!) : "";
    if (!KEY_ID.test(id) || sealed.length < 2 + id.length)
      throw new DecodeError(`${this.#seal}: these bytes are not sealed`);
    const key = this.#keys.get(id);
    if (key !== undefined) return key;
    const here = Array.from(this.#keys.keys(), (each) => `"${each}"`).join(", ");
    throw new DecodeError(
      `${this.#seal}: sealed with the key "${id}", and the keys here are ${here}; all processes need the same keys`,
    );
  }

  /** For bytes that the key of their header does not open. */
  broken({ id }: RingKey, cause?: unknown): DecodeError {
    return new DecodeError(
      `${this.#seal}: the key ${JSON.stringify(id)} does not open these bytes: they were changed or copied, or another process has another secret under this id`,
      { cause },
    );
  }
}

function ringKey(name: string, given: unknown): RingKey {
  const { id, key } = (given ?? {}) as { readonly [K in keyof SealKey]?: unknown };
  if (typeof id !== "string" || !KEY_ID.test(id))
    throw new InvalidArgumentError(`${name}.id must be 1 to 32 of A-Z a-z 0-9 . _ -`);
  const header = Buffer.concat([Buffer.of(LAYOUT, id.length), Buffer.from(id, "latin1")]);
  return Object.freeze({ id, header, secret: secretOf(`${name}.key`, key) });
}

/** No message of this function shows what was given: it may be a secret. */
function secretOf(name: string, given: unknown): KeyObject {
  const refusal = (got: string): InvalidArgumentError =>
    new InvalidArgumentError(
      `${name} must be ${KEY_BYTES} random bytes, as a Uint8Array, a secret KeyObject, or text in base64, got ${got}`,
    );
  if (given instanceof KeyObject) {
    if (given.type !== "secret") throw refusal(`a ${given.type} key`);
    if (given.symmetricKeySize !== KEY_BYTES) throw refusal(`a key of ${given.symmetricKeySize} bytes`);
    return given;
  }
  if (typeof given === "string" && !BASE64_KEY.test(given))
    throw refusal(`text that is not base64 of ${KEY_BYTES} bytes`);
  const bytes = typeof given === "string" ? Buffer.from(given, "base64") : given;
  if (!(bytes instanceof Uint8Array)) throw refusal(kindOf(bytes));
  if (bytes.length !== KEY_BYTES) throw refusal(`${bytes.length} bytes`);
  return createSecretKey(bytes);
}

const LAYOUT = 1;
const KEY_BYTES = 32;
const KEY_ID = /^[A-Za-z0-9._-]{1,32}$/;
/** `Buffer` ignores what is not base64, and so would make a shorter key of it. It reads both alphabets. */
const BASE64_KEY = /^[A-Za-z0-9+/_-]{43}=?$/;
