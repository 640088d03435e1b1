import { json } from "@hotset/core";
import { carriedTexts, thrownDetails } from "../module/module.ts";

export const STATES = ["waiting", "delayed", "active", "completed", "dead"] as const;

/**
 * - `waiting`: to be delivered next, in the order of priority and time
 * - `delayed`: until an instant, by `delay` or between two attempts
 * - `active`: delivered to a worker, until its lease ends
 * - `completed`, `dead`: finished, and kept for a while
 */
export type JobState = (typeof STATES)[number];

/** Where `delayed` has the parent of a flow: after all instants, which are milliseconds since 1970. */
export const AWAITED_AT: number = 2 ** 52;

/** A job as it was when it was looked up. Instants are milliseconds since 1970, by the clock of the server. */
export interface JobSnapshot<T, R = unknown> {
  /** Id of the job, as `add` gave it. */
  readonly id: string;
  /** Where it was when it was looked up. */
  readonly state: JobState;
  /** `undefined` where the stored payload cannot be read, or was not asked for. */
  readonly data: T | undefined;
  /** Deliveries so far. */
  readonly attempt: number;
  /** The most deliveries. */
  readonly attempts: number;
  /** 0 to 255: higher ones are delivered first. */
  readonly priority: number;
  /** When it was added. */
  readonly addedAt: number;
  /** Name of the job, as `add` gave it. */
  readonly name?: string;
  /** Group of the job, as `add` gave it. */
  readonly group?: string;
  /** When it is due (`delayed`), or when its lease ends (`active`). */
  readonly dueAt?: number;
  /** When it ended; absent before. */
  readonly finishedAt?: number;
  /** The key and the instant of the schedule, if `repeat` added it. */
  readonly repeat?: JobRepeat;
  /** The last value of `job.progress`. */
  readonly progress?: unknown;
  /** Why the last attempt failed, up to 2,000 characters. */
  readonly reason?: string;
  /** The error of the last attempt of a dead letter. */
  readonly error?: JobError;
  /** The return value of the handler, once the job is completed. */
  readonly result?: R;
  /** Of the parent of a flow: how many children have not ended. It is `delayed` while it waits for them. */
  readonly awaits?: number;
}

/** Where a job comes from that a schedule added. */
export interface JobRepeat {
  /** The key of the schedule, as `repeat` got it. */
  readonly key: string;
  /**
   * The instant of the schedule that the job is for, in milliseconds since 1970. It may be added later; of several that
   * were missed, it is the first.
   */
  readonly at: number;
}

/** The parts of a thrown value that are text. */
export interface JobError {
  /** Such as `TypeError`. */
  readonly name?: string;
  /** Up to 4,000 characters. */
  readonly stack?: string;
}

/** The record of a job, which the scripts read and write. The result of a handler lies next to the payload. */
export interface JobRecord {
  readonly attempt: number;
  readonly attempts: number;
  readonly priority: number;
  readonly timeout?: number;
  readonly backoff?: { readonly type: "fixed" | "exponential"; readonly baseMs: number; readonly maxMs: number };
  /** The producer gave no `attempts`: those of the worker's queue count. */
  readonly anyAttempts?: true;
  /** Names of the options that the producer's queue gave, and not the job, separated by spaces. */
  readonly ofQueue?: string;
  /** `keep` of the producer's queue: how many, and for how many ms; -1 for no bound. */
  readonly keepCompleted?: readonly [count: number, ageMs: number];
  readonly keepDead?: readonly [count: number, ageMs: number];
  readonly dedup?: string;
  readonly repeatKey?: string;
  readonly repeatAt?: number;
  /** Texts of the producer for the consumer, such as `traceparent`. */
  readonly trace?: Readonly<Record<string, string>>;
  readonly dedupEnds?: true;
  /** Another job of its `dedupId` that fails is not tried again. */
  readonly latest?: true;
  readonly name?: string;
  readonly group?: string;
  readonly lifo?: true;
  /** When the job was added, for a job with its own id; a generated id contains the instant. */
  readonly addedAt?: number;
  readonly reason?: string;
  readonly finishedAt?: number;
  /** Of the parent of a flow: how many children have not ended. */
  readonly awaits?: number;
  /** Of the parent of a flow: it runs even if children fail. */
  readonly runsAnyway?: true;
}

