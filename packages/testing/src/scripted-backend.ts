import {
  defineBackend,
  type Backend,
  type Batch,
  type BreakerPolicy,
  type Clock,
  type Coherence,
  type Compressor,
  type Format,
  json,
  type Leases,
  passthrough,
  type StoredEntry,
  type TagVersions,
} from "@hotset/core";
import { ScriptedCalls, type ScriptedCall, type ScriptedOperation, type ScriptedStep } from "./scripted-calls.ts";
import { ScriptedLink, type ScriptedCoherence } from "./scripted-link.ts";
import { MemoryStore, type ScriptedStore } from "./scripted-store.ts";

/** Options of `scriptedBackend`. */
export interface ScriptedBackendOptions {
  /** Ends entries and delays answers. */
  readonly clock: Clock;
  /** @default 'scripted' */
  readonly label?: string | undefined;
  /** @default json() */
  readonly format?: Format | undefined;
  /** @default passthrough() */
  readonly compressor?: Compressor | undefined;
  /** As {@link Backend.alsoReads}. @default none */
  readonly alsoReads?: readonly (Format | Compressor)[] | undefined;
  /** As {@link Backend.deadlineMs}. @default the cache's default */
  readonly deadlineMs?: number | undefined;
  /** @default the cache's default */
  readonly breaker?: BreakerPolicy | undefined;
  /** As {@link Backend.maxEntryBytes}. @default none */
  readonly maxEntryBytes?: number | undefined;
  /** As {@link Backend.maxDecodedBytes}. @default the cache's default */
  readonly maxDecodedBytes?: number | undefined;
  /** Whether the backend has `markStale`. @default true */
  readonly markStale?: boolean | undefined;
  /** Whether the backend has `batch`. @default true */
  readonly batch?: boolean | undefined;
  /** Whether the backend has `leases`. @default false */
  readonly leases?: boolean | undefined;
  /** Whether the backend has `tagVersions`. @default false */
  readonly tagVersions?: boolean | undefined;
  /** `reported`: it receives every change of its store, see {@link ScriptedBackend.link}. @default 'sole-writer' */
  readonly coherence?: Coherence | "sole-writer" | "reported" | "none" | undefined;
  /** With `reported`: whether its own changes are reported to it, too. @default true */
  readonly echoes?: boolean | undefined;
  /** With `reported`, in milliseconds; the link sends four signs of life in that time. @default 2_000 */
  readonly maxStalenessMs?: number | undefined;
  /** With `reported`, in milliseconds. @default the cache's default */
  readonly reissueWindowMs?: number | undefined;
}

/** A backend that a test controls. Calls that are not those of {@link Backend} throw nothing. */
export interface ScriptedBackend extends Backend {
  /** Shared with its peers. */
  readonly store: ScriptedStore;
  /** The link that reports changes to it, with `coherence: 'reported'`. */
  readonly link: ScriptedCoherence;
  /**
   * Creates the backend of another process: over the same store, with its own calls, steps and link.
   *
   * @param options replace those of this backend.
   */
  peer(options?: Omit<ScriptedBackendOptions, "clock">): ScriptedBackend;
  /** Every call since the start, or since {@link forgetCalls}, failed ones included. */
  readonly calls: readonly ScriptedCall[];
  /** Whether `close` was called. */
  readonly isClosed: boolean;
  /** Number of {@link calls} of `operation` with `key`. Without `operation` all operations count. */
  count(operation?: ScriptedOperation, key?: string): number;
  /** Empties {@link calls}; steps stay. */
  forgetCalls(): void;
  /**
   * Makes the next calls of `operation` (of any operation, for `*`) behave as in `step`.
   *
   * @returns a function that removes the step.
   */
  script(operation: ScriptedOperation | "*", step: ScriptedStep): () => void;
  /**
   * Rejects every call but `close` until {@link up}, immediately, with `error` or with {@link BackendUnavailableError}.
   * With `coherence: 'reported'` signs of life end as well; reports continue, unless the link is lost too.
   */
  down(error?: Error): void;
  /** Ends {@link down}. */
  up(): void;
}

/**
 * A backend in this process that the test controls: it can fail, hang, answer late, lose answers or return other bytes,
 * and it records its calls. Otherwise it keeps the contract of {@link Backend}.
 *
 * @throws {ConfigurationError} for settings that `defineBackend` refuses.
 */
export function scriptedBackend(options: ScriptedBackendOptions): ScriptedBackend {
  return open(options, new MemoryStore(options.clock));
}

/** The parts of one scripted backend. */
interface Parts {
  readonly options: ScriptedBackendOptions;
  readonly maxStalenessMs: number;
  readonly calls: ScriptedCalls;
  readonly store: MemoryStore;
  readonly link: ScriptedLink;
}

function open(options: ScriptedBackendOptions, store: MemoryStore): ScriptedBackend {
  const { clock, label = "scripted", maxStalenessMs = 2_000 } = options;
  const calls = new ScriptedCalls(label, clock);
  const link = new ScriptedLink({
    clock,
    store,
    echoes: options.echoes ?? true,
    heartbeatMs: maxStalenessMs / 4,
    isDown: () => calls.isDown,
    unavailable: (event) => calls.maybeExecuted("attach", event),
  });
  const parts: Parts = { options, maxStalenessMs, calls, store, link };
  return defineBackend({
    label,
    ...settings(options),
    ...singleCalls(parts),
    ...capabilities(parts),
    store,
    link,
    peer: (more = {}) => open({ ...options, ...more }, store),
    calls: calls.recorded,
    get isClosed() {
      return calls.isClosed;
    },
    count: (operation, key) => calls.count(operation, key),
    forgetCalls() {
      calls.recorded.length = 0;
    },
    script: (operation, step) => calls.script(operation, step),
    down: (error) => calls.down(error),
    up: () => calls.up(),
  });
}

