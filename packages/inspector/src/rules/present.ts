import { plural, secondsText } from "../figures.ts";
import type { CachePicture, Picture, ProcessPicture } from "./picture.ts";
import { ENOUGH, LONG_WAIT_MS, TROUBLED, type Found, type Rule } from "./rule.ts";
import { causeOf, changesText, everyText, invalidatedText, nameOf, sumOf } from "./texts.ts";

// Rules over the present: states, lists, and records.

const UNTAKEN_MS = 30_000;
const MUCH_LOG = 64 * 2 ** 20;
/** More than a network and a host that keeps its time explain. */
const CLOCKS_DIFFER_MS = 10_000;
const CRASHES = { times: 3, lifeMs: 60_000, withinMs: 600_000 };
const WIDE = { clear: 2, tags: 3 };
const CHANGED_MS = 900_000;
/** Each release has its own. */
const RELEASES: readonly string[] = ["release", "hotset"];
/** A failure from before that is of something else. */
const CAUSE_MS = 10_000;

/** Rules over the present state. */
export const STATES: readonly Rule[] = [
  {
    name: "tier-down",
    what: "A tier is down, detached, degraded or bypassed",
    when: "now",
    remedy: "calls are answered by memory and loads; look at the cause, and at the server",
    level: "warning",
    page: "overview",
    find: ({ caches, hasRedisPage }, now) =>
      caches.flatMap((cache) =>
        cache.tiers
          .filter(({ state }) => TROUBLED.includes(state))
          .map((tier): Found => ({
            ...{ cache: cache.name, subject: tier.label, text: troubleOf(tier, now) },
            weight: now - (tier.since ?? now),
            level: tier.state === "down" ? "error" : "warning",
            page: hasRedisPage && tier.label.startsWith("redis") ? "redis" : "overview",
          })),
      ),
  },
  {
    name: "records-refused",
    what: "The backend refuses the records of processes",
    when: "now, with heartbeat()",
    remedy: "as the text says; the fleet shows the last records in grey",
    level: "error",
    page: "fleet",
    find: ({ caches }, now) =>
      caches.flatMap(({ name, recordFailure, tiers }) =>
        recordFailure === undefined || tiers.some(({ state }) => state === "down")
          ? []
          : [
              {
                ...{ cache: name, subject: "", weight: now - recordFailure.since },
                text: `records of processes are refused for ${secondsText(now - recordFailure.since)}: ${causeOf(recordFailure.error, tiers.at(-1)?.label ?? "")}`,
              },
            ],
      ),
  },
  {
    name: "pending",
    what: "Invalidations wait for the backend",
    when: "now",
    remedy: "they are sent when it answers; until then other processes may serve older values",
    level: "warning",
    page: "overview",
    find: ({ caches }) =>
      caches.flatMap(({ name, pending }) =>
        pending === 0
          ? []
          : [
              {
                ...{ cache: name, subject: "", weight: pending },
                text: `${plural(pending, "invalidation")} pending until the backend answers`,
              },
            ],
      ),
  },
  {
    name: "stale-fallback",
    what: "Keys are served stale because their loads fail",
    when: "now",
    remedy: "look at the source; staleIfError covers it until it ends",
    level: "error",
    page: "stale",
    find: ({ caches }) =>
      caches.flatMap(({ name, fallbacks: { keys, namespace, error } }) => {
        const of = namespace.length === 0 ? "" : ` of ${nameOf(namespace)}`;
        const because = error === undefined ? "" : `: ${error}`;
        const text = `${plural(keys, "key")}${of} served stale because loads fail${because}`;
        return keys === 0 ? [] : [{ cache: name, subject: nameOf(namespace), weight: keys, text }];
      }),
  },
  {
    name: "invalidations",
    what: "A key, tag or namespace is invalidated in a loop",
    when: `${ENOUGH.invalidations} calls in the last minute, ${ENOUGH.keyInvalidations} of a key; refreshing a value does not count`,
    remedy: "look for a loop, or a webhook that repeats, in the process that it names",
    level: "warning",
    page: "invalidations",
    find: ({ bursts }) =>
      bursts
        // A key that another process replaced may have been refreshed: only its record says that it was a call.
        .filter(({ scope, by, count: times }) =>
          scope === "key" ? times >= ENOUGH.keyInvalidations && by.length > 0 : times >= ENOUGH.invalidations,
        )
        .slice(0, 3)
        .map(({ cache, namespace, scope, what, by, count: times, isAtLeast }) => {
          const subject = invalidatedText({ namespace, scope, what });
          const names = by.length === 0 ? "another process" : by.join(", ");
          return {
            ...{ cache, subject, weight: times, by },
            text: `${subject} was invalidated ${isAtLeast ? "at least " : ""}${plural(times, "time")} in the last minute, by ${names}`,
          };
        }),
  },
  {
    name: "wide-invalidations",
    what: "A cache is cleared, or a tag of many of its entries invalidated, again and again",
    when: `${WIDE.clear} clears in ten minutes, or ${WIDE.tags} calls of a tag that a tenth of the entries in memory have`,
    remedy:
      "each time all of it is loaded again: look for a schedule or an import that does it, and invalidate the keys or narrower tags that have changed",
    level: "warning",
    page: "invalidations",
    find: ({ wide }) => repeated(wide),
  },
  {
    name: "silent",
    what: "A process writes no record any more",
    when: "after two and a half heartbeats, 25 s by default",
    remedy:
      "it is cut off from the backend, its event loop is blocked, or it ended without closing its cache: look at its log",
    level: "error",
    page: "fleet",
    find: ({ processes }) =>
      processes.flatMap(({ cache, name = "", silentMs, everyMs }) =>
        silentMs <= 2.5 * everyMs
          ? []
          : [
              {
                cache,
                subject: name,
                by: [name],
                weight: silentMs,
                text: `${name} has been silent for ${secondsText(silentMs)}`,
              },
            ],
      ),
  },
  {
    name: "restarts",
    what: "A process ends soon after each start",
    when: `${CRASHES.times} starts under one name within ${secondsText(CRASHES.withinMs)}, each of the former ones over within ${secondsText(CRASHES.lifeMs)}`,
    remedy: "look at the end of its log, and at what restarts it: its memory limit and its health check",
    level: "error",
    page: "fleet",
    find: ({ starts }, now) => restarting(starts, now),
  },
  {
    name: "clock",
    what: "The clock of a process differs from that of this one",
    when: `by ${secondsText(CLOCKS_DIFFER_MS)} or more`,
    remedy: "look at how that host keeps its time; no answer of hotset depends on it, logs and schedules do",
    level: "warning",
    page: "fleet",
    find: ({ processes }) =>
      processes.flatMap(({ cache, name = "", clockAheadMs }) => {
        const differs = Math.abs(clockAheadMs);
        if (differs < CLOCKS_DIFFER_MS) return [];
        const text = `the clock of ${name} is ${secondsText(differs)} ${clockAheadMs > 0 ? "ahead" : "behind"}`;
        return [{ cache, subject: name, by: [name], weight: differs, text }];
      }),
  },
  {
    name: "differs",
    what: "A process has other settings than the rest",
    when: "in its last record",
    remedy:
      "give all processes of a cache the same: what they store is for each other. A release that is being rolled out differs until it is everywhere",
    level: "warning",
    page: "fleet",
    find: ({ processes }) => differing(processes),
  },
  {
    name: "changed-settings",
    what: "A release has changed what decides answers",
    when: `in the last ${secondsText(CHANGED_MS)}, everywhere; not the release itself`,
    remedy:
      "compare hit ratio, loads and errors with the time before, which the curves mark; a shorter ttl means more loads",
    level: "warning",
    page: "fleet",
    find: ({ starts, processes }, now) => changedSettings(starts, processes, now),
  },
  {
    name: "untrusted",
    what: "A process cannot trust its copies",
    when: "in its last record",
    remedy: "its connection for changes is lost: look at its network and at client-output-buffer-limit",
    level: "warning",
    page: "fleet",
    find: ({ processes }) =>
      processes.flatMap(({ cache, name = "", silentMs, everyMs, isTrusted }) =>
        isTrusted || silentMs > 2.5 * everyMs
          ? []
          : [
              {
                ...{ cache, subject: name, by: [name], weight: 0 },
                text: `${name} cannot trust its copies: it may miss invalidations, and asks the backend for each call`,
              },
            ],
      ),
  },
  {
    name: "queues",
    what: "A queue has dead jobs, is paused, or no worker takes its jobs",
    when: `now, or after ${secondsText(UNTAKEN_MS)} without a worker`,
    remedy: "mend what the last error says, then retry; start workers",
    level: "error",
    page: "queues",
    find: ({ queues }) =>
      queues.flatMap(({ name, waiting, active, dead, isPaused, oldestWaitingMs, lastReason }) => {
        const found: Found[] = [];
        const last = lastReason === null ? "" : `, the last: ${lastReason}`;
        if (dead > 0)
          found.push({
            subject: `${name} dead`,
            weight: dead,
            text: `queue ${name}: ${plural(dead, "dead job")}${last}`,
          });
        if (isPaused)
          found.push({ level: "warning", subject: `${name} paused`, weight: 0, text: `queue ${name} is paused` });
        else if (waiting > 0 && active === 0 && (oldestWaitingMs ?? 0) > UNTAKEN_MS)
          found.push({
            ...{ subject: `${name} untaken`, weight: oldestWaitingMs! },
            text: `queue ${name}: no worker takes jobs; the oldest has been waiting for ${secondsText(oldestWaitingMs!)}`,
          });
        return found;
      }),
  },
  {
    name: "follower",
    what: "A follower lags behind its database, or has stopped",
    when: `now, or ${secondsText(LONG_WAIT_MS)} or ${MUCH_LOG / 2 ** 20} MiB behind`,
    remedy: "look at its error, and at the slot of the database",
    level: "error",
    page: "overview",
    find: ({ followers }) =>
      followers.flatMap(({ name, lagBytes = 0, lagMs = 0, error }) => {
        const found: Found[] = [];
        if (error !== undefined)
          found.push({
            ...{ subject: name, weight: 0 },
            text: `follower ${name}: the log of the database is not followed here: ${error}`,
          });
        if (lagBytes > MUCH_LOG || lagMs > LONG_WAIT_MS)
          found.push({
            ...{ level: "warning" as const, subject: `${name} lag`, weight: lagBytes },
            text: `follower ${name}: ${secondsText(lagMs)} and ${Math.round(lagBytes / 2 ** 20)} MiB of the log behind the database`,
          });
        return found;
      }),
  },
];

