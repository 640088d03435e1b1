import {
  type Awaitable,
  type Coherence,
  type CoherenceListener,
  systemClock,
  type Clock,
  BackendUnavailableError,
} from "@hotset/core";
import { inNoCall, within } from "@hotset/core/internal";
import { pollChangesSettings, type PollChangesOptions } from "./options.ts";

/** A part of a log of changes, which a backend keeps. `P` is a position in it. */
export interface Changes<P> {
  /** Behind the last of these changes. */
  readonly position: P;
  /** Entries that changed. */
  readonly keys?: readonly string[] | undefined;
  /** Entries whose leases were freed, and that did not change. */
  readonly leases?: readonly string[] | undefined;
  /** Tag versions that changed, by the names that {@link TagVersions} gets. */
  readonly tags?: readonly string[] | undefined;
  /** What of them it is known to be after its last change, as in {@link CoherenceListener.changed}. */
  readonly versions?: ReadonlyMap<string, string> | undefined;
  /** Whether the log no longer reaches back to the position that was given: anything may have changed. */
  readonly isCut?: boolean | undefined;
}

/** {@link Coherence} made of a log of changes. */
export interface PolledChanges {
  /** For {@link Backend.coherence}. */
  readonly coherence: Coherence;
  /**
   * Reports all changes that were acknowledged before this call; for {@link Leases.confirm}, before it reads the
   * version. Never rejects: where the log cannot be read, the loss of it is reported.
   */
  catchUp(): Promise<void>;
  /** Says that the backend is used: call it in each of its calls. Costs nothing while it is used. Throws nothing. */
  wake(): void;
  /** Asks no more, and rejects attachments that have not begun. For {@link Backend.close}. */
  stop(): void;
}

/**
 * Reports the changes of a store that reports none, by asking for them again and again.
 *
 *     used ──each 20 ms──▶ … ──2 s without a call──▶ each second ──a call──▶ immediately, then each 20 ms
 *
 * An idle process costs one question a second. Its local copies lose their trust after `maxStalenessMs`, so the next
 * hit is a call of the backend: that wakes the questions, and their first answer brings the trust back. So a change is
 * seen within `busyMs` wherever values are used.
 *
 * @param changesSince the changes after `position`, which include all that were acknowledged before the call and were
 *   in no earlier answer. Without a position only the present one is asked for. A rejection ends the reports of all
 *   listeners with {@link CoherenceListener.lost}; so does an answer that does not come within 5 seconds, or within
 *   `maxStalenessMs` if that is longer.
 * @throws {InvalidArgumentError} for a value that an option cannot have.
 * @throws {ConfigurationError} for an option that does not exist.
 */
export function pollChanges<P>(
  changesSince: (position: P | undefined) => Awaitable<Changes<P>>,
  options: PollChangesOptions = {},
): PolledChanges {
  const { busyMs, idleMs, maxStalenessMs = 5 * busyMs, clock = systemClock } = pollChangesSettings(options);
  const patienceMs = Math.max(PATIENCE_MS, maxStalenessMs);
  const ask = (position: P | undefined): Promise<Changes<P>> =>
    within(clock, patienceMs, new Promise<Changes<P>>((answered) => answered(changesSince(position))), () => {
      // Without a bound, an answer that never comes would be the last one that is asked for.
      throw new BackendUnavailableError(`pollChanges: no answer within ${patienceMs} ms`);
    });
  const poller = new Poller(ask, clock, busyMs, idleMs);
  return {
    coherence: { maxStalenessMs, attach: (listener) => poller.attach({ listener }) },
    catchUp: () => poller.catchUp(),
    wake: () => poller.wake(),
    stop: () => poller.end(),
  };
}

const PATIENCE_MS = 5_000;

interface Attachment {
  readonly listener: CoherenceListener;
}

/** From the first attachment to the end of the last one, or to a failure: later ones begin at a new position. */
interface Session<P> {
  position: P;
  readonly attachments: Set<Attachment>;
}

class Poller<P> {
  readonly #changesSince: (position: P | undefined) => Awaitable<Changes<P>>;
  readonly #clock: Clock;
  readonly #busyMs: number;
  readonly #idleMs: number;
  #session: Session<P> | undefined;
  /** A stop rejects it: a session that was beginning does not begin. */
  #beginning: { readonly begun: Promise<void>; readonly stop: (reason: Error) => void } | undefined;
  #polling: Promise<void> | undefined;
  /** Begins when the present one has ended. */
  #nextPoll: Promise<void> | undefined;
  #usedAt = -Infinity;
  #askedAt = -Infinity;
  #isWaitingLong = false;
  #cancel: (() => void) | undefined;

