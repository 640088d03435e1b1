import { InvalidArgumentError } from "@hotset/core";
import type { RedisConnection } from "../client/contract.ts";
import { CommandError, type RedisView } from "../index.ts";
import { checkOneOf, moduleOf, MOST_SCRIPT_KEYS, checkWholeNumber } from "../module/module.ts";

/** Calendar windows in UTC. A week begins on Monday (ISO 8601). */
export type WindowKind = "hourly" | "daily" | "weekly" | "monthly";

/** One window of a calendar. */
export interface CalendarWindow {
  /** `2026-11-21T09`, `2026-11-21`, `2026-W47` or `2026-11`. */
  readonly name: string;
  /** Milliseconds since 1970; the window has begun. */
  readonly startsAt: number;
  /** Milliseconds since 1970; the next window has begun. */
  readonly endsAt: number;
}

const HOUR = 3_600_000;
const DAY = 86_400_000;
const WEEK = 7 * DAY;
/** The first Monday of 1970. */
const FIRST_MONDAY = 4 * DAY;

/**
 * The window of an instant, in milliseconds since 1970.
 *
 * @throws {RangeError} for an instant that is no date.
 */
export function windowAt(kind: WindowKind, at: number): CalendarWindow {
  switch (kind) {
    case "hourly":
      return fixed(Math.floor(at / HOUR) * HOUR, HOUR, (start) => isoOf(start).slice(0, 13));
    case "daily":
      return fixed(Math.floor(at / DAY) * DAY, DAY, (start) => isoOf(start).slice(0, 10));
    case "weekly":
      return fixed(Math.floor((at - FIRST_MONDAY) / WEEK) * WEEK + FIRST_MONDAY, WEEK, weekName);
    case "monthly": {
      const date = new Date(at);
      const month = (ahead: number): number => Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + ahead, 1);
      return { name: isoOf(month(0)).slice(0, 7), startsAt: month(0), endsAt: month(1) };
    }
  }
}

/**
 * The window so many before `window`; after it for a negative number.
 *
 * @throws {RangeError} where that is before or after all dates.
 */
export function windowBefore(kind: WindowKind, window: CalendarWindow, back: number): CalendarWindow {
  if (kind !== "monthly") return windowAt(kind, window.startsAt - back * (window.endsAt - window.startsAt));
  const date = new Date(window.startsAt);
  return windowAt(kind, Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - back, 1));
}

const fixed = (startsAt: number, length: number, nameOf: (start: number) => string): CalendarWindow => ({
  name: nameOf(startsAt),
  startsAt,
  endsAt: startsAt + length,
});

const isoOf = (at: number): string => new Date(at).toISOString();

/** A week belongs to the year of its Thursday. */
function weekName(monday: number): string {
  const thursday = monday + 3 * DAY;
  const year = new Date(thursday).getUTCFullYear();
  const week = Math.floor((thursday - Date.UTC(year, 0, 1)) / WEEK) + 1;
  return `${year}-W${String(week).padStart(2, "0")}`;
}

const WINDOW_KINDS: readonly WindowKind[] = ["hourly", "daily", "weekly", "monthly"];

/** For one object, and for one call: 41 days of hours, or some years of the others. */
export const MOST_WINDOWS = 1_000;

/** Which windows an object has. */
export interface WindowOptions {
  /** One object for each window. @default none: one object without an end */
  readonly window?: WindowKind | undefined;
  /** How many past windows are kept next to the current one, at most 999. @default 1 */
  readonly keep?: number | undefined;
}

/** The windows that one object has. */
export interface Windows {
  /** How long each of them is. */
  readonly kind: WindowKind;
  /** How many past ones are kept, next to the current one. */
  readonly keep: number;
}

/** @throws {InvalidArgumentError} for a kind that is unknown, and for a number that cannot be kept. */
export function windowsOf(where: string, options: WindowOptions): Windows | undefined {
  const { window, keep = 1 } = options;
  if (window === undefined) {
    if (options.keep !== undefined) throw new InvalidArgumentError(`${where}: keep needs window`);
    return undefined;
  }
  checkOneOf(`${where}: window`, window, WINDOW_KINDS);
  return { kind: window, keep: checkWholeNumber(`${where}: keep`, keep, { min: 0, max: MOST_WINDOWS - 1 }) };
}

