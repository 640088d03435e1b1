import type { RedisArgument } from "../keys/key-space.ts";
import type { Commands } from "./own-commands.ts";

export interface FallbackOptions {
  /**
   * `read`: a key that the tenant does not have is looked for outside it, as it was before there were tenants: among
   * those of the view that it is made of.
   * `migrate`: it is also moved to the tenant, with the life that is left. Deleting removes both. Writes go to the
   * tenant alone.
   */
  readonly fallback?: "read" | "migrate" | undefined;
}

/** `commands` of a tenant that look in `outside` for what they do not find, and call `move` where it is there. */
export function withFallback(
  commands: Commands,
  outside: Commands,
  move: (key: RedisArgument) => Promise<void>,
): Commands {
  /** Reads of one key that answer `undefined`, or what `isAbsent` says, for an absent one. */
  const looked =
    <A extends readonly unknown[], T>(
      read: (from: Commands, key: RedisArgument, ...rest: A) => Promise<T>,
      isAbsent: (found: T) => boolean = (found) => found === undefined,
    ) =>
    async (key: RedisArgument, ...rest: A): Promise<T> => {
      const found = await read(commands, key, ...rest);
      if (!isAbsent(found)) return found;
      const older = await read(outside, key, ...rest);
      if (!isAbsent(older)) await move(key);
      return older;
    };
  const get = looked((from, key) => from.get(key));
  const getMany = async (keys: readonly RedisArgument[]): Promise<readonly (string | undefined)[]> => {
    const found = await commands.getMany(keys);
    const missing = keys.filter((_key, i) => found[i] === undefined);
    if (missing.length === 0) return found;
    const older = await outside.getMany(missing);
    await Promise.all(missing.filter((_key, i) => older[i] !== undefined).map(move));
    let next = 0;
    return found.map((value) => value ?? older[next++]);
  };
  const overrides: Partial<Commands> = {
    get,
    getMany,
    getBytes: looked((from, key) => from.getBytes(key)),
    getNumber: looked((from, key) => from.getNumber(key)),
    getBigInt: looked((from, key) => from.getBigInt(key)),
    getJson: looked<readonly [schema?: never], undefined>((from, key, schema) => from.getJson(key, schema)),
    exists: looked(
      (from, key) => from.exists(key),
      (found) => !found,
    ),
    hget: looked((from, key, field: RedisArgument) => from.hget(key, field)),
    hgetAll: looked(
      (from, key) => from.hgetAll(key),
      (found) => found.size === 0,
    ),
    delete: async (...keys) => {
      const [inside, older] = await Promise.all([commands.delete(...keys), outside.delete(...keys)]);
      return Math.max(inside, older);
    },
  };
  return new Proxy(commands, {
    get(target, name) {
      const override = overrides[name as keyof Commands] as unknown;
      if (override !== undefined) return override;
      const member = target[name as keyof Commands] as unknown;
      return typeof member === "function" ? (member as (...args: unknown[]) => unknown).bind(target) : member;
    },
  });
}
