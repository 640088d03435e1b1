import { bytesText, durationText, numberText, percentText, plural, secondsText } from "../figures.ts";
import { narrowest, ofOwner, ownerOf, type Owner } from "./owners.ts";
import type { Figures, Picture, ProcessPicture } from "./picture.ts";
import { eachProcess, ENOUGH, LONG_WAIT_MS, TROUBLED, type Found, type Rule } from "./rule.ts";
import { causeOf, changesText, invalidatedText, nameOf, quoted, windowText } from "./texts.ts";

// Rules over the rates of processes: the last minute, against the time before.

type GroupRates = Figures["groups"][number];

const SLOW = { ms: 1_000, times: 3, loads: 3, before: 10 };
/** Of loads that were fast. */
const FAR_SLOWER = { ms: 250, times: 8, loads: 10 };
const FALL = { points: 0.25, calls: 50, before: 100, fewPoints: 0.1, times: 3, manyCalls: 200 };
const NEVER = { hitRatio: 0.02, calls: 100 };
const FLOOD = { loads: 100 };
const QUEUED = { seen: 3 };
/** Two calls of one tag in a minute may be why hits are few; of a whole namespace, one is enough. */
const WIDE = 2;
/** A release that is older has been compared. */
const RELEASED_MS = 1_800_000;
const LARGE = { bytes: 1_000_000, times: 4 };
/** A shared load that is shorter is what a cache is for. */
const SHARED_MS = 500;
/** A process that is younger fills its memory. */
const WARM_MS = 120_000;

/** Errors of a tier that answers, by the kind of the last one. The first that matches counts. */
const KINDS: readonly {
  readonly is: (kind: string, text: string) => boolean;
  readonly text: string;
  readonly remedy: string;
}[] = [
  {
    is: (kind) => kind === "DECODE_FAILED",
    text: "entries cannot be read",
    remedy:
      "another process writes another format, compression or seal: give all caches of this name the same, or set another version where it changes",
  },
  {
    is: (_, text) => /\bOOM\b|out of memory|maxmemory|OUT_OF_MEMORY/i.test(text),
    text: "writes are refused: its memory is full",
    remedy: "raise maxmemory, or set maxmemory-policy allkeys-lfu on a server of caches",
  },
  {
    is: (kind, text) => kind === "BACKEND_ACCESS" || /\bNOPERM\b|\bNOAUTH\b|permission/i.test(text),
    text: "its user has not the rights",
    remedy: "give the user the rights that hotset doctor names",
  },
  {
    is: (kind) => kind === "ENCODE_FAILED",
    text: "values cannot be encoded",
    remedy: "cache plain data, or choose a format that can: valueFormat(v8())",
  },
  {
    is: (kind) => kind === "BACKEND_UNAVAILABLE",
    text: "calls get no answer in time",
    remedy: "look for slow commands and for the network to it: hotset doctor",
  },
  { is: () => true, text: "calls fail", remedy: "look at the last error" },
];

