import { DecodeError } from "@hotset/core";
import type { RedisArgument } from "../index.ts";
import type { Module } from "../module/module.ts";
import { readChildren, type AddedFlow, type ChildOutcome } from "./flow.ts";
import { readLog, readSnapshot, STATES, type JobLogLine, type JobSnapshot, type JobState } from "./job.ts";
import { queueKeys, type QueueKeys } from "./keys.ts";
import {
  CHANGE,
  CLEAN,
  COUNTS,
  DRAIN,
  FIRE,
  FREE_DEDUP,
  GET,
  LIST,
  LOG,
  LOGS,
  OBLITERATE,
  PAUSE,
  REMOVE,
  REMOVE_REPEAT,
} from "./lua/control.ts";
import { REPEAT, REPEATS, REPLAY } from "./lua/control.ts";
import { ADD, ADD_PLAIN, EXCHANGE, EXTEND } from "./lua/delivery.ts";
import { ADD_FLOW, CHILDREN } from "./lua/flow.ts";
import type { Bounds, NewJob } from "./options.ts";
import { Producer } from "./producer.ts";

/**
 * The report of a worker on a delivery. `return`: to be delivered again, at its old place or after a delay; the
 * delivery does not count.
 */
export interface Outcome {
  readonly kind: "complete" | "retry" | "dead" | "return";
  readonly id: string;
  readonly token: string;
  /** The result as JSON of `complete`, else the reason; may be empty. */
  readonly detail: RedisArgument;
  /** For `retry` and `return`. */
  readonly delayMs: number;
  /** JSON of what a dead letter shows of the error, or empty. */
  readonly error: string;
}

export interface ExchangeRequest {
  /** `undefined`: as the producer of each job says, or by default. */
  readonly keepCompleted: Bounds | undefined;
  readonly keepFailed: Bounds | undefined;
  /** For jobs whose producer gave none. */
  readonly attempts: number | undefined;
  readonly visibilityMs: number;
  /** Token of the deliveries that this exchange takes. */
  readonly token: string;
  /** The token was sent before, and no reply has come: what it took is given again. */
  readonly isAgain?: boolean;
  readonly count: number;
  /** The most bytes of payloads in the reply; one job is given, however large. @default 262_144 */
  readonly maxBytes?: number;
  /** The most jobs that all workers of the queue hold together. @default no bound */
  readonly maxActive?: number | undefined;
  /** Jobs of one group that all workers have together. @default 1 */
  readonly maxOfGroup?: number;
  /** @default `commandTimeout` */
  readonly deadlineMs?: number | undefined;
  readonly rate: { readonly limit: number; readonly perMs: number } | undefined;
  readonly outcomes: readonly Outcome[];
}

export interface Delivered {
  readonly id: string;
  readonly record: Buffer;
  /** `null` where it was lost. */
  readonly payload: Buffer | null;
}

export interface DueRepeat {
  readonly key: string;
  readonly dueAt: number;
  readonly definition: Buffer;
}

export interface RepeatedJob {
  readonly job: NewJob;
  readonly payload: Buffer;
  readonly backlog: "one" | "all";
  readonly limit: number | undefined;
}

export interface ExchangeReply {
  /** For each outcome, whether the delivery was this worker's. */
  readonly isOwn: readonly boolean[];
  readonly delivered: readonly Delivered[];
  /** `undefined` where nothing is due at some time. */
  readonly nextInMs: number | undefined;
  /** For how long the rate allows no delivery. */
  readonly limitedMs: number;
  readonly dueRepeats: readonly DueRepeat[];
  readonly now: number;
  /** Jobs that were removed, since they have no record that can be read. */
  readonly corrupt: number;
  /** The bytes of the reply were the bound: more can be taken immediately. */
  readonly isMore: boolean;
}

export interface Extension {
  readonly id: string;
  readonly token: string;
  readonly visibilityMs: number;
  /** JSON, or empty. */
  readonly progress: RedisArgument;
}

/** The outcome of `add`. */
export interface Added {
  /** Id of the job; unless it is `added`, that of the other job with the same `id` or `dedupId`. */
  readonly id: string;
  /** `duplicate`: not added, since there is a job with its `id` or `dedupId`; `replaced`: it took the place of one. */
  readonly status: "added" | "duplicate" | "replaced";
}

/** Outcomes of `add`, in the order in which the script numbers them. */
const STATUSES = ["duplicate", "added", "replaced"] as const;

/** `begun`: a worker has it, or it has ended; nothing was changed. */
export type ChangeAnswer = "changed" | "missing" | "begun";

