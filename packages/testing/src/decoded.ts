import type { Format } from "@hotset/core";
import { expect } from "vitest";

/** The result of `act`, or the error that it throws. Fails if it throws a value that is not an error. */
export function attempt(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}

/** All that `format` wrote with a limit, it reads with that limit. It may refuse to write. */
export function expectReadWithItsLimit(format: Format, value: unknown): void {
  const { byteLength } = format.encode(value);
  for (const maxBytes of [byteLength, 2 * byteLength, 8 * byteLength]) {
    const bytes = attempt(() => format.encode(value, maxBytes));
    if (!(bytes instanceof Error)) expect(format.decode(bytes as Uint8Array, maxBytes)).toStrictEqual(value);
  }
}

/** Everything in `value` is of a class that comes with JavaScript or Node, and has the prototype of that class. */
export function expectPlain(value: unknown): void {
  const seen = new Set<unknown>();
  const visit = (at: unknown): void => {
    if (typeof at === "function") expect.unreachable("a decoded value holds a function");
    if (typeof at !== "object" || at === null || seen.has(at)) return;
    seen.add(at);
    const prototype: unknown = Object.getPrototypeOf(at);
    if (!PROTOTYPES.has(prototype) && !ArrayBuffer.isView(at))
      expect.unreachable("a decoded value has a prototype that no built-in class has");
    if (at instanceof Map) for (const [key, member] of at) [key, member].forEach(visit);
    if (at instanceof Set) for (const member of at) visit(member);
    for (const property of Reflect.ownKeys(at))
      if (!ArrayBuffer.isView(at)) visit(Object.getOwnPropertyDescriptor(at, property)?.value);
  };
  visit(value);
}

export function expectUnpolluted(): void {
  expect(Object.getOwnPropertyNames(Object.prototype)).toStrictEqual(OBJECT_PROTOTYPE_NAMES);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
}

const OBJECT_PROTOTYPE_NAMES = Object.getOwnPropertyNames(Object.prototype);

const PROTOTYPES = new Set<unknown>([
  ...[Object, Array, Date, Map, Set, Boolean, Number, String, BigInt, RegExp, ArrayBuffer].map(
    ({ prototype }): unknown => prototype,
  ),
  ...[Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map(
    ({ prototype }): unknown => prototype,
  ),
]);