/** Departures from before. */
export const DEPARTURES: readonly Rule[] = [
  {
    name: "tier-errors",
    what: "Errors of a tier that is up",
    when: `${ENOUGH.errors} in the last minute, the last of them within 20 s`,
    remedy:
      "by the kind of the last error: another format in the fleet; a full memory; no rights; a value that cannot be encoded",
    level: "error",
    page: "overview",
    find: ({ processes }) =>
      eachProcess(processes, ({ tiers, windowMs, at }) =>
        tiers.flatMap(({ label, state, errors, lastError }) => {
          if (errors < ENOUGH.errors || TROUBLED.includes(state) || lastError === undefined) return [];
          if (lastError.at < at - windowMs / 3) return [];
          const { kind, message } = lastError;
          const of = KINDS.find(({ is }) => is(kind, message))!;
          const times = `${plural(errors, "error")} in the last ${windowText(windowMs)}`;
          return [
            {
              ...{ subject: `${label} ${of.text}`, weight: errors, remedy: of.remedy },
              text: `${label} is up, but ${of.text}: ${times}, the last: ${causeOf(message, label)}`,
            },
          ];
        }),
      ),
  },
  {
    name: "stampede",
    what: "Many callers of one load, or a load that hangs",
    when: `${ENOUGH.callers} callers, of a load that runs or that took ${durationText(SHARED_MS)}; or a load that has run for ${secondsText(LONG_WAIT_MS)}`,
    remedy: "staleWhileRevalidate lets callers have the previous value while it loads; look at why the load is slow",
    level: "warning",
    page: "stampedes",
    find: ({ caches, processes }) => [
      ...caches.flatMap(({ name, busiest }) => {
        if (busiest === undefined) return [];
        const { namespace, key, callers, forMs } = busiest;
        if (callers < ENOUGH.callers && forMs < LONG_WAIT_MS) return [];
        const wait = callers === 1 ? "waits" : "wait";
        return [
          {
            ...{ cache: name, process: ownName(processes, name), subject: nameOf(namespace, key), weight: callers },
            level: forMs >= LONG_WAIT_MS ? ("error" as const) : ("warning" as const),
            text: `${plural(callers, "caller")} of ${quoted(namespace, key)} ${wait} for one load, for ${secondsText(forMs)}`,
          },
        ];
      }),
      ...eachProcess(processes, ({ shared }) =>
        shared === undefined || shared.callers < ENOUGH.callers || shared.ms < SHARED_MS
          ? []
          : [
              {
                ...{ subject: nameOf(shared.namespace, shared.key), weight: shared.callers },
                text: `${plural(shared.callers, "caller")} of ${quoted(shared.namespace, shared.key)} waited for one load of ${durationText(shared.ms)}`,
              },
            ],
      ),
    ],
  },
  {
    name: "slow-loads",
    what: "Slow loads of a namespace or key group",
    when: `their 95th percentile is ${durationText(SLOW.ms)} or more, and ${SLOW.times} times what it was; ${durationText(FAR_SLOWER.ms)}, and ${FAR_SLOWER.times} times, of ${FAR_SLOWER.loads} loads`,
    remedy:
      "look at the source of the keys that it names; loadTimeout and staleWhileRevalidate bound what callers wait",
    level: "warning",
    page: "keys",
    find: ({ processes }) =>
      eachProcess(processes, ({ groups }) =>
        narrowest(groups.filter(isSlower)).map(({ recent, before, slowest, ...group }) => ({
          ...{ subject: ownerOf(group), weight: recent.p95Ms! },
          text: `loads${ofOwner(group)} take ${durationText(recent.p95Ms!)} (95 %), ${durationText(before.p95Ms!)} before${slowest === undefined ? "" : `; the slowest is ${quoted(group.namespace, slowest.key)}`}`,
        })),
      ),
  },
  {
    name: "failed-loads",
    what: "Failing loads of a namespace or key group",
    when: `${ENOUGH.loadErrors} in the last minute, the last of them within 20 s`,
    remedy: "look at the source; staleIfError serves the previous value meanwhile",
    level: "error",
    page: "keys",
    find: ({ caches, processes }) =>
      eachProcess(processes, ({ groups, windowMs, at }, { cache, isOwn }) => {
        const failing = groups.filter(
          ({ failed }) => failed !== undefined && failed.count >= ENOUGH.loadErrors && failed.at >= at - windowMs / 3,
        );
        // Another rule says so.
        if (isOwn && caches.some(({ name, fallbacks }) => name === cache && fallbacks.keys > 0)) return [];
        return narrowest(failing).map(({ failed, ...group }) => ({
          ...{ subject: ownerOf(group), weight: failed!.count },
          text: `${plural(failed!.count, "load")}${ofOwner(group)} failed in the last ${windowText(windowMs)}${mostText(group, failed!.most)}: ${failed!.error}`,
        }));
      }),
  },
  {
    name: "hit-ratio",
    what: "The hit ratio of a namespace or key group falls",
    when: `by ${100 * FALL.points} points, over ${FALL.calls} calls; by ${100 * FALL.fewPoints}, if ${FALL.times} times as many of ${FALL.manyCalls} calls miss`,
    remedy:
      "look for a key that changes with each call (a time, an id of a request), a shorter ttl, invalidations, or a Redis that evicts",
    level: "warning",
    page: "keys",
    find: ({ processes, bursts, starts }, now) =>
      eachProcess(processes, ({ groups }, { cache }) =>
        narrowest(groups.filter(isFallen))
          .toSorted((one, other) => missesOf(other) - missesOf(one))
          .slice(0, 3)
          .map((group) => ({
            ...{ subject: ownerOf(group), weight: fallOf(group) },
            text: `the hit ratio${ofOwner(group)} is ${percentText(group.recent.hitRatio!)}, ${percentText(group.before.hitRatio!)} before (${plural(group.recent.calls, "call")} in ${secondsText(group.recent.ms)})${causeOfFall(group, cache, bursts)}${changeText(cache, starts, now)}`,
          })),
      ),
  },
  {
    name: "never-hit",
    what: "A namespace or key group is never hit",
    when: `${percentText(NEVER.hitRatio)} of the calls at most, of ${NEVER.calls} in the last minute and as many before`,
    remedy:
      "look for a key that changes with each call (a time, an id of a request), or leave these calls uncached: notShared, or ttl: 0",
    level: "warning",
    page: "keys",
    find: ({ processes }) =>
      eachProcess(processes, ({ groups }) =>
        narrowest(groups.filter(isNeverHit))
          .slice(0, 3)
          .map((group) => ({
            ...{ subject: ownerOf(group), weight: group.recent.calls },
            text: `calls${ofOwner(group)} never hit: ${plural(group.recent.calls, "call")} in ${secondsText(group.recent.ms)}, ${plural(group.recent.loads, "load")}`,
          })),
      ),
  },
  {
    name: "flood",
    what: "A flood of new keys",
    when: `${FLOOD.loads} loads beyond the budget newKeys of a namespace in the last minute`,
    remedy:
      "if these are bots or ids that don't exist, limit or refuse them before the cache; if they are your users, raise newKeys.perSecond",
    level: "warning",
    page: "keys",
    find: ({ processes }) =>
      eachProcess(processes, ({ groups }) =>
        narrowest(groups.filter(({ recent }) => (recent.unadmitted ?? 0) >= FLOOD.loads))
          .slice(0, 3)
          .map((group) => ({
            ...{ subject: ownerOf(group), weight: group.recent.unadmitted! },
            text: `a flood of new keys${ofOwner(group)}: ${plural(group.recent.unadmitted!, "load")} in ${secondsText(group.recent.ms)} were beyond newKeys and are kept nowhere, of ${plural(group.recent.calls, "call")}`,
          })),
      ),
  },
  {
    name: "queued-loads",
    what: "Loads wait for a free slot",
    when: `seen at ${QUEUED.seen} of the 12 looks of a minute`,
    remedy:
      "raise maxLoads, or maxBackgroundLoads, or look at why loads take so long: callers wait for the slot as well",
    level: "warning",
    page: "stampedes",
    find: ({ processes }) =>
      eachProcess(processes, ({ queued }) => {
        if (queued === undefined || queued.seen < QUEUED.seen) return [];
        const { seen, looks, loads, callers, forMs, maxLoads } = queued;
        const option = maxLoads === undefined ? "" : `; maxLoads is ${maxLoads}`;
        const those = callers === undefined ? "" : `, with ${plural(callers, "caller")}`;
        const text = `up to ${plural(loads, "load")} waited for a free slot${those}, up to ${durationText(forMs)}, at ${seen} of ${looks} looks${option}`;
        return [{ subject: "slots", weight: seen, text }];
      }),
  },
  {
    name: "odd-process",
    what: "One process hits far less often than the others",
    when: `by ${100 * FALL.points} points, ${secondsText(WARM_MS)} after its start, among three or more`,
    remedy: "compare its version, its format and its memory with the others",
    level: "warning",
    page: "fleet",
    find: ({ processes }, now) => oddProcesses(processes, now),
  },
  {
    name: "evictions",
    what: "A memory tier is too small",
    when: `${ENOUGH.evictions} evictions in the last minute, and as many as a tenth of its entries`,
    remedy: "raise maxEntries or maxBytes of memory(), or keep fewer keys there: local: false",
    level: "warning",
    page: "overview",
    find: ({ processes }) =>
      eachProcess(processes, ({ tiers, windowMs }) =>
        tiers.flatMap((tier) => {
          const { label, evicted = 0, entries = 0 } = tier;
          if (evicted < ENOUGH.evictions || 10 * evicted < entries) return [];
          return [
            {
              ...{ subject: label, weight: evicted },
              text: `${label} is full: ${plural(evicted, "eviction")} in the last ${windowText(windowMs)}, with ${sizeText(tier)}`,
            },
          ];
        }),
      ),
  },
  {
    name: "large-value",
    what: "A value is far larger than those before",
    when: `${bytesText(LARGE.bytes)} as encoded, and ${LARGE.times} times the largest before`,
    remedy:
      "split it, compress it, or keep it elsewhere: Redis and all processes wait while it is sent; maxEntryBytes() refuses it",
    level: "warning",
    page: "keys",
    find: ({ processes }) =>
      eachProcess(processes, ({ largest }) => {
        if (largest === undefined || largest.bytes < LARGE.bytes) return [];
        const { namespace, key, bytes, before } = largest;
        if (bytes < LARGE.times * before) return [];
        const than = before === 0 ? "" : `, the largest before had ${bytesText(before)}`;
        return [
          {
            ...{ subject: nameOf(namespace, key), weight: bytes },
            text: `${quoted(namespace, key)} has ${bytesText(bytes)}${than}`,
          },
        ];
      }),
  },
];

