import { isDate } from "node:util/types";
import { InvalidArgumentError, type Duration } from "@hotset/core";
import { checkFlag, checkOptions, durationMs, shown, checkWholeNumber } from "../module/module.ts";

/**
 * When a job is added again and again: at an interval of at least 100 ms, or at the instants of `cron`. With another
 * value of any part but `immediately` it is another schedule, which starts from now and counts its jobs from 0.
 */
export type Schedule = ScheduleBounds &
  (
    | { readonly every: Duration }
    /**
     * Five fields, or six with seconds first, as croner reads them: https://croner.56k.guru. @default timeZone 'UTC'
     */
    | { readonly cron: string; readonly timeZone?: string | undefined }
  );

/**
 * First and last instants of a schedule. Give a fixed `start` and `end` in a program that sets the schedule whenever it
 * begins: `new Date()` would be another schedule each time.
 */
export interface ScheduleBounds {
  /**
   * Whether the first job is for the instant at which the schedule is set. Not with `start`. Not part of what a
   * schedule is: adding it to one that is set changes nothing. @default false: an interval from now, or the next
   * instant of `cron`
   */
  readonly immediately?: boolean | undefined;
  /**
   * The schedule has no instant before this one. An interval has `start`, one interval later, and so on, no matter when
   * it was set. @default none
   */
  readonly start?: Date | undefined;
  /** The schedule has no instant after this one, which is not before `start`. @default none */
  readonly end?: Date | undefined;
  /** How many jobs it adds at most. An instant at which another job has its `dedupId` adds none. @default none */
  readonly limit?: number | undefined;
}

/** As it is stored. Instants are milliseconds since 1970, by the clock of the server. */
export type ResolvedSchedule = ({ readonly everyMs: number } | { readonly cron: string; readonly timeZone: string }) & {
  readonly startAt?: number;
  readonly endAt?: number;
  readonly limit?: number;
};

const MIN_EVERY_MS = 100;
const YEAR_MS = 366 * 86_400_000;

/** @throws {InvalidArgumentError} */
export async function resolveSchedule(schedule: Schedule): Promise<ResolvedSchedule> {
  const known = ["every", "cron", "timeZone", "immediately", "start", "end", "limit"];
  checkOptions("repeat: the schedule", schedule ?? null, known);
  const { immediately, start, end, limit } = schedule;
  checkFlag("repeat: immediately", immediately);
  if (immediately === true && start !== undefined)
    throw new InvalidArgumentError("repeat: give immediately or start, not both");
  const resolved = {
    ...resolveInstants(schedule),
    ...(start !== undefined && { startAt: instant("start", start) }),
    ...(end !== undefined && { endAt: instant("end", end) }),
    ...(limit !== undefined && { limit: checkWholeNumber("repeat: limit", limit, { min: 1, max: 1_000_000_000 }) }),
  };
  const { startAt = 0, endAt = Infinity }: Pick<ResolvedSchedule, "startAt" | "endAt"> = resolved;
  if (endAt < startAt) throw new InvalidArgumentError("repeat: end must not be before start");
  // Refuses a cron that cannot be read.
  await nextAt(resolved, 0, 0);
  return resolved;
}

function resolveInstants(schedule: Schedule): { everyMs: number } | { cron: string; timeZone: string } {
  const given: { readonly [Part in "every" | "cron" | "timeZone"]?: unknown } = schedule;
  if (given.every !== undefined) {
    if (given.cron !== undefined || given.timeZone !== undefined)
      throw new InvalidArgumentError("repeat: give every, or cron with or without timeZone");
    return { everyMs: durationMs("every", given.every as Duration, { min: MIN_EVERY_MS, max: YEAR_MS }) };
  }
  const { cron, timeZone = "UTC" } = given;
  // An empty time zone would be that of the process.
  if (typeof cron !== "string" || typeof timeZone !== "string" || timeZone === "")
    throw new InvalidArgumentError("repeat: cron and timeZone must be text, and timeZone not empty");
  return { cron, timeZone };
}

function instant(option: string, given: Date): number {
  const at = isDate(given) ? given.getTime() : Number.NaN;
  if (at > 0) return at;
  const got = isDate(given) ? (Number.isNaN(at) ? "an invalid one" : "an earlier one") : shown(given);
  throw new InvalidArgumentError(`repeat: ${option} must be a Date after 1970, got ${got}`);
}

/** The first instant of a schedule that is set `now`. */
export async function firstAt(
  schedule: ResolvedSchedule,
  now: number,
  { immediately = false }: Pick<ScheduleBounds, "immediately"> = {},
): Promise<number | undefined> {
  if (immediately) return unlessEnded(schedule, now);
  const { startAt } = schedule;
  if (startAt === undefined) return nextAt(schedule, now, now);
  if (now > startAt) return nextAt(schedule, startAt, now);
  return "everyMs" in schedule ? startAt : nextAt(schedule, startAt, startAt - 1);
}

/**
 * The first instant of `schedule` after `now`, `undefined` where it has ended; those of an interval keep their distance
 * to `dueAt`.
 */
export async function nextAt(schedule: ResolvedSchedule, dueAt: number, now: number): Promise<number | undefined> {
  if ("everyMs" in schedule) {
    const { everyMs } = schedule;
    return unlessEnded(schedule, dueAt + everyMs * (Math.floor(Math.max(0, now - dueAt) / everyMs) + 1));
  }
  const { Cron } = await import("croner");
  let next: Date | null;
  try {
    next = new Cron(schedule.cron, { timezone: schedule.timeZone, mode: "5-or-6-parts" }).nextRun(new Date(now));
  } catch (error) {
    throw new InvalidArgumentError(
      `repeat: cron must be five fields ("0 3 * * *"), or six with seconds first, in a time zone that exists`,
      { cause: error },
    );
  }
  if (next === null) throw new InvalidArgumentError("repeat: cron never comes true");
  return unlessEnded(schedule, next.getTime());
}

const unlessEnded = ({ endAt = Infinity }: ResolvedSchedule, at: number): number | undefined =>
  at > endAt ? undefined : at;
