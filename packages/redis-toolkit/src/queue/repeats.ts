import { checkName, checkOneOf } from "../module/module.ts";
import { decodeJson, encodeJson } from "./job.ts";
import { resolveAddOptions, type AddOptions, type NewJob, type QueueSettings } from "./options.ts";
import { firstAt, nextAt, resolveSchedule, type ResolvedSchedule, type Schedule } from "./schedule.ts";
import type { DueRepeat, QueueStore, RepeatedJob } from "./store.ts";

/** Options of the jobs of a schedule. */
export interface RepeatOptions extends AddOptions {
  /**
   * At an instant at which the job of the last one still waits for its first delivery: `one` adds none, `all` adds
   * another.
   *
   * @default 'one'
   */
  readonly backlog?: "one" | "all" | undefined;
}

/** A schedule of a queue. */
export interface RepeatInfo {
  /** Key of the repeat, as `repeat` got it. */
  readonly key: string;
  /** Milliseconds since 1970, by the clock of the server. `undefined` where it has ended. */
  readonly nextAt: number | undefined;
  /** With its defaults. */
  readonly schedule: ResolvedSchedule;
}

/** A repeat as it is stored, in JSON. */
interface Definition {
  readonly schedule: ResolvedSchedule;
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
    const isNew = await this.#store.repeat(key, definition, await firstAt(resolved, now, schedule), when);
    return isNew ? "set" : "unchanged";
  }

  remove(key: string): Promise<boolean> {
    return this.#store.removeRepeat(checkName("removeRepeat: the key", key));
  }

  async list(): Promise<readonly RepeatInfo[]> {
    const found = await this.#store.repeats();
    return found.map(({ key, dueAt, definition }) => ({
      ...{ key, nextAt: dueAt === Infinity ? undefined : dueAt },
      schedule: read(definition).schedule,
    }));
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
    const record = { ...job.record, repeatKey: repeat.key, repeatAt: repeat.dueAt };
    const added: RepeatedJob = { job: { ...job, record }, payload: encodeJson(data), backlog, limit: schedule.limit };
    return this.#store.fire(repeat, next, added);
  }
}

const read = (definition: Buffer): Definition => decodeJson(definition) as Definition;
