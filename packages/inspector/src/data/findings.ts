import type { TierFailure } from "@hotset/core/inspect";
import type { Burst } from "./invalidations.ts";
import type { Finding, PageName, QueueRow, RedisPage, Silence } from "./pages.ts";

interface TierPicture {
  readonly label: string;
  readonly state: string;
  readonly since: number | undefined;
  /** Its last call that failed. */
  readonly failure: TierFailure | undefined;
}

/** Figures that findings are made of. */
export interface Picture {
  readonly caches: readonly {
    readonly name: string;
    readonly tiers: readonly TierPicture[];
    readonly pending: number;
    readonly lastMinute: { readonly loads: number; readonly loadErrors: number };
    readonly lastError: string | undefined;
    /** The load with the most callers. */
    readonly busiest: { readonly key: string; readonly callers: number; readonly forMs: number } | undefined;
    readonly fallbacks: { readonly keys: number; readonly error: string | undefined };
  }[];
  /** Whether a page has more about Redis. */
  readonly hasRedisPage: boolean;
  /** The most frequent first. */
  readonly bursts: readonly Burst[];
  readonly processes: readonly {
    readonly cache: string;
    readonly name: string;
    readonly silentMs: number;
    readonly isTrusted: boolean;
  }[];
  readonly queues: readonly QueueRow[];
  readonly servers: NonNullable<RedisPage["server"]>["servers"];
  /** The Redis of the toolkit. */
  readonly silence: Silence | null;
  /** They read the log of a database. */
  readonly followers: readonly {
    readonly name: string;
    readonly lagBytes: number | undefined;
    readonly lagMs: number | undefined;
    readonly error: string | undefined;
  }[];
}

const MANY_CALLERS = 20;
const LONG_WAIT_MS = 10_000;
const MANY_INVALIDATIONS = 30;
const MANY_ERRORS = 5;
/** Two records of a usual heartbeat are missing. */
const SILENT_MS = 25_000;
const UNTAKEN_MS = 30_000;

/** The findings of this picture, errors first. */
export function findings(picture: Picture, now: number): readonly Finding[] {
  const found = [
    ...picture.caches.flatMap((cache) => ofCache(cache, picture.hasRedisPage, now)),
    ...picture.bursts.slice(0, 3).flatMap(ofBurst),
    ...picture.processes.flatMap(ofProcess),
    ...picture.queues.flatMap(ofQueue),
    ...picture.followers.flatMap(ofFollower),
    ...(picture.silence === null ? picture.servers.flatMap(ofServer) : []),
  ];
  // A tier that is down says the same.
  if (picture.silence !== null && !found.some(({ page }) => page === "redis"))
    found.push({ level: "error", page: "redis", text: silenceText(picture.silence, now) });
  return found.toSorted((one, other) => RANK[one.level] - RANK[other.level]);
}

const RANK = { error: 0, warning: 1 } as const;

function ofCache(cache: Picture["caches"][number], hasRedisPage: boolean, now: number): readonly Finding[] {
  const { name, pending, lastMinute, lastError, busiest, fallbacks } = cache;
  const found: Finding[] = [];
  const add = (level: Finding["level"], page: PageName, text: string): void =>
    void found.push({ level, page, text: `${name}: ${text}` });
  for (const tier of cache.tiers)
    if (TROUBLED.includes(tier.state))
      add(
        tier.state === "down" ? "error" : "warning",
        hasRedisPage && tier.label.startsWith("redis") ? "redis" : "overview",
        troubleOf(tier, now),
      );
  if (pending > 0) add("warning", "overview", `${count(pending, "invalidation")} pending until the backend answers`);
  if (busiest !== undefined && (busiest.callers >= MANY_CALLERS || busiest.forMs >= LONG_WAIT_MS))
    add(
      busiest.forMs >= LONG_WAIT_MS ? "error" : "warning",
      "stampedes",
      `${count(busiest.callers, "caller")} of ${shown(busiest.key)} ${busiest.callers === 1 ? "waits" : "wait"} for one load, for ${duration(busiest.forMs)}`,
    );
  const because = fallbacks.error === undefined ? "" : `: ${fallbacks.error}`;
  if (fallbacks.keys > 0)
    add("error", "stale", `${count(fallbacks.keys, "key")} served stale because loads fail${because}`);
  else if (lastMinute.loadErrors >= MANY_ERRORS)
    add(
      "error",
      "overview",
      `${count(lastMinute.loadErrors, "load")} failed in the last minute${lastError === undefined ? "" : `: ${lastError}`}`,
    );
  return found;
}

