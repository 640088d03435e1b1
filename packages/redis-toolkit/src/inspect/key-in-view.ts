import { InvalidArgumentError } from "@hotset/core";
import type { RedisView } from "../commands/view.ts";
import { moduleOf } from "../module/module.ts";

/**
 * A key, given as Redis has it, as `redis` names it.
 *
 * @param operation as the error names it: `heldLock`.
 * @throws {InvalidArgumentError} for a key outside of the view: below its tenant nothing is there.
 */
export function keyInView(redis: RedisView, key: string, operation: string): string {
  const { space } = moduleOf(redis);
  if (key.startsWith(space.prefix)) return space.outside(key);
  throw new InvalidArgumentError(
    `${operation}: the key is not in this view; pass the view of its tenant, or one without a tenant`,
  );
}
