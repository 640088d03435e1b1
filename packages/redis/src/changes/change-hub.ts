import type { Clock } from "@hotset/core";
import { SubscriptionRefusedError, type ChangeListener, type ChangeNotifier } from "../connection/change-notifier.ts";

/** One server as a source of changes. It is reconnected time and again. */
export interface ChangeSource {
  /**
   * Resolves once changes to all {@link ChangeHub.topics} are received. A connection that answers nothing at all within
   * `deadlineMs` is given up.
   *
   * @throws {SubscriptionRefusedError} when the server refuses.
   */
  subscribe(deadlineMs: number): Promise<void>;
  /**
   * Asks for a sign of life. `true`: every change acknowledged before, to any client, has been received. `false`: the
   * connection is alive but proves nothing. A connection that answers nothing at all within `deadlineMs` is given up.
   */
  heartbeat(deadlineMs: number): Promise<boolean>;
  /** Called when no listener is left. */
  unsubscribe(): void;
}

interface Subscription {
  readonly listener: ChangeListener;
  isAttached: boolean;
}

/** How many heartbeats may be unanswered; until one is answered, no further one is sent. */
const MAX_UNANSWERED_HEARTBEATS = 8;
/** A connection is not given up for less: a short staleness bound should not make a pause of the server a loss. */
const MIN_DEADLINE_MS = 1_000;
/** How long to wait after a failure that the link has not noticed. */
const RETRY_PAUSE_MS = 50;

/**
 * The listeners of one link, and the servers that report changes to them. Changes of all these servers must be
 * received: the loss of any one is reported to all listeners, and each attaches again.
 */
export class ChangeHub implements ChangeNotifier {
  readonly #clock: Clock;
  readonly #whenReachable: () => Promise<void>;
  readonly #sources: () => readonly ChangeSource[];
  readonly #subscriptions = new Set<Subscription>();
  /** Counts losses: an attempt to attach that saw a loss may have missed something. */
  #losses = 0;
  /**
   * Listeners that are attached, are attaching, or will attach again. After a loss a listener comes back, unless it was
   * closed, which is not reported here: hence weak references.
   */
  readonly #remembered = new Set<WeakRef<ChangeListener>>();
  readonly #refs = new WeakMap<ChangeListener, WeakRef<ChangeListener>>();
  #unansweredHeartbeats = 0;
  #settling: Promise<boolean> | undefined;
  #cancelHeartbeat: (() => void) | undefined;

  /**
   * @param whenReachable resolves when each source has a connection; rejects when connecting is not tried any more.
   * @param sources the servers whose changes must be received now.
   */
  constructor(clock: Clock, whenReachable: () => Promise<void>, sources: () => readonly ChangeSource[]) {
    this.#clock = clock;
    this.#whenReachable = whenReachable;
    this.#sources = sources;
  }

