import type { Entry } from "../entry/entry.ts";
import { answerFor, type Failure, type Offer } from "./answer-for.ts";
import type { Answer } from "./answers.ts";
import type { GetOrSetCall } from "./call.ts";
import type { Flight } from "./flight.ts";
import { Pauses } from "./pauses.ts";

/** The loads that failed within the last `errorBackoff`, by local key, and what calls get meanwhile. */
export class Failures {
  readonly #pauses = new Pauses<Failure | undefined>();

  /** Calls that `staleIfError` covers do not load from now on; nor do those that remember errors. */
  begin({ key, call }: Flight, failure: Failure, fallback: Entry | undefined, now: number): void {
    const { rememberErrors, coversError, errorBackoffMs } = call.policy;
    if (fallback === undefined && !rememberErrors) return;
    const { options } = failure;
    // An error may hold much, so it is kept only where it is asked for.
    const isAskedFor = rememberErrors || (coversError ?? options?.coversError ?? options?.staleIfError) !== undefined;
    this.#pauses.begin(key.local, now + errorBackoffMs, isAskedFor ? failure : undefined);
  }

  isActive(localKey: string, now: number): boolean {
    return this.#pauses.isActive(localKey, now);
  }

  end(localKey: string): void {
    this.#pauses.end(localKey);
  }

  /** The answer of an entry that is the best there is, before a load. */
  answerOf(offer: Offer, { key, policy }: GetOrSetCall, now: number): Answer | undefined {
    const failed = this.#pauses.find(key.local, now);
    // Without the error, a call that asks about errors is not known to be covered.
    const isBackingOff = failed !== undefined && (failed.reason !== undefined || policy.coversError === undefined);
    return answerFor(offer, policy, now, isBackingOff ? "backing-off" : "found", failed?.reason);
  }

  /** The failure that the callers of a flight get in place of a load. */
  remembered({ call, key, isAwaited, isAlone }: Flight, now: number): Failure | undefined {
    // The error of a load whose value is for one caller is for that one, too.
    if (!call.policy.rememberErrors || call.isForced || call.isCurrent || !isAwaited || isAlone) return undefined;
    return this.#pauses.find(key.local, now)?.reason;
  }
}
