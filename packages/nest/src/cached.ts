import { InvalidArgumentError, type Cache, type Namespace } from "@hotset/core";
import { cacheMethod, type CachedOptions, type PlainArguments, type WithKey } from "@hotset/core/decorators";
import { Inject } from "@nestjs/common";
import { getCacheToken } from "./tokens.ts";

/** A decorator of a method that returns a promise, as `experimentalDecorators` of TypeScript applies it. */
export type CachedMethodDecorator<A extends readonly unknown[], V> = <
  M extends readonly [...A, ...unknown[]],
  R extends V,
>(
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<(...args: M) => Promise<R>>,
) => void;

/** The same for methods whose arguments are plain data: they are the key. */
export type PlainCachedMethodDecorator<A extends readonly unknown[], V> = <
  M extends readonly [...A, ...unknown[]],
  R extends V,
>(
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<((...args: M) => Promise<R>) & PlainArguments<M>>,
) => void;

/**
 * Caches a method of a provider or controller, as `wrap` does a function, in the cache of `HotsetModule` or in the
 * namespace of `forFeature`: Nest injects it. All instances share values, so what distinguishes them belongs into the
 * key. Put it above other decorators of the method or below, the metadata of those is kept.
 * ```ts
 * @Injectable()
 * class Catalog {
 *   @Cached({ name: "price", ttl: "1m", tags: (_cents: number, sku: string) => [`sku:${sku}`] })
 *   async price(sku: string): Promise<number> { ... }
 * }
 * ```
 * @param options those of `wrap`, or a function that makes them for an instance, once.
 * @param namespace the name that `HotsetModule.forFeature` was given. @default the cache itself
 * @throws {InvalidArgumentError} for anything but a method of instances. A call of an instance that Nest has not made
 *   rejects with it.
 */
export function Cached<T extends object, A extends unknown[], V>(
  options: WithKey<A, V> | ((self: T) => WithKey<A, V>),
  namespace?: string,
): CachedMethodDecorator<A, V>;
export function Cached<T extends object, A extends unknown[], V>(
  options: CachedOptions<A, V> | ((self: T) => CachedOptions<A, V>),
  namespace?: string,
): PlainCachedMethodDecorator<A, V>;
export function Cached(options: Parameters<typeof cacheMethod>[2], namespace?: string): never {
  const token = getCacheToken(namespace);
  const place = Symbol.for(token);
  const decorator = (target: object, name: string | symbol, descriptor: { value?: unknown } | undefined): void => {
    const method = descriptor?.value;
    if (typeof target === "function" || typeof method !== "function")
      throw new InvalidArgumentError(`Cached: ${String(name)} must be a method of instances`);
    const cacheOf = (self: object): Cache | Namespace => {
      const cache = (self as Readonly<Record<symbol, Cache | undefined>>)[place];
      if (cache !== undefined) return cache;
      const owner = self.constructor.name;
      throw new InvalidArgumentError(
        `Cached: ${owner}.${String(name)} has no cache; let Nest make the ${owner}, as a provider or controller`,
      );
    };
    const cached = cacheMethod(method as never, cacheOf, options);
    for (const key of Reflect.getMetadataKeys(method) as readonly unknown[])
      Reflect.defineMetadata(key, Reflect.getMetadata(key, method) as unknown, cached);
    descriptor!.value = cached;
    Inject(token)(target, place);
  };
  return decorator as never;
}
