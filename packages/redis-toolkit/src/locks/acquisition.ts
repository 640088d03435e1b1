import { randomUUID } from "node:crypto";
import { BackendUnavailableError, CacheError } from "@hotset/core";
import type { Claim } from "./claim.ts";
import { HeldLease } from "./lease.ts";
import { LockUnavailableError, shownNames } from "./lock-error.ts";
import { driftMs, type Policy } from "./policy.ts";
import { isLostReply, type Ground, type Vote } from "./servers.ts";
import { PAUSE_MS, Waiter, Wakes } from "./wakes.ts";

/** How one attempt ended. `away` may be another in a moment. */
type Attempt =
  | { readonly kind: "granted"; readonly lease: HeldLease }
  | { readonly kind: "held"; readonly leftMs: number }
  | { readonly kind: "away"; readonly error: unknown };

/** One call that wants a lock: its attempts, and the pauses between them. */
export class Acquisition {
  readonly #ground: Ground;
  readonly #claim: Claim;
  readonly #policy: Policy;
  readonly #signal: AbortSignal | undefined;
  /** Shared by all attempts, so that one whose reply was lost is recognised by the next. */
  #token = randomUUID() as string;
  /** Whether Redis may have the token, though no attempt was granted. */
  #leftTrace = false;
  /** Of an attempt that may have been carried out: that a later one was not sent does not deny it. */
  #lost: unknown;

  constructor(ground: Ground, claim: Claim, policy: Policy, signal: AbortSignal | undefined) {
    this.#ground = ground;
    this.#claim = claim;
    this.#policy = policy;
    this.#signal = signal;
  }

