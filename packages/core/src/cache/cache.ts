import type { Backend } from "../contracts/capabilities.ts";
import { epochMs, systemClock } from "../contracts/clock.ts";
import { CacheClosedError, CacheError, InvalidArgumentError } from "../contracts/errors.ts";
import type { CacheStats } from "../contracts/events.ts";
import { keySpaceBelow, localKey, localKeyOf, parseLocalKey } from "../entry/key.ts";
import { checked } from "../entry/options.ts";
import { keepAlive } from "../primitives/async-context.ts";
import { Deadlines } from "../primitives/deadlines.ts";
import { describe, toMs, type Duration } from "../primitives/duration.ts";
import { within } from "../primitives/within.ts";
import { BackendRefusedError, ownError } from "../tiers/backend-calls.ts";
import { startVerifying, type Assembly } from "./assemble.ts";
import { countOpen } from "./first-mistakes.ts";
import { NamespaceView } from "./namespace-view.ts";
import type { Namespace, Untyped } from "./namespace.ts";
import { keepToInstances } from "./own-methods.ts";

/** A cache: its root namespace, and its life. */
export interface Cache extends Namespace, AsyncDisposable {
  /** The name given to `createCache`. */
  readonly name: string;
  /** Counts and latencies since `build`, namespaces included. Throws nothing. */
  stats(): CacheStats;
  /**
   * Does without tiers from now on, until the next call: a switch for an incident. Gives the labels of tiers, as
   * `stats()` has them; `"all"` bypasses the cache, `"none"` ends it. Flights, timeouts and limits stay. A bypassed
   * local tier is emptied, and keeps nothing. A bypassed backend counts as unreachable for reads, loads and leases; it
   * still gets what removes or invalidates, so nothing older is found when it is used again.
   *
   * @throws {InvalidArgumentError} for a label that no tier has; then nothing changes.
   */
  bypass(tiers: "none" | "all" | readonly string[]): void;
  /**
   * Connects now instead of on first use, and receives invalidations from then on. Optional. @throws
   * {BackendUnavailableError}
   */
  connect(): Promise<void>;
  /** Resolves when every load, write and tag call that has begun is settled. Never rejects. */
  drain(): Promise<void>;
  /**
   * Drains what began before for at most `timeout`, 5 s by default, aborts the rest, and closes the tiers that no other
   * cache uses, each within the time of any call: `await cache.close({ timeout: "10s" })`. Until then calls get what
   * the cache holds, else what their loader gives, which is not stored; no call waits for the load of another process.
   * Changes are sent on. Calls after that reject with {@link CacheClosedError}. Idempotent. On the `TestClock` of
   * `hotset/testing` it also stops waiting after a second of real time in which the test did not move the clock.
   *
   * Values of `set` with `wait: "memory"` and pending invalidations that the backend has not acknowledged in time are
   * given up: the event `pending:lost` has their number, as has `stats().pending` from then on. Without a listener it
   * is a warning.
   *
   * @throws {InvalidArgumentError} for a bad option. A backend that fails is reported.
   */
  close(options?: { /** @default '5s' */ readonly timeout?: Duration | undefined }): Promise<void>;
}

/** Parts of a cache that are looked into, and what reads their keys. */
export interface Internals extends Assembly {
  readonly localKey: typeof localKey;
  readonly localKeyOf: typeof localKeyOf;
  readonly parseLocalKey: typeof parseLocalKey;
  readonly spaceBelow: typeof keySpaceBelow;
  readonly epochMs: typeof epochMs;
  readonly startVerifying: typeof startVerifying;
}

/** The number of open caches that use a backend: the last one closes it. */
const users = new WeakMap<Backend, number>();

