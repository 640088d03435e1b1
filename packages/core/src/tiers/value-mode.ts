import { EncodeError } from "../contracts/errors.ts";
import type { LocalTier } from "../contracts/local-tier.ts";
import { unwritablePlace } from "../entry/place.ts";

/** How values pass between callers and a local tier: shared, shared and frozen, or cloned. */
export class ValueMode {
  /** Whether callers get the stored object itself. */
  declare readonly isShared: boolean;
  readonly #label: string;
  readonly #mode: NonNullable<LocalTier["values"]>;
  readonly #freezesShared: boolean;
  /** Values that were frozen to the last property, as the mode does it, so that each is walked once. */
  readonly #frozen = new WeakSet<object>();

  /** @param freezesShared a change of plain data in a shared value throws. */
  constructor({ label, values: mode = "shared" }: Pick<LocalTier, "label" | "values">, freezesShared: boolean) {
    this.isShared = mode !== "cloned";
    this.#label = label;
    this.#mode = mode;
    this.#freezesShared = freezesShared && mode === "shared";
  }

  /**
   * The value to store, where the caller keeps the original.
   *
   * @throws {EncodeError} for a value that cannot be cloned.
   */
  own(value: unknown): unknown {
    if (this.#freezesShared) this.#freeze(value, freezePlainData);
    if (this.#mode === "frozen") this.#freeze(value, deepFreeze);
    return this.#mode === "cloned" ? this.#clone(value) : value;
  }

  /** The value for one caller: in `cloned` mode a clone, if it can be, in `frozen` mode frozen, even if not stored. */
  handOut(value: unknown): unknown {
    if (value === null || typeof value !== "object" || this.#mode === "shared") return value;
    try {
      if (this.#mode === "cloned") return structuredClone(value);
      this.#freeze(value, deepFreeze);
      return value;
    } catch {
      return value;
    }
  }

  #freeze(value: unknown, freeze: (value: object) => void): void {
    if (value === null || typeof value !== "object" || this.#frozen.has(value)) return;
    freeze(value);
    this.#frozen.add(value);
  }

  #clone(value: unknown): unknown {
    try {
      return structuredClone(value);
    } catch (cause) {
      const place = unwritablePlace(value, (part) => {
        try {
          structuredClone(part);
          return true;
        } catch {
          return false;
        }
      });
      const where = place === undefined ? "" : `: ${place}`;
      throw new EncodeError(
        `${this.#label}: this value cannot be cloned; give plain data, or values: "shared"${where}`,
        { tier: this.#label, operation: "clone", cause },
      );
    }
  }
}

/**
 * Freezes plain data deeply, below what is frozen already as well. Bytes and the contents of `Map`, `Set` and `Date`
 * cannot be frozen.
 */
function deepFreeze(value: object): void {
  const reached = new Set<unknown>([value]);
  for (const each of reached) {
    if (each === null || typeof each !== "object" || ArrayBuffer.isView(each)) continue;
    Object.freeze(each);
    for (const key of Reflect.ownKeys(each)) reached.add(Object.getOwnPropertyDescriptor(each, key)?.value);
  }
}

/**
 * Freezes plain objects and arrays, as far as only they lead, below what is frozen already as well. Never throws: a
 * proxy may refuse.
 */
function freezePlainData(value: object): void {
  const reached = new Set<unknown>([value]);
  try {
    for (const each of reached) {
      if (!isPlainData(each)) continue;
      Object.freeze(each);
      for (const part of Object.values(each)) if (typeof part === "object") reached.add(part);
    }
  } catch {
    return;
  }
}

function isPlainData(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