  /** @throws {LockUnavailableError} while others hold it; the last error of Redis, where that was what failed. */
  async run(): Promise<HeldLease> {
    const { clock, counts, connection } = this.#ground.module;
    const giveUpAt = clock.now() + this.#policy.waitMs;
    this.#signal?.throwIfAborted();
    const isCold = !connection.isUp;
    let first = await this.#attempt(giveUpAt);
    // The time to connect is not that of the lock.
    if (isCold && connection.isUp && first.kind === "away" && first.error instanceof TooLateError)
      first = await this.#attempt(giveUpAt);
    if (first.kind === "granted") return first.lease;
    if (this.#policy.waitMs === 0) return this.#giveUp(first);
    const since = clock.now();
    try {
      return await this.#waitInLine(first, giveUpAt);
    } finally {
      counts.lockWaitMs += clock.now() - since;
    }
  }

  async #waitInLine(first: Exclude<Attempt, { kind: "granted" }>, giveUpAt: number): Promise<HeldLease> {
    const { module } = this.#ground;
    const { clock, random } = module;
    const wakes = Wakes.of(module);
    const channels = this.#claim.wokenBy.map((key) => module.space.inside(key));
    const waiter = new Waiter(clock);
    waiter.tries();
    const leave = wakes.join(channels, waiter);
    try {
      for (let attempt: Attempt = first, pauses = 0; ; pauses += 1) {
        const leftMs = giveUpAt - clock.now();
        if (leftMs <= 0 || (wakes.isClosed && attempt.kind === "away")) return this.#giveUp(attempt);
        const pauseMs = pauseOf(pauses, attempt.kind === "held" ? attempt.leftMs : NO_END, random());
        await waiter.sleep(Math.min(pauseMs, leftMs), this.#signal);
        if (this.#signal?.aborted) return this.#abort();
        waiter.tries();
        attempt = await this.#attempt(giveUpAt);
        if (attempt.kind === "granted") {
          leave();
          if (this.#claim.isShared) for (const channel of channels) wakes.wake(channel);
          return attempt.lease;
        }
      }
    } finally {
      leave();
    }
  }

  /** @throws errors that another attempt would meet as well. */
  async #attempt(giveUpAt: number): Promise<Attempt> {
    const { module, servers } = this.#ground;
    const { ttlMs, maxHoldMs } = this.#policy;
    const lifeMs = Math.min(ttlMs, maxHoldMs);
    const startedAt = module.clock.now();
    const holder = { claim: this.#claim, token: this.#token, signal: this.#signal };
    const leftMs = this.#policy.waitMs === 0 ? undefined : giveUpAt - startedAt;
    try {
      const vote = await servers.acquire(holder, lifeMs, leftMs);
      this.#lost = undefined;
      if (vote.kind === "held") {
        this.#leftTrace ||= servers.isQuorum || (leftMs !== undefined && leftMs > 0 && this.#claim.marksIntent);
        if (servers.isQuorum) this.#forget();
        return vote;
      }
      if (module.clock.now() < startedAt + lifeMs - driftMs(lifeMs)) return this.#granted(vote, startedAt);
      this.#leftTrace = true;
      return { kind: "away", error: new TooLateError(lifeMs) };
    } catch (error) {
      this.#leftTrace ||= this.#signal?.aborted === true || servers.mayHold(error);
      if (this.#signal?.aborted) return this.#abort();
      if (!isPassing(error) || servers.isQuorum) this.#forget();
      if (!isPassing(error)) throw error;
      if (isLostReply(error)) this.#lost = error;
      return { kind: "away", error: this.#lost ?? error };
    }
  }

  #granted({ fence }: Extract<Vote, { kind: "granted" }>, startedAt: number): Attempt {
    const holder = { claim: this.#claim, token: this.#token };
    this.#ground.module.counts.locksAcquired += 1;
    return { kind: "granted", lease: new HeldLease(this.#ground, holder, this.#policy, { fence, startedAt }) };
  }

  #abort(): never {
    this.#forget();
    throw this.#signal?.reason;
  }

  #giveUp(attempt: Exclude<Attempt, { kind: "granted" }>): never {
    this.#forget();
    if (attempt.kind === "away") throw attempt.error;
    this.#ground.module.counts.locksUnavailable += 1;
    const { resources } = this.#claim;
    const { waitMs } = this.#policy;
    throw new LockUnavailableError(
      `${shownNames(resources)} is held by another${waitMs === 0 ? "" : `, and did not become free in ${waitMs} ms`}`,
      { resources, retryAfterMs: attempt.leftMs < 0 ? undefined : attempt.leftMs },
    );
  }

  /** Releases what an attempt may have taken, behind the back of the caller; else it ends with its time. */
  #forget(): void {
    if (!this.#leftTrace) return;
    const { module, servers } = this.#ground;
    const holder = { claim: this.#claim, token: this.#token };
    // A later attempt must not be undone by this.
    this.#token = randomUUID();
    this.#leftTrace = false;
    servers.release(holder, 0).catch((error: unknown) => module.report("lock release", error));
  }
}

const NO_END = -1;
const LONGEST_PAUSE_MS = 500;

/** Doubled, with jitter. Somewhat after the holder's time ends, if that is sooner: it may have died. */
export function pauseOf(pauses: number, leftMs: number, random: number): number {
  const jittered = PAUSE_MS + random * Math.min(LONGEST_PAUSE_MS - PAUSE_MS, PAUSE_MS * 2 ** pauses);
  const untilItsEnd = leftMs < 0 ? Infinity : leftMs + 1 + random * PAUSE_MS;
  return Math.max(PAUSE_MS, Math.min(jittered, untilItsEnd));
}

/** Whether the same attempt may succeed soon: Redis is down, starts, or has another primary. */
const isPassing = (error: unknown): boolean =>
  error instanceof BackendUnavailableError
    ? error.retryable
    : error instanceof CacheError && (error.code === "READ_ONLY" || error.code === "TRY_AGAIN");

class TooLateError extends BackendUnavailableError {
  constructor(lifeMs: number) {
    super(`lock: Redis answered after the ttl of ${lifeMs} ms had passed`, { operation: "acquire" });
  }
}