type Settings = "format" | "compressor" | "alsoReads" | "deadlineMs" | "maxEntryBytes" | "maxDecodedBytes";

function settings(options: ScriptedBackendOptions): Pick<Backend, Settings> {
  return {
    format: options.format ?? json(),
    compressor: options.compressor ?? passthrough(),
    ...(options.alsoReads === undefined ? {} : { alsoReads: options.alsoReads }),
    ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
    ...(options.breaker === undefined ? {} : { breaker: options.breaker }),
    ...(options.maxEntryBytes === undefined ? {} : { maxEntryBytes: options.maxEntryBytes }),
    ...(options.maxDecodedBytes === undefined ? {} : { maxDecodedBytes: options.maxDecodedBytes }),
  };
}

type SingleCalls = Pick<Backend, "read" | "write" | "remove" | "close"> & Required<Pick<Backend, "connect">>;

function singleCalls(parts: Parts): SingleCalls {
  const { calls, store, link } = parts;
  return {
    connect: () => calls.perform("connect", { keys: [], run: () => undefined }),
    read: (key) =>
      calls.perform("read", {
        keys: [key],
        run: () => read(parts, key),
        reword: (entry, change) => change(entry, key),
      }),
    write: (key, entry) =>
      calls.perform("write", {
        keys: [key],
        run: () => store.write(key, entry, link),
        refuse: () => store.refuse([key], link),
      }),
    remove: (key) => calls.perform("remove", { keys: [key], run: () => store.remove(key, link) }),
    close: () =>
      calls.perform("close", {
        keys: [],
        run() {
          calls.close();
          link.close();
        },
      }),
  };
}

function capabilities(parts: Parts): Pick<Backend, "markStale" | "batch" | "leases" | "tagVersions" | "coherence"> {
  const { options, calls, store, link } = parts;
  const { coherence = "sole-writer" } = options;
  return {
    ...(options.markStale !== false && {
      markStale: (key: string) => calls.perform("markStale", { keys: [key], run: () => store.markStale(key, link) }),
    }),
    ...(options.batch !== false && { batch: batchOf(parts) }),
    ...(options.leases === true && { leases: leasesOf(parts) }),
    ...(options.tagVersions === true && { tagVersions: tagVersionsOf(parts) }),
    ...(coherence !== "none" && { coherence: coherence === "reported" ? coherenceOf(parts) : coherence }),
  };
}

function read({ options, store }: Parts, key: string): StoredEntry | undefined {
  const entry = store.get(key);
  if (entry === undefined) return undefined;
  const { version = "-", ...rest } = entry;
  return options.leases === true ? { ...rest, version } : rest;
}

function batchOf(parts: Parts): Batch {
  return {
    read: (keys) =>
      parts.calls.perform("batch.read", {
        keys,
        run: () => keys.map((key) => read(parts, key)),
        reword: (entries, change) => entries.map((entry, i) => change(entry, keys[i]!)),
      }),
  };
}

function leasesOf({ calls, store, link }: Parts): Leases {
  return {
    acquire: (request) =>
      calls.perform("leases.acquire", {
        keys: [request.key],
        run: () => store.acquire(request, link),
      }),
    renew: (key, token, leaseMs) =>
      calls.perform("leases.renew", { keys: [key], run: () => store.renewLease(key, token, leaseMs) }),
    release: (key, token) =>
      calls.perform("leases.release", { keys: [key], run: () => store.release(key, token, link) }),
    store: (key, token, seen, entry) =>
      calls.perform("leases.store", {
        keys: [key],
        run: () => store.store(key, token, seen, entry, link),
        refuse: () => store.refuse([key], link),
      }),
    touch: (key, seen, life) =>
      calls.perform("leases.touch", { keys: [key], run: () => store.touch(key, seen, life, link) }),
    confirm: (key) =>
      calls.perform("leases.confirm", {
        keys: [key],
        run() {
          const version = store.version(key);
          return link.answer(key).then(() => version);
        },
      }),
  };
}

function tagVersionsOf({ calls, store, link }: Parts): TagVersions {
  return {
    read: (tags) => calls.perform("tags.read", { keys: tags, run: () => tags.map((tag) => store.tagVersion(tag)) }),
    pin: (tags) => calls.perform("tags.pin", { keys: tags, run: () => store.pin(tags, link) }),
    unchangedSince: (at, tags) =>
      calls.perform("tags.unchangedSince", { keys: tags, run: () => store.unchangedSince(at, tags, link) }),
    renew: (tags, mode) => calls.perform("tags.renew", { keys: tags, run: () => store.renewTags(tags, mode, link) }),
  };
}

function coherenceOf({ options: { reissueWindowMs }, maxStalenessMs, calls, link }: Parts): Coherence {
  return {
    maxStalenessMs,
    ...(reissueWindowMs !== undefined && { reissueWindowMs }),
    attach(listener) {
      const sentAtMs = listener.now();
      let detach: (() => void) | undefined;
      const attaching = calls.perform("attach", {
        keys: [],
        async run() {
          detach = await link.attach(listener, sentAtMs);
          return async () => detach?.();
        },
      });
      // A step can reject the call after it has attached: then nothing must be reported.
      attaching.then(
        () => queueMicrotask(() => link.answeredAttach()),
        () => detach?.(),
      );
      return attaching;
    },
  };
}
