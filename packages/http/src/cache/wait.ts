import { LoadTimeoutError, type LoadContext, type Served } from "@hotset/core";
import type { Crew } from "./followers.ts";
import { ignore, type PlainResponse } from "./messages.ts";
import type { StoredResponse } from "./stored.ts";

/** How one call of `getOrSet` ended. */
export type Outcome =
  | { readonly kind: "answer"; readonly response: PlainResponse }
  /** Validated by this call just now. */
  | { readonly kind: "validated"; readonly stored: StoredResponse }
  /** A stored value, or one that another call loaded. */
  | { readonly kind: "found"; readonly value: unknown; readonly served: Served | undefined };

/** A fresh copy in the memory of this process. */
export class Hit {
  readonly value: Promise<unknown>;
  readonly served: Served;

  constructor(value: Promise<unknown>, served: Served) {
    this.value = value;
    this.served = served;
  }
}

export type Deliver = (outcome: Outcome | Promise<Outcome>) => void;

/** The takers of the response of a load: its own caller, while that waits, and callers that read along. */
export interface Takers {
  /** What gives it to its own caller, if that waits. */
  deliver(): Deliver | undefined;
  readonly crew: Crew;
  /** Whether the load has ended for the cache, since it is late, and continues for these alone. */
  isLate: boolean;
  /** Its own caller gets this response, and that of no earlier load. */
  leaveOthers(): void;
  /**
   * Ends the load for the cache, if its own caller or others wait for its response. Called again, it changes nothing.
   *
   * @param signal of its own caller.
   * @param error for the cache.
   * @returns aborts when none of them waits any longer; `undefined` if none does.
   */
  continueLate(signal: AbortSignal | undefined, error: LateLoadError): AbortSignal | undefined;
}

/** The value of a load whose response is for its own caller. */
export const NOT_SHARED = Object.freeze({ kind: "not shared" });

/** A load took longer than `loadTimeout`: it has ended for the cache, and continues for the callers that wait. */
export class LateLoadError extends LoadTimeoutError {}

/**
 * A call that waits for its answer. That may come from its own load, if it has one, or from one that it follows:
 *
 *   its load    none ─lead─▶ runs ─continueLate─▶ late: it has ended for the cache, and continues for those that wait
 *   its answer  none ─that of a load it follows: answered; its failure: reject─▶ hasAnswer: a load of it is for others
 */
export class Wait {
  readonly outcome: PromiseWithResolvers<Outcome> = Promise.withResolvers();
  #phase: "none" | "runs" | "late" = "none";
  /** Its load, as the cache sees it. */
  loading: Promise<unknown> | undefined;
  #hasAnswer = false;
  #onAnswer: () => void = ignore;
  /** Each leaves one load that it follows. */
  readonly #followed = new Set<() => void>();

  get hasAnswer(): boolean {
    return this.#hasAnswer;
  }

  /** Whether it has a load of its own. */
  get isLed(): boolean {
    return this.#phase !== "none";
  }

  /** Whether its load has ended for the cache, and continues. */
  get isLate(): boolean {
    return this.#phase === "late";
  }

  follows(leave: () => void): void {
    this.#followed.add(leave);
  }

  /** It follows no load any longer. */
  leave(): void {
    for (const leave of this.#followed) leave();
    this.#followed.clear();
  }

  /** Marks that the call has the response of another load: a load that it still begins is for others. */
  answered(): void {
    this.#hasAnswer = true;
    this.leave();
    this.#onAnswer();
  }

  /** Ends the wait with what the cache gave. */
  resolve(outcome: Outcome): void {
    this.outcome.resolve(outcome);
    this.leave();
  }

  reject(error: unknown): void {
    this.answered();
    this.outcome.reject(error);
  }

  /** Runs the load as that of this call. For all others it may end while this call still waits. */
  lead(ctx: LoadContext, crew: Crew, load: (takers: Takers) => Promise<unknown>): unknown {
    // It read along with another load, whose value is for no other.
    if (this.#hasAnswer) return ctx.notShared(NOT_SHARED);
    if (this.#phase === "none") this.#phase = "runs";
    const ended = Promise.withResolvers<unknown>();
    let unwanted: AbortController | undefined;
    const takers: Takers = {
      crew,
      isLate: false,
      deliver: () =>
        ctx.background || this.#hasAnswer
          ? undefined
          : (outcome) => {
              this.leave();
              // Nothing handles its failure if another flight has answered the call by now.
              Promise.resolve(outcome).catch(ignore);
              this.outcome.resolve(outcome);
            },
      leaveOthers: () => {
        if (takers.deliver() !== undefined) this.leave();
      },
      continueLate: (signal, error) => {
        if (unwanted !== undefined) return unwanted.signal;
        const isWanted = (): boolean => crew.isFollowed || (takers.deliver() !== undefined && signal?.aborted !== true);
        if (!isWanted()) return undefined;
        const controller = (unwanted = new AbortController());
        const look = (): void => {
          if (!isWanted()) controller.abort(signal?.reason ?? new Error("no caller waits for it"));
        };
        signal?.addEventListener("abort", look, { once: true });
        this.#onAnswer = crew.onLeave = look;
        this.#phase = "late";
        takers.isLate = true;
        loading.catch((failure: unknown) => {
          this.leave();
          this.outcome.reject(failure);
        });
        ended.reject(error);
        return controller.signal;
      },
    };
    const loading = load(takers);
    loading.then(ended.resolve, ended.reject);
    this.loading = ended.promise;
    return ended.promise;
  }
}
