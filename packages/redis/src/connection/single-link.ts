import type { BackendUnavailableError } from "@hotset/core";
import { inNoCall, runningTime } from "@hotset/core/internal";
import { backoffMs } from "../primitives/backoff.ts";
import { connectFault, lost, unreachable, type Origin } from "../primitives/faults.ts";
import { ignore } from "../primitives/ignore.ts";
import type { ChangeNotifier } from "./change-notifier.ts";
import { CommandQueue, type Command, type RawClient } from "./command-queue.ts";
import { closed, CONNECT, THE_ONE_PART, whenDrained, type LinkSettings, type ObservableLink } from "./link.ts";
import { rejectInFlight, type Session } from "./session.ts";

/** How soon a command may cause another attempt, after one that failed for good, such as refused credentials. */
const REFUSED_MS = 1_000;
/** A connection that lasted less counts as a failed attempt: connections that are cut immediately must back off. */
const STABLE_MS = 1_000;
/** A connection is given up when nothing at all is answered for two deadlines, and for at least this long. */
const SILENT_MS = 1_000;
/** A connection over which no command was sent for this long, and none is in flight, is not in use. */
const IDLE_MS = 1_000;
/** How often a replica is left for the server that its name leads to now. Until then it is read: it may be meant. */
const REPLICA_MS = 10_000;

/** Notified of each connection made and lost, in the same tick. */
export interface ConnectionObserver {
  up(link: SingleLink): void;
  down(error: Error): void;
}

/** How a link reports changes to listeners. */
export interface ChangeReporting {
  readonly tracking: ChangeNotifier | undefined;
  readonly channel: ChangeNotifier | undefined;
  /** Whether changes are received: then the connection is in use. */
  readonly hasListeners: () => boolean;
  /** Called once, when the link is closed. */
  close?(): Promise<void>;
}

/**
 * One multiplexed connection, made again for each attempt.
 *
 *   idle ──first use───▶ opening ──▶ up ──lost──▶ down ──back-off──▶ opening ──▶ up
 *     ▲                     └──failed──────────────▲ │
 *     ├──────────────── gave up, or was refused ─────┘        any ──close──▶ closed
 *     └──────────────── lost while it was not in use, from up
 *
 * Commands wait for the socket of the first connection for as long as its attempt takes, and within their deadline
 * after that and for a later connection. While `down` they are refused immediately: a command issued while Redis was
 * unreachable is never executed later.
 */
export class SingleLink implements ObservableLink {
  readonly queue: CommandQueue;
  readonly tracking: ChangeNotifier | undefined;
  readonly channel: ChangeNotifier | undefined;
  readonly #changes: ChangeReporting | undefined;
  readonly #observer: ConnectionObserver | undefined;
  readonly #open: (aborted: AbortSignal, reached: () => void) => Promise<Session>;
  readonly #settings: LinkSettings;
  readonly #closing = new AbortController();
  #session: Session | undefined;
  #upSince = 0;
  #leftReplicaAt = -Infinity;
  #attempt: Promise<void> | undefined;
  #failures = 0;
  #cancelRetry: (() => void) | undefined;
  /** Why commands are refused, and until when. `Infinity`: the back-off makes the next attempt, not a command. */
  #down: { readonly cause: BackendUnavailableError; readonly until: number } | undefined;
  #silence: { readonly replies: number; readonly bytes: number; readonly since: number } | undefined;
  /** For the attempt under way. */
  #isAttemptTrusted = true;
  #probe: Command<unknown> | undefined;
  /** Settles for callers of `ready`, who wait for a connection without a deadline. */
  #whenReady: PromiseWithResolvers<void> | undefined;
  #closed: Promise<void> | undefined;
  readonly #listeners = new Set<() => void>();

