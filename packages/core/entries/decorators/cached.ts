import { InvalidArgumentError } from "@hotset/core";
import { cacheMethod, type AnyCache, type CachedOptions, type PlainArguments } from "./cache-method.ts";

/** A decorator for methods that return promises. */
export type CachedDecorator<T, A extends readonly unknown[], V> = <
  This extends T,
  M extends readonly [...A, ...unknown[]],
  R extends V,
>(
  method: (this: This, ...args: M) => Promise<R>,
  context: ClassMethodDecoratorContext<This>,
) => (this: This, ...args: M) => Promise<R>;

/** The same for methods whose arguments are plain data: they are the key. */
export type PlainCachedDecorator<T, A extends readonly unknown[], V> = <
  This extends T,
  M extends readonly [...A, ...unknown[]],
  R extends V,
>(
  method: ((this: This, ...args: M) => Promise<R>) & PlainArguments<M>,
  context: ClassMethodDecoratorContext<This>,
) => (this: This, ...args: M) => Promise<R>;

/**
 * A decorator that caches a method, as `wrap` does a function. It is a standard one: of TypeScript without
 * `experimentalDecorators`, esbuild or Babel. All objects of the class share values, so what distinguishes them belongs
 * into the key.
 * ```ts
 * class Catalog {
 *   constructor(readonly cache: Cache, readonly currency: string) {}
 *
 *   @cached(
 *     ({ cache }: Catalog) => cache,
 *     ({ currency }) => ({ name: "price", key: (sku: string) => keyOf(currency, sku) }),
 *   )
 *   async price(sku: string): Promise<number> { ... }
 * }
 * ```
 * @param cache a cache or namespace, or a function that finds it in the object, at each call.
 * @param options those of `wrap`, or a function that makes them for an object, once.
 * @throws {InvalidArgumentError} for anything but a method, and if compiled with `experimentalDecorators`; for bad
 *   options, or with a function at the first call.
 */
export function cached<T extends object, A extends unknown[], V>(
  cache: AnyCache | ((self: T) => AnyCache),
  options: WithKey<A, V> | ((self: T) => WithKey<A, V>),
): CachedDecorator<T, A, V>;
export function cached<T extends object, A extends unknown[], V>(
  cache: AnyCache | ((self: T) => AnyCache),
  options: CachedOptions<A, V> | ((self: T) => CachedOptions<A, V>),
): PlainCachedDecorator<T, A, V>;
export function cached(...[cache, options]: Given): PlainCachedDecorator<object, unknown[], unknown> {
  return ((method: never, context: DecoratorContext | string | symbol) => {
    // With experimentalDecorators the arguments are a prototype, the name and a descriptor.
    if (typeof context !== "object")
      throw new InvalidArgumentError(
        `cached: ${String(context)} is compiled with experimentalDecorators; compile without, or use @Cached of @hotset/nest`,
      );
    const { kind, name } = context;
    if (kind !== "method") throw new InvalidArgumentError(`cached: ${String(name)} must be a method, got a ${kind}`);
    return cacheMethod(method, cache, options);
  }) as never;
}

type Given = readonly [Parameters<typeof cacheMethod>[1], Parameters<typeof cacheMethod>[2]];

/** Options with a `key`, for methods whose arguments are not plain data. */
export type WithKey<A extends readonly unknown[], V> = CachedOptions<A, V> & { readonly key: (...args: A) => string };
