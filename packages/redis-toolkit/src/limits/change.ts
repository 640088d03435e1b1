import type { RedisView } from "../commands/view.ts";
import { moduleOf } from "../module/module.ts";

/**
 * A command over keys of this view alone: `redis.commands` of a tenant that falls back reaches keys outside, too.
 *
 * @returns its reply as a number
 */
export const change = (
  redis: RedisView,
  name: "UNLINK" | "PSETEX",
  keys: readonly string[],
  rest: readonly string[] = [],
): Promise<number> =>
  moduleOf(redis).runInside((space) => {
    const inside = keys.map((key) => space.inside(key));
    return { args: [name, ...inside, ...rest], keys: inside, isReadOnly: false, replies: "text", decode: Number };
  });