  /**
   * @param open makes one connection; `aborted` fires when it is no longer wanted, and `reached` is called once there
   * is a socket.
   */
  constructor(
    open: (aborted: AbortSignal, reached: () => void) => Promise<Session>,
    settings: LinkSettings,
    observer?: ConnectionObserver,
    changes?: ChangeReporting,
  ) {
    this.tracking = changes?.tracking;
    this.channel = changes?.channel;
    this.#changes = changes;
    this.#observer = observer;
    this.#open = open;
    this.#settings = settings;
    this.queue = new CommandQueue({
      clock: settings.clock,
      deadlineMs: settings.responseTimeoutMs,
      maxInFlight: settings.maxInFlight,
      maxWaiting: settings.maxWaiting,
    });
    this.queue.isOpening = true;
    this.queue.server = () => this.address ?? settings.address;
    this.queue.onSilence = (since) => this.#onSilence(since);
  }

  get state(): ObservableLink["state"] {
    if (this.#closed !== undefined) return "closed";
    if (this.#session !== undefined) return "up";
    if (this.#down !== undefined) return "down";
    return this.#attempt === undefined ? "idle" : "connecting";
  }

  /** Where the current connection leads. */
  get address(): string | undefined {
    return this.#session?.address;
  }

  get reachableParts(): readonly string[] {
    return this.#session === undefined ? [] : THE_ONE_PART;
  }

  /** Changes with each reply, and while the bytes of a large one move: a connection that is slow lives. */
  get signsOfLife(): number {
    return this.queue.replies + this.#bytesMoved;
  }

  get #bytesMoved(): number {
    return this.#session?.bytesMoved?.() ?? 0;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  admit<T>(command: Command<T>, send: (client: RawClient) => void): void {
    if (this.#closed !== undefined) return command.fail(closed(command.origin));
    if (this.#session === undefined) {
      if (this.#down !== undefined && this.#settings.clock.now() < this.#down.until)
        return command.fail(unreachable(command.origin, this.#down.cause));
      this.#down = undefined;
    }
    this.queue.enqueue(command, send);
    if (this.#session === undefined) this.#startAttempt().catch(ignore);
  }

  /** Drops the connection, also one that is being opened: another one may lead to the right server. */
  distrust(error: Error): void {
    this.#isAttemptTrusted = false;
    this.#onLost(error);
  }

  leaveReplica(error: Error): void {
    const now = this.#settings.clock.now();
    if (now - this.#leftReplicaAt < REPLICA_MS) return;
    this.#leftReplicaAt = now;
    this.#onLost(error);
  }

  async connect(): Promise<void> {
    if (this.#closed !== undefined) throw closed(CONNECT);
    if (this.#session === undefined) await this.#startAttempt();
  }

  /**
   * Resolves once there is a connection; does not shorten the back-off.
   *
   * @throws {BackendUnavailableError} when connecting is not tried any more.
   */
  ready(): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(closed(CONNECT));
    if (this.#session !== undefined) return Promise.resolve();
    if (this.#down !== undefined && this.#down.until !== Infinity && this.#settings.clock.now() < this.#down.until)
      return Promise.reject(this.#down.cause);
    this.#whenReady ??= Promise.withResolvers();
    if (this.#cancelRetry === undefined) this.#startAttempt().catch(ignore);
    return this.#whenReady.promise;
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  /** The state may have changed. */
  protected changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** The attempt under way, or a new one. */
  #startAttempt(): Promise<void> {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    return (this.#attempt ??= inNoCall(() =>
      this.#connect().finally(() => {
        this.#attempt = undefined;
      }),
    ));
  }

  async #connect(): Promise<void> {
    this.#isAttemptTrusted = true;
    let session: Session;
    try {
      session = await this.#open(this.#closing.signal, () => {
        // From here on it is the server that is slow, and not this process.
        this.queue.isOpening = false;
      });
    } catch (error) {
      const cause = connectFault("its address", error);
      this.#onAttemptFailed(cause);
      throw cause;
    }
    if (this.#closing.signal.aborted) {
      session.destroy();
      throw closed(CONNECT);
    }
    if (!this.#isAttemptTrusted) {
      session.destroy();
      return this.#connect();
    }
    this.#session = session;
    this.#upSince = this.#settings.clock.now();
    this.#down = undefined;
    this.queue.client = session.client;
    this.#observer?.up(this);
    session.onLost((error) => {
      if (this.#session === session) this.#onLost(error);
    });
    if (this.queue.client === undefined) return;
    this.#whenReady?.resolve();
    this.#whenReady = undefined;
    this.queue.isOpening = false;
    this.queue.sendWaiting();
    this.changed();
  }

  #onAttemptFailed(cause: BackendUnavailableError): void {
    const { clock, retries } = this.#settings;
    this.#failures += 1;
    this.queue.isOpening = false;
    const isFinal = !cause.retryable || this.#failures >= retries;
    if (isFinal) {
      this.#failures = 0;
      this.#down = { cause, until: clock.now() + (cause.retryable ? 0 : REFUSED_MS) };
      this.#whenReady?.reject(cause);
      this.#whenReady = undefined;
    } else {
      this.#retryLater(cause);
    }
    this.queue.failWaiting((origin) => unreachable(origin, cause));
  }

  #onLost(error: Error): void {
    const session = this.#session;
    if (session === undefined) return;
    const { clock } = this.#settings;
    const isInUse = this.#isInUse;
    this.#session = undefined;
    this.queue.client = undefined;
    this.queue.isOpening = false;
    this.#silence = undefined;
    this.#failures = clock.now() - this.#upSince < STABLE_MS ? this.#failures + 1 : 0;
    const cause = lost(session.address, error);
    if (isInUse) this.#retryLater(cause);
    // Trust must end before the commands in flight reject.
    this.#observer?.down(cause);
    rejectInFlight(session.client, cause);
    session.destroy();
    this.queue.failWaiting((origin) => unreachable(origin, cause));
    this.changed();
  }

  get #isInUse(): boolean {
    const { clock, reconnects } = this.#settings;
    return (
      reconnects !== "used" ||
      this.queue.inFlight !== 0 ||
      this.#changes?.hasListeners() === true ||
      clock.now() - Math.max(this.queue.lastBeganAt, this.#upSince) < IDLE_MS
    );
  }

  #retryLater(cause: BackendUnavailableError): void {
    const { clock, backoff, random } = this.#settings;
    this.#down = { cause, until: Infinity };
    if (this.#closed !== undefined) return;
    this.#cancelRetry = clock.schedule(
      () => {
        this.#startAttempt().catch(ignore);
      },
      backoffMs(backoff, this.#failures, random()),
    );
  }

  /**
   * A command that began at `since`, by {@link runningTime}, is overdue, and nothing at all was answered since. Sends a
   * PING; gives up the connection if the silence continues.
   */
  #onSilence(since: number): void {
    if (this.#session === undefined) return;
    const { clock, responseTimeoutMs } = this.#settings;
    const now = runningTime(clock).timeAt(clock.now());
    const { replies } = this.queue;
    const bytes = this.#bytesMoved;
    if (this.#silence?.replies !== replies) this.#silence = { replies, bytes, since };
    else if (this.#silence.bytes !== bytes) this.#silence = { replies, bytes, since: now };
    const silentMs = now - this.#silence.since;
    if (silentMs >= Math.max(2 * responseTimeoutMs, SILENT_MS))
      return this.#onLost(new Error(`no answer for ${Math.round(silentMs)} ms`));
    if (this.#probe?.isOver === false) return;
    this.#probe = this.queue.begin<unknown>(HEARTBEAT);
    this.#probe.promise.catch(ignore);
    // Sent even if the queue is full: a full queue would hide that the connection is dead.
    this.#probe.exchange(this.#session.client, ["PING"]);
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    this.#cancelRetry?.();
    this.#whenReady?.reject(closed(CONNECT));
    this.#whenReady = undefined;
    const { queue } = this;
    queue.failWaiting(closed);
    await this.#attempt?.catch(ignore);
    await Promise.all([this.#changes?.close?.(), whenDrained(queue, this.#settings)]);
    const session = this.#session;
    this.#session = undefined;
    queue.client = undefined;
    if (session === undefined) return;
    this.#observer?.down(closed(CONNECT));
    rejectInFlight(session.client, lost(session.address, new Error("it was closed by close()")));
    session.destroy();
  }
}

const HEARTBEAT: Origin = Object.freeze({ tier: "redis", operation: "heartbeat" });
