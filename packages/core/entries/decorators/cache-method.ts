import { InvalidArgumentError, type Duration, type KeyPart, type Policy, type Wrapped } from "@hotset/core";

/**
 * Options of a cached method, those of `wrap`: its functions get the arguments of the method, so give their parameters
 * types.
 */
export interface CachedOptions<A extends readonly unknown[] = unknown[], V = unknown> extends Omit<Policy, "ttl"> {
  /** First part of every key. Never taken from the method: minified classes have other names. */
  readonly name: string;
  /** Makes the part of the key that differs between calls. @default all arguments, if they are plain data */
  readonly key?: ((...args: A) => string) | undefined;
  /** How long a value is fresh; a function sees the value and the arguments. @default that of the namespace */
  readonly ttl?: Duration | ((value: V, ...args: A) => Duration | undefined) | undefined;
  /** Whether a value is stored. @default every value */
  readonly shouldStore?: ((value: V, ...args: A) => boolean) | undefined;
  /** Tags of each value; a function sees the value and the arguments. */
  readonly tags?: readonly string[] | ((value: V, ...args: A) => readonly string[]) | undefined;
}

/** A type error that asks for `key`, unless all arguments are plain data. */
export type PlainArguments<M extends readonly unknown[]> =
  M extends KeyPart<M> ? unknown : { readonly error: "an argument is not plain data: pass `key`" };

/** A cache, or a namespace of any type. */
export interface AnyCache {
  wrap(fn: never, options: never): unknown;
}

type Method = (this: unknown, ...args: unknown[]) => unknown;
type OfMethod = Wrapped<unknown[], unknown>;
type Made<T> = T | ((self: never) => T);

/**
 * A method in place of `method`, whose calls are those of `wrap`.
 *
 * @throws {InvalidArgumentError} as `wrap` does.
 */
export function cacheMethod(method: Method, cache: Made<AnyCache>, options: Made<CachedOptions<never[]>>): Method {
  const wrappedOf = wrappedBy(method, cache, options);
  // Async, so that an object without a cache rejects, as a call that fails does.
  async function call(this: unknown, ...args: unknown[]): Promise<unknown> {
    return wrappedOf(this).apply(this, args);
  }
  Object.defineProperty(call, "name", { value: method.name, configurable: true });
  made.set(call, wrappedOf);
  return call;
}

/** What `wrap` returns for an object, by decorated method. */
const made = new WeakMap<object, (self: unknown) => OfMethod>();

function wrappedBy(
  method: Method,
  cache: Made<AnyCache>,
  options: Made<CachedOptions<never[]>>,
): (self: unknown) => OfMethod {
  const wrap = (by: AnyCache, of: CachedOptions<never[]>): OfMethod =>
    by.wrap(method as never, of as never) as OfMethod;
  if (typeof cache !== "function" && typeof options !== "function") {
    const wrapped = wrap(cache, options);
    return () => wrapped;
  }
  const bySelf = new WeakMap<object, MethodOfObject>();
  return (self) => {
    if ((typeof self !== "object" && typeof self !== "function") || self === null)
      throw new InvalidArgumentError(
        `${method.name}: a cached method needs its object; call it as a method, or bind it`,
      );
    const by = typeof cache === "function" ? cache(self as never) : cache;
    const known = bySelf.get(self);
    if (known !== undefined && known.by === by) return known.wrapped;
    if (typeof (by as Partial<AnyCache> | undefined)?.wrap !== "function")
      throw new InvalidArgumentError(`${method.name}: its object has no cache; assign one before the first call`);
    const own = known?.own ?? (typeof options === "function" ? options(self as never) : options);
    const wrapped = wrap(by, own);
    bySelf.set(self, { by, own, wrapped });
    return wrapped;
  };
}

interface MethodOfObject {
  /** The cache of the last call: the next one may find another. */
  readonly by: AnyCache;
  readonly own: CachedOptions<never[]>;
  readonly wrapped: OfMethod;
}

/**
 * The rest of what `wrap` returns, for a decorated method: the key of a call, and how to delete or refresh its value.
 *
 * @throws {InvalidArgumentError} for a method without one.
 */
export function cachedMethod<S extends object, N extends keyof S>(
  self: S,
  name: N,
): S[N] extends (...args: infer A) => Promise<infer R> ? Wrapped<A, R> : never {
  const method: unknown = self[name];
  const wrappedOf = typeof method === "function" ? made.get(method) : undefined;
  if (wrappedOf === undefined)
    throw new InvalidArgumentError(`cachedMethod: ${String(name)} must be a method with a decorator of a cache`);
  const wrapped = wrappedOf(self);
  const call = (...args: unknown[]): Promise<unknown> => wrapped.apply(self, args);
  return Object.assign(call, {
    key: wrapped.key,
    invalidate: wrapped.invalidate,
    refresh: (...args: unknown[]) => wrapped.refresh.apply(self, args),
  }) as never;
}
