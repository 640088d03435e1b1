import { BackendUnavailableError } from "@hotset/core";
import { backoffMs } from "../primitives/backoff.ts";
import { connectFault, unreachable, type Origin } from "../primitives/faults.ts";
import type { ChangeNotifier } from "./change-notifier.ts";
import { CommandQueue, type Command, type RawClient } from "./command-queue.ts";
import { closed, CONNECT, drained, type Link, type LinkSettings } from "./link.ts";
import type { Session } from "./session.ts";

/** How soon after refused credentials, and the like, a call may try again. */
const REFUSED_MS = 1_000;
/** A connection that lasted less counts as a failed attempt: one that is cut at once must back off. */
const STABLE_MS = 1_000;
/** A connection is given up when nothing at all is answered for two deadlines, and at least this long. */
const SILENT_MS = 1_000;

/** Is told of connections that come and go, in the very tick. */
export interface ConnectionObserver {
  up(link: SingleLink): void;
  down(error: Error): void;
}

/** How changes are heard beside a link, and with it. */
export interface Hearing {
  readonly tracking: ChangeNotifier | undefined;
  readonly channel: ChangeNotifier | undefined;
  readonly isTrackedByAll?: () => boolean;
  /** Called once, when the link is closed. */
  close(): Promise<void>;
}

/**
 * One multiplexed connection, made anew for each attempt.
 *
 *   idle ──first call──▶ opening ──▶ up ──lost──▶ away ──back-off──▶ opening ──▶ up
 *     ▲                     └──failed──────────────▲ │
 *     └──────────────── gave up, or was refused ─────┘        any ──close──▶ closed
 *
 * Calls wait for the first connection, within their deadline. While `away` they are refused at
 * once: nothing that was issued while Redis was out of reach is executed later.
 */
export class SingleLink implements Link {
  readonly queue: CommandQueue;
  readonly tracking: ChangeNotifier | undefined;
  readonly channel: ChangeNotifier | undefined;
  readonly #hearing: Hearing | undefined;
  readonly #watch: ConnectionObserver | undefined;
  readonly #open: (aborted: AbortSignal) => Promise<Session>;
  readonly #settings: LinkSettings;
  readonly #closing = new AbortController();
  #session: Session | undefined;
  #upSince = 0;
  #attempt: Promise<void> | undefined;
  #failures = 0;
  #cancelRetry: (() => void) | undefined;
  /** Why calls are refused, and until when: `Infinity` while it is tried again without them. */
  #away: { readonly trouble: BackendUnavailableError; readonly until: number } | undefined;
  #silence: { readonly replies: number; readonly since: number } | undefined;
  #probe: Command<unknown> | undefined;
  /** Wait for a connection, however long that takes. */
  #waiting: PromiseWithResolvers<void> | undefined;
  #closed: Promise<void> | undefined;

  /**
   * @param open makes one connection; `aborted` when it is no longer wanted.
   * @param watch is told of each.
   */
  constructor(
    open: (aborted: AbortSignal) => Promise<Session>,
    settings: LinkSettings,
    watch?: ConnectionObserver,
    hearing?: Hearing,
  ) {
    this.tracking = hearing?.tracking;
    this.channel = hearing?.channel;
    this.#hearing = hearing;
    this.#watch = watch;
    this.#open = open;
    this.#settings = settings;
    this.queue = new CommandQueue({
      clock: settings.clock,
      deadlineMs: settings.responseTimeoutMs,
      maxInFlight: settings.maxInFlight,
    });
    this.queue.onSilence = (since) => this.#suspect(since);
  }

