import { bytesText, durationText, numberText, percentText, plural, secondsText } from "../figures.ts";
import { narrowest, ofOwner, ownerOf, type Owner } from "./owners.ts";
import type { Figures, ProcessPicture } from "./picture.ts";
import { eachProcess, type Found, type Rule } from "./rule.ts";
import { causeOf, everyText, nameOf, quoted, sumOf, windowText } from "./texts.ts";

// Rules over what loaders give, and over the time that calls take around them.

type GroupRates = Figures["groups"][number];
type Empty = NonNullable<GroupRates["empty"]>;

const NOTHING = { loads: 20, share: 0.2 };
const NULLS = { loads: 10, share: 0.05, times: 5, before: 50, emptied: 5 };
const GROWN_BYTES = 1_000_000;
const SPIKES = { times: 2, lateMs: 65 * 60_000 };
const SLOW_HITS = { calls: 5, share: 0.02 };
const WAITS = { calls: 30, ms: 200, times: 3 };
const HELD = { seen: 3 };
/** A process that has just started connects, and compiles its code. */
const BEGUN_MS = 30_000;
/** Values of several shapes are read for a while after a release. */
const MOST_FIELDS = 4;

export const LOADS: readonly Rule[] = [
  {
    name: "nothing-loaded",
    what: "Loaders return `undefined`, which is not cached",
    when: `${NOTHING.loads} loads in the last minute, a fifth of those of a namespace or key group`,
    remedy:
      "return null for what does not exist: it is cached for negativeTtl. A value that is not cached on purpose goes through ctx.noStore",
    level: "warning",
    page: "keys",
    find: ({ processes }) =>
      eachProcess(processes, ({ groups, windowMs }) =>
        narrowest(groups.filter(({ empty }) => empty !== undefined && isNothing(empty))).map(({ empty, ...group }) => ({
          ...{ subject: ownerOf(group), weight: empty!.nothing },
          text: `${numberText(empty!.nothing)} of ${plural(empty!.loads, "load")}${ofOwner(group)} returned undefined in the last ${windowText(windowMs)}, so nothing was cached${mostText(group, empty!)}`,
        })),
      ),
  },
  {
    name: "null-loaded",
    what: "Loaders return `null` more often than before",
    when: `${NULLS.loads} loads in the last minute, ${NULLS.times} times the share of before; or ${NULLS.emptied} keys that had a value`,
    remedy:
      "look at the source of these keys: a tenant, a replica or a permission that finds nothing. Bots that ask for what does not exist are best refused before the cache",
    level: "warning",
    page: "keys",
    find: ({ processes }) =>
      eachProcess(processes, ({ groups, windowMs }) =>
        narrowest(groups.filter(({ empty }) => empty !== undefined && isNull(empty))).map(({ empty, ...group }) => {
          const { nulls, loads, emptied, before } = empty!;
          const had = emptied === 0 ? "" : `; ${emptied} replaced a value`;
          const usual = before.loads === 0 ? "" : `, ${percentText(before.nulls / before.loads)} before`;
          return {
            ...{ subject: ownerOf(group), weight: nulls },
            text: `${numberText(nulls)} of ${plural(loads, "load")}${ofOwner(group)} returned null in the last ${windowText(windowMs)}${usual}${had}${mostText(group, empty!)}`,
          };
        }),
      ),
  },
  {
    name: "unstorable-value",
    what: "A value cannot be stored",
    when: "one in the last minute",
    remedy:
      "each process loads it for itself: split a value that is too large, or keep it elsewhere; cache plain data, or choose a format that can: valueFormat(v8())",
    level: "warning",
    page: "keys",
    find: ({ processes }) =>
      eachProcess(processes, ({ unstorable, windowMs }) => {
        if (unstorable === undefined) return [];
        const { tier, namespace, key, error, count: times } = unstorable;
        const text = `${quoted(namespace, key)} cannot be stored in ${tier}: ${causeOf(error, tier)}${times === 1 ? "" : `; ${plural(times, "value")} in the last ${windowText(windowMs)}`}`;
        return [{ subject: nameOf(namespace, key), weight: times, text }];
      }),
  },
  {
    name: "growing-value",
    what: "A value grows with each write",
    when: `${bytesText(GROWN_BYTES)} or more, twice its first size, over five writes`,
    remedy:
      "look for a list to which its loader adds and removes nothing, or keep its parts under keys of their own: Redis and all processes wait while a large value is sent",
    level: "warning",
    page: "keys",
    find: ({ processes }) =>
      eachProcess(processes, ({ growing, at: now }) => {
        if (growing === undefined || growing.bytes < GROWN_BYTES) return [];
        const { namespace, key, bytes, before, since, stores } = growing;
        const text = `${quoted(namespace, key)} grows: ${bytesText(bytes)}, ${bytesText(before)} ${secondsText(now - since)} ago, ${plural(stores, "write")} since`;
        return [{ subject: nameOf(namespace, key), weight: bytes, text }];
      }),
  },
  {
    name: "load-spikes",
    what: "Many loads begin in the same second, again and again",
    when: `50 loads in one second, ten times as many as in others, ${SPIKES.times} times; the last within 65 minutes`,
    remedy:
      "if entries end together, such as at the top of an hour, spread them by jitter, or serve them stale while they load (staleWhileRevalidate); a job that reads many keys is best served by getOrSetMany",
    level: "warning",
    page: "keys",
    find: ({ processes }, now) =>
      eachProcess(processes, ({ spikes }) => {
        const last = spikes?.at.at(-1) ?? 0;
        if (spikes === undefined || spikes.at.length < SPIKES.times || now - last > SPIKES.lateMs) return [];
        const { at, loads, usual, namespace, key } = spikes;
        const text = `up to ${plural(loads, "load")} began in the same second, ${plural(at.length, "time")} in ${secondsText(last - at[0]!)}${everyText(at)}, where ${usual} are usual; the last: ${quoted(namespace, key)} and others`;
        return [{ subject: "", weight: at.length, text }];
      }),
  },
  {
    name: "slow-hits",
    what: "Values that are stored take long to arrive",
    when: `${SLOW_HITS.calls} hits of the backend in the last minute, and ${100 * SLOW_HITS.share} % of them, took 200 ms or longer; not in the first ${secondsText(BEGUN_MS)} of a process`,
    remedy:
      "look for slow commands and a full network (hotset doctor), for values that are large, and for work that holds the event loop of this process up",
    level: "warning",
    page: "overview",
    find: ({ processes }, now) =>
      eachProcess(processes, ({ groups, windowMs }, { startedAt }) => {
        // A backend that is slow is so for all of its keys.
        const { hit } = groups[0]!.calls ?? {};
        if (hit === undefined || now - startedAt < BEGUN_MS) return [];
        const { count: all, slow, p50Ms, p99Ms } = hit;
        if (slow < SLOW_HITS.calls || slow < SLOW_HITS.share * all) return [];
        const text = `${numberText(slow)} of ${plural(all, "hit")} in the backend took 200 ms or longer in the last ${windowText(windowMs)}, up to ${durationText(p99Ms)} (99 %); half of them at most ${durationText(p50Ms)}`;
        return [{ subject: "hits", weight: slow, text }];
      }),
  },
  {
    name: "held-loop",
    what: "The event loop of a process is held up",
    when: `for 200 ms or longer, at ${HELD.seen} of the 12 looks of a minute`,
    remedy:
      "all of its calls wait meanwhile: look for synchronous work, such as large values that are encoded, parsed or cloned, or give the process more CPU",
    level: "warning",
    page: "fleet",
    find: ({ processes }, now) =>
      eachProcess(processes, ({ heldLoop }, { startedAt }) => {
        if (heldLoop === undefined || heldLoop.seen < HELD.seen || now - startedAt < BEGUN_MS) return [];
        const { seen, looks, longestMs } = heldLoop;
        const text = `the event loop was held up for up to ${durationText(longestMs)}, at ${seen} of ${looks} looks`;
        return [{ subject: "", weight: longestMs, text }];
      }),
  },
  {
    name: "waiting-calls",
    what: "Calls wait far longer than their loads take",
    when: `95 % of ${WAITS.calls} calls that load take up to ${WAITS.times} times as long as 95 % of the loads, and ${WAITS.ms} ms more; not in the first ${secondsText(BEGUN_MS)} of a process`,
    remedy:
      "look at what they wait for: a slot of maxLoads, the lease of another process, or the backend that stores the value",
    level: "warning",
    page: "stampedes",
    find: ({ processes }, now) =>
      eachProcess(processes, ({ groups }, { startedAt }) =>
        now - startedAt < BEGUN_MS
          ? []
          : narrowest(groups.filter(isWaiting)).map(({ calls, recent, ...group }) => ({
              ...{ subject: ownerOf(group), weight: calls!.loaded!.p95Ms },
              text: `calls${ofOwner(group)} that load take up to ${durationText(calls!.loaded!.p95Ms)} (95 %), their loads up to ${durationText(recent.p95Ms!)}`,
            })),
      ),
  },
  {
    name: "other-fields",
    what: "Processes load values of different shapes",
    when: "in each the last 20 values of a namespace or key group have the same properties, which differ",
    remedy:
      "processes read what the others store: give the new release another version of the cache, or keys by shape (shaped), until it is everywhere",
    level: "warning",
    page: "fleet",
    find: ({ processes }) => otherFields(processes),
  },
];

