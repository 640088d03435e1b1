import type { GetOrSetCall } from "./call.ts";

/** Whether a caller began its flight or joined it. */
export type Role = "first" | "joined";

/** A caller that waits for a flight, an `F`. */
export class Waiter<F> {
  readonly call: GetOrSetCall;
  role: Role;
  /** The flight that it waits for. */
  flight: F;
  /** Begins the wait of a caller that joined anew, in its own async context, where the result is not for it. */
  again: ((waiter: Waiter<F>) => void) | undefined;
  /** Whether it joined after a tag event: the result may be older than that. */
  isLate: boolean;
  /** Whether a running load of this cache made the call. */
  readonly isNested: boolean;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  /** Whether its soft timeout was started. */
  hasSoftTimeout = false;
  readonly #ended: () => void;
  #cancels: (() => void)[] | undefined;

  constructor(
    {
      call,
      role,
      isNested,
      flight,
      again,
      isLate,
    }: Pick<Waiter<F>, "call" | "role" | "isNested" | "flight" | "again" | "isLate">,
    resolve: (value: unknown) => void,
    reject: (reason: unknown) => void,
    ended: () => void,
  ) {
    this.call = call;
    this.role = role;
    this.isNested = isNested;
    this.flight = flight;
    this.again = again;
    this.isLate = isLate;
    this.resolve = resolve;
    this.reject = reject;
    this.#ended = ended;
  }

  /** Calls `cancel` when the wait ends, for any reason. */
  until(cancel: () => void): void {
    (this.#cancels ??= []).push(cancel);
  }

  /** Ends its timers and removes its listener of `signal`. Called once. */
  end(): void {
    this.#ended();
    if (this.#cancels !== undefined) for (const cancel of this.#cancels) cancel();
  }
}