  admit<T>(call: Command<T>, send: (client: RawClient) => void): void {
    if (this.#closed !== undefined) return call.fail(closed(call.origin));
    if (this.#session === undefined) {
      if (this.#away !== undefined && this.#settings.clock.now() < this.#away.until)
        return call.fail(unreachable(call.origin, this.#away.trouble));
      this.#away = undefined;
    }
    this.queue.wait(call, send);
    if (this.#session === undefined) this.#begin().catch(ignore);
  }

  distrust(error: Error): void {
    this.#lose(error);
  }

  get isTrackedByAll(): boolean {
    return this.#hearing?.isTrackedByAll?.() ?? false;
  }

  async connect(): Promise<void> {
    if (this.#closed !== undefined) throw closed(CONNECT);
    if (this.#session === undefined) await this.#begin();
  }

  /** Resolves once there is a connection, and leaves it to the back-off when that is tried. @throws {BackendUnavailableError} when it is not tried any more. */
  ready(): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(closed(CONNECT));
    if (this.#session !== undefined) return Promise.resolve();
    if (this.#away !== undefined && this.#away.until !== Infinity && this.#settings.clock.now() < this.#away.until)
      return Promise.reject(this.#away.trouble);
    this.#waiting ??= Promise.withResolvers();
    if (this.#cancelRetry === undefined) this.#begin().catch(ignore);
    return this.#waiting.promise;
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  /** The attempt under way, or a new one. */
  #begin(): Promise<void> {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    return (this.#attempt ??= this.#connect().finally(() => {
      this.#attempt = undefined;
    }));
  }

  async #connect(): Promise<void> {
    let session: Session;
    try {
      session = await this.#open(this.#closing.signal);
    } catch (error) {
      const trouble = connectFault("its address", error);
      this.#failed(trouble);
      throw trouble;
    }
    if (this.#closing.signal.aborted) {
      session.destroy();
      throw closed(CONNECT);
    }
    this.#session = session;
    this.#upSince = this.#settings.clock.now();
    this.#away = undefined;
    this.queue.client = session.client;
    this.#watch?.up(this);
    session.onLost((error) => {
      if (this.#session === session) this.#lose(error);
    });
    if (this.queue.client === undefined) return;
    this.#waiting?.resolve();
    this.#waiting = undefined;
    this.queue.resume();
  }

  #failed(trouble: BackendUnavailableError): void {
    const { clock, retries } = this.#settings;
    this.#failures += 1;
    const isFinal = !trouble.retryable || this.#failures >= retries;
    if (isFinal) {
      this.#failures = 0;
      this.#away = { trouble, until: clock.now() + (trouble.retryable ? 0 : REFUSED_MS) };
      this.#waiting?.reject(trouble);
      this.#waiting = undefined;
    } else {
      this.#retryLater(trouble);
    }
    this.queue.abandon((origin) => unreachable(origin, trouble));
  }

  #lose(error: Error): void {
    const session = this.#session;
    if (session === undefined) return;
    const { clock } = this.#settings;
    this.#session = undefined;
    this.queue.client = undefined;
    this.#silence = undefined;
    this.#failures = clock.now() - this.#upSince < STABLE_MS ? this.#failures + 1 : 0;
    const trouble = new BackendUnavailableError(`the connection to Redis was lost: ${error.message}`, { cause: error });
    this.#retryLater(trouble);
    // Before what is in flight rejects: trust ends first.
    this.#watch?.down(trouble);
    session.destroy();
    this.queue.abandon((origin) => unreachable(origin, trouble));
  }

  #retryLater(trouble: BackendUnavailableError): void {
    const { clock, backoff, random } = this.#settings;
    this.#away = { trouble, until: Infinity };
    if (this.#closed !== undefined) return;
    this.#cancelRetry = clock.schedule(
      () => {
        this.#begin().catch(ignore);
      },
      backoffMs(backoff, this.#failures, random()),
    );
  }

  /** A call was not answered, nor was anything else since it was sent at `since`. Asks once more, then gives the connection up. */
  #suspect(since: number): void {
    const { queue } = this;
    const { clock, responseTimeoutMs } = this.#settings;
    if (this.#session === undefined) return;
    if (this.#silence?.replies !== queue.replies) this.#silence = { replies: queue.replies, since };
    if (clock.now() - this.#silence.since >= Math.max(2 * responseTimeoutMs, SILENT_MS)) {
      return this.#lose(new Error(`no answer for ${Math.round(clock.now() - this.#silence.since)} ms`));
    }
    if (this.#probe?.isSettled === false) return;
    this.#probe = queue.begin<unknown>(HEARTBEAT);
    this.#probe.promise.catch(ignore);
    // Whether or not there is room: a full lane would hide that it is dead.
    this.#probe.exchange(this.#session.client, ["PING"]);
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    this.#cancelRetry?.();
    this.#waiting?.reject(closed(CONNECT));
    this.#waiting = undefined;
    const { queue } = this;
    queue.abandon(closed);
    await this.#hearing?.close();
    await this.#attempt?.catch(ignore);
    await drained(queue, this.#settings);
    const session = this.#session;
    this.#session = undefined;
    queue.client = undefined;
    if (session === undefined) return;
    this.#watch?.down(closed(CONNECT));
    session.destroy();
  }
}

const HEARTBEAT: Origin = Object.freeze({ tier: "redis", operation: "heartbeat" });

const ignore = (): void => undefined;
