import type { Coherence, CoherenceListener } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import type { ChangeListener } from "./change-listener.ts";
import type { Trust, TrustSource } from "./trust.ts";

/**
 * One cache's ear for one backend.
 *
 *     idle ──first use──▶ attaching ──▶ attached ──lost──▶ attaching ──▶ attached …
 *                            └──refused──▶ waits, and tries again
 *
 * Trust begins with the attachment and ends with its loss, in the same tick.
 */
export class ChangeSubscription implements CoherenceListener {
  readonly #coherence: Coherence;
  readonly #clock: Clock;
  readonly #trust: Trust;
  readonly #source: TrustSource;
  readonly #listener: ChangeListener;
  readonly #first = Promise.withResolvers<void>();
  #hasBegun = false;
  #isLost = false;
  #isAttached = false;
  #isStopped = false;
  #isReported = false;
  /** Whether the attempt before this one was lost before it had succeeded. */
  #hasBroken = false;
  #detach: (() => Promise<void>) | undefined;
  #cancelRetry: (() => void) | undefined;

  constructor(coherence: Coherence, clock: Clock, trust: Trust, listener: ChangeListener) {
    this.#coherence = coherence;
    this.#clock = clock;
    this.#trust = trust;
    this.#source = trust.hear(coherence.maxStalenessMs ?? MAX_STALENESS_MS);
    this.#listener = listener;
  }

  /** `clock.now()` until which all that was changed there has been heard of. */
  get until(): number {
    return this.#source.until;
  }

  /** Attaches, once. Resolves when the first attempt came to something. */
  start(): Promise<void> {
    if (!this.#hasBegun && !this.#isStopped) void this.#attach();
    return this.#first.promise;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelRetry?.();
    this.#source.lost();
    this.#first.resolve();
    await this.#letGo();
  }

  async #attach(): Promise<void> {
    this.#hasBegun = true;
    this.#isLost = false;
    try {
      this.#detach = await this.#coherence.attach(this);
      if (this.#isStopped) return await this.#letGo();
      if (this.#isLost) {
        void this.#letGo();
        // At once, but not for ever within one turn of the loop.
        if (this.#hasBroken) this.#attachLater();
        else void this.#attach();
        this.#hasBroken = true;
        return;
      }
      this.#hasBroken = false;
      this.#isAttached = true;
      this.#isReported = false;
      this.#source.attached();
      this.#listener.everythingChanged();
      this.#listener.attached();
    } catch (error) {
      if (this.#isStopped) return;
      // Once, however often it is tried again.
      if (!this.#isReported) this.#listener.detached(error);
      this.#isReported = true;
      this.#attachLater();
    } finally {
      this.#first.resolve();
    }
  }

  #attachLater(): void {
    this.#cancelRetry = this.#clock.schedule(() => void this.#attach(), RETRY_MS);
  }

  /** What was attached is over: nothing that it says counts, and it may forget us. */
  async #letGo(): Promise<void> {
    const detach = this.#detach;
    this.#detach = undefined;
    try {
      await detach?.();
    } catch {
      // It is over in any case.
    }
  }

  // ---- what the backend tells

  now(): number {
    return this.#clock.now();
  }

  changed(keys: readonly string[]): void {
    this.#listener.changed(keys);
  }

  tagsChanged(tags: readonly string[]): void {
    this.#listener.tagsChanged(tags);
  }

  everythingChanged(): void {
    this.#trust.renew();
    this.#listener.everythingChanged();
  }

  alive(sentAtMs: number): void {
    if (!this.#isLost) this.#source.alive(sentAtMs);
  }

  replaced(): void {
    if (!this.#isStopped) this.#listener.replaced();
  }

  lost(error: unknown): void {
    if (this.#isLost || this.#isStopped) return;
    this.#isLost = true;
    this.#source.lost();
    // The attempt under way finds out when it ends.
    if (!this.#isAttached) return;
    this.#isAttached = false;
    void this.#letGo();
    this.#listener.everythingChanged();
    this.#listener.detached(error);
    void this.#attach();
  }
}

const MAX_STALENESS_MS = 2_000;
const RETRY_MS = 1_000;