  constructor(
    changesSince: (position: P | undefined) => Awaitable<Changes<P>>,
    clock: Clock,
    busyMs: number,
    idleMs: number,
  ) {
    this.#changesSince = changesSince;
    this.#clock = clock;
    this.#busyMs = busyMs;
    this.#idleMs = idleMs;
  }

  async attach(attachment: Attachment): Promise<() => Promise<void>> {
    const { listener } = attachment;
    const sentAtMs = listener.now();
    if (this.#session === undefined) await (this.#beginning?.begun ?? this.#begin());
    const session = this.#session;
    if (session === undefined) throw stopped();
    session.attachments.add(attachment);
    listener.alive(sentAtMs);
    this.wake();
    return async () => {
      session.attachments.delete(attachment);
      if (session.attachments.size === 0 && this.#session === session) this.end();
    };
  }

  #begin(): Promise<void> {
    const { promise: begun, resolve, reject: stop } = Promise.withResolvers<void>();
    const beginning = { begun, stop };
    this.#beginning = beginning;
    const first = async (): Promise<void> => {
      const { position } = await this.#changesSince(undefined);
      if (this.#beginning !== beginning) return;
      this.#session = { position, attachments: new Set() };
      this.#usedAt = this.#askedAt = this.#clock.now();
      this.#tickLater();
    };
    void first()
      .then(resolve, stop)
      .then(() => {
        if (this.#beginning === beginning) this.#beginning = undefined;
      });
    return begun;
  }

  /** Asks itself where the timer is late: a program of calls that never wait starves it. */
  wake(): void {
    const now = this.#clock.now();
    this.#usedAt = now;
    if (this.#session === undefined) return;
    if (this.#polling === undefined && now - this.#askedAt >= this.#busyMs) void this.#poll();
    if (!this.#isWaitingLong) return;
    this.#cancel?.();
    this.#tickLater();
  }

  /** A question that is on its way may be older than this call: another one follows it. */
  catchUp(): Promise<void> {
    if (this.#polling === undefined) return this.#poll();
    return (this.#nextPoll ??= this.#polling.then(() => {
      this.#nextPoll = undefined;
      return this.#poll();
    }));
  }

  #poll(): Promise<void> {
    return (this.#polling = this.#ask().finally(() => (this.#polling = undefined)));
  }

  async #ask(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    this.#askedAt = this.#clock.now();
    const sent = Array.from(session.attachments, ({ listener }) => ({ listener, sentAtMs: listener.now() }));
    try {
      const changes = await this.#changesSince(session.position);
      if (this.#session !== session) return;
      session.position = changes.position;
      for (const { listener } of session.attachments) report(listener, changes);
      for (const { listener, sentAtMs } of sent) listener.alive(sentAtMs);
    } catch (error) {
      if (this.#session !== session) return;
      this.end();
      for (const { listener } of session.attachments) listener.lost(error);
    }
  }

  #tickLater(): void {
    this.#isWaitingLong = this.#clock.now() - this.#usedAt >= BUSY_FOR_MS;
    const waitMs = this.#isWaitingLong ? this.#idleMs : this.#busyMs;
    this.#cancel = inNoCall(() =>
      this.#clock.schedule(() => {
        this.#tickLater();
        if (this.#polling === undefined) void this.#poll();
      }, waitMs),
    );
  }

  end(): void {
    this.#beginning?.stop(stopped());
    this.#beginning = undefined;
    this.#session = undefined;
    this.#isWaitingLong = false;
    this.#cancel?.();
  }
}

const stopped = (): BackendUnavailableError => new BackendUnavailableError("pollChanges was stopped");

function report(
  listener: CoherenceListener,
  { keys = [], leases = [], tags = [], versions, isCut }: Changes<unknown>,
): void {
  if (isCut === true) listener.everythingChanged();
  if (keys.length !== 0) listener.changed(keys, versions);
  if (leases.length !== 0) listener.leaseChanged(leases);
  if (tags.length !== 0) listener.tagsChanged(tags, versions);
}

/** Longer than a process waits for the lease of another one before it asks again. */
const BUSY_FOR_MS = 2_000;
