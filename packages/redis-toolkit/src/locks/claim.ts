import { InvalidArgumentError } from "@hotset/core";
import type { KeySpace } from "../keys/key-space.ts";
import { checkName, keyBy, MOST_SCRIPT_KEYS } from "../module/module.ts";
import { LOCK_FORMS } from "./forms.ts";
import { EXCLUSIVE, EXCLUSIVE_ONE, PERMITS, READ, WRITE, type LockScripts } from "./lock-scripts.ts";

/** The lock that a caller wants: its keys in Redis, and the scripts over them. */
export interface Claim {
  /** The resources as the caller named them, sorted. */
  readonly resources: readonly string[];
  readonly keys: readonly string[];
  /** The keys on whose channels a release is published. */
  readonly wokenBy: readonly string[];
  readonly scripts: LockScripts;
  /** The third argument of an attempt. */
  argument(attempt: { readonly isWaiting: boolean }): string;
  /** Others may hold it at the same time: a caller that got in lets the next one try. */
  readonly isShared: boolean;
  /** A caller that waits leaves its token in Redis meanwhile. */
  readonly marksIntent: boolean;
}

/** Where the keys of locks lie. */
export interface LockPlace {
  readonly prefix: string;
  /** The key by which other programs know an exclusive lock. */
  readonly key?: ((name: string) => string) | undefined;
  readonly space: KeySpace;
}

/** All or none is one script, with the lock and the fence of each. */
const MAX_RESOURCES = MOST_SCRIPT_KEYS / 2;

/** @throws {InvalidArgumentError} for no name, more than 32, one that is not text of 1 to 512 characters, or twice. */
export function exclusive(place: LockPlace, given: string | readonly string[]): Claim {
  const resources = typeof given === "string" ? [given] : given;
  if (!Array.isArray(resources) || resources.length === 0 || resources.length > MAX_RESOURCES)
    throw new InvalidArgumentError(
      `lock: give a name, or a list of 1 to ${MAX_RESOURCES} names, got ` +
        `${Array.isArray(resources) ? `${resources.length} names` : typeof given}`,
    );
  for (const name of resources) checkName("lock: the name", name as string);
  // In one order for all callers, so that errors and keys do not depend on how a caller listed them.
  const sorted = (resources as readonly string[]).toSorted();
  const twice = sorted.find((name, i) => name === sorted[i + 1]);
  if (twice !== undefined) throw new InvalidArgumentError(`lock: ${JSON.stringify(twice.slice(0, 60))} is named twice`);
  const pairs = sorted.map((name) => lockAndFence(place, name));
  const wokenBy = pairs.map(([lock]) => lock);
  if (new Set(wokenBy).size < wokenBy.length)
    throw new InvalidArgumentError("lock: key(name) returns one key for several of the names");
  return {
    resources: sorted,
    keys: pairs.flat(),
    wokenBy,
    scripts: sorted.length === 1 ? EXCLUSIVE_ONE : EXCLUSIVE,
    argument: () => "",
    isShared: false,
    marksIntent: false,
  };
}

function lockAndFence({ prefix, key, space }: LockPlace, name: string): readonly [lock: string, fence: string] {
  if (key !== undefined) {
    const lock = keyBy("locks()", key, name);
    return [lock, space.beside(lock, "fence")];
  }
  const tag = space.tagged(name);
  return [prefix + tag, prefix + LOCK_FORMS.lock.fence + tag];
}

export function permit(place: LockPlace, name: string, permits: number): Claim {
  const { prefix } = place;
  const tag = place.space.tagged(name);
  const holders = prefix + LOCK_FORMS.permits.key + tag;
  return {
    resources: [name],
    keys: [holders, prefix + LOCK_FORMS.permits.fence + tag],
    wokenBy: [holders],
    scripts: PERMITS,
    argument: () => String(permits),
    isShared: true,
    marksIntent: false,
  };
}

export function reading(place: LockPlace, name: string): Claim {
  return { ...sides(place, name), scripts: READ, argument: () => "", isShared: true, marksIntent: false };
}

/** Longer than a waiting writer pauses between two attempts. */
const INTENT_MS = 1_000;

export function writing(place: LockPlace, name: string): Claim {
  const argument = ({ isWaiting }: { readonly isWaiting: boolean }): string => (isWaiting ? String(INTENT_MS) : "0");
  return { ...sides(place, name), scripts: WRITE, argument, isShared: false, marksIntent: true };
}

function sides(place: LockPlace, name: string): Pick<Claim, "resources" | "keys" | "wokenBy"> {
  const { prefix } = place;
  const tag = place.space.tagged(name);
  const writer = prefix + LOCK_FORMS.writer.key + tag;
  return {
    resources: [name],
    keys: [writer, prefix + LOCK_FORMS.readers.key + tag, prefix + LOCK_FORMS.readers.fence + tag],
    wokenBy: [writer],
  };
}
