import type { Invalidation, InvalidationCount, ProcessRecord } from "@hotset/core/inspect";

/** One invalidation, as the page lists it. */
export interface SeenInvalidation extends Invalidation {
  readonly cache: string;
  /** How often, within the second. */
  readonly times: number;
}

/** How often one process invalidated the same thing in the last minute. */
export interface Counted extends InvalidationCount {
  /** Absent where that is not known. */
  readonly process: string | undefined;
  /** No record has the number: a cache is notified of a tag once, until it uses the tag again. */
  readonly isAtLeast: boolean;
}

/** Invalidations of the same thing in the last minute. */
export interface Burst {
  readonly cache: string;
  readonly namespace: readonly string[];
  readonly scope: Invalidation["scope"];
  /** The key, the tags, or the namespace, as text. */
  readonly what: string;
  /** Names of the processes that called; none where all of them keep no record. */
  readonly by: readonly string[];
  readonly count: number;
  readonly isAtLeast: boolean;
  readonly lastAt: number;
}

export interface InvalidationsPage {
  /** The newest first. */
  readonly recent: readonly SeenInvalidation[];
  /** The most frequent first. */
  readonly bursts: readonly Burst[];
}

/** How many each inspection remembers. */
export const REMEMBERED = 5_000;

/** The name of one without a record. */
export const THIS_PROCESS = "this process";

const MINUTE_MS = 60_000;
/** For each scope, because changes of keys would leave no room for tags. */
const LISTED = 100;
const MOST_BURSTS = 20;

/** One cache: its list with the newest first. */
interface OfCache {
  readonly cache: string;
  readonly invalidations: readonly Invalidation[];
  readonly counts: readonly Counted[];
}

export function invalidationsPage(caches: readonly OfCache[], now: number): InvalidationsPage {
  const all = caches
    .flatMap(({ cache, invalidations }) => invalidations.map((each) => ({ ...each, cache })))
    .toSorted((one, other) => other.at - one.at);
  const keys = linesOf(all.filter(({ scope }) => scope === "key"));
  const others = linesOf(all.filter(({ scope }) => scope !== "key"));
  return {
    recent: [...keys, ...others].toSorted((one, other) => other.at - one.at),
    bursts: burstsOf(caches)
      .filter(({ lastAt }) => lastAt > now - MINUTE_MS)
      .slice(0, MOST_BURSTS),
  };
}

/** The first ones, equal ones of one second together. */
function linesOf(list: readonly Omit<SeenInvalidation, "times">[]): readonly SeenInvalidation[] {
  const lines = new Map<string, SeenInvalidation>();
  for (const each of list) {
    const id = JSON.stringify({ ...each, at: Math.floor(each.at / 1_000) });
    const line = lines.get(id);
    if (line === undefined && lines.size >= LISTED) break;
    lines.set(id, line === undefined ? { ...each, times: 1 } : { ...line, times: line.times + 1 });
  }
  return [...lines.values()];
}

type Record = Pick<ProcessRecord, "name" | "isOwn" | "at" | "lastMinute">;

/** By the cache itself, and by the records of other processes. */
export function countsOf(
  known: readonly (InvalidationCount & Pick<Invalidation, "origin">)[],
  records: readonly Record[],
  now: number,
): readonly Counted[] {
  const own = records.find(({ isOwn }) => isOwn)?.name;
  const recorded = records
    .filter(({ isOwn, at }) => !isOwn && at > now - MINUTE_MS)
    .flatMap(({ name, lastMinute }) =>
      lastMinute.map((each): Counted => ({ ...each, process: name, isAtLeast: false })),
    );
  const noticed = known.flatMap(({ origin, ...each }): Counted[] => {
    if (origin === "here") return [{ ...each, process: own ?? THIS_PROCESS, isAtLeast: false }];
    return recorded.some((other) => isSame(other, each)) ? [] : [{ ...each, process: undefined, isAtLeast: true }];
  });
  return [...noticed, ...recorded];
}

/** Elsewhere a cache is notified of those tags of a call that it uses. */
function isSame(called: InvalidationCount, noticed: InvalidationCount): boolean {
  if (called.scope !== noticed.scope || called.namespace.join("\0") !== noticed.namespace.join("\0")) return false;
  return called.scope === "tags"
    ? (noticed.tags ?? []).some((tag) => called.tags?.includes(tag))
    : called.key === noticed.key;
}

function burstsOf(caches: readonly OfCache[]): readonly Burst[] {
  const groups = new Map<string, Omit<Burst, "by"> & { readonly by: Set<string> }>();
  for (const { cache, counts } of caches)
    for (const { namespace, scope, key, tags, process, times, isAtLeast, lastAt } of counts) {
      const what = scope === "key" ? (key ?? "") : scope === "tags" ? (tags ?? []).join(", ") : "everything";
      const id = JSON.stringify([cache, namespace, scope, what]);
      const group = groups.get(id);
      groups.set(id, {
        ...{ cache, namespace, scope, what },
        by: new Set([...(group?.by ?? []), ...(process === undefined ? [] : [process])]),
        count: times + (group?.count ?? 0),
        isAtLeast: isAtLeast || group?.isAtLeast === true,
        lastAt: Math.max(lastAt, group?.lastAt ?? 0),
      });
    }
  return [...groups.values()]
    .toSorted((one, other) => other.count - one.count || other.lastAt - one.lastAt)
    .map((group) => ({ ...group, by: [...group.by] }));
}