  /** The topics of all listeners, of those that are attaching as well. */
  topics(): readonly string[] {
    return [...new Set(Array.from(this.#subscriptions, ({ listener }) => listener.topic))];
  }

  /** Whether a listener is attached or attaching. */
  get hasListeners(): boolean {
    return this.#subscriptions.size !== 0;
  }

  attach(listener: ChangeListener): Promise<() => Promise<void>> {
    const subscription: Subscription = { listener, isAttached: false };
    this.#remember(listener);
    return this.#attach(subscription);
  }

  /** Calls in one turn of the event loop share one question, which is sent at the end of that turn. */
  settled(): Promise<boolean> {
    if (this.#settling === undefined) {
      setImmediate(() => {
        this.#settling = undefined;
      });
      this.#settling = this.#heartbeat().catch(() => false);
    }
    return this.#settling;
  }

  // ---- called by sources

  changed(redisKeys: readonly string[], sender?: string): void {
    for (const { listener } of this.#subscriptions) listener.changed(redisKeys, sender);
  }

  everythingChanged(): void {
    for (const { listener } of this.#subscriptions) listener.everythingChanged();
  }

  lost(error: Error): void {
    this.#losses += 1;
    for (const subscription of this.#subscriptions) {
      // A listener that is attaching notices it by itself.
      if (!subscription.isAttached) continue;
      this.#subscriptions.delete(subscription);
      subscription.listener.lost(error);
    }
  }

  /**
   * Runs before queued commands reach the new server, so resurrected entries cannot be read first. Also notifies
   * listeners that have not re-attached yet.
   */
  replaced(): void {
    for (const ref of this.#remembered) {
      const listener = ref.deref();
      if (listener === undefined) this.#remembered.delete(ref);
      else listener.replaced();
    }
  }

  async #attach(subscription: Subscription): Promise<() => Promise<void>> {
    // Changes are reported from now on: one that is pushed right behind the confirmation is handled before it.
    this.#subscriptions.add(subscription);
    try {
      let losses: number;
      do losses = this.#losses;
      while (!(await this.#subscribeToAll()) || losses !== this.#losses);
    } catch (error) {
      this.#remove(subscription);
      throw error;
    }
    // In the same tick as the comparison above: a loss in between would be reported to no listener.
    subscription.isAttached = true;
    this.#scheduleHeartbeat();
    return () => {
      if (this.#subscriptions.has(subscription)) this.#forget(subscription.listener);
      this.#remove(subscription);
      return Promise.resolve();
    };
  }

  /** One attempt. @returns `false` when it failed, and another one may help. */
  async #subscribeToAll(): Promise<boolean> {
    await this.#whenReachable();
    try {
      await Promise.all(this.#sources().map((source) => source.subscribe(this.#deadlineMs)));
      await this.#extendTrust();
    } catch (error) {
      if (error instanceof SubscriptionRefusedError) throw error;
      await new Promise<void>((resolve) => this.#clock.schedule(resolve, RETRY_PAUSE_MS));
      return false;
    }
    return true;
  }

  #remember(listener: ChangeListener): void {
    let ref = this.#refs.get(listener);
    if (ref === undefined) this.#refs.set(listener, (ref = new WeakRef(listener)));
    this.#remembered.add(ref);
  }

  #forget(listener: ChangeListener): void {
    this.#remembered.delete(this.#refs.get(listener)!);
  }

  #remove(subscription: Subscription): void {
    if (!this.#subscriptions.delete(subscription) || this.#subscriptions.size !== 0) return;
    this.#cancelHeartbeat?.();
    this.#cancelHeartbeat = undefined;
    for (const source of this.#sources()) source.unsubscribe();
  }

  /**
   * Asks all servers for a sign of life. A positive answer counts from the question on: a later change may be on its
   * way.
   */
  async #extendTrust(): Promise<void> {
    const askedAt = Array.from(
      this.#subscriptions,
      (subscription) => [subscription, subscription.listener.now()] as const,
    );
    if (!(await this.#heartbeat())) return;
    for (const [subscription, sentAtMs] of askedAt)
      if (this.#subscriptions.has(subscription)) subscription.listener.alive(sentAtMs);
  }

  async #heartbeat(): Promise<boolean> {
    const answers = await Promise.all(this.#sources().map((source) => source.heartbeat(this.#deadlineMs)));
    return answers.every(Boolean);
  }

  get #deadlineMs(): number {
    return Math.max(MIN_DEADLINE_MS, this.#strictestBoundMs() / 2);
  }

  #scheduleHeartbeat(): void {
    this.#cancelHeartbeat ??= this.#clock.schedule(() => {
      this.#cancelHeartbeat = undefined;
      if (this.#subscriptions.size === 0) return;
      this.#scheduleHeartbeat();
      if (this.#unansweredHeartbeats >= MAX_UNANSWERED_HEARTBEATS) return;
      this.#unansweredHeartbeats += 1;
      // A loss is reported by the source.
      this.#extendTrust()
        .catch(ignore)
        .finally(() => {
          this.#unansweredHeartbeats -= 1;
        });
    }, this.#strictestBoundMs() / 4);
  }

  #strictestBoundMs(): number {
    let boundMs = Infinity;
    for (const { listener } of this.#subscriptions) boundMs = Math.min(boundMs, listener.maxStalenessMs);
    return boundMs;
  }
}

const ignore = (): void => undefined;
