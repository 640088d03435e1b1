import type { Cache } from "./cache.ts";
import type { CacheView } from "./cache.ts";
import type { NamespaceView } from "./namespace-view.ts";
import type { Namespace, Untyped } from "./namespace.ts";

// The classes behind the public interfaces have every method, with the parameters and results that the interfaces name.
export const view = (each: NamespaceView): Untyped<Namespace> => each;
export const cache = (each: CacheView): Untyped<Cache> => each;

type Without<M extends PropertyKey> = new () => Omit<NamespaceView, M>;
declare const WithoutHas: Without<"has">;
declare const WithoutDeleteMany: Without<"deleteMany">;
declare const WithoutWrap: Without<"wrap">;

// @ts-expect-error -- a missing method
export class MissingMethod extends WithoutHas implements Untyped<Namespace> {}

// @ts-expect-error -- a missing generic method
export class MissingGeneric extends WithoutWrap implements Untyped<Namespace> {}

export class WrongParameter extends WithoutDeleteMany implements Untyped<Namespace> {
  // @ts-expect-error -- a parameter of another type
  async deleteMany(keys: number): Promise<{ deleted: number; missing: number; pending: number }> {
    return { deleted: keys, missing: 0, pending: 0 };
  }
}

export class WrongResult extends WithoutHas implements Untyped<Namespace> {
  // @ts-expect-error -- a result of another type
  async has(key: string): Promise<string> {
    return key;
  }
}