const TROUBLED: readonly string[] = ["down", "detached", "degraded", "bypassed"];
/** A failure from before that is of something else. */
const CAUSE_MS = 10_000;

function troubleOf({ label, state, since, failure }: TierPicture, now: number): string {
  const text = `${label} has been ${state}${since === undefined ? "" : ` for ${duration(now - since)}`}`;
  if (state === "bypassed" || failure === undefined || failure.at < (since ?? 0) - CAUSE_MS) return text;
  return `${text}: ${failure.kind}, ${causeOf(failure.message, label)}`;
}

/** Without its advice, which the page has. */
const causeOf = (message: string, label: string): string =>
  (message.startsWith(`${label}: `) ? message.slice(label.length + 2) : message).split("; ", 1)[0]!;

function ofBurst({ cache, scope, what, by, count: times, isAtLeast }: Burst): readonly Finding[] {
  if (times < MANY_INVALIDATIONS) return [];
  const subject = scope === "namespace" ? "a namespace" : `${scope === "tags" ? "tag" : "key"} ${shown(what)}`;
  const names = by.length === 0 ? "another process" : by.join(", ");
  return [
    {
      level: "warning",
      page: "invalidations",
      text: `${cache}: ${subject} was invalidated ${isAtLeast ? "at least " : ""}${count(times, "time")} in the last minute, by ${names}`,
    },
  ];
}

function ofProcess({ cache, name, silentMs, isTrusted }: Picture["processes"][number]): readonly Finding[] {
  if (silentMs > SILENT_MS)
    return [{ level: "error", page: "fleet", text: `${cache}: ${name} has been silent for ${duration(silentMs)}` }];
  if (isTrusted) return [];
  const text = `${cache}: ${name} cannot trust its copies: it may miss invalidations, and asks the backend for each call`;
  return [{ level: "warning", page: "fleet", text }];
}

function ofQueue(queue: QueueRow): readonly Finding[] {
  const { name, waiting, active, dead, isPaused, oldestWaitingMs, lastReason } = queue;
  const found: Finding[] = [];
  if (dead > 0)
    found.push({
      level: "error",
      page: "queues",
      text: `queue ${name}: ${count(dead, "dead job")}${lastReason === null ? "" : `, the last: ${lastReason}`}`,
    });
  if (isPaused) found.push({ level: "warning", page: "queues", text: `queue ${name} is paused` });
  else if (waiting > 0 && active === 0 && oldestWaitingMs !== null && oldestWaitingMs > UNTAKEN_MS)
    found.push({
      level: "error",
      page: "queues",
      text: `queue ${name}: no worker takes jobs; the oldest has been waiting for ${duration(oldestWaitingMs)}`,
    });
  return found;
}

const silenceText = ({ since, error }: Silence, now: number): string =>
  `Redis has not answered for ${duration(now - since)}: ${causeOf(error, "redis")}`;

function ofServer(server: Picture["servers"][number]): readonly Finding[] {
  const { address, error, usedMemory = 0, maxMemory = 0, maxMemoryPolicy, isPersistenceWell } = server;
  const found: Finding[] = [];
  const add = (level: Finding["level"], text: string): void =>
    void found.push({ level, page: "redis", text: `Redis ${address}: ${text}` });
  if (error !== undefined) add("error", `does not answer: ${error}`);
  if (maxMemory > 0 && usedMemory > FULL * maxMemory)
    add(
      maxMemoryPolicy === "noeviction" ? "error" : "warning",
      `${Math.round((100 * usedMemory) / maxMemory)} % of maxmemory is used, with ${maxMemoryPolicy ?? "an unknown policy"}`,
    );
  if (isPersistenceWell === false) add("error", "the last snapshot, or write of its log, failed");
  return found;
}

const FULL = 0.9;

function ofFollower({ name, lagBytes = 0, lagMs = 0, error }: Picture["followers"][number]): readonly Finding[] {
  const found: Finding[] = [];
  const add = (level: Finding["level"], text: string): void =>
    void found.push({ level, page: "overview", text: `follower ${name}: ${text}` });
  if (error !== undefined) add("error", `the log of the database is not followed here: ${error}`);
  if (lagBytes > MUCH_LOG || lagMs > LONG_WAIT_MS)
    add("warning", `${duration(lagMs)} and ${Math.round(lagBytes / 2 ** 20)} MiB of the log behind the database`);
  return found;
}

const MUCH_LOG = 64 * 2 ** 20;

const count = (of: number, what: string): string => `${of.toLocaleString("en")} ${what}${of === 1 ? "" : "s"}`;
const shown = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);

function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
