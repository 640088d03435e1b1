import type { Backend, Coherence, Compressor, DeleteStatus, Format, StoredEntry } from "../backend.ts";
import type { Clock } from "../clock.ts";
import { BackendUnavailableError, json, passthrough, type Duration } from "../index.ts";
import type { Gate } from "./gate.ts";
import { milliseconds } from "./milliseconds.ts";

export interface ScriptedBackendOptions {
  /** Ends entries and delays answers. */
  readonly clock: Clock;
  /** @default 'scripted' */
  readonly label?: string;
  /** @default json() */
  readonly format?: Format;
  /** @default passthrough() */
  readonly compressor?: Compressor;
  readonly alsoReads?: readonly (Format | Compressor)[];
  readonly deadlineMs?: number;
  readonly maxEntryBytes?: number;
  readonly maxDecodedBytes?: number;
  /** Whether it has that capability. @default true */
  readonly markStale?: boolean;
  /** Whether it has that capability. @default true */
  readonly batch?: boolean;
  /** @default 'sole-writer' */
  readonly coherence?: Coherence | "sole-writer" | "none";
  /** @default the key */
  readonly alias?: (key: string) => string;
}

export type ScriptedOperation =
  | "connect" | "read" | "write" | "remove" | "markStale" | "close"
  | "batch.read" | "batch.write" | "batch.remove";

/** What one call does, in this order. Without any of these it does what a backend does. */
export interface ScriptedStep {
  /** How many calls it is for; each takes the oldest step that is for it. @default 1 */
  readonly times?: number;
  /** Only for calls that name this key, as the backend sees it: `shop:users::42`. @default all */
  readonly key?: string;
  /** Waits, before it touches any entry. A gate that is never opened is a backend that hangs. */
  readonly before?: Gate<unknown> | Duration;
  /** Rejects without having touched any entry: with this, or for `true` with {@link BackendUnavailableError}. */
  readonly fail?: true | Error;
  /** Waits, after it has done its work: the answer is late. */
  readonly after?: Gate<unknown> | Duration;
  /** Has done its work, and rejects all the same: with this, or for `true` with {@link BackendUnavailableError}. */
  readonly loseAnswer?: true | Error;
  /** Answers a read with something else than what is stored: bytes that do not decode, say. */
  readonly answer?: (entry: StoredEntry | undefined, key: string) => StoredEntry | undefined;
}

export interface ScriptedCall {
  readonly operation: ScriptedOperation;
  /** In the order of the call; one for single calls, none for `connect` and `close`. */
  readonly keys: readonly string[];
  /** `clock.now()` when it was made. */
  readonly at: number;
}

/** What a {@link ScriptedBackend} holds, for looking at and for playing another process. Records no call and obeys no step. */
export interface ScriptedStore {
  /** Of entries whose life is not over, oldest write first. */
  keys(): string[];
  get(key: string): StoredEntry | undefined;
  set(key: string, entry: StoredEntry): void;
  delete(key: string): boolean;
  clear(): void;
}

export interface ScriptedBackend extends Backend {
  readonly store: ScriptedStore;
  /** Every call since the start, or since {@link forgetCalls}, failed ones included. */
  readonly calls: readonly ScriptedCall[];
  readonly isClosed: boolean;
  /** How many of {@link calls} were `operation`, and named `key`. Of all operations without one. */
  count(operation?: ScriptedOperation, key?: string): number;
  forgetCalls(): void;
  /**
   * Has the next calls of `operation` (of any, for `*`) do as `step` says.
   *
   * @returns what takes the step back.
   */
  script(operation: ScriptedOperation | "*", step: ScriptedStep): () => void;
  /** Rejects every call but `close` until {@link up}, at once, with `error` or with {@link BackendUnavailableError}. */
  down(error?: Error): void;
  up(): void;
}

/**
 * A backend in this process that does what the test says: fails, hangs, answers late, loses
 * answers, gives back other bytes; and that counts what it was asked. Otherwise it keeps the
 * contract of {@link Backend}.
 */