/** The root namespace of a cache, and the life of that cache. */
export class CacheView extends NamespaceView implements Untyped<Cache> {
  static {
    keepToInstances(CacheView.prototype, (receiver) => receiver instanceof CacheView && #parts in receiver);
    // For the entry `inspect`, which may be of another copy of this package.
    Object.defineProperty(CacheView.prototype, Symbol.for("hotset.internals"), {
      value(this: CacheView): Internals {
        const keys = { localKey, localKeyOf, parseLocalKey, spaceBelow: keySpaceBelow };
        return { ...this.#parts, ...keys, epochMs, startVerifying };
      },
    });
  }

  readonly #parts: Assembly;
  readonly #stopCounting: () => void;
  #closing: Promise<void> | undefined;

  constructor(parts: Assembly) {
    super(parts.engine, parts.namespace);
    this.#parts = parts;
    // On a clock of its own it is of a test, which may leave it open.
    const isCounted = parts.backend !== undefined && parts.context.clock === systemClock;
    this.#stopCounting = isCounted ? countOpen(this.name, parts.warn) : () => {};
    if (parts.backend !== undefined) users.set(parts.backend, (users.get(parts.backend) ?? 0) + 1);
  }

  get name(): string {
    return this.#parts.context.name;
  }

  override stats(): CacheStats {
    const { local, recovery } = this.#parts.context;
    const { remote } = this.#parts.namespace;
    const { usedBytes } = local?.tier ?? {};
    const localStats = local?.meter.snapshot(local.label, local.state, {
      entries: local.tier.entryCount,
      ...(usedBytes !== undefined && { bytes: usedBytes }),
    });
    return {
      ...super.stats(),
      waiting: this.#parts.engine.callers.count,
      pending: recovery?.unsent ?? 0,
      tiers: [localStats, remote?.stats()].filter((each) => each !== undefined),
    };
  }

  bypass(tiers: "none" | "all" | readonly string[]): void {
    const { local } = this.#parts.context;
    const { remote } = this.#parts.namespace;
    const labels = new Set(tiers === "none" || tiers === "all" ? [] : this.#labels(tiers));
    for (const tier of [local, remote]) tier?.bypass(tiers === "all" || labels.has(tier.label));
  }

  /** @throws {InvalidArgumentError} unless each is the label of a tier. */
  #labels(given: unknown): readonly string[] {
    const labels = this.stats().tiers.map(({ label }) => label);
    // By its index, which finds holes too.
    const wrong = Array.isArray(given) ? given.findIndex((label) => !labels.includes(label as string)) : 0;
    if (Array.isArray(given) && wrong < 0) return given;
    throw new InvalidArgumentError(
      `tiers must be "all", "none" or a list of labels (${labels.join(", ")}), got ${describe(Array.isArray(given) ? given[wrong] : given)}`,
    );
  }

  async connect(): Promise<void> {
    const { context, namespace, subscription } = this.#parts;
    if (!context.lifecycle.isOpen) throw new CacheClosedError(`the cache ${JSON.stringify(context.name)} is closed`);
    await namespace.remote?.connect();
    if (subscription !== undefined) await this.#within(namespace.remote!.deadlineMs, subscription.start());
  }

  async drain(): Promise<void> {
    const { flights, writes, clock } = this.#parts.context;
    const loads = Promise.all(Array.from(flights.all(), (flight) => flight.whenSettled()));
    const ended = loads.then(() => writes.settled());
    await keepAlive(clock, ended);
  }

  async close(options: { readonly timeout?: Duration | undefined } = {}): Promise<void> {
    const timeoutMs = toMs("timeout", checked("close", options).timeout ?? 5_000);
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    const { context, engine, leases } = this.#parts;
    this.#stopCounting();
    context.lifecycle.isOpen = false;
    const farewells = [...context.lifecycle.farewells].map((farewell) => farewell());
    const settled = this.drain().then(() => context.recovery?.replay());
    await this.#endsWithin(timeoutMs, Promise.all([settled, ...farewells]));
    context.lifecycle.end();
    const closed = new CacheClosedError(`the cache ${JSON.stringify(context.name)} was closed while this call waited`);
    for (const flight of [...context.flights.all()])
      if (!flight.climb.isOfClosing) engine.callers.abort(flight, closed);
    // In this very turn, before the backend is closed.
    for (const lease of [...leases]) lease.release();
    const { pending: count } = this.stats();
    const tier = this.#parts.namespace.remote?.label ?? "";
    if (count !== 0) context.events["pending:lost"].emit({ cache: this.name, namespace: [], tier, count });
    await this.#endTiers();
    for (const port of Object.values(context.events)) port.flush();
    Deadlines.rest(context.clock);
    context.lifecycle.close();
  }

  async #endTiers(): Promise<void> {
    const { context, namespace, backend, subscription } = this.#parts;
    const { remote } = namespace;
    context.recovery?.stop();
    context.local?.close();
    if (remote === undefined || backend === undefined) return;
    if (subscription !== undefined) await this.#endsWithin(remote.deadlineMs, subscription.stop());
    remote.stop();
    const others = users.get(backend)! - 1;
    users.set(backend, others);
    if (others === 0) await this.#endsWithin(remote.deadlineMs, this.#closeBackend(backend));
  }

  /** A failure is reported: the backend may have left something open. */
  async #closeBackend(backend: Backend): Promise<void> {
    try {
      await backend.close();
    } catch (given) {
      const { events, name } = this.#parts.context;
      const { label: tier } = backend;
      const cause = ownError(given);
      const failed = { tier, operation: "close" } as const;
      const isOwn = cause instanceof CacheError;
      const error = isOwn ? cause : new BackendRefusedError(`${tier}: close failed; see cause`, { ...failed, cause });
      events["backend:error"].emit({ cache: name, namespace: [], ...failed, error });
    }
  }

  /** As {@link #within}, and not for longer than anything moves the clock of a test. */
  async #endsWithin(limitMs: number, work: Promise<unknown>): Promise<void> {
    const abandoned = Promise.withResolvers<void>();
    const cancel = this.#parts.context.clock.whenAbandoned?.(abandoned.resolve);
    await this.#within(limitMs, Promise.race([work, abandoned.promise]));
    cancel?.();
  }

  /** Waits until `work` has settled, for at most `limitMs`. Never rejects. */
  async #within(limitMs: number, work: Promise<unknown>): Promise<void> {
    try {
      await within(this.#parts.context.clock, limitMs, work, () => undefined);
    } catch {
      // The part that failed has reported it.
    }
  }
}
