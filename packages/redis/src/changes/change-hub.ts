import type { Clock } from "@hotset/core";
import { SubscriptionRefusedError, type ChangeListener, type ChangeNotifier } from "../connection/change-notifier.ts";
import { afterThisTurn } from "../primitives/after-this-turn.ts";
import { ignore } from "../primitives/ignore.ts";

/** One server as a source of changes. It is reconnected time and again. */
export interface ChangeSource {
  /** The part whose changes it reports. `undefined`: all sources together report all changes. */
  readonly part?: string | undefined;
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
  /** The parts that refuse its changes: it has been notified of them. */
  readonly refusedBy: Set<string>;
}

/** The sources of one part, or all of them. */
interface Group {
  readonly part: string | undefined;
  readonly sources: readonly ChangeSource[];
}

/** How many heartbeats may be unanswered; until one is answered, no further one is sent. */
const MAX_UNANSWERED_HEARTBEATS = 8;
/** A connection is not given up for less: a short staleness bound should not make a pause of the server a loss. */
const MIN_DEADLINE_MS = 1_000;
/** How long to wait after a failure that the link has not noticed. */
const RETRY_PAUSE_MS = 50;

/**
 * The listeners of one link, and the servers that report changes to them. Each server may report the changes of a part
 * of the keys: then its loss is reported as that of the part, and it is subscribed to again with the heartbeats.
 * Without parts the loss of any server is a loss of everything, and each listener attaches again.
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
  readonly #unansweredHeartbeats = new Map<string | undefined, number>();
  readonly #settling = new Map<string | undefined, Promise<boolean>>();
  /** By part: others, of which it reports keys that have moved to it. */
  readonly #movedFrom = new Map<string | undefined, Set<string>>();
  #nextAttempt: Promise<boolean> | undefined;
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
    const subscription: Subscription = { listener, isAttached: false, refusedBy: new Set() };
    this.#remember(listener);
    return this.#attach(subscription);
  }

  /** Calls in one turn of the event loop share one question, which is sent at the end of that turn. */
  settled(part?: string): Promise<boolean> {
    let settling = this.#settling.get(part);
    if (settling === undefined) {
      if (this.#settling.size === 0) afterThisTurn(() => this.#settling.clear());
      const sources = this.#sources().filter((source) => part === undefined || source.part === part);
      settling = sources.length === 0 ? Promise.resolve(false) : this.#heartbeat(sources).catch(() => false);
      this.#settling.set(part, settling);
    }
    return settling;
  }

  // ---- called by sources

  changed(redisKeys: readonly string[], sender?: string): void {
    for (const { listener } of this.#subscriptions) listener.changed(redisKeys, sender);
  }

  /** @param part only keys of this part. @param concerns only these keys in Redis. */
  everythingChanged(part?: string, concerns?: (redisKey: string) => boolean): void {
    for (const each of [part, ...(this.#movedFrom.get(part) ?? [])])
      for (const { listener } of this.#subscriptions) listener.everythingChanged(each, concerns);
  }

  /** A key of `part` has moved to another one, which reports its changes: where that is lost, `part` is in doubt. */
  moved(part: string, to: string): void {
    this.#movedFrom.set(to, (this.#movedFrom.get(to) ?? new Set()).add(part));
  }

  /** @param part only changes of this part may be missed. */
  lost(error: Error, part?: string): void {
    if (part !== undefined) {
      for (const { listener, refusedBy } of this.#subscriptions) {
        // It may be gone, such as a primary that is a replica now, and come back and refuse again.
        refusedBy.delete(part);
        listener.lost(error, part);
        this.#movedFrom.get(part)?.forEach((other) => listener.everythingChanged(other));
      }
      return;
    }
    this.#losses += 1;
    for (const subscription of this.#subscriptions) {
      // A listener that is attaching notices it on its own.
      if (!subscription.isAttached) continue;
      this.#subscriptions.delete(subscription);
      subscription.listener.lost(error);
    }
  }

  /**
   * Runs before queued commands reach the new server, so resurrected entries cannot be read first. Also notifies
   * listeners that have not re-attached yet.
   */
  replaced(part?: string): void {
    for (const ref of this.#remembered) {
      const listener = ref.deref();
      if (listener === undefined) this.#remembered.delete(ref);
      else listener.replaced(part);
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

  /** One attempt, for all listeners that attach before it sends anything. */
  #subscribeToAll(): Promise<boolean> {
    return (this.#nextAttempt ??= this.#whenReachable()
      .finally(() => {
        this.#nextAttempt = undefined;
      })
      .then(() => this.#subscribeToParts()));
  }

  /** One part is enough. @returns `false` when it failed, and another attempt may help. */
  async #subscribeToParts(): Promise<boolean> {
    const outcomes = await Promise.allSettled(Array.from(this.#byPart(), (group) => this.#subscribe(group)));
    const errors = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
    const refusal = errors.find((error) => error instanceof SubscriptionRefusedError);
    if (refusal !== undefined) throw refusal;
    if (errors.length < outcomes.length) return true;
    await new Promise<void>((resolve) => this.#clock.schedule(resolve, RETRY_PAUSE_MS));
    return false;
  }

  /** Receives changes of one part. */
  async #subscribe(group: Group): Promise<void> {
    await Promise.all(group.sources.map((source) => source.subscribe(this.#deadlineMs)));
    await this.#extendTrust(group);
  }

  #byPart(): Iterable<Group> {
    return Array.from(
      Map.groupBy(this.#sources(), ({ part }) => part),
      ([part, sources]) => ({ part, sources }),
    );
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
   * Asks all servers of a part for a sign of life. A positive answer counts from the question on: a later change may be
   * on its way.
   */
  async #extendTrust({ part, sources }: Group): Promise<void> {
    const askedAt = [...this.#subscriptions].map((each) => [each, each.listener.now()] as const);
    if (!(await this.#heartbeat(sources))) return;
    for (const [subscription, sentAtMs] of askedAt) {
      if (!this.#subscriptions.has(subscription)) continue;
      if (part !== undefined) subscription.refusedBy.delete(part);
      subscription.listener.alive(sentAtMs, part);
    }
  }

  async #heartbeat(sources: readonly ChangeSource[]): Promise<boolean> {
    const answers = await Promise.all(sources.map((source) => source.heartbeat(this.#deadlineMs)));
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
      for (const group of this.#byPart()) this.#beat(group);
    }, this.#strictestBoundMs() / 4);
  }

  #beat(group: Group): void {
    const { part } = group;
    const unanswered = this.#unansweredHeartbeats.get(part) ?? 0;
    if (unanswered >= MAX_UNANSWERED_HEARTBEATS) return;
    this.#unansweredHeartbeats.set(part, unanswered + 1);
    // A loss is reported by the source. A part is subscribed to again, the whole by listeners that attach again.
    (part === undefined ? this.#extendTrust(group) : this.#subscribeAgain(group, part)).catch(ignore).finally(() => {
      const left = this.#unansweredHeartbeats.get(part)! - 1;
      if (left === 0) this.#unansweredHeartbeats.delete(part);
      else this.#unansweredHeartbeats.set(part, left);
    });
  }

  /** A refusal is reported as a loss, once, although it is tried again with each heartbeat. */
  async #subscribeAgain(group: Group, part: string): Promise<void> {
    const wasAttaching = this.#isAttaching;
    try {
      await this.#subscribe(group);
    } catch (error) {
      // It may be the topic of a listener that attaches, whose attempt is rejected; else the next heartbeat shows it.
      if (!(error instanceof SubscriptionRefusedError) || wasAttaching || this.#isAttaching) return;
      for (const { listener, refusedBy } of this.#subscriptions) {
        if (refusedBy.has(part)) continue;
        refusedBy.add(part);
        listener.lost(error, part);
      }
    }
  }

  get #isAttaching(): boolean {
    return Array.from(this.#subscriptions).some(({ isAttached }) => !isAttached);
  }

  #strictestBoundMs(): number {
    return Math.min(...Array.from(this.#subscriptions, ({ listener }) => listener.maxStalenessMs));
  }
}
