import type { Entry } from "../entry/entry.ts";
import { dependencies } from "../entry/key.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import { type Answer, answerFor, type Failure, isRefused, type Offer } from "./answers.ts";
import type { GetOrSetCall } from "./call.ts";
import type { Flight } from "./flight.ts";

/** A load that failed with an error that `coversError` refuses. */
interface Refused {
  readonly failure: Failure;
  readonly failedAt: number;
}

/** A load whose value was for one caller. */
interface Unshared {
  readonly dependsOn: readonly string[];
  readonly tagSequence: number;
}

/**
 * Pauses after which something is tried again, by local key:
 *
 * - a load that failed, within `errorBackoff`: calls that `staleIfError` covers do not load, nor do those that remember
 *   errors
 * - a stale value in place of an error that `coversError` refused: until a load succeeds, callers wait for one
 * - a load in the background, after one that stored nothing, or that another process runs
 * - one load for all callers, after one whose value was for one of them: each loads for itself. That ends as an entry
 *   with the tags of that load would
 *
 * A write of the key ends all of them.
 */
export class Backoffs {
  readonly #tags: TagEvents;
  readonly #failed = new Pauses<Failure | undefined>();
  readonly #refused = new Pauses<Refused>();
  readonly #background = new Pauses<undefined>();
  readonly #unshared = new Pauses<Unshared>();

  constructor(tags: TagEvents) {
    this.#tags = tags;
  }

  /** Each kind of pause, as inspections show it. */
  get kinds(): Readonly<Record<"failed" | "refused" | "background" | "unshared", Pauses<unknown>>> {
    return { failed: this.#failed, refused: this.#refused, background: this.#background, unshared: this.#unshared };
  }

  end(localKey: string): void {
    this.loaded(localKey);
    this.#background.delete(localKey);
    this.#unshared.delete(localKey);
  }

  /** Whether a load that no caller waits for is left to a later call. */
  isPaused(localKey: string, now: number): boolean {
    return (
      this.#failed.find(localKey, now) !== undefined ||
      this.#background.find(localKey, now) !== undefined ||
      this.isUnshared(localKey, now)
    );
  }

  // ---- loads that failed

  failed({ key, call }: Flight, failure: Failure, fallback: Entry | undefined, now: number): void {
    const { rememberErrors, coversError, errorBackoffMs } = call.policy;
    if (fallback === undefined && !rememberErrors) return;
    const { options } = failure;
    // An error may hold much, so it is kept only where it is asked for.
    const isAskedFor = rememberErrors || (coversError ?? options?.coversError ?? options?.staleIfError) !== undefined;
    this.#failed.begin(key.local, now + errorBackoffMs, isAskedFor ? failure : undefined);
    this.#refused.delete(key.local);
    if (fallback !== undefined && now >= fallback.staleAt && isRefused(failure, call.policy))
      this.#refused.begin(key.local, fallback.deadAt, { failure, failedAt: now });
  }

  loaded(localKey: string): void {
    this.#failed.delete(localKey);
    this.#refused.delete(localKey);
  }

  /** The answer of an entry that is the best there is, before a load. */
  answerOf(offer: Offer, { key, policy }: GetOrSetCall, now: number): Answer | undefined {
    const refused = this.#refused.find(key.local, now)?.reason;
    // An entry that went stale later is another one.
    const isHeard = refused !== undefined && offer.entry !== undefined && offer.entry.staleAt <= refused.failedAt;
    if (isHeard && isRefused(refused.failure, policy)) return undefined;
    const failed = this.#failed.find(key.local, now);
    // Without the error, a call that asks about errors is not known to be covered.
    const isBackingOff = failed !== undefined && (failed.reason !== undefined || policy.coversError === undefined);
    return answerFor(offer, policy, now, isBackingOff ? "backing-off" : "found", failed?.reason);
  }

  /** The failure that the callers of a flight get in place of a load. */
  remembered({ call, key, isAwaited, climb }: Flight, now: number): Failure | undefined {
    // The error of a load whose value is for one caller is for that one, too.
    if (!call.policy.rememberErrors || call.isForced || call.isCurrent || !isAwaited || climb.isUnleased)
      return undefined;
    return this.#failed.find(key.local, now)?.reason;
  }

  // ---- loads in the background

  pause(localKey: string, until: number): void {
    this.#background.begin(localKey, until, undefined);
  }

  // ---- values for one caller

  isUnshared(localKey: string, now: number): boolean {
    const reason = this.#unshared.find(localKey, now)?.reason;
    return reason !== undefined && !this.#tags.wasCalled(reason.dependsOn, reason.tagSequence);
  }

  unshared({ key, tags, tagSequence }: Flight, until: number): void {
    this.#unshared.begin(key.local, until, { dependsOn: dependencies(key.space, tags), tagSequence });
  }

  shared(localKey: string): void {
    this.#unshared.delete(localKey);
  }
}

/** By local key, until when something is not tried again, and why. Bounded: the oldest is forgotten first. */
export class Pauses<R> extends Map<string, Pause<R>> {
  find(localKey: string, now: number): Pause<R> | undefined {
    const pause = this.get(localKey);
    return pause !== undefined && now < pause.until ? pause : undefined;
  }

  begin(localKey: string, until: number, reason: R): void {
    if (this.size >= MAX_PAUSES) this.delete(this.keys().next().value!);
    this.set(localKey, { until, reason });
  }
}

export interface Pause<R> {
  readonly until: number;
  readonly reason: R;
}

const MAX_PAUSES = 10_000;
