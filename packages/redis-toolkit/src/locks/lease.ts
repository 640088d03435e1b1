import type { DurationText } from "../module/module.ts";
import { LockLostError, shownNames } from "./lock-error.ts";
import { driftMs, ttlMsOf, type Policy } from "./policy.ts";
import type { Ground, Holder } from "./servers.ts";

/** A lock that is held, without the means to end it. */
export interface Hold {
  /** Sorted. */
  readonly resources: readonly string[];
  /** Random; no other holder has it. */
  readonly token: string;
  /**
   * Greater than that of each earlier holder: give it to the store that the lock guards, which refuses a smaller one
   * than it has seen. A whole number, about the server's microseconds since 1970.
   */
  readonly fence: number;
  /** Aborted, with a `LockLostError`, when the lock is lost, and before its time has ended. */
  readonly signal: AbortSignal;
  /** How long it is held without another extension, by the clock of this process; 0 once it is lost or released. */
  readonly remainingMs: number;
}

/**
 * A lock that is held, until `release` or the end of its time. `await using` releases it at the end of a block, and
 * reports a failure to the logger.
 */
export interface Lease extends Hold, AsyncDisposable {
  /**
   * The time that is left becomes `ttl`, no longer than `maxHold` allows. It is never shortened.
   *
   * @param ttl as it was acquired by default.
   * @throws {BackendUnavailableError} when Redis is down. Until `signal` is aborted the lock is held, and this may be
   *   called again.
   */
  extend(ttl?: DurationText): Promise<"extended" | "lost">;
  /**
   * Ends it. `lost`: it had ended before, and another may have held it. A second call has the answer of the first.
   *
   * @throws {BackendUnavailableError} when Redis is down: the lock ends with its time, and counts as not held from now
   *   on. May be called again.
   */
  release(): Promise<"released" | "lost">;
}

type End = "released" | "lost" | "expired";

/**
 *   held ─extend─▶ held
 *   held ─release─▶ releasing ─Redis has answered─▶ released
 *   held, releasing ─its time has ended, or Redis has forgotten it─▶ lost
 *
 * A release that failed may still be carried out, so `releasing` counts as not held.
 */
export class HeldLease implements Lease {
  readonly fence: number;
  readonly #ground: Ground;
  readonly #holder: Holder;
  readonly #policy: Policy;
  readonly #heldUntil: number;
  readonly #ending = new AbortController();
  #phase: "held" | "releasing" | "released" | "lost" = "held";
  /** By the monotonic clock, counted from before the request was sent. */
  #validUntil: number;
  #cancelEnd: () => void = nothing;
  #cancelExtension: () => void = nothing;
  #extending: Promise<unknown> = Promise.resolve();
  #released: Promise<End> | undefined;
  /** An attempt to release it may have been carried out. */
  #mayBeReleased = false;

  constructor(
    ground: Ground,
    holder: Holder,
    policy: Policy,
    { fence, startedAt }: { readonly fence: number; readonly startedAt: number },
  ) {
    this.#ground = ground;
    this.#holder = { ...holder, signal: this.#ending.signal };
    this.#policy = policy;
    this.fence = fence;
    this.#heldUntil = startedAt + policy.maxHoldMs;
    const lifeMs = Math.min(policy.ttlMs, policy.maxHoldMs);
    this.#validUntil = startedAt + lifeMs - driftMs(lifeMs);
    this.#endLater();
  }

  get resources(): readonly string[] {
    return this.#holder.claim.resources;
  }

  get token(): string {
    return this.#holder.token;
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  get remainingMs(): number {
    return this.#phase === "held" ? this.#leftMs() : 0;
  }

  async extend(ttl?: DurationText): Promise<"extended" | "lost"> {
    const ttlMs = ttl === undefined ? this.#policy.ttlMs : ttlMsOf("extend", ttl);
    // One after another: the last call decides.
    const extended = this.#extending.then(() => this.#extend(ttlMs));
    this.#extending = extended.catch(nothing);
    return extended;
  }

  release(): Promise<"released" | "lost"> {
    return this.end().then((end) => (end === "released" ? end : "lost"));
  }

  /** Never rejects, so that it hides no error of the block that it ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { module } = this.#ground;
    try {
      if ((await this.end()) !== "released")
        module.report("lock lost", lost("it was not held to the end", this.resources));
    } catch (error) {
      module.report("lock release", error);
    }
  }

  /** Extends it on its own, at each third of its time. */
  keep(): void {
    this.#extendLater(this.#untilNextMs());
  }

  /** Until two thirds of its time are left: now, where the answer took a third of it or more. */
  #untilNextMs(): number {
    const { ttlMs } = this.#policy;
    // It lasts until maxHold already.
    if (this.#heldUntil - this.#validUntil <= driftMs(ttlMs)) return ttlMs / 3;
    return Math.max(0, this.#leftMs() - (ttlMs * 2) / 3);
  }

  /** `expired`: its time had ended, here or while Redis did not answer. */
  end(): Promise<End> {
    this.#released ??= this.#release().catch((error: unknown) => {
      this.#released = undefined;
      throw error;
    });
    return this.#released;
  }

