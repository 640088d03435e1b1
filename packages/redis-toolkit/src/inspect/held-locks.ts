import type { RedisView } from "../commands/view.ts";
import { LOCK_FORMS } from "../locks/forms.ts";
import { moduleOf } from "../module/module.ts";
import { defineScript } from "../scripts/define-script.ts";
import { keyInView } from "./key-in-view.ts";
import { TENANT } from "./known-keys.ts";
import { nameInTag } from "./name-in-tag.ts";
import { serverNow } from "./server-now.ts";

/** A lock, the permits of a semaphore, and the two sides of a lock for readers and writers. */
export type LockKind = "lock" | "permits" | "writer" | "readers";

/** The key of those that hold a lock, which is there or not. */
export interface LockPlace {
  /** The form of the lock. */
  readonly kind: LockKind;
  /** As the program names it. */
  readonly name: string;
  /** As Redis has it, with the prefix of a tenant. */
  readonly key: string;
  /** The key of the last fence, as Redis has it. */
  readonly fenceKey: string;
}

/** A lock that is held now. */
export interface HeldLock extends Omit<LockPlace, "fenceKey"> {
  /** The beginning of the holder's token, or how many hold it. The whole token would release it. */
  readonly holder: string | number;
  /** Milliseconds until the last holder's lease ends, `Infinity` without an end. */
  readonly lifeMs: number;
  /** The last fence that was given, where one is remembered. */
  readonly fence: string | undefined;
}

const KEY = new RegExp(`${TENANT}lock:(?:(?<kind>permits|writer|readers):)?(?<tag>\\{[^}]*\\}.*)$`, "s");

/** The lock that a key belongs to. @returns `undefined` for the key of a fence, and for one of anything else. */
export function lockPlace(key: string): LockPlace | undefined {
  const parts = KEY.exec(key)?.groups;
  if (parts === undefined) return undefined;
  const { tenant = "", kind: form = "lock", tag = "" } = parts;
  const kind = form as LockKind;
  const whole = tag.slice(tag.startsWith(`{${tenant}`) ? 1 + tenant.length : 1, -1);
  const name = /^\{[^}]*\}$/.test(tag) ? nameInTag(whole) : tag;
  return { kind, name, key, fenceKey: `${tenant}lock:${LOCK_FORMS[kind].fence}${tag}` };
}

/** The places of the lock of one name in a view, in each form: it is found among any number of others. */
export function lockPlaces(redis: RedisView, name: string): readonly LockPlace[] {
  const { space } = moduleOf(redis);
  return Object.values(LOCK_FORMS).flatMap(({ key }) => lockPlace(space.inside(keyOf(redis, key, name))) ?? []);
}

/** `{name}`, below the tenant, or a name that begins with a hash tag, as it is. docs/reference/toolkit-keys.md */
const keyOf = (redis: RedisView, form: string, name: string): string =>
  `lock:${form}${moduleOf(redis).space.tagged(name)}`;

/**
 * The holder of a lock, or how many there are. A holder of a semaphore, or a reader, whose lease has ended is not
 * counted, though its member stays until the next acquisition.
 *
 * @param redis a view that has the key.
 * @returns `undefined` if it is free.
 * @throws {InvalidArgumentError} for a key outside of the view.
 * @throws {CommandError} for a key of another type, and where its user may not read it.
 * @throws {BackendUnavailableError} where Redis is not reached.
 */
export async function heldLock(redis: RedisView, { fenceKey, ...place }: LockPlace): Promise<HeldLock | undefined> {
  const { commands } = redis;
  const key = keyInView(redis, place.key, "heldLock");
  const isOne = place.kind === "lock" || place.kind === "writer";
  const [holder, life, fence] = await Promise.all([
    isOne ? commands.get(key) : holdersOf(redis, key),
    commands.ttlMs(key),
    commands.get(keyInView(redis, fenceKey, "heldLock")),
  ]);
  // It is free, or has ended meanwhile.
  if (holder === undefined || holder === 0 || life === "missing") return undefined;
  return {
    ...place,
    holder: typeof holder === "string" ? `${holder.slice(0, 6)}…` : holder,
    lifeMs: life === "none" ? Infinity : life,
    fence,
  };
}

async function holdersOf(redis: RedisView, key: string): Promise<number> {
  return Number(await redis.commands.zCount(key, `(${await serverNow(redis)}`, "+inf"));
}

/** The release of a lock as its holder does it: the channel has the name of the key. */
const RELEASE = defineScript({
  lua: `
local gone = redis.call('DEL', KEYS[1])
if gone == 1 then redis.pcall('PUBLISH', KEYS[1], '') end
return gone`,
  keys: 1,
  reply: "integer",
});

/**
 * Takes an exclusive lock away from its holder, and wakes the callers that wait. The holder notices at its next
 * extension: until then it and the next holder may both work, and fences keep them apart.
 *
 * @returns whether it was held.
 * @throws {CommandError} where its user may not change it.
 * @throws {BackendUnavailableError} where Redis is not reached.
 */
export async function releaseLock(redis: RedisView, name: string): Promise<boolean> {
  return (await RELEASE(redis, [keyOf(redis, "", name)], [])) === 1;
}