/** The scripts of one queue, with the types of their arguments and replies. */
export class QueueStore {
  readonly keys: QueueKeys;
  /** The channel of events, as Redis names it. */
  readonly channel: string;
  readonly #module: Module;

  constructor(module: Module, name: string) {
    this.#module = module;
    this.keys = queueKeys(module, name);
    this.channel = module.space.inside(this.keys.events);
  }

  /** All are added, or none. Sent again where the reply was lost: the script knows its calls. */
  async add(jobs: readonly { readonly job: NewJob; readonly payload: Buffer }[]): Promise<readonly Added[]> {
    const producer = Producer.of(this.#module.connection, this.channel);
    const { name, answered } = producer.begin();
    const isPlain = jobs.every(({ job }) => job.id === "" && job.dedupId === "");
    const args: RedisArgument[] = [this.channel, name, String(answered.length), ...answered];
    for (const { job, payload } of jobs) args.push(...(isPlain ? plainArguments : jobArguments)(job, payload));
    const [script, keys] = isPlain ? [ADD_PLAIN, this.keys.ofAdd] : [ADD, this.keys.all];
    const reply = await this.#module.runScript(script, keys, args, HOW_TO_ADD);
    producer.answered(name);
    const added: Added[] = [];
    for (let i = 0; i < reply.length; i += 2)
      added.push({ id: String(reply[i]), status: STATUSES[Number(reply[i + 1])]! });
    return added;
  }

  /** The parent and its children, or nothing. Sent again where the reply was lost. */
  async addFlow(jobs: readonly { readonly job: NewJob; readonly payload: Buffer }[]): Promise<AddedFlow> {
    const producer = Producer.of(this.#module.connection, this.channel);
    const { name, answered } = producer.begin();
    const args: RedisArgument[] = [this.channel, name, String(answered.length), ...answered];
    for (const { job, payload } of jobs) args.push(...jobArguments(job, payload));
    const reply = await this.#module.runScript(ADD_FLOW, this.keys.all, args, HOW_TO_ADD_A_FLOW);
    producer.answered(name);
    const [id, ...children] = inGroups(reply, 2).map(([one]) => String(one));
    return { id: id!, status: Number(reply[1]) === 1 ? "added" : "duplicate", children };
  }

  /** `undefined` where there is no such job. */
  async children(id: string): Promise<readonly ChildOutcome[] | undefined> {
    const [isThere, lines] = await this.#list("children", CHILDREN, [id], READ_ONLY);
    return Number(isThere) === 1 ? readChildren(lines as Buffer | null) : undefined;
  }

  async exchange(request: ExchangeRequest): Promise<ExchangeReply> {
    const { keepCompleted, keepFailed, attempts, visibilityMs, token, count, rate, outcomes } = request;
    const { isAgain = false, maxBytes = MAX_REPLY_BYTES, maxActive = 0, maxOfGroup = 1, deadlineMs } = request;
    const args = [
      ...[keepCompleted, keepFailed].flatMap((bounds) => [bounds?.count ?? "", bounds?.ageMs ?? ""]).map(String),
      String(visibilityMs),
      token,
      ...[count, rate?.limit ?? 0, rate?.perMs ?? 0, attempts ?? ""].map(String),
      ...[isAgain ? 1 : 0, maxBytes, maxActive, maxOfGroup].map(String),
      ...outcomes.flatMap(({ kind, id, token: own, detail, delayMs, error }) => [
        ...[kind, id, own, detail, String(delayMs)],
        error,
      ]),
    ];
    const reply = await this.#list("worker", EXCHANGE, args, { deadlineMs });
    const [settled, taken, nextInMs, limitedMs, due, now, corrupt, isMore] = reply;
    return {
      isOwn: listOf(settled).map((flag) => Number(flag) === 1),
      delivered: inGroups(listOf(taken), 3).map(([id, record, payload]) => ({
        id: String(id),
        record: record as Buffer,
        payload: payload as Buffer | null,
      })),
      nextInMs: Number(nextInMs) < 0 ? undefined : Number(nextInMs),
      limitedMs: Number(limitedMs),
      dueRepeats: readRepeats(listOf(due)),
      now: Number(now),
      corrupt: Number(corrupt),
      isMore: Number(isMore) === 1,
    };
  }

  /**
   * Handlers of these deliveries begin: they count. A native command, which changes nothing about a job that is not
   * this worker's any more: its lease would end later.
   *
   * @param leaseEndsAt as the script that delivered them has set it
   */
  async begin(ids: readonly string[], leaseEndsAt: number): Promise<void> {
    await this.#module.runInside((space) => {
      const key = space.inside(this.keys.active);
      const marks = ids.flatMap((id) => [`${leaseEndsAt}.5`, id]);
      return {
        args: ["ZADD", key, "XX", "GT", ...marks],
        keys: [key],
        isReadOnly: true,
        replies: "bytes",
        decode: () => undefined,
        operation: "queue.worker",
      };
    });
  }