  async #release(): Promise<End> {
    this.#cancelExtension();
    if (this.#phase === "lost" || this.#leftMs() === 0) return this.#leave();
    this.#phase = "releasing";
    try {
      const attempt = this.#mayBeReleased ? "again" : "first";
      const wasHeld = await this.#ground.servers.release(this.#holder, this.fence, attempt);
      if (this.signal.aborted) return "expired";
      if (!wasHeld) return this.#lose("Redis has lost it, or another has taken it");
    } catch (error) {
      if (this.signal.aborted) return "expired";
      this.#mayBeReleased ||= this.#ground.servers.mayHold(error);
      throw error;
    }
    this.#phase = "released";
    this.#cancelEnd();
    return "released";
  }

  /** Redis may have it longer than is known here: an extension whose reply was lost. No caller waits for this. */
  #leave(): "expired" {
    const { module, servers } = this.#ground;
    const { claim, token } = this.#holder;
    servers.release({ claim, token }, this.fence).catch((error: unknown) => module.report("lock release", error));
    return "expired";
  }

  async #extend(ttlMs: number): Promise<"extended" | "lost"> {
    if (this.remainingMs === 0) return "lost";
    const startedAt = this.#ground.module.clock.now();
    const lifeMs = Math.max(1, Math.floor(Math.min(ttlMs, this.#heldUntil - startedAt)));
    const validUntil = startedAt + lifeMs - driftMs(lifeMs);
    try {
      const isHeld = await this.#ground.servers.extend(this.#holder, lifeMs);
      if (this.#phase !== "held") return "lost";
      if (!isHeld) return this.#lose("Redis has lost it, or another has taken it");
    } catch (error) {
      if (this.signal.aborted) return "lost";
      throw error;
    }
    this.#validUntil = Math.max(this.#validUntil, validUntil);
    this.#endLater();
    return this.remainingMs === 0 ? "lost" : "extended";
  }

  /** A process that was stopped may ask before its timer fires. */
  #leftMs(): number {
    const leftMs = this.#validUntil - this.#ground.module.clock.now();
    if (leftMs <= 0) this.#lose("its ttl has passed");
    return Math.max(0, leftMs);
  }

  #endLater(): void {
    const { clock } = this.#ground.module;
    this.#cancelEnd();
    this.#cancelEnd = clock.schedule(() => void this.#leftMs(), this.#validUntil - clock.now());
  }

  #extendLater(delayMs: number): void {
    this.#cancelExtension = this.#ground.module.clock.schedule(() => void this.#extendAlone(), delayMs);
  }

  async #extendAlone(): Promise<void> {
    const { module } = this.#ground;
    const pauseMs = (this.#policy.ttlMs / 20) * (1 + module.random());
    let nextMs: number;
    try {
      await this.extend();
      // Not one after another, where each answer takes long.
      nextMs = Math.max(pauseMs, this.#untilNextMs());
    } catch (error) {
      module.report("lock extension", error);
      nextMs = Math.min(pauseMs, this.#leftMs() / 2);
    }
    if (this.#phase === "held") this.#extendLater(nextMs);
  }

  #lose(why: string): "lost" {
    const { clock, counts } = this.#ground.module;
    if (this.#phase !== "lost") counts.locksLost += 1;
    this.#phase = "lost";
    this.#cancelEnd();
    this.#cancelExtension();
    const reason = clock.now() >= this.#heldUntil - driftMs(this.#policy.ttlMs) ? "it was held for maxHold" : why;
    this.#ending.abort(lost(reason, this.resources));
    return "lost";
  }
}

const lost = (why: string, resources: readonly string[]): LockLostError =>
  new LockLostError(`the lock ${shownNames(resources)} is lost: ${why}`, resources);

const nothing = (): void => undefined;