function troubleOf({ label, state, since, failure }: CachePicture["tiers"][number], now: number): string {
  const text = `${label} has been ${state}${since === undefined ? "" : ` for ${secondsText(now - since)}`}`;
  if (state === "bypassed" || failure === undefined || failure.at < (since ?? 0) - CAUSE_MS) return text;
  return `${text}: ${failure.kind}, ${causeOf(failure.message, label)}`;
}

function repeated(wide: Picture["wide"]): readonly Found[] {
  const same = Map.groupBy(wide, ({ cache, text }) => JSON.stringify([cache, text]));
  return [...same.values()].flatMap((all): readonly Found[] => {
    const [{ cache, kind, text }] = all as [(typeof all)[number]];
    if (kind === "start" || all.length < WIDE[kind]) return [];
    const at = all.map((each) => each.at).toSorted((one, other) => one - other);
    const times = `${plural(all.length, "time")} in ${secondsText(at.at(-1)! - at[0]!)}${everyText(at)}`;
    return [{ cache, subject: text, weight: all.length, text: text.replace(/(?=, by )/, ` ${times}`) }];
  });
}

/** Of processes that share a name, such as all of a deployment, those that ended count. */
function restarting(starts: Picture["starts"], now: number): readonly Found[] {
  const named = Map.groupBy(
    starts.filter(({ startedAt }) => now - startedAt <= CRASHES.withinMs),
    ({ cache, name }) => JSON.stringify([cache, name]),
  );
  return [...named.values()].flatMap((all): readonly Found[] => {
    const [{ cache, name, startedAt }] = all as [(typeof all)[number]];
    const ended = all.filter(({ isLiving, ...each }) => !isLiving && each.lastAt - each.startedAt < CRASHES.lifeMs);
    // The last one may have ended, too.
    const times = ended.length + (all[0]!.isLiving ? 1 : 0);
    if (times < CRASHES.times) return [];
    const text = `${name} has started ${plural(times, "time")} in ${secondsText(now - all.at(-1)!.startedAt)}, the last time ${secondsText(now - startedAt)} ago: it ends soon after each start`;
    return [{ cache, subject: name, by: [name], weight: times, text }];
  });
}