  /** For each, whether the delivery is still that worker's. */
  async extend(extensions: readonly Extension[]): Promise<readonly boolean[]> {
    const args = extensions.flatMap(({ id, token, visibilityMs, progress }) => [
      id,
      token,
      String(visibilityMs),
      progress,
    ]);
    return (await this.#list("worker", EXTEND, args)).map((flag) => Number(flag) === 1);
  }

  async pause(isPaused: boolean): Promise<void> {
    await this.#number(isPaused ? "pause" : "resume", PAUSE, [isPaused ? "1" : "0"]);
  }

  /** How many jobs of each state, 1 if it is paused, and the time. */
  async counts(): Promise<readonly number[]> {
    return (await this.#list("counts", COUNTS, [], READ_ONLY)).map(Number);
  }

  async get<T, R = unknown>(id: string): Promise<JobSnapshot<T, R> | undefined> {
    const [number, ...fields] = await this.#list("get", GET, [id], READ_ONLY);
    const state = STATES[Number(number) - 1];
    return state && readSnapshot<T, R>(state, [Buffer.from(id), ...(fields as (Buffer | null)[])]);
  }

  async list<T, R = unknown>(
    state: JobState,
    { offset, count, withData }: { readonly offset: number; readonly count: number; readonly withData: boolean },
  ): Promise<readonly JobSnapshot<T, R>[]> {
    const isNewestFirst = state === "completed" || state === "dead";
    const range = [STATES.indexOf(state) + 1, offset, offset + count - 1, isNewestFirst ? 1 : 0, withData ? 1 : 0];
    const reply = await this.#list("list", LIST, range.map(String), READ_ONLY);
    return reply.flatMap((fields) => readSnapshot<T, R>(state, listOf(fields) as (Buffer | null)[]) ?? []);
  }

  async remove(id: string): Promise<"removed" | "missing" | "active"> {
    const reply = await this.#number("remove", REMOVE, [id]);
    return reply < 0 ? "active" : reply === 0 ? "missing" : "removed";
  }

  async change(id: string, payload: RedisArgument, priority: string, delayMs: string): Promise<ChangeAnswer> {
    const reply = await this.#number("change", CHANGE, [id, payload, priority, delayMs]);
    return reply < 0 ? "begun" : reply === 0 ? "missing" : "changed";
  }

  /** Removes finished jobs that ended longer ago than `ageMs`. @returns how many */
  async clean(state: "completed" | "dead", ageMs: number, most: number): Promise<number> {
    const args = [STATES.indexOf(state) + 1, ageMs, most].map(String);
    return await this.#number("clean", CLEAN, args);
  }

  /** @returns whether there is such a job */
  async log(id: string, text: string): Promise<boolean> {
    const line = JSON.stringify(text.slice(0, MAX_LINE_LENGTH).toWellFormed());
    return (await this.#number("log", LOG, [id, line, String(MAX_LOG_BYTES)])) === 1;
  }

  /** `undefined` where there is no such job. */
  async logs(id: string): Promise<readonly JobLogLine[] | undefined> {
    const [isThere, lines] = await this.#list("logs", LOGS, [id], READ_ONLY);
    return Number(isThere) === 1 ? readLog(lines as Buffer | null) : undefined;
  }

  async drain(most: number, withDelayed: boolean): Promise<number> {
    return await this.#number("drain", DRAIN, [String(most), withDelayed ? "1" : "0"]);
  }

  async freeDedupId(dedupId: string): Promise<boolean> {
    return (await this.#number("freeDedupId", FREE_DEDUP, [dedupId])) === 1;
  }

  async obliterate(isForced: boolean): Promise<boolean> {
    return (await this.#number("obliterate", OBLITERATE, [isForced ? "1" : "0"])) === 1;
  }

  /** @param before of `last`; undefined for all that are dead now */
  async replay(
    before: number | undefined,
    ids: readonly string[] = [],
  ): Promise<{ readonly replayed: number; readonly left: number; readonly last: number }> {
    const reply = await this.#list("deadLetters.replay", REPLAY, [
      before === undefined ? "+inf" : String(before),
      ...ids,
    ]);
    const [replayed, left, last] = reply.map(Number);
    return { replayed: replayed!, left: left!, last: last! };
  }

  /** @param when the beginning of the definition that says when it is due: one that says the same keeps its instant */
  async repeat(key: string, definition: string, firstAt: number | undefined, when: string): Promise<boolean> {
    return (await this.#number("repeat", REPEAT, [key, definition, String(firstAt ?? ""), when])) === 1;
  }

  /** Adds a job, unless another process has done it for this instant, or has replaced the definition. */
  async fire(
    due: DueRepeat,
    nextAt: number | undefined,
    { job, payload, backlog, limit }: RepeatedJob,
  ): Promise<boolean> {
    const at = [due.key, String(due.dueAt), due.definition, String(nextAt ?? "")];
    const args = [...at, backlog === "all" ? "1" : "", String(limit ?? ""), ...jobArguments(job, payload)];
    return (await this.#number("worker", FIRE, args)) === 1;
  }

  async removeRepeat(key: string): Promise<boolean> {
    return (await this.#number("removeRepeat", REMOVE_REPEAT, [key])) === 1;
  }

  /** A schedule that has ended is due at `Infinity`. */
  async repeats(): Promise<readonly DueRepeat[]> {
    return readRepeats(await this.#list("repeats", REPEATS, [], READ_ONLY));
  }

  async #number(call: string, script: string, args: readonly RedisArgument[]): Promise<number> {
    return Number(await this.#send(call, script, args, (reply) => reply));
  }

  #list(call: string, script: string, args: readonly RedisArgument[], how: SendHow = {}): Promise<readonly unknown[]> {
    return this.#send(call, script, args, listOf, how);
  }

  #send<R>(
    call: string,
    script: string,
    args: readonly RedisArgument[],
    decode: (reply: unknown) => R,
    { isReadOnly = false, deadlineMs }: SendHow = {},
  ): Promise<R> {
    const how = { isReadOnly, deadlineMs, replies: "bytes", decode, operation: `queue.${call}` } as const;
    return this.#module.runScript(script, this.keys.all, [this.channel, ...args], how);
  }
}

/** By default. */
export const MAX_REPLY_BYTES = 262_144;
const MAX_LINE_LENGTH = 2_000;
/** The most bytes that the log of one job keeps. */
const MAX_LOG_BYTES = 16_384;

interface SendHow {
  /** Whether the script changes nothing, or nothing more when it is sent again. */
  readonly isReadOnly?: boolean;
  readonly deadlineMs?: number | undefined;
}

const READ_ONLY: SendHow = { isReadOnly: true };
/** Repeated within its deadline, and within its patience. */
const HOW_TO_ADD = {
  isReadOnly: true,
  isRepeatable: true,
  replies: "bytes",
  decode: listOf,
  operation: "queue.add",
} as const;

const HOW_TO_ADD_A_FLOW = { ...HOW_TO_ADD, operation: "queue.addFlow" } as const;

/** Jobs that are added without options share one record. */
let lastRecord: NewJob["record"] | undefined;
let lastText = "";

function textOf(record: NewJob["record"]): string {
  if (record === lastRecord) return lastText;
  const text = JSON.stringify(record);
  [lastRecord, lastText] = [record, text];
  return text;
}

const plainArguments = ({ priority, delayMs, record }: NewJob, payload: Buffer): RedisArgument[] => [
  textOf(record),
  payload,
  String(delayMs),
  `${record.lifo === true ? "-" : ""}${priority}`,
];

const jobArguments = (job: NewJob, payload: Buffer): RedisArgument[] => [
  textOf(job.record),
  payload,
  job.id,
  String(job.delayMs),
  job.dedupId,
  String(job.dedupForMs),
  job.onDuplicate,
  `${job.record.lifo === true ? "-" : ""}${job.priority}`,
];

const readRepeats = (list: readonly unknown[]): readonly DueRepeat[] =>
  inGroups(list, 3).map(([key, dueAt, definition]) => ({
    key: String(key),
    dueAt: String(dueAt) === "" ? Infinity : Number(dueAt),
    definition: (definition ?? Buffer.alloc(0)) as Buffer,
  }));

function listOf(reply: unknown): readonly unknown[] {
  if (Array.isArray(reply)) return reply as unknown[];
  throw new DecodeError("a script of a queue did not reply with a list", { operation: "queue" });
}

const inGroups = (list: readonly unknown[], size: number): readonly (readonly unknown[])[] =>
  Array.from({ length: Math.floor(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
