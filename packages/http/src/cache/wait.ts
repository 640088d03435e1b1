import type { LoadContext, Served } from "@hotset/core";
import type { Crew } from "./followers.ts";
import { ignore, type PlainResponse } from "./messages.ts";
import type { StoredResponse } from "./stored.ts";

/** How one call of `getOrSet` ended. */
export type Outcome =
  | { readonly kind: "answer"; readonly response: PlainResponse }
  /** Validated by this call just now. */
  | { readonly kind: "validated"; readonly stored: StoredResponse; readonly ageMs: number }
  /** A stored value, or one that another call loaded. */
  | { readonly kind: "found"; readonly value: unknown; readonly served: Served | undefined };

export type Deliver = (outcome: Outcome | Promise<Outcome>) => void;

/** The takers of the response of a load: its own caller, while that waits, and callers that read along. */
export interface Takers {
  /** What gives it to its own caller, if that waits. */
  deliver(): Deliver | undefined;
  readonly crew: Crew;
  /** Whether its own caller has waited as long as others may for the load of another. */
  readonly isLate: boolean;
  /** Whether the load has ended without its response, which its own caller alone still gets. */
  isForOne: boolean;
  /** Ends it so. */
  end(): void;
}

/** The value of a load whose response is for its own caller. */
export const NOT_SHARED = Object.freeze({ kind: "not shared" });

/** A call that waits for its answer. */
export class Wait {
  readonly outcome: PromiseWithResolvers<Outcome> = Promise.withResolvers();
  leave: () => void = ignore;
  /** The crew of the load that this call has joined. */
  followed: Crew | undefined;
  hasLeft = false;
  isLed = false;
  #deliver: Deliver = this.outcome.resolve;

  /** Runs the load as that of this call. For all others it may end while this call still waits. */
  lead(ctx: LoadContext, crew: Crew, load: (takers: Takers) => Promise<unknown>): unknown {
    // It read along with another load, whose value is for no other.
    if (this.hasLeft) return ctx.notShared(NOT_SHARED);
    this.leave();
    this.isLed = true;
    const ended = Promise.withResolvers<unknown>();
    const takers: Takers = {
      crew,
      isLate: this.followed?.isSlow === true,
      isForOne: false,
      deliver: () =>
        ctx.background || this.hasLeft
          ? undefined
          : (outcome) => {
              // Nothing handles its failure if another flight has answered the call by now.
              Promise.resolve(outcome).catch(ignore);
              this.#deliver(outcome);
            },
      end: () => {
        const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
        takers.deliver()?.(promise);
        this.#deliver = resolve;
        loading.catch(reject);
        takers.isForOne = true;
        ended.resolve(ctx.notShared(NOT_SHARED));
      },
    };
    const loading = load(takers);
    loading.then(ended.resolve, ended.reject);
    return ended.promise;
  }
}
