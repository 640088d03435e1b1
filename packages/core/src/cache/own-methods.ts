import { InvalidArgumentError } from "../contracts/errors.ts";

const AsyncFunction = (async () => undefined).constructor as FunctionConstructor;

type Method = (this: unknown, ...args: unknown[]) => unknown;

/** The error of a method that was taken off its cache (`const { get } = cache`), or called through a proxy. */
export const detached = (method: string): InvalidArgumentError =>
  new InvalidArgumentError(
    `${method} must be called as cache.${method}(...); to pass it on, write (...args) => cache.${method}(...args)`,
  );

/**
 * Makes the methods of `prototype` fail with {@link detached} unless `this` is an instance: those that are `async`
 * reject, others throw. Else the engine would say that it cannot read a private member.
 *
 * @param except methods that do it themselves.
 */
export function keepToInstances(
  prototype: object,
  isInstance: (receiver: unknown) => boolean,
  except: readonly string[] = [],
): void {
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    const method = property.value as unknown;
    if (name === "constructor" || typeof method !== "function" || except.includes(name)) continue;
    const guarded: Method = function guarded(...args) {
      if (isInstance(this)) return (method as Method).apply(this, args);
      if (method instanceof AsyncFunction) return Promise.reject(detached(name));
      throw detached(name);
    };
    Object.defineProperty(guarded, "name", { value: name });
    Object.defineProperty(prototype, name, { ...property, value: guarded });
  }
}
