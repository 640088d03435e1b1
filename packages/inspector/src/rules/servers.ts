import type { KeyGroup } from "../data/pages.ts";
import { bytesText, durationText, plural, secondsText } from "../figures.ts";
import type { Picture } from "./picture.ts";
import type { Found, Rule } from "./rule.ts";
import { silenceText } from "./texts.ts";

// Rules over the servers of Redis, for pages with a toolkit.

const FULL = 0.9;
const EVICTIONS = 100;
const RECENT_MS = 600_000;
/** A group of keys that has so much of the memory is worth its name. */
const MUCH = 0.3;
/** One command may be that of a machine that is busy. */
const HELD_UP = { times: 3, ms: 1_000 };

type Server = Picture["servers"][number];

export const SERVERS: readonly Rule[] = [
  {
    name: "redis",
    what: "Redis does not answer, is nearly full, or cannot write to its disk",
    when: `now, or at ${100 * FULL} % of maxmemory`,
    remedy: "hotset doctor names the setting; raise maxmemory, or set allkeys-lfu on a server of caches",
    level: "error",
    page: "redis",
    find: ({ servers, silence, keyGroups }, now) =>
      silence === null
        ? servers.flatMap((server) => ofServer(server, keyGroups))
        : [{ subject: "silence", weight: now - silence.since, text: silenceText(silence, now) }],
  },
  {
    name: "redis-held-up",
    what: "Commands hold Redis up",
    when: `${HELD_UP.times} for 100 ms or more in the last ten minutes, or one for ${durationText(HELD_UP.ms)}`,
    remedy:
      "look at that program: SLOWLOG GET has the arguments; large values, KEYS and long scripts are slow for everyone",
    level: "warning",
    page: "redis",
    find: ({ servers }) =>
      servers.flatMap(({ address, events: { slow } = {} }) => {
        if (slow === undefined || (slow.times < HELD_UP.times && slow.longestMs < HELD_UP.ms)) return [];
        const { times, longestMs, command, client } = slow;
        const by = client === "" ? "" : `, by ${client}`;
        const text = `Redis ${address}: commands held it up ${plural(times, "time")} in the last 10 min, for up to ${durationText(longestMs)}: ${command}${by}`;
        return [{ subject: address, weight: longestMs, text }];
      }),
  },
  {
    name: "redis-emptied",
    what: "Redis was emptied, has restarted, or another server took over",
    when: "in the last ten minutes",
    remedy:
      "entries are loaded again; look for the program that calls FLUSHALL or FLUSHDB, for why the server ended, and whether it keeps its data (appendonly); what is no copy, such as sessions and queues, may be lost",
    level: "warning",
    page: "redis",
    find: ({ servers }, now) => servers.flatMap((server) => emptied(server, now)),
  },
  {
    name: "other-database",
    what: "Processes of a cache use another database number of the same Redis",
    when: "records of them are there",
    remedy:
      "give all processes of a cache the same number in REDIS_URL: they share no entries, and miss each other's invalidations; hotset doctor names them",
    level: "error",
    page: "fleet",
    find: ({ elsewhere }) =>
      elsewhere.map(({ owner, own, database, processes }) => ({
        ...{ subject: `${owner} ${database}`, weight: processes },
        text: `${cacheOf(owner)}: ${processes === 1 ? "1 process uses" : `${processes} processes use`} database ${database} of Redis, and this one database ${own}`,
      })),
  },
];

/** `hotset:shop@2` is the cache `shop`. */
const cacheOf = (owner: string): string => owner.slice(owner.indexOf(":") + 1);

function ofServer(server: Server, groups: Picture["keyGroups"]): readonly Found[] {
  const { address, error, usedMemory = 0, maxMemory = 0, maxMemoryPolicy, isPersistenceWell, events = {} } = server;
  const { evicted = 0 } = events;
  const found: Found[] = [];
  const add = (level: "error" | "warning", what: string, text: string): void =>
    void found.push({ level, subject: `${address} ${what}`, weight: usedMemory, text: `Redis ${address}: ${text}` });
  if (error !== undefined) add("error", "silent", `does not answer: ${error}`);
  if (maxMemory > 0 && (usedMemory > FULL * maxMemory || evicted >= EVICTIONS)) {
    const removed = evicted === 0 ? "" : `; ${plural(evicted, "key")} evicted in the last minute`;
    add(
      maxMemoryPolicy === "noeviction" ? "error" : "warning",
      "full",
      `${Math.round((100 * usedMemory) / maxMemory)} % of maxmemory is used, with ${maxMemoryPolicy ?? "an unknown policy"}${removed}${mostText(groups, usedMemory)}`,
    );
  }
  if (isPersistenceWell === false) add("error", "disk", "the last snapshot, or write of its log, failed");
  return found;
}

/** Whose keys most of the memory is. */
function mostText(groups: readonly KeyGroup[], usedMemory: number): string {
  const [most] = groups.toSorted((one, other) => (other.bytes ?? 0) - (one.bytes ?? 0));
  // Keys that were counted a while ago may be few of those of now.
  if (most === undefined || (most.bytes ?? 0) < MUCH * usedMemory) return "";
  const { kind, owner, bytes, keys } = most;
  const what =
    kind === "other" ? `keys of other programs${owner === "" ? "" : `, ${owner}:…`}` : `${kind} ${owner}`.trim();
  return `; most of it is ${what}: ${bytesText(bytes ?? 0)} in ${plural(keys, "key")}`;
}

function emptied({ address, events = {} }: Server, now: number): readonly Found[] {
  const { flushes = 0, restartedAt, tookOverAt } = events;
  const found = (what: string, text: string): Found => ({
    ...{ subject: `${address} ${what}`, weight: 1, text: `Redis ${address}: ${text}` },
  });
  const isRecent = (at: number | undefined): at is number => at !== undefined && now - at < RECENT_MS;
  return [
    ...(flushes === 0
      ? []
      : [found("flushed", `FLUSHALL or FLUSHDB removed all keys ${plural(flushes, "time")} in the last 10 min`)]),
    ...(isRecent(restartedAt)
      ? [found("restarted", `it started ${secondsText(now - restartedAt)} ago, while this process ran`)]
      : []),
    ...(isRecent(tookOverAt)
      ? [
          found(
            "took over",
            `it took over from another server ${secondsText(now - tookOverAt)} ago: writes that had not reached it are lost`,
          ),
        ]
      : []),
  ];
}
