import { InvalidArgumentError } from "@hotset/core";
import type { Caller } from "../client/contract.ts";
import { checkKey, type KeySpace, type RedisArgument } from "../keys/key-space.ts";
import { checkOneOf, checkOptions, shown, checkWholeNumber } from "../module/module.ts";
import type { Invocation } from "./invocation.ts";
import type { Target } from "./target.ts";

/** Options of `scan`. */
export interface ScanOptions {
  /** A glob, inside the key space. @default every key */
  readonly match?: string | undefined;
  /** Only keys of this type. */
  readonly type?: "string" | "list" | "set" | "zset" | "hash" | "stream" | undefined;
  /** About how many keys Redis looks at in one step. @default 1_000 */
  readonly count?: number | undefined;
}

/** Options of `hscan`. */
export type ScanHashOptions = Omit<ScanOptions, "type">;

type Page<T = string> = readonly [cursor: string, items: readonly T[]];

/** Runs one step on the server that the cursor belongs to. */
export type Step = <T>(caller: Caller, invocation: Invocation<Page<T>>) => Promise<Page<T>>;

const DEFAULT_COUNT = 1_000;

/** One primary after the other. Redis may name a key twice, so names are remembered until the end. */
export async function* scanKeys<T extends RedisArgument>(
  connection: Target,
  space: KeySpace,
  options: ScanOptions,
  step: Step,
  replies: Invocation<unknown>["replies"],
): AsyncGenerator<T, void, undefined> {
  checkOptions("scan", options, ["match", "type", "count"]);
  const { match = "*", type } = options;
  checkMatch("scan", match);
  if (type !== undefined) checkOneOf("scan: type", type, TYPES);
  const rest = [
    "MATCH",
    space.pattern(match),
    "COUNT",
    countOf(options),
    ...(type === undefined ? [] : ["TYPE", type]),
  ];
  const seen = new Set<string>();
  for (const primary of await primariesOf(connection))
    for await (const names of pages((cursor) =>
      step(primary, scanning<T>(["SCAN", cursor, ...rest], undefined, replies)),
    ))
      for (const name of names) {
        const id = idOf(name);
        if (seen.has(id)) continue;
        seen.add(id);
        yield space.outside(name);
      }
}

/**
 * All keys of a space in parts, as bytes: a name that is not UTF-8 would be another one as text. A key may come twice.
 */
export async function* keysInBytes(
  connection: Target,
  space: KeySpace,
  step: Step,
): AsyncGenerator<readonly Buffer[], void, undefined> {
  const rest = ["MATCH", space.pattern("*"), "COUNT", String(DEFAULT_COUNT)];
  for (const primary of await primariesOf(connection))
    for await (const names of pages((cursor) =>
      step(primary, scanning<Buffer>(["SCAN", cursor, ...rest], undefined, "bytes")),
    ))
      yield names.map((name) => space.outside(name));
}

export interface HashPlace {
  readonly connection: Target;
  readonly space: KeySpace;
  readonly key: RedisArgument;
  readonly replies: Invocation<unknown>["replies"];
}

export async function* scanHash<T extends RedisArgument>(
  { connection, space, key, replies }: HashPlace,
  options: ScanHashOptions,
  step: Step,
): AsyncGenerator<readonly [T, T], void, undefined> {
  const inside = space.inside(checkKey("hscan", key));
  checkOptions("hscan", options, ["match", "count"]);
  const { match = "*" } = options;
  checkMatch("hscan", match);
  const rest = ["MATCH", match, "COUNT", countOf(options)];
  const seen = new Set<string>();
  for await (const flat of pages((cursor) =>
    step(connection, scanning<T>(["HSCAN", inside, cursor, ...rest], inside, replies)),
  ))
    for (let i = 0; i < flat.length; i += 2) {
      const field = flat[i]!;
      const id = idOf(field);
      if (seen.has(id)) continue;
      seen.add(id);
      yield [field, flat[i + 1]!];
    }
}

/** One character for each byte: in a set no Buffer is equal to another. */
const idOf = (name: RedisArgument): string => (typeof name === "string" ? name : name.toString("latin1"));

const primariesOf = (connection: Target): Promise<readonly Caller[]> => connection.each((one) => Promise.resolve(one));

async function* pages<T>(next: (cursor: string) => Promise<Page<T>>): AsyncGenerator<readonly T[], void, undefined> {
  let cursor = "0";
  do {
    const [following, items] = await next(cursor);
    yield items;
    cursor = following;
  } while (cursor !== "0");
}

const scanning = <T>(
  args: readonly RedisArgument[],
  key: RedisArgument | undefined,
  replies: Invocation<unknown>["replies"],
): Invocation<Page<T>> => ({
  args,
  keys: key === undefined ? [] : [key],
  isReadOnly: true,
  replies,
  decode: (reply) => {
    const [cursor, items] = reply as readonly [unknown, readonly T[]];
    return [String(cursor), items];
  },
});

const TYPES = ["string", "list", "set", "zset", "hash", "stream"];

function checkMatch(operation: string, match: string): void {
  if (typeof match !== "string")
    throw new InvalidArgumentError(`${operation}: match must be a glob, got ${shown(match)}`);
}

const countOf = ({ count = DEFAULT_COUNT }: ScanHashOptions): string =>
  String(checkWholeNumber("scan: count", count, { min: 1, max: Number.MAX_SAFE_INTEGER }));
