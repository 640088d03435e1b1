import type { Invalidation } from "@hotset/core/inspect";

/** One invalidation, as the page lists it. */
export interface SeenInvalidation extends Invalidation {
  readonly cache: string;
}

/** Invalidations of the same thing, lately. */
export interface Burst {
  readonly cache: string;
  readonly namespace: readonly string[];
  readonly scope: Invalidation["scope"];
  /** The key, the tags, or the namespace, as text. */
  readonly what: string;
  /** Names of the processes that called; none where all of them keep no record. */
  readonly by: readonly string[];
  readonly count: number;
  /** Some were made elsewhere: a record lists only the last ones of its process, so there may be more. */
  readonly isAtLeast: boolean;
  readonly lastAt: number;
}

export interface InvalidationsPage {
  /** The newest first. */
  readonly recent: readonly SeenInvalidation[];
  /** The most frequent first, of the last `seconds`. */
  readonly bursts: readonly Burst[];
  /** A minute, or less where so many came that no more are remembered. */
  readonly seconds: number;
  /** In that time. */
  readonly count: number;
}

/** How many each inspection remembers. */
export const REMEMBERED = 5_000;

const WINDOW_MS = 60_000;
/** For each scope, because changes of keys would leave no room for tags. */
const LISTED = 100;
const MOST_BURSTS = 20;

/** @param lists of each cache, the newest first. */
export function invalidationsPage(
  lists: readonly { readonly cache: string; readonly invalidations: readonly Invalidation[] }[],
  now: number,
): InvalidationsPage {
  const all = lists
    .flatMap(({ cache, invalidations }) => invalidations.map((each): SeenInvalidation => ({ ...each, cache })))
    .toSorted((one, other) => other.at - one.at);
  const full = lists.filter(({ invalidations }) => invalidations.length >= REMEMBERED);
  const since = Math.max(now - WINDOW_MS, ...full.map(({ invalidations }) => invalidations.at(-1)!.at));
  const lately = all.filter(({ at }) => at >= since);
  const keys = all.filter(({ scope }) => scope === "key").slice(0, LISTED);
  const others = all.filter(({ scope }) => scope !== "key").slice(0, LISTED);
  return {
    recent: [...keys, ...others].toSorted((one, other) => other.at - one.at),
    bursts: burstsOf(lately).slice(0, MOST_BURSTS),
    seconds: Math.max(1, Math.round((now - since) / 1_000)),
    count: lately.length,
  };
}

function burstsOf(lately: readonly SeenInvalidation[]): readonly Burst[] {
  const groups = new Map<
    string,
    Omit<Burst, "by" | "count" | "isAtLeast"> & { by: Set<string>; count: number; isAtLeast: boolean }
  >();
  for (const { cache, namespace, scope, key, tags, origin, process, at } of lately) {
    const what = scope === "key" ? (key ?? "") : scope === "tags" ? (tags ?? []).join(", ") : "everything";
    const id = JSON.stringify([cache, namespace, scope, what]);
    let group = groups.get(id);
    if (group === undefined) {
      group = { cache, namespace, scope, what, by: new Set(), count: 0, isAtLeast: false, lastAt: at };
      groups.set(id, group);
    }
    group.count += 1;
    group.isAtLeast ||= origin === "elsewhere";
    const name = process ?? (origin === "here" ? "this process" : undefined);
    if (name !== undefined) group.by.add(name);
  }
  return [...groups.values()]
    .toSorted((one, other) => other.count - one.count || other.lastAt - one.lastAt)
    .map((group) => ({ ...group, by: [...group.by] }));
}