const ownName = (processes: readonly ProcessPicture[], of: string): string | undefined =>
  processes.find(({ cache, silentMs }) => cache === of && silentMs === 0)?.name;

const isSlower = ({ recent, before }: GroupRates): boolean =>
  recent.timed >= SLOW.loads &&
  before.timed >= SLOW.before &&
  [SLOW, FAR_SLOWER].some(
    ({ ms, times, loads }) =>
      recent.timed >= loads && (recent.p95Ms ?? 0) >= ms && recent.p95Ms! >= times * before.p95Ms!,
  );

/** In points of the hit ratio. */
const fallOf = ({ recent, before }: GroupRates): number =>
  recent.calls < FALL.calls || before.calls < FALL.before ? 0 : (before.hitRatio ?? 0) - (recent.hitRatio ?? 0);

/** A few points of a high ratio are many loads: the source has three times the work. */
function isFallen(group: GroupRates): boolean {
  const fall = fallOf(group);
  if (fall >= FALL.points) return true;
  const { recent, before } = group;
  const [misses, usual] = [1 - (recent.hitRatio ?? 1), 1 - (before.hitRatio ?? 1)];
  return fall >= FALL.fewPoints && recent.calls >= FALL.manyCalls && misses >= FALL.times * usual;
}

const isNeverHit = ({ recent, before }: GroupRates): boolean =>
  [recent, before].every(({ calls, hitRatio = 0 }) => calls >= NEVER.calls && hitRatio <= NEVER.hitRatio);