export function scriptedBackend(options: ScriptedBackendOptions): ScriptedBackend {
  const { clock, label = "scripted", coherence = "sole-writer" } = options;
  const held = new HeldEntries(clock);
  const calls: ScriptedCall[] = [];
  const steps: ActiveStep[] = [];
  let failure: true | Error | undefined;
  let isClosed = false;

  const unavailable = (operation: ScriptedOperation, what: string, maybeExecuted: boolean): BackendUnavailableError =>
    new BackendUnavailableError(`${label}: ${operation} ${what}, as the test has it`, { tier: label, operation, maybeExecuted });

  const perform = async <T>(operation: ScriptedOperation, keys: readonly string[], work: () => T, reword?: Reword<T>): Promise<T> => {
    calls.push({ operation, keys: [...keys], at: clock.now() });
    if (isClosed && operation !== "close") throw unavailable(operation, "came after close", false);
    const step = take(steps, operation, keys);
    if (failure !== undefined && operation !== "close") throw failure === true ? unavailable(operation, "failed", false) : failure;
    if (step === undefined) return work();

    await pause(step.before, clock);
    if (step.fail !== undefined) throw step.fail === true ? unavailable(operation, "failed", false) : step.fail;
    const answer = work();
    await pause(step.after, clock);
    if (step.loseAnswer !== undefined) throw step.loseAnswer === true ? unavailable(operation, "lost its answer", true) : step.loseAnswer;
    return step.answer === undefined || reword === undefined ? answer : reword(answer, step.answer);
  };

  return {
    label,
    format: options.format ?? json(),
    compressor: options.compressor ?? passthrough(),
    ...(options.alsoReads === undefined ? {} : { alsoReads: options.alsoReads }),
    ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
    ...(options.maxEntryBytes === undefined ? {} : { maxEntryBytes: options.maxEntryBytes }),
    ...(options.maxDecodedBytes === undefined ? {} : { maxDecodedBytes: options.maxDecodedBytes }),
    ...(options.alias === undefined ? {} : { alias: options.alias }),
    ...(coherence === "none" ? {} : { coherence }),

    connect: () => perform("connect", [], () => undefined),
    read: (key) => perform("read", [key], () => held.get(key), (entry, answer) => answer(entry, key)),
    write: (key, entry) => perform("write", [key], () => held.set(key, entry)),
    remove: (key) => perform("remove", [key], () => deleteStatus(held.delete(key))),
    close: () =>
      perform("close", [], () => {
        isClosed = true;
      }),
    ...(options.markStale === false ? {} : {
      markStale: (key: string) => perform("markStale", [key], () => (held.markStale(key) ? "stale" : "missing")),
    }),
    ...(options.batch === false ? {} : {
      batch: {
        read: (keys: readonly string[]) =>
          perform("batch.read", keys, () => keys.map((key) => held.get(key)), (entries, answer) => entries.map((entry, i) => answer(entry, keys[i]!))),
        write: (entries: readonly (readonly [key: string, entry: StoredEntry])[]) =>
          perform("batch.write", entries.map(([key]) => key), () => {
            for (const [key, entry] of entries) held.set(key, entry);
          }),
        remove: (keys: readonly string[]) => perform("batch.remove", keys, () => keys.map((key) => deleteStatus(held.delete(key)))),
      },
    }),

    store: held,
    calls,
    get isClosed() {
      return isClosed;
    },
    count: (operation, key) =>
      calls.filter((call) => (operation === undefined || call.operation === operation) && (key === undefined || call.keys.includes(key))).length,
    forgetCalls() {
      calls.length = 0;
    },
    script(operation, step) {
      const active: ActiveStep = { operation, step, left: step.times ?? 1 };
      steps.push(active);
      return () => {
        if (steps.includes(active)) steps.splice(steps.indexOf(active), 1);
      };
    },
    down(error) {
      failure = error ?? true;
    },
    up() {
      failure = undefined;
    },
  };
}

type Reword<T> = (answer: T, change: NonNullable<ScriptedStep["answer"]>) => T;

const deleteStatus = (wasThere: boolean): DeleteStatus => (wasThere ? "deleted" : "missing");

interface ActiveStep {
  readonly operation: ScriptedOperation | "*";
  readonly step: ScriptedStep;
  left: number;
}

function take(steps: ActiveStep[], operation: ScriptedOperation, keys: readonly string[]): ScriptedStep | undefined {
  const active = steps.find(
    (candidate) =>
      (candidate.operation === "*" || candidate.operation === operation) &&
      (candidate.step.key === undefined || keys.includes(candidate.step.key)),
  );
  if (active === undefined) return undefined;
  active.left -= 1;
  if (active.left === 0) steps.splice(steps.indexOf(active), 1);
  return active.step;
}

function pause(until: ScriptedStep["before"], clock: Clock): Promise<unknown> | undefined {
  if (until === undefined) return undefined;
  if (typeof until === "object") return until.pass();
  const delayMs = milliseconds(until);
  return new Promise<void>((resolve) => {
    clock.schedule(resolve, delayMs);
  });
}

interface Held {
  readonly data: Uint8Array;
  readonly meta: string;
  readonly staleAt: number;
  readonly deadAt: number;
}

/** Keeps copies of bytes, as a store elsewhere does. */
class HeldEntries implements ScriptedStore {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Held>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  keys(): string[] {
    return [...this.#entries.keys()].filter((key) => this.#alive(key) !== undefined);
  }

  get(key: string): StoredEntry | undefined {
    const entry = this.#alive(key);
    if (entry === undefined) return undefined;
    const now = this.#clock.now();
    return {
      data: entry.data.slice(),
      staleInMs: Math.floor(entry.staleAt - now),
      expiresInMs: Math.max(1, Math.floor(entry.deadAt - now)),
      meta: entry.meta,
    };
  }

  set(key: string, entry: StoredEntry): void {
    const now = this.#clock.now();
    this.#entries.delete(key);
    this.#entries.set(key, {
      data: entry.data.slice(),
      meta: entry.meta,
      staleAt: now + entry.staleInMs,
      deadAt: now + entry.expiresInMs,
    });
  }

  delete(key: string): boolean {
    return this.#alive(key) !== undefined && this.#entries.delete(key);
  }

  /** The stale window begins now, and ends no later than the entry would have. */
  markStale(key: string): boolean {
    const entry = this.#alive(key);
    if (entry === undefined) return false;
    const now = this.#clock.now();
    const windowMs = entry.staleAt === Infinity ? 0 : entry.deadAt - entry.staleAt;
    this.#entries.set(key, { ...entry, staleAt: Math.min(entry.staleAt, now), deadAt: Math.min(entry.deadAt, now + windowMs) });
    return true;
  }

  clear(): void {
    this.#entries.clear();
  }

  #alive(key: string): Held | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined && entry.deadAt > this.#clock.now()) return entry;
    this.#entries.delete(key);
    return undefined;
  }
}
