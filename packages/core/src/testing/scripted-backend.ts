import type { Backend, Coherence, Compressor, Format, Leases, StoredEntry, TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError, json, passthrough, type Duration } from "../index.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { Gate } from "./gate.ts";
import { milliseconds } from "./milliseconds.ts";
import { ScriptedLink, type ScriptedCoherence } from "./scripted-link.ts";
import { HeldStore, type ScriptedStore } from "./scripted-store.ts";

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
  /** Whether it has that capability. @default false */
  readonly leases?: boolean;
  /** Whether it has that capability. @default false */
  readonly tagVersions?: boolean;
  /** `heard`: hears of every change of its store, see {@link ScriptedBackend.link}. @default 'sole-writer' */
  readonly coherence?: Coherence | "sole-writer" | "heard" | "none";
  /** Whether it hears of its own changes too, with `heard`. @default true */
  readonly echoes?: boolean;
  /** With `heard`, in milliseconds; it gives a sign of life four times in that time. @default 2_000 */
  readonly maxStalenessMs?: number;
  /** With `heard`, in milliseconds. @default what the cache's is */
  readonly reissueWindowMs?: number;
  /** @default the key */
  readonly alias?: (key: string) => string;
}

export type ScriptedOperation =
  | "connect"
  | "read"
  | "write"
  | "remove"
  | "markStale"
  | "close"
  | "batch.read"
  | "batch.write"
  | "batch.remove"
  | "leases.acquire"
  | "leases.renew"
  | "leases.release"
  | "leases.store"
  | "leases.confirm"
  | "tags.read"
  | "tags.pin"
  | "tags.unchangedSince"
  | "tags.renew"
  | "attach";

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
  /** A write or a `leases.store` rejects with this, as a store does that has no memory left: the older entry and the lease are gone. */
  readonly refuse?: Error;
  /** Waits, after it has done its work: the answer is late. */
  readonly after?: Gate<unknown> | Duration;
  /** Has done its work, and rejects all the same: with this, or for `true` with {@link BackendUnavailableError}. */
  readonly loseAnswer?: true | Error;
  /** Answers a read with something else than what is stored: bytes that do not decode, say. */
  readonly answer?: (entry: StoredEntry | undefined, key: string) => StoredEntry | undefined;
}

export interface ScriptedCall {
  readonly operation: ScriptedOperation;
  /** In the order of the call; one for single calls, tags for those on tags, none for `connect`, `close` and `attach`. */
  readonly keys: readonly string[];
  /** `clock.now()` when it was made. */
  readonly at: number;
}

export interface ScriptedBackend extends Backend {
  /** Shared with its peers. */
  readonly store: ScriptedStore;
  /** How it hears of changes, with `coherence: 'heard'`. */
  readonly link: ScriptedCoherence;
  /** What another process has: a backend over the same store, with calls, steps and a link of its own. @param options where it differs from this one. */
  peer(options?: Omit<ScriptedBackendOptions, "clock">): ScriptedBackend;
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
  /**
   * Rejects every call but `close` until {@link up}, at once, with `error` or with {@link BackendUnavailableError}. With
   * `coherence: 'heard'` signs of life end as well; reports go on, unless the link is lost too.
   */
  down(error?: Error): void;
  up(): void;
}

/**
 * A backend in this process that does what the test says: fails, hangs, answers late, loses
 * answers, gives back other bytes; and that counts what it was asked. Otherwise it keeps the
 * contract of {@link Backend}.
 */
export function scriptedBackend(options: ScriptedBackendOptions): ScriptedBackend {
  return open(options, new HeldStore(options.clock));
}

