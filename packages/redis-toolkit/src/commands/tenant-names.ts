// Names that stand next to the keys of a command, which node-redis puts below the prefix on its own.

import type { KeySpace, RedisArgument } from "../keys/key-space.ts";

/** Commands whose replies name keys. */
const KEY_FIRST = new Set(["lmPop", "blmPop"]);
const KEY_FIELD = new Set(["zmPop", "bzmPop", "blPop", "brPop", "bzPopMin", "bzPopMax"]);
const STREAM_NAMES = new Set(["xRead", "xReadGroup"]);
/** Commands that begin with a channel. */
const CHANNEL_FIRST = new Set(["publish", "sPublish"]);
/** Commands with patterns of keys in their options, and the place of the options. */
const SORTS: ReadonlyMap<string, number> = new Map([
  ["sort", 1],
  ["sortRo", 1],
  ["sortStore", 2],
]);

interface SortOptions {
  readonly BY?: RedisArgument;
  readonly GET?: RedisArgument | readonly RedisArgument[];
}

/** Arguments of a call, as Redis gets them. */
export function namesInArguments(command: string, args: readonly unknown[], space: KeySpace): readonly unknown[] {
  if (!space.isTenant) return args;
  if (CHANNEL_FIRST.has(command)) return [space.inside(args[0] as RedisArgument), ...args.slice(1)];
  const at = SORTS.get(command);
  const options = at === undefined ? undefined : (args[at] as SortOptions | undefined);
  if (at === undefined || options === undefined) return args;
  const { BY, GET } = options;
  const inside = (pattern: RedisArgument): RedisArgument => (isNoKey(pattern) ? pattern : space.inside(pattern));
  const sorted = {
    ...options,
    ...(BY === undefined ? undefined : { BY: inside(BY) }),
    ...(GET === undefined ? undefined : { GET: Array.isArray(GET) ? GET.map(inside) : inside(GET as RedisArgument) }),
  };
  return args.with(at, sorted);
}

/** `#` is the element itself, and a pattern without `*` sorts by nothing. */
const isNoKey = (pattern: RedisArgument): boolean => !String(pattern).includes("*");

interface Named {
  readonly key?: RedisArgument;
  readonly name?: RedisArgument;
}

/** `reply`, with the keys in it as `space` names them. */
export function namesInReply(command: string, reply: unknown, space: KeySpace): unknown {
  if (!space.isTenant || reply === undefined) return reply;
  if (KEY_FIRST.has(command)) {
    const [key, ...rest] = reply as readonly [RedisArgument, ...unknown[]];
    return [space.outside(key), ...rest];
  }
  if (KEY_FIELD.has(command)) {
    const popped = reply as Named;
    return { ...popped, key: space.outside(popped.key!) };
  }
  if (STREAM_NAMES.has(command))
    return (reply as readonly Named[]).map((stream) => ({ ...stream, name: space.outside(stream.name!) }));
  return reply;
}