/** Settings that differ among processes are another finding. */
function changedSettings(
  starts: Picture["starts"],
  processes: readonly ProcessPicture[],
  now: number,
): readonly Found[] {
  const isEverywhere = (of: string, setting: string): boolean =>
    new Set(processes.flatMap(({ cache, settings }) => (cache === of ? (settings?.[setting] ?? []) : []))).size === 1;
  const changes = starts
    .filter(({ isLiving, startedAt }) => isLiving && now - startedAt <= CHANGED_MS)
    .flatMap(({ cache, name, startedAt, changed }) =>
      changed
        .filter(({ setting }) => !RELEASES.includes(setting) && isEverywhere(cache, setting))
        .map((change) => ({ cache, name, startedAt, change })),
    );
  const same = Map.groupBy(changes, ({ cache, change }) => JSON.stringify([cache, change]));
  return [...same.values()].map((all): Found => {
    const [{ cache, change, startedAt }] = all as [(typeof all)[number]];
    const by = all.map(({ name }) => name).toSorted();
    const text = `${sumOf(by)} started ${secondsText(now - startedAt)} ago with ${changesText({ changed: [change] })}`;
    return { cache, subject: change.setting, by, weight: by.length, text };
  });
}

/** Those whose value is not that of most, or of the one that started first; a line for each setting and cache. */
function differing(processes: readonly ProcessPicture[]): readonly Found[] {
  const known = processes
    .filter(({ settings, silentMs, everyMs }) => settings !== undefined && silentMs <= 2.5 * everyMs)
    .toSorted((one, other) => one.startedAt - other.startedAt);
  const named = Map.groupBy(
    known.flatMap(({ cache, name = "this process", settings }) =>
      Object.keys(settings!).map((setting) => ({ cache, name, setting, value: settings![setting]! })),
    ),
    ({ cache, setting }) => JSON.stringify([cache, setting]),
  );
  return [...named.values()].flatMap((all): readonly Found[] => {
    const [{ cache, setting }] = all as [(typeof all)[number]];
    const byValue = [...Map.groupBy(all, ({ value }) => value)].toSorted(
      ([, some], [, others]) => others.length - some.length,
    );
    const [[usual], ...others] = byValue as [[string, typeof all], ...[string, typeof all][]];
    if (others.length === 0) return [];
    const by = others.flatMap(([, those]) => those.map(({ name }) => name));
    const values = sumOf(others.map(([value]) => JSON.stringify(value)));
    const text = `${sumOf(by)} ${by.length === 1 ? "differs" : "differ"} in ${setting}: ${values}, the ${all.length - by.length === 1 ? "other" : "others"} ${JSON.stringify(usual)}`;
    return [{ cache, subject: setting, by, weight: by.length, text }];
  });
}
