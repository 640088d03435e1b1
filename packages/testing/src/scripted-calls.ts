import { type Awaitable, BackendUnavailableError, type Clock, type Duration, type StoredEntry } from "@hotset/core";
import type { Gate } from "./gate.ts";
import { milliseconds } from "./milliseconds.ts";

/** A call of a scripted backend. */
export type ScriptedOperation =
  | "connect"
  | "read"
  | "write"
  | "remove"
  | "markStale"
  | "close"
  | "batch.read"
  | "leases.acquire"
  | "leases.renew"
  | "leases.release"
  | "leases.store"
  | "leases.touch"
  | "leases.confirm"
  | "tags.read"
  | "tags.pin"
  | "tags.unchangedSince"
  | "tags.renew"
  | "attach";

/** The behaviour of one call, in this order. An empty step behaves like a normal backend. */
export interface ScriptedStep {
  /** Number of calls that use this step; a call uses the oldest step that applies to it. @default 1 */
  readonly times?: number | undefined;
  /** Only for calls with this key, as passed to the backend: `shop:users::42`. @default all */
  readonly key?: string | undefined;
  /** Waits before the call touches any entry. With a gate that is never opened the call hangs. */
  readonly before?: Gate<unknown> | Duration | undefined;
  /** Rejects before any entry was touched: with this error, or for `true` with {@link BackendUnavailableError}. */
  readonly fail?: true | Error | undefined;
  /**
   * A write or a `leases.store` rejects with this error, like a store that is out of memory: the older entry and the
   * lease are removed.
   */
  readonly refuse?: Error | undefined;
  /** Waits after the work is done: the answer is late. */
  readonly after?: Gate<unknown> | Duration | undefined;
  /** Does the work and rejects anyway: with this error, or for `true` with {@link BackendUnavailableError}. */
  readonly loseAnswer?: true | Error | undefined;
  /** Replaces the answer to a read, by bytes that do not decode for example. The stored entry stays unchanged. */
  readonly answer?: ((entry: StoredEntry | undefined, key: string) => StoredEntry | undefined) | undefined;
}

/** A call that a scripted backend has recorded. */
export interface ScriptedCall {
  /** The call. */
  readonly operation: ScriptedOperation;
  /**
   * In the order of the call: one for single calls, tags for calls on tags, none for `connect`, `close` and `attach`.
   */
  readonly keys: readonly string[];
  /** `clock.now()` at the start of the call. */
  readonly at: number;
}

/** The effect of one call on the store. */
export interface Work<T> {
  readonly keys: readonly string[];
  run(): Awaitable<T>;
  /** Applies {@link ScriptedStep.refuse} to the store. Absent: the operation cannot be refused. */
  refuse?(): void;
  /** Applies {@link ScriptedStep.answer} to the answer. */
  reword?(answer: T, change: NonNullable<ScriptedStep["answer"]>): T;
}

interface ActiveStep {
  readonly operation: ScriptedOperation | "*";
  readonly step: ScriptedStep;
  left: number;
}

/** Records the calls of one backend, and runs each as the test has scripted it. */
export class ScriptedCalls {
  readonly recorded: ScriptedCall[] = [];
  readonly #label: string;
  readonly #clock: Clock;
  readonly #steps: ActiveStep[] = [];
  #failure: true | Error | undefined;
  #isClosed = false;

  constructor(label: string, clock: Clock) {
    this.#label = label;
    this.#clock = clock;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isDown(): boolean {
    return this.#failure !== undefined;
  }

  close(): void {
    this.#isClosed = true;
  }

  down(error: Error | undefined): void {
    this.#failure = error ?? true;
  }

  up(): void {
    this.#failure = undefined;
  }

  count(operation: ScriptedOperation | undefined, key: string | undefined): number {
    return this.recorded.filter(
      (call) =>
        (operation === undefined || call.operation === operation) && (key === undefined || call.keys.includes(key)),
    ).length;
  }

  /** @returns a function that removes the step. */
  script(operation: ScriptedOperation | "*", step: ScriptedStep): () => void {
    const active: ActiveStep = { operation, step, left: step.times ?? 1 };
    this.#steps.push(active);
    return () => {
      if (this.#steps.includes(active)) this.#steps.splice(this.#steps.indexOf(active), 1);
    };
  }

  async perform<T>(operation: ScriptedOperation, work: Work<T>): Promise<T> {
    const { keys } = work;
    this.recorded.push({ operation, keys: [...keys], at: this.#clock.now() });
    if (this.#isClosed && operation !== "close") throw this.#notExecuted(operation, "came after close");
    const step = this.#take(operation, keys);
    if (this.#failure !== undefined && operation !== "close")
      throw this.#failure === true ? this.#notExecuted(operation, "failed") : this.#failure;
    if (step === undefined) return work.run();

    await pause(step.before, this.#clock);
    if (step.fail !== undefined) throw step.fail === true ? this.#notExecuted(operation, "failed") : step.fail;
    const refuses = step.refuse !== undefined && work.refuse !== undefined;
    if (refuses) work.refuse!();
    const working = refuses ? undefined : work.run();
    const answer = working instanceof Promise ? await working : working;
    await pause(step.after, this.#clock);
    if (step.loseAnswer !== undefined)
      throw step.loseAnswer === true ? this.maybeExecuted(operation, "lost its answer") : step.loseAnswer;
    if (refuses) throw step.refuse;
    return step.answer === undefined || work.reword === undefined
      ? (answer as T)
      : work.reword(answer as T, step.answer);
  }

  /** The error of a call whose work may have been done. */
  maybeExecuted(operation: ScriptedOperation, event: string): BackendUnavailableError {
    return new BackendUnavailableError(this.#message(operation, event), { tier: this.#label, operation });
  }

  #notExecuted(operation: ScriptedOperation, event: string): BackendUnavailableError {
    const details = { tier: this.#label, operation, maybeExecuted: false };
    return new BackendUnavailableError(this.#message(operation, event), details);
  }

  #message(operation: ScriptedOperation, event: string): string {
    return `${this.#label}: ${operation} ${event}, as scripted by the test`;
  }

  #take(operation: ScriptedOperation, keys: readonly string[]): ScriptedStep | undefined {
    const active = this.#steps.find(
      (candidate) =>
        (candidate.operation === "*" || candidate.operation === operation) &&
        (candidate.step.key === undefined || keys.includes(candidate.step.key)),
    );
    if (active === undefined) return undefined;
    active.left -= 1;
    if (active.left === 0) this.#steps.splice(this.#steps.indexOf(active), 1);
    return active.step;
  }
}

function pause(until: ScriptedStep["before"], clock: Clock): Promise<unknown> | undefined {
  if (until === undefined) return undefined;
  if (typeof until === "object") return until.pass();
  const delayMs = milliseconds(until);
  return new Promise<void>((resolve) => {
    clock.schedule(resolve, delayMs);
  });
}
