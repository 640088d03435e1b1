import type { Coherence, CoherenceListener } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import { inNoCall } from "../primitives/async-context.ts";
import { scheduleRunning } from "../primitives/deadlines.ts";
import type { ChangeListener } from "./change-listener.ts";
import { ONE_PART } from "./parts.ts";
import type { Trust } from "./trust.ts";

/**
 * The subscription of one cache to the changes of one backend.
 *
 *     idle ──first use──▶ attaching ──▶ attached ──lost──▶ attaching ──▶ attached …
 *                            └──refused──▶ waits, then tries again
 *
 * Trust begins with the attachment and ends with its loss, in the same tick.
 */
export class ChangeSubscription implements CoherenceListener {
  declare readonly keepsCopies: boolean;
  readonly #coherence: Coherence;
  readonly #clock: Clock;
  readonly #trust: Trust;
  readonly #listener: ChangeListener;
  readonly #first = Promise.withResolvers<void>();
  #hasBegun = false;
  #isLost = false;
  #isAttached = false;
  #isStopped = false;
  #isReported = false;
  #aliveAt: number | undefined;
  /** Whether the previous attempt was lost before it succeeded. */
  #wasLostBefore = false;
  #detach: (() => Promise<void>) | undefined;
  #cancelRetry: (() => void) | undefined;
  /** Ends the watch over the attempt in progress. */
  #endAttempt: (() => void) | undefined;

  constructor(coherence: Coherence, clock: Clock, trust: Trust, listener: ChangeListener, keepsCopies: boolean) {
    this.keepsCopies = keepsCopies;
    this.#coherence = coherence;
    this.#clock = clock;
    this.#trust = trust;
    this.#listener = listener;
  }

  /** Attaches, once. Resolves when the first attempt succeeded or failed. */
  start(): Promise<void> {
    if (!this.#hasBegun && !this.#isStopped) {
      this.#listener.attaching();
      void inNoCall(() => this.#attach());
    }
    return this.#first.promise;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelRetry?.();
    this.#endAttempt?.();
    this.#trust.lost();
    this.#first.resolve();
    await this.#detachNow();
  }

  async #attach(): Promise<void> {
    this.#hasBegun = true;
    this.#isLost = false;
    this.#watchAttempt();
    try {
      this.#detach = await this.#coherence.attach(this);
      this.#endAttempt?.();
      if (this.#isStopped) return await this.#detachNow();
      if (this.#isLost) {
        void this.#detachNow();
        // Immediately the first time; then later, so that it does not loop within one turn of the event loop.
        if (this.#wasLostBefore) this.#attachLater();
        else void this.#attach();
        this.#wasLostBefore = true;
        return;
      }
      this.#wasLostBefore = false;
      this.#isAttached = true;
      this.#isReported = false;
      this.#trust.attached();
      this.#listener.everythingChanged();
      this.#listener.attached();
    } catch (error) {
      this.#endAttempt?.();
      if (this.#isStopped) return;
      // Reported once, however often it is tried again.
      if (!this.#isReported) this.#listener.detached(error, this.#aliveAt ?? this.#clock.now());
      this.#isReported = true;
      this.#attachLater();
    } finally {
      this.#first.resolve();
    }
  }

  /** The connection for changes may never be made, while that of the calls works: then nothing else says so. */
  #watchAttempt(): void {
    this.#endAttempt?.();
    this.#endAttempt = scheduleRunning(this.#clock, ATTEMPT_MS, () => {
      this.#watchAttempt();
      this.#listener.unattached();
    });
  }

  #attachLater(): void {
    this.#cancelRetry = this.#clock.schedule(() => void this.#attach(), RETRY_MS);
  }

  /** Detaches from the backend. */
  async #detachNow(): Promise<void> {
    const detach = this.#detach;
    this.#detach = undefined;
    try {
      await detach?.();
    } catch {
      // The subscription has ended in any case.
    }
  }

  // ---- called by the backend

  now(): number {
    return this.#clock.now();
  }

  changed(keys: readonly string[], versions?: ReadonlyMap<string, string>): void {
    this.#listener.changed(keys, versions);
  }

  leaseChanged(keys: readonly string[], order?: "loose" | "exact" | "renewed"): void {
    this.#listener.leaseChanged(keys, order);
  }

  tagsChanged(tags: readonly string[], versions?: ReadonlyMap<string, string>): void {
    this.#listener.tagsChanged(tags, versions);
  }

  everythingChanged(part?: string, concerns?: (key: string) => boolean): void {
    this.#listener.everythingChanged(this.#trust.renew(part, concerns));
  }

  alive(sentAtMs: number, part?: string): void {
    if (this.#isLost || this.#isStopped) return;
    this.#aliveAt = sentAtMs;
    const isRegained = this.#trust.alive(sentAtMs, part);
    if (isRegained) this.#listener.everythingChanged();
    this.#listener.alive(part ?? ONE_PART, sentAtMs);
    if (isRegained) this.#listener.partRegained(part!);
    if (this.#trust.isReportedInAll) this.#listener.allBack();
  }

  replaced(part?: string): void {
    if (!this.#isStopped) this.#listener.replaced(part);
  }

  lost(error: unknown, part?: string): void {
    if (this.#isLost || this.#isStopped) return;
    if (part !== undefined) {
      const aliveAt = this.#trust.lost(part);
      this.#listener.partLost(part, error, aliveAt ?? this.#aliveAt ?? this.#clock.now());
      return;
    }
    this.#isLost = true;
    this.#trust.lost();
    // An attempt in progress checks `#isLost` when it ends.
    if (!this.#isAttached) return;
    this.#isAttached = false;
    void this.#detachNow();
    this.#listener.everythingChanged();
    this.#listener.detached(error, this.#aliveAt ?? this.#clock.now());
    void this.#attach();
  }
}

const RETRY_MS = 1_000;
/** How long an attempt to attach usually takes at most. */
const ATTEMPT_MS = 5_000;
