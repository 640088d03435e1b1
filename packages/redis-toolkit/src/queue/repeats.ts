import { InvalidArgumentError, type Duration } from "@hotset/core";
import { checkName, checkOneOf, checkOptions, durationMs } from "../module/module.ts";
import { decodeJson, encodeJson } from "./job.ts";
import { resolveAddOptions, type AddOptions, type NewJob, type QueueSettings } from "./options.ts";
import type { DueRepeat, QueueStore } from "./store.ts";

/** When a job is added again and again. */
export type Schedule =
  | { readonly every: Duration }
  /** Five fields, or six with seconds first. @default timeZone 'UTC' */
  | { readonly cron: string; readonly timeZone?: string | undefined };

export interface RepeatOptions extends AddOptions {
  /**
   * At an instant at which the job of the last one still waits for its first delivery: `one` adds none, `all` adds
   * another.
   *
   * @default 'one'
   */
  readonly backlog?: "one" | "all" | undefined;
}

export interface RepeatInfo {
  readonly key: string;
  /** Milliseconds since 1970, by the clock of the server. */
  readonly nextAt: number;
  readonly schedule: { readonly everyMs: number } | { readonly cron: string; readonly timeZone: string };
}

/** As it is stored, in JSON. */
interface Definition {
  readonly schedule: RepeatInfo["schedule"];
  readonly job: NewJob;
  readonly data: unknown;
  /** @default 'one' */
  readonly backlog?: "all";
}

export interface Fired {
  /** How many this process has fired; another one may have fired the others. */
  readonly fired: number;
  /** Why some could not be fired: they are still due. */
  readonly errors: readonly unknown[];
}

const MIN_EVERY_MS = 100;
const YEAR_MS = 366 * 86_400_000;

/** Schedules of one queue. Any worker of the queue adds the jobs that are due, and one of them does. */
export class Repeats {
  readonly #store: QueueStore;

  constructor(store: QueueStore) {
    this.#store = store;
  }

  async set(
    key: string,
    schedule: Schedule,
    data: unknown,
    how: { readonly options: RepeatOptions; readonly settings: QueueSettings<never> },
  ): Promise<"set" | "unchanged"> {
    checkName("repeat: the key", key);
    const resolved = await resolveSchedule(schedule);
    const { backlog = "one", ...options } = how.options;
    checkOneOf("repeat: backlog", backlog, ["one", "all"]);
    const job = resolveAddOptions(options, how.settings);
    const rest = { job, data, ...(backlog === "all" && { backlog }) };
    const definition = encodeJson({ schedule: resolved, ...rest } satisfies Definition).toString();
    const now = (await this.#store.counts())[6]!;
    const when = `{"schedule":${encodeJson(resolved).toString()},`;
    const isNew = await this.#store.repeat(key, definition, await nextAt(resolved, now, now), when);
    return isNew ? "set" : "unchanged";
  }

  remove(key: string): Promise<boolean> {
    return this.#store.removeRepeat(checkName("removeRepeat: the key", key));
  }

  async list(): Promise<readonly RepeatInfo[]> {
    const found = await this.#store.repeats();
    return found.map(({ key, dueAt, definition }) => ({ key, nextAt: dueAt, schedule: read(definition).schedule }));
  }

  /** Instants that were missed while no worker ran are made up for once. Never rejects. */
  async fire(due: readonly DueRepeat[], now: number): Promise<Fired> {
    const results = await Promise.allSettled(due.map((repeat) => this.#fireOne(repeat, now)));
    return {
      fired: results.filter((result) => result.status === "fulfilled" && result.value).length,
      errors: results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : [])),
    };
  }

  async #fireOne(repeat: DueRepeat, now: number): Promise<boolean> {
    const { schedule, job, data, backlog = "one" } = read(repeat.definition);
    const next = await nextAt(schedule, repeat.dueAt, now);
    return this.#store.fire(repeat, next, { job, payload: encodeJson(data), backlog });
  }
}

const read = (definition: Buffer): Definition => decodeJson(definition) as Definition;

async function resolveSchedule(schedule: Schedule): Promise<RepeatInfo["schedule"]> {
  checkOptions("repeat: the schedule", schedule ?? null, ["every", "cron", "timeZone"]);
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
  const resolved = { cron, timeZone };
  await nextAt(resolved, 0, 0);
  return resolved;
}

/** The first instant of `schedule` after `now`; those of an interval keep their distance to `dueAt`. */
export async function nextAt(schedule: RepeatInfo["schedule"], dueAt: number, now: number): Promise<number> {
  if ("everyMs" in schedule) {
    const { everyMs } = schedule;
    return dueAt + everyMs * (Math.floor(Math.max(0, now - dueAt) / everyMs) + 1);
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
  return next.getTime();
}