/** The first lines of a script: ARGV[1] and ARGV[2] are the start and end of its window, both 0 for none. */
export const WINDOW_CHECK: string = `
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] ~= "0" and (now < tonumber(ARGV[1]) or now >= tonumber(ARGV[2])) then return {"now", now} end
`;

/** A script that begins with `WINDOW_CHECK`. */
export interface WindowScript {
  /** The call, in errors. */
  readonly operation: string;
  /** The text in Lua. */
  readonly script: string;
  /** Inside the view. In a cluster they must be of one slot. */
  readonly keys: readonly string[];
  /** From ARGV[3]. */
  readonly args: readonly (string | number)[];
  /** Whether the command may be sent again, also to another server. @default false */
  readonly isReadOnly?: boolean | undefined;
}

/**
 * Runs a script for one window, or without any.
 *
 * @throws {CommandError} `SCRIPT_FAILED` and all that a script can get.
 * @throws {BackendUnavailableError} where Redis is not reached.
 */
export async function runScriptIn(
  redis: RedisView,
  window: CalendarWindow | undefined,
  { operation, script, keys, args, isReadOnly = false }: WindowScript,
): Promise<readonly unknown[]> {
  const all = [window?.startsAt ?? 0, window?.endsAt ?? 0, ...args].map(String);
  return moduleOf(redis).runScript(script, keys, all, {
    isReadOnly,
    decode: (reply) => reply as readonly unknown[],
    operation,
  });
}

/** Longer than the calls of a step and the next one take. */
const JOINED_MS = 60_000;

/** The last lines of a script of {@link joined}. */
export const JOINED: string = `
redis.call("PEXPIRE", KEYS[1], ${JOINED_MS})
return {"done"}`;

export interface Joining extends Pick<WindowScript, "operation"> {
  /** Joins its keys from the second on in the first one. Begins with `WINDOW_CHECK`, ends with `JOINED`. */
  readonly script: string;
  /** From ARGV[3]. */
  readonly args: readonly string[];
  /** A name that no other call has. It ends on its own where the last script does not remove it. */
  readonly into: string;
  /** How many sources the last script may have. */
  readonly room: number;
}

/**
 * The sources of a script, with as many of the first ones joined as it has no room for: no script has more than 64
 * keys. Where the window ends meanwhile, the last script says so.
 */
export async function joined(
  redis: RedisView,
  window: CalendarWindow | undefined,
  sources: readonly string[],
  { operation, script, args, into, room }: Joining,
): Promise<readonly string[]> {
  let rest = sources;
  let first: readonly string[] = [];
  while (first.length + rest.length > room) {
    const count = MOST_SCRIPT_KEYS - 1 - first.length;
    await runScriptIn(redis, window, { operation, script, keys: [into, ...first, ...rest.slice(0, count)], args });
    rest = rest.slice(count);
    first = [into];
  }
  return [...first, ...rest];
}

/** How far the server's clock is ahead of `clock.now()`, as last seen: a guess that each script checks. */
const serverAhead = new WeakMap<RedisConnection, number>();

/** A call does not last until another window has begun so often. */
const MOST_GUESSES = 5;

/**
 * Runs a script for the window that is current by the server's clock. Keys are named before the script runs, so the
 * window is guessed; for another one than the current the script does nothing and replies with the server's time.
 *
 * @throws {CommandError} `TRY_AGAIN` where the server's clock left five guessed windows; and as {@link runScriptIn}.
 */
export async function runInCurrentWindow(
  redis: RedisView,
  kind: WindowKind,
  describe: (current: CalendarWindow) => WindowScript | Promise<WindowScript>,
): Promise<readonly unknown[]> {
  const { connection, clock } = moduleOf(redis);
  let operation = "";
  for (let guesses = 0; guesses < MOST_GUESSES; guesses += 1) {
    const window = windowAt(kind, clock.now() + (serverAhead.get(connection) ?? 0));
    const described = await describe(window);
    const reply = await runScriptIn(redis, window, described);
    if (reply[0] !== "now") return reply;
    ({ operation } = described);
    serverAhead.set(connection, Number(reply[1]) - clock.now());
  }
  throw new CommandError(`${operation}: the server's clock did not stay within one window`, {
    code: "TRY_AGAIN",
    operation,
    retryable: true,
  });
}
