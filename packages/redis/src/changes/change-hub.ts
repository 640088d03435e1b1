import type { Clock } from "@hotset/core";
import { SubscriptionRefusedError, type ChangeNotifier, type ChangeListener } from "../connection/change-notifier.ts";

/** One connection on which changes are heard, time and again a new one. */
export interface Source {
  /**
   * Resolves once all {@link ChangeHub.topics} are heard. Without any answer within `deadlineMs` the connection is given up.
   *
   * @throws {SubscriptionRefusedError} when the server does not let us.
   */
  cover(deadlineMs: number): Promise<void>;
  /**
   * Asks for a sign of life. `true`: all that was acknowledged to anybody before has been heard; `false`: it lives, and
   * cannot tell. Without any answer within `deadlineMs` the connection is given up.
   */
  ask(deadlineMs: number): Promise<boolean>;
  /** Nobody listens any more. */
  rest(): void;
}

interface Subscription {
  readonly listener: ChangeListener;
  isAttached: boolean;
}

/** How many heartbeats may be without an answer; until one is, no further one is sent. */
const MAX_UNANSWERED = 8;
/** A connection is not given up for less: short bounds should not make a pause of the server a loss. */
const SILENT_MS = 1_000;
/** How long to wait after a failure that the link has not noticed. */
const PAUSE_MS = 50;

/**
 * Everybody who listens over one link, and the connections they hear from. All of these must be heard: the loss of any
 * one is told to everybody, and each attaches again.
 */
export class ChangeHub implements ChangeNotifier {
  readonly #clock: Clock;
  readonly #reach: () => Promise<void>;
  readonly #sources: () => readonly Source[];
  readonly #subscriptions = new Set<Subscription>();
  /** Counts losses: what was attached meanwhile may have missed something. */
  #losses = 0;
  /** Who listens, is about to, or will be: after a loss they come back, unless they were closed, which nobody tells here. */
  readonly #known = new Set<WeakRef<ChangeListener>>();
  readonly #refs = new WeakMap<ChangeListener, WeakRef<ChangeListener>>();
  #unanswered = 0;
  #settling: Promise<boolean> | undefined;
  #cancelHeartbeat: (() => void) | undefined;

  /**
   * @param reach resolves when there is a connection to each source; rejects when that is not tried any more.
   * @param sources those that must be heard now.
   */
  constructor(clock: Clock, reach: () => Promise<void>, sources: () => readonly Source[]) {
    this.#clock = clock;
    this.#reach = reach;
    this.#sources = sources;
  }

  /** What is listened to, or will be. */
  topics(): readonly string[] {
    return [...new Set(Array.from(this.#subscriptions, ({ listener }) => listener.topic))];
  }

  /** Whether anybody listens, or is about to. */
  get hasListeners(): boolean {
    return this.#subscriptions.size !== 0;
  }

  attach(listener: ChangeListener): Promise<() => Promise<void>> {
    const subscription: Subscription = { listener, isAttached: false };
    this.#know(listener);
    return this.#attach(subscription);
  }

  /** Questions of one turn of the event loop share one answer: nothing is sent before its end. */
  settled(): Promise<boolean> {
    if (this.#settling === undefined) {
      setImmediate(() => {
        this.#settling = undefined;
      });
      this.#settling = this.#ask().catch(() => false);
    }
    return this.#settling;
  }

  // ---- told by sources

  changed(redisKeys: readonly string[], sender?: string): void {
    for (const { listener } of this.#subscriptions) listener.changed(redisKeys, sender);
  }

  everythingChanged(): void {
    for (const { listener } of this.#subscriptions) listener.everythingChanged();
  }

  lost(error: Error): void {
    this.#losses += 1;
    for (const subscription of this.#subscriptions) {
      // Those that are being attached find out by themselves.
      if (!subscription.isAttached) continue;
      this.#subscriptions.delete(subscription);
      subscription.listener.lost(error);
    }
  }

  /** Before anything that waits is sent to the new server: what it may have brought back must not be read first. So it is told to those as well who have yet to listen again. */
  replaced(): void {
    for (const ref of this.#known) {
      const listener = ref.deref();
      if (listener === undefined) this.#known.delete(ref);
      else listener.replaced();
    }
  }

  async #attach(subscription: Subscription): Promise<() => Promise<void>> {
    // Heard from now on: what is pushed right behind the confirmation is handled before it.
    this.#subscriptions.add(subscription);
    try {
      for (;;) {
        const losses = this.#losses;
        await this.#reach();
        try {
          await Promise.all(this.#sources().map((source) => source.cover(this.#deadlineMs)));
          await this.#prove();
        } catch (error) {
          if (error instanceof SubscriptionRefusedError) throw error;
          await new Promise<void>((resolve) => this.#clock.schedule(resolve, PAUSE_MS));
          continue;
        }
        if (losses === this.#losses) break;
      }
    } catch (error) {
      this.#remove(subscription);
      throw error;
    }
    subscription.isAttached = true;
    this.#beatLater();
    return () => {
      if (this.#subscriptions.has(subscription)) this.#forget(subscription.listener);
      this.#remove(subscription);
      return Promise.resolve();
    };
  }

  #know(listener: ChangeListener): void {
    let ref = this.#refs.get(listener);
    if (ref === undefined) this.#refs.set(listener, (ref = new WeakRef(listener)));
    this.#known.add(ref);
  }

  #forget(listener: ChangeListener): void {
    this.#known.delete(this.#refs.get(listener)!);
  }

  #remove(subscription: Subscription): void {
    if (!this.#subscriptions.delete(subscription) || this.#subscriptions.size !== 0) return;
    this.#cancelHeartbeat?.();
    this.#cancelHeartbeat = undefined;
    for (const source of this.#sources()) source.rest();
  }

  /** Asks all for a sign of life. What they tell counts from here: a change that comes later may be on the way. */
  async #prove(): Promise<void> {
    const sentAt = Array.from(
      this.#subscriptions,
      (subscription) => [subscription, subscription.listener.now()] as const,
    );
    if (!(await this.#ask())) return;
    for (const [subscription, at] of sentAt) if (this.#subscriptions.has(subscription)) subscription.listener.alive(at);
  }

  async #ask(): Promise<boolean> {
    const answers = await Promise.all(this.#sources().map((source) => source.ask(this.#deadlineMs)));
    return answers.every(Boolean);
  }

  get #deadlineMs(): number {
    return Math.max(SILENT_MS, this.#bound() / 2);
  }

  #beatLater(): void {
    this.#cancelHeartbeat ??= this.#clock.schedule(() => {
      this.#cancelHeartbeat = undefined;
      if (this.#subscriptions.size === 0) return;
      this.#beatLater();
      if (this.#unanswered >= MAX_UNANSWERED) return;
      this.#unanswered += 1;
      // A loss is told by the source.
      this.#prove()
        .catch(ignore)
        .finally(() => {
          this.#unanswered -= 1;
        });
    }, this.#bound() / 4);
  }

  /** The strictest. */
  #bound(): number {
    let bound = Infinity;
    for (const { listener } of this.#subscriptions) bound = Math.min(bound, listener.maxStalenessMs);
    return bound;
  }
}

const ignore = (): void => undefined;