/** Calls that invalidated many entries at once, in the namespace of the group or around it. */
function causeOfFall({ namespace, group }: GroupRates, cache: string, bursts: Picture["bursts"]): string {
  const wide = bursts.find(
    (burst) =>
      burst.cache === cache &&
      burst.scope !== "key" &&
      burst.count >= (burst.scope === "namespace" ? 1 : WIDE) &&
      (group !== undefined || burst.namespace.every((name, i) => name === namespace[i])),
  );
  if (wide === undefined) return "";
  const by = wide.by.length === 0 ? "" : `, by ${wide.by.join(", ")}`;
  return `; ${invalidatedText(wide)} was invalidated ${plural(wide.count, "time")} in the last minute${by}`;
}

/** The last release, if it changed what decides answers. */
function changeText(cache: string, starts: Picture["starts"], now: number): string {
  const last = starts.find(
    (each) => each.cache === cache && each.changed.length > 0 && now - each.startedAt <= RELEASED_MS,
  );
  return last === undefined
    ? ""
    : `; ${last.name} started ${secondsText(now - last.startedAt)} ago with ${changesText(last)}`;
}

function mostText({ namespace }: Owner, most: NonNullable<GroupRates["failed"]>["most"]): string {
  return most === undefined ? "" : `, ${plural(most.count, "time")} that of ${quoted(namespace, most.key)}`;
}

const missesOf = ({ recent }: GroupRates): number => recent.calls * (1 - (recent.hitRatio ?? 0));

function sizeText({ entries = 0, maxEntries, bytes, maxBytes }: Figures["tiers"][number]): string {
  const of = maxEntries === undefined ? "" : ` of ${numberText(maxEntries)}`;
  const size = maxBytes === undefined || bytes === undefined ? "" : `, ${bytesText(bytes)} of ${bytesText(maxBytes)}`;
  return `${numberText(entries)}${of} entries${size}`;
}

function oddProcesses(processes: readonly ProcessPicture[], now: number): readonly Found[] {
  const known = processes.flatMap(({ cache, name, startedAt, figures }) => {
    const root = figures?.groups[0]?.recent;
    return root?.hitRatio === undefined || root.calls < FALL.calls || name === undefined || now - startedAt < WARM_MS
      ? []
      : [{ cache, name, hitRatio: root.hitRatio }];
  });
  return known.flatMap(({ cache, name, hitRatio }): readonly Found[] => {
    const others = known.filter((each) => each.cache === cache && each.name !== name).map((each) => each.hitRatio);
    const least = Math.min(...others);
    return others.length < 2 || least - hitRatio < FALL.points
      ? []
      : [
          {
            ...{ cache, subject: name, by: [name], weight: least - hitRatio },
            text: `${name} has a hit ratio of ${percentText(hitRatio)}, the other ${others.length} have ${percentText(least)} or more`,
          },
        ];
  });
}
