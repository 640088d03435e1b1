import { BackendUnavailableError, type Clock, type Coherence, type CoherenceListener } from "@hotset/core";
import type { Side } from "../side.ts";

/** The time in which one of the two backends answers. */
export interface Phase {
  readonly of: "main" | "gutter";
}

/**
 * Which of two backends answers this process.
 *
 *     main ──it does not answer a question──▶ gutter ──attached to main again, after 1 s at the earliest──▶ main
 *
 * For a cache the phase of the gutter is a lost link: it trusts no copy and no tag version that it knows, and attaches
 * again. So nothing that one backend has said counts in a phase of the other: neither a tag version nor a lease
 * (decision 0320).
 */
export class Phases {
  readonly #main: Side;
  readonly #clock: Clock;
  #now: Phase = { of: "main" };
  /** `clock.now()` from which on main may answer again. */
  #backAt = -Infinity;
  #error: Error;
  /** How often main has answered again. */
  returns = 0;
  #isClosed = false;
  readonly #attached = new Set<CoherenceListener>();
  /**
   * The attachments that a phase of the gutter has ended. They stay until the listener attaches again: main forgets one
   * that detaches, and would not report to it that another server answers now.
   */
  readonly #left = new Map<CoherenceListener, () => Promise<void>>();
  /** The same one each time: what reports changes remembers a listener while it is not attached. */
  readonly #relays = new WeakMap<CoherenceListener, CoherenceListener>();

  constructor(main: Side, clock: Clock) {
    const { label: tier } = main.backend;
    this.#main = main;
    this.#clock = clock;
    this.#error = new BackendUnavailableError(`${tier}: skipped: it is unreachable`, { tier, maybeExecuted: false });
  }

  get now(): Phase {
    return this.#now;
  }

  /** Why main does not answer: for calls that the gutter does not answer either. */
  get error(): Error {
    return this.#error;
  }

  /**
   * Asks the backend of this phase. Asks the gutter if main does not answer, or if its phase has ended meanwhile.
   *
   * @param unused called with an answer that came too late for its phase.
   * @throws {BackendUnavailableError} that of main, if the gutter fails or its phase has ended.
   */
  async ask<T>(
    main: () => Promise<T>,
    gutter: () => Promise<T>,
    unused?: (answer: T, phase: Phase) => void,
  ): Promise<T> {
    const first = this.#now;
    if (first.of === "main") {
      try {
        const answer = await main();
        if (this.#now === first) return answer;
        unused?.(answer, first);
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        this.fail(first, error);
      }
    }
    const second = this.#now;
    if (second.of === "main") throw this.#error;
    const answer = await this.orError(gutter());
    if (this.#now === second) return answer;
    unused?.(answer, second);
    throw this.#error;
  }

  /** A call of the gutter: if it fails, the error is that of main. */
  orError<T>(call: Promise<T>): Promise<T> {
    return call.catch(() => {
      throw this.#error;
    });
  }

  /** Main did not answer in this phase. */
  fail(phase: Phase, error: Error): void {
    this.#error = error;
    if (this.#now !== phase) return;
    this.#now = { of: "gutter" };
    this.#backAt = this.#clock.now() + PAUSE_MS;
    const attached = [...this.#attached];
    this.#attached.clear();
    for (const listener of attached) listener.lost(error);
  }

  /** The reports of main; a cache that is attached again is answered by main again. */
  coherence(main: Coherence): Coherence {
    const { maxStalenessMs, reissueWindowMs } = main;
    return {
      ...(maxStalenessMs !== undefined && { maxStalenessMs }),
      ...(reissueWindowMs !== undefined && { reissueWindowMs }),
      attach: (listener) => this.#attach(listener, main),
    };
  }

  /** No cache is attached any more. */
  close(): void {
    this.#isClosed = true;
  }

  async #attach(listener: CoherenceListener, main: Coherence): ReturnType<Coherence["attach"]> {
    for (;;) {
      const waitMs = this.#backAt - this.#clock.now();
      if (waitMs > 0) await new Promise<void>((resolve) => void this.#clock.schedule(resolve, waitMs));
      if (this.#isClosed) throw this.#error;
      const left = this.#left.get(listener);
      this.#left.delete(listener);
      await left?.();
      const detach = await main.attach(this.#relayTo(listener));
      if (this.#clock.now() < this.#backAt) {
        // It has failed meanwhile.
        this.#left.set(listener, detach);
        continue;
      }
      this.#attached.add(listener);
      if (this.#now.of === "gutter") {
        this.#now = { of: "main" };
        this.returns += 1;
      }
      this.#main.alive(this.#clock.now());
      return async () => {
        if (this.#attached.delete(listener)) await detach();
        else this.#left.set(listener, detach);
      };
    }
  }

  #relayTo(listener: CoherenceListener): CoherenceListener {
    let relay = this.#relays.get(listener);
    if (relay === undefined) {
      relay = {
        keepsCopies: listener.keepsCopies,
        now: () => listener.now(),
        changed: (keys, versions) => listener.changed(keys, versions),
        leaseChanged: (keys, order) => listener.leaseChanged(keys, order),
        tagsChanged: (tags, versions) => listener.tagsChanged(tags, versions),
        everythingChanged: () => listener.everythingChanged(),
        alive: (sentAtMs, part) => {
          this.#main.alive(sentAtMs, part);
          if (!this.#left.has(listener)) listener.alive(sentAtMs, part);
        },
        replaced: (part) => listener.replaced(part),
        lost: (error, part) => {
          if (!this.#left.has(listener)) listener.lost(error, part);
        },
      };
      this.#relays.set(listener, relay);
    }
    return relay;
  }
}

/** Whether a call failed since its backend did not answer. Any other error is an answer. */
export const isUnavailable = (given: unknown): given is Error =>
  given instanceof Error && (given as Partial<BackendUnavailableError>).code === "BACKEND_UNAVAILABLE";

/** Main is asked again no sooner after a failure: one that answers every other call changes sides once a second. */
const PAUSE_MS = 1_000;