/** @throws {EncodeError} for what JSON cannot say. */
export const encodeJson = (value: unknown): Buffer => Buffer.from(json().encode(value));

/** @throws {DecodeError} */
export const decodeJson = (bytes: Buffer): unknown => json().decode(bytes);

/** Fields of a reply: id, score, record, payload, progress, result and error. */
export function readSnapshot<T, R>(state: JobState, fields: readonly (Buffer | null)[]): JobSnapshot<T, R> | undefined {
  const [id, score, text, payload, progress, result, error] = fields;
  const record = readRecord(text);
  if (id == null || record === undefined) return undefined;
  const { attempt, attempts, priority, finishedAt, reason, awaits } = record;
  const isAwaiting = state === "delayed" && Number(score) === AWAITED_AT;
  return {
    id: id.toString(),
    state,
    data: readOr(payload, undefined) as T | undefined,
    attempt,
    attempts,
    priority,
    addedAt: addedAtOf(id.toString(), record),
    ...namesOf(record),
    ...repeatOf(record),
    // The half that marks a delivery as begun is no part of it.
    ...(!isAwaiting && (state === "delayed" || state === "active") ? { dueAt: Math.floor(Number(score)) } : undefined),
    ...(awaits === undefined ? undefined : { awaits }),
    ...(finishedAt === undefined ? undefined : { finishedAt }),
    ...(progress == null ? undefined : { progress: readOr(progress, undefined) }),
    ...(reason === undefined ? undefined : { reason }),
    ...(result == null ? undefined : { result: readOr(result, undefined) as R }),
    ...(error == null ? undefined : { error: thrownDetails(readOr(error, undefined)) }),
  };
}

/** A line of the log of a job. */
export interface JobLogLine {
  /** Milliseconds since 1970, by the clock of the server. */
  readonly at: number;
  /** The line, as `job.log` got it. */
  readonly text: string;
}

/** Each line is the JSON of its instant and text. Lines of other programs are left out. */
export const readLog = (lines: Buffer | null): readonly JobLogLine[] =>
  linesOf(lines).flatMap((parts) => {
    if (!Array.isArray(parts) || typeof parts[0] !== "number" || typeof parts[1] !== "string") return [];
    return { at: parts[0], text: parts[1] };
  });

/** Of lines of JSON; `undefined` for one that is not. */
export const linesOf = (lines: Buffer | null): readonly unknown[] =>
  (lines ?? Buffer.alloc(0))
    .toString()
    .split("\n")
    .map((line) => readOr(Buffer.from(line), undefined));

/** Milliseconds since 1970, by the clock of the server. */
export const addedAtOf = (id: string, record: JobRecord): number => record.addedAt ?? Number.parseInt(id, 10);

/** What the producer called the job. */
export const namesOf = ({ name, group }: JobRecord): { readonly name?: string; readonly group?: string } => ({
  ...(name !== undefined && { name }),
  ...(group !== undefined && { group }),
});

export const repeatOf = ({ repeatKey: key, repeatAt: at }: JobRecord): { readonly repeat?: JobRepeat } =>
  key === undefined || at === undefined ? {} : { repeat: { key, at } };

/** `text` was checked by the script that gives it. */
export function readRecord(text: Buffer | null | undefined): JobRecord | undefined {
  if (text == null) return undefined;
  try {
    return JSON.parse(text.toString()) as JobRecord;
  } catch {
    return undefined;
  }
}

/** The texts that came with the job, for subscribers. Anyone who may write to Redis can have written the record. */
export const traceOf = (record: JobRecord): Readonly<Record<string, string>> => carriedTexts(record.trace);

function readOr(bytes: Buffer | null | undefined, fallback: unknown): unknown {
  if (bytes == null) return fallback;
  try {
    return decodeJson(bytes);
  } catch {
    return fallback;
  }
}
