import type { Figures, GroupRates, UnstorableValue } from "./inspection.ts";

// What went wrong in a step of the last minute, and the sum of several.

/** Loads that waited for a slot at one look. */
export interface Waits {
  readonly loads: number;
  readonly callers: number;
  readonly forMs: number;
}

export function queuedIn(steps: readonly { readonly queued: Waits }[], limit: number): Pick<Figures, "queued"> {
  const seen = steps.flatMap(({ queued }) => (queued.loads === 0 ? [] : [queued]));
  if (seen.length === 0) return {};
  const queued = {
    ...{ seen: seen.length, looks: steps.length },
    loads: Math.max(...seen.map(({ loads }) => loads)),
    callers: Math.max(...seen.map(({ callers }) => callers)),
    forMs: Math.max(...seen.map(({ forMs }) => forMs)),
    ...(Number.isFinite(limit) && { maxLoads: limit }),
  };
  return { queued };
}

/** The last value that could not be stored, and how many there were. */
export function unstorableIn(
  steps: readonly { readonly unstorable: UnstorableValue | undefined }[],
): Pick<Figures, "unstorable"> {
  const all = steps.flatMap(({ unstorable }) => unstorable ?? []);
  const last = all.at(-1);
  return last === undefined ? {} : { unstorable: { ...last, count: all.reduce((sum, { count }) => sum + count, 0) } };
}

/** Of a step and an owner: further ones are not counted. */
const MOST_FAILED_KEYS = 20;

/** How often loads of a key failed, by owner. */
export type FailedKeys = Map<string, Map<string, number>>;

export function countFailure(failed: FailedKeys, id: string, key: string): void {
  const keys = failed.get(id) ?? new Map<string, number>();
  failed.set(id, keys);
  if (keys.has(key) || keys.size < MOST_FAILED_KEYS) keys.set(key, 1 + (keys.get(key) ?? 0));
}

/** The key whose loads failed most, if one failed more than once. */
export function mostFailed(
  steps: readonly { readonly failedKeys: FailedKeys }[],
  id: string,
): Pick<NonNullable<GroupRates["failed"]>, "most"> {
  const sums = new Map<string, number>();
  for (const { failedKeys } of steps)
    for (const [key, count] of failedKeys.get(id) ?? []) sums.set(key, count + (sums.get(key) ?? 0));
  const [most] = [...sums].toSorted(([, one], [, other]) => other - one);
  return most === undefined || most[1] < 2 ? {} : { most: { key: most[0], count: most[1] } };
}