const isNothing = ({ nothing, loads }: Empty): boolean => nothing >= NOTHING.loads && nothing >= NOTHING.share * loads;

function isNull({ nulls, loads, emptied, before }: Empty): boolean {
  if (nulls === 0) return false;
  if (emptied >= NULLS.emptied) return true;
  if (nulls < NULLS.loads || before.loads < NULLS.before) return false;
  const usual = Math.max(0.01, before.nulls / before.loads);
  return nulls / loads >= Math.max(NULLS.share, NULLS.times * usual);
}

function isWaiting({ calls: { loaded } = {}, recent }: GroupRates): boolean {
  if (loaded === undefined || loaded.count < WAITS.calls || recent.p95Ms === undefined || recent.timed < WAITS.calls)
    return false;
  return loaded.p95Ms >= WAITS.times * recent.p95Ms && loaded.p95Ms >= recent.p95Ms + WAITS.ms;
}

function mostText({ namespace }: Owner, { most }: Empty): string {
  return most === undefined ? "" : `; ${plural(most.count, "time")} that of ${quoted(namespace, most.key)}`;
}

/** The process and the values that differ, by the first record that has other properties. */
function otherFields(processes: readonly ProcessPicture[]): readonly Found[] {
  const known = processes
    .filter(({ silentMs, everyMs }) => silentMs <= 2.5 * everyMs)
    .toSorted((one, other) => one.startedAt - other.startedAt)
    .flatMap(({ cache, name = "this process", figures }) =>
      (figures?.groups ?? []).flatMap(({ namespace, group, fields }) =>
        fields === undefined ? [] : [{ cache, name, fields, of: { namespace, ...(group !== undefined && { group }) } }],
      ),
    );
  const places = Map.groupBy(known, ({ cache, of }) => JSON.stringify([cache, of]));
  const found = [...places.values()].flatMap((all) => {
    const shapes = [...Map.groupBy(all, ({ fields }) => fields.join("\0")).values()].toSorted(
      (some, others) => others.length - some.length,
    );
    const [usual, ...others] = shapes as [typeof all, ...(typeof all)[]];
    return others.length === 0 ? [] : [{ usual, others: others.flat() }];
  });
  const narrow = found.filter(
    ({ usual: [one] }) =>
      one!.of.group !== undefined ||
      !found.some(({ usual: [other] }) => other!.cache === one!.cache && isInside(other!.of, one!.of)),
  );
  return narrow.map(({ usual, others }): Found => {
    const [{ cache, of, fields: theirs }] = usual as [(typeof usual)[number]];
    const [{ fields }] = others as [(typeof others)[number]];
    const added = fields.filter((name) => !theirs.includes(name));
    const missing = theirs.filter((name) => !fields.includes(name));
    const parts = [
      added.length === 0 ? "" : `with ${sumOf(added.slice(0, MOST_FIELDS))}`,
      missing.length === 0 ? "" : `without ${sumOf(missing.slice(0, MOST_FIELDS))}`,
    ];
    const by = [...new Set(others.map(({ name }) => name))];
    const text = `${sumOf(by)} ${by.length === 1 ? "loads" : "load"} values${ofOwner(of)} ${parts.filter(Boolean).join(" and ")}; the others do not`;
    return { cache, subject: ownerOf(of), by, weight: by.length, text };
  });
}

/** A group says more than a namespace, a namespace more than one around it. */
const isInside = (inner: Owner, outer: Owner): boolean =>
  inner.group !== undefined ||
  (inner.namespace.length > outer.namespace.length && outer.namespace.every((name, i) => inner.namespace[i] === name));
