import type { CommandSignature, TypeMapping } from "@redis/client/dist/lib/RESP/types.js";

type CommandsOfNodeRedis = (typeof import("@redis/client/dist/lib/commands/index.js"))["default"];

/** Each command stands in the table twice, in capitals and as a method. */
type MethodName<Name> = Name extends Uppercase<Name & string> ? never : Name;

/** Commands that change or need the connection that they run on. */
export type RefusedName =
  | "asking"
  | "auth"
  | "hello"
  | "clientSetName"
  | "clientCaching"
  | "clientTracking"
  | "clientNoEvict"
  | "clientNoTouch"
  | "hImportDiscard"
  | "hImportDiscardAll"
  | "hImportPrepare"
  | "hImportSet"
  | "readonly"
  | "replicaOf"
  | "restoreAsking"
  | "scriptDebug"
  | "wait";

/**
 * Maps of the server stay maps. It has no optional members, as one that extends `TypeMapping` would: without
 * `strictNullChecks` those allow each type of reply that node-redis knows.
 */
export type TextMapping = { readonly 37: MapConstructor };
/** Maps are flat: key, value, key, value. */
export type BytesMapping = { readonly 36: BufferConstructor; readonly 37: ArrayConstructor };

/** With `undefined` in place of `null`. Without `strictNullChecks` node-redis has `{}` there, which goes. */
export type WithoutNull<T> = null extends string
  ? [T] extends [readonly (infer E)[]]
    ? Filled<T, E>
    : Some<T>
  : null extends T
    ? Exclude<T, null> | undefined
    : T extends readonly (infer E)[]
      ? Elements<T, E>
      : T;
type Elements<T, E> = null extends E ? (Exclude<E, null> | undefined)[] : T;
type Filled<T, E> = [E] extends [Some<E>] ? T : Some<E>[];
type Some<T> = [Keyed<T>] extends [never] ? T : Keyed<T>;
type Keyed<T> = T extends unknown ? ({} extends T ? (keyof T extends never ? never : T) : T) : never;

type Unnulled<F> = F extends (...args: infer A) => Promise<infer R> ? (...args: A) => Promise<WithoutNull<R>> : never;

/** The commands of node-redis as this package has them: by name, with its arguments. */
export type NodeRedisCommands<Mapping extends TypeMapping> = {
  readonly [Name in Exclude<MethodName<keyof CommandsOfNodeRedis>, RefusedName>]: Unnulled<
    CommandSignature<CommandsOfNodeRedis[Name], 3, Mapping>
  >;
};
