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

/** Maps of the server stay maps. */
export interface TextMapping extends TypeMapping {
  readonly 37: MapConstructor;
}
export interface BytesMapping extends TypeMapping {
  readonly 36: BufferConstructor;
  /** Flat: key, value, key, value. */
  readonly 37: ArrayConstructor;
}

/** With `undefined` in place of `null`. */
export type WithoutNull<T> = null extends T
  ? Exclude<T, null> | undefined
  : T extends readonly (infer E)[]
    ? Elements<T, E>
    : T;
type Elements<T, E> = null extends E ? (Exclude<E, null> | undefined)[] : T;

type Unnulled<F> = F extends (...args: infer A) => Promise<infer R> ? (...args: A) => Promise<WithoutNull<R>> : never;

/** The commands of node-redis as this package has them: by name, with its arguments. */
export type NodeRedisCommands<Mapping extends TypeMapping> = {
  readonly [Name in Exclude<MethodName<keyof CommandsOfNodeRedis>, RefusedName>]: Unnulled<
    CommandSignature<CommandsOfNodeRedis[Name], 3, Mapping>
  >;
};