function open(options: ScriptedBackendOptions, store: HeldStore): ScriptedBackend {
  const { clock, label = "scripted", coherence = "sole-writer", maxStalenessMs = 2_000, reissueWindowMs } = options;
  const calls: ScriptedCall[] = [];
  const steps: ActiveStep[] = [];
  let failure: true | Error | undefined;
  let isClosed = false;

  const unavailable = (operation: ScriptedOperation, what: string, maybeExecuted: boolean): BackendUnavailableError =>
    new BackendUnavailableError(`${label}: ${operation} ${what}, as the test has it`, {
      tier: label,
      operation,
      maybeExecuted,
    });

  const link = new ScriptedLink({
    clock,
    store,
    echoes: options.echoes ?? true,
    heartbeatMs: maxStalenessMs / 4,
    isDown: () => failure !== undefined,
    alias: options.alias ?? ((key) => key),
    unavailable: (what) => unavailable("attach", what, true),
  });

  const perform = async <T>(
    operation: ScriptedOperation,
    keys: readonly string[],
    work: () => Awaitable<T>,
    reword?: Reword<T>,
  ): Promise<T> => {
    calls.push({ operation, keys: [...keys], at: clock.now() });
    if (isClosed && operation !== "close") throw unavailable(operation, "came after close", false);
    const step = take(steps, operation, keys);
    if (failure !== undefined && operation !== "close")
      throw failure === true ? unavailable(operation, "failed", false) : failure;
    if (step === undefined) return work();

    await pause(step.before, clock);
    if (step.fail !== undefined) throw step.fail === true ? unavailable(operation, "failed", false) : step.fail;
    const refuses = step.refuse !== undefined && REFUSABLE.has(operation);
    if (refuses) for (const key of keys) store.refuse(key, link);
    const working = refuses ? undefined : work();
    const answer = working instanceof Promise ? await working : working;
    await pause(step.after, clock);
    if (step.loseAnswer !== undefined)
      throw step.loseAnswer === true ? unavailable(operation, "lost its answer", true) : step.loseAnswer;
    if (refuses) throw step.refuse;
    return step.answer === undefined || reword === undefined ? (answer as T) : reword(answer as T, step.answer);
  };

  const read = (key: string): StoredEntry | undefined => {
    const entry = store.get(key);
    if (entry === undefined) return undefined;
    const { version = "-", ...rest } = entry;
    return options.leases === true ? { ...rest, version } : rest;
  };

  const leases: Leases = {
    acquire: (key, token, leaseMs, seen) =>
      perform("leases.acquire", [key], () => store.acquire(key, token, leaseMs, seen)),
    renew: (key, token, leaseMs) => perform("leases.renew", [key], () => store.renewLease(key, token, leaseMs)),
    release: (key, token) => perform("leases.release", [key], () => store.release(key, token, link)),
    store: (key, token, seen, entry) =>
      perform("leases.store", [key], () => store.store(key, token, seen, entry, link)),
    confirm: (key) =>
      perform("leases.confirm", [key], () => {
        const version = store.version(key);
        return link.answer(key).then(() => version);
      }),
  };

  const tagVersions: TagVersions = {
    read: (tags) => perform("tags.read", tags, () => tags.map((tag) => store.tagVersion(tag))),
    pin: (tags) => perform("tags.pin", tags, () => store.pin(tags, link)),
    unchangedSince: (at, tags) => perform("tags.unchangedSince", tags, () => store.unchangedSince(at, tags, link)),
    renew: (tags, mode) => perform("tags.renew", tags, () => store.renewTags(tags, mode, link)),
  };

  const heard: Coherence = {
    maxStalenessMs,
    ...(reissueWindowMs === undefined ? {} : { reissueWindowMs }),
    attach(listener) {
      const sentAtMs = listener.now();
      let detach: (() => void) | undefined;
      const attaching = perform("attach", [], async () => {
        detach = await link.attach(listener, sentAtMs);
        return async () => detach?.();
      });
      // A step may let it reject after it has attached: nothing is reported then.
      attaching.then(
        () => queueMicrotask(() => link.answeredAttach()),
        () => detach?.(),
      );
      return attaching;
    },
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
    ...(options.leases === true ? { leases } : {}),
    ...(options.tagVersions === true ? { tagVersions } : {}),
    ...(coherence === "none" ? {} : { coherence: coherence === "heard" ? heard : coherence }),

    connect: () => perform("connect", [], () => undefined),
    read: (key) =>
      perform(
        "read",
        [key],
        () => read(key),
        (entry, answer) => answer(entry, key),
      ),
    write: (key, entry) => perform("write", [key], () => store.write(key, entry, link)),
    remove: (key) => perform("remove", [key], () => store.remove(key, link)),
    close: () =>
      perform("close", [], () => {
        isClosed = true;
        link.close();
      }),
    ...(options.markStale === false
      ? {}
      : {
          markStale: (key: string) => perform("markStale", [key], () => store.markStale(key, link)),
        }),
    ...(options.batch === false
      ? {}
      : {
          batch: {
            read: (keys: readonly string[]) =>
              perform(
                "batch.read",
                keys,
                () => keys.map(read),
                (entries, answer) => entries.map((entry, i) => answer(entry, keys[i]!)),
              ),
            write: (entries: readonly (readonly [key: string, entry: StoredEntry])[]) =>
              perform(
                "batch.write",
                entries.map(([key]) => key),
                () => {
                  for (const [key, entry] of entries) store.write(key, entry, link);
                },
              ),
            remove: (keys: readonly string[]) =>
              perform("batch.remove", keys, () => keys.map((key) => store.remove(key, link))),
          },
        }),

    store,
    link,
    peer: (more = {}) => open({ ...options, ...more }, store),
    calls,
    get isClosed() {
      return isClosed;
    },
    count: (operation, key) =>
      calls.filter(
        (call) =>
          (operation === undefined || call.operation === operation) && (key === undefined || call.keys.includes(key)),
      ).length,
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

const REFUSABLE: ReadonlySet<ScriptedOperation> = new Set(["write", "batch.write", "leases.store"]);

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
