import type { Clock } from "@hotset/core";
import { scheduleRunning } from "@hotset/core/internal";
import { SubscriptionRefusedError } from "../connection/change-notifier.ts";
import type { Send } from "../connection/command-queue.ts";
import type { NodeClient } from "../connection/session.ts";
import type { SingleLink, ConnectionObserver } from "../connection/single-link.ts";
import { isLoggedOut, isReply, isTemporary, unlessRefused } from "../primitives/faults.ts";
import { ignore } from "../primitives/ignore.ts";
import type { ChangeHub, ChangeSource } from "./change-hub.ts";
import {
  identityOf,
  type Identity,
  type TrackedConnection,
  type ServerIdentityGuard,
} from "./server-identity-guard.ts";

/** A way to receive changes over one connection. */
export interface ListenMode {
  /** Makes a new client hand incoming changes to `hub`. Sends nothing. */
  handlePushes(client: NodeClient, hub: Pick<ChangeHub, "changed" | "everythingChanged">): void;
  /**
   * Receives changes to `wanted` from the acknowledgement on. All commands are sent together.
   *
   * @param subscribed the topics of this connection so far.
   * @returns all topics of this connection, and whether changes to `subscribed` may have been missed.
   */
  subscribe(
    client: NodeClient,
    send: Send,
    subscribed: readonly string[],
    wanted: readonly string[],
  ): Promise<{ readonly topics: readonly string[]; readonly hasGap: boolean }>;
  /**
   * Asks for an answer that comes behind every change acknowledged, to any client, before the question.
   *
   * @returns `false` when this connection does not receive changes any more. Rejects with replies that are errors.
   */
  heartbeat(send: Send): Promise<boolean>;
  unsubscribe(client: NodeClient, send: Send, subscribed: readonly string[]): Promise<void>;
}

/** Describes one connection. */
interface Connection {
  readonly client: NodeClient;
  readonly id: number | undefined;
  readonly identity: Identity;
  topics: readonly string[];
  /** `wasEmptied`: everything changed, and the server was not asked since whether it has the data of another one. */
  readonly data: { wasEmptied: boolean };
}

export interface ServerFeedSettings {
  readonly hub: ChangeHub;
  readonly clock: Clock;
  readonly mode: ListenMode;
  /** Shared with the other connections of the link. */
  readonly identityGuard: ServerIdentityGuard;
  readonly isDataConnection: boolean;
  /** The part whose changes this server reports. @default all */
  readonly part?: string | undefined;
  /** Asks whether all writes still go to this server: a replica reports changes later than they are acknowledged. */
  readonly isPrimary: (deadlineMs: number) => Promise<boolean>;
}

/** The changes of one server, received over one connection after the other. */
export class ServerFeed implements ChangeSource, ConnectionObserver, TrackedConnection {
  readonly isDataConnection: boolean;
  readonly part: string | undefined;
  readonly #identityGuard: ServerIdentityGuard;
  readonly #hub: ChangeHub;
  readonly #clock: Clock;
  readonly #mode: ListenMode;
  readonly #isPrimary: (deadlineMs: number) => Promise<boolean>;
  #link: SingleLink | undefined;
  #prepared: Connection | undefined;
  #current: Connection | undefined;
  #previous: Connection | undefined;
  /** Subscriptions are changed one at a time. */
  #lastChange: Promise<void> = Promise.resolve();

  constructor(settings: ServerFeedSettings) {
    this.isDataConnection = settings.isDataConnection;
    this.part = settings.part;
    this.#identityGuard = settings.identityGuard;
    this.#hub = settings.hub;
    this.#clock = settings.clock;
    this.#mode = settings.mode;
    this.#isPrimary = settings.isPrimary;
  }

  /** Whether the current connection receives changes. */
  get isSubscribed(): boolean {
    return this.#current !== undefined && this.#current.topics.length !== 0;
  }

  /**
   * Makes a connection ready, in one trip: identifies the server, and subscribes where there are listeners. Then kills
   * the previous connection on the server: commands left in its buffers would be executed behind those sent here.
   *
   * @param prepareMore sends further commands in the same trip.
   */
  async prepare(client: NodeClient, prepareMore?: (client: NodeClient) => Promise<void>): Promise<void> {
    const send: Send = (args) => client.sendCommand([...args]);
    const topics = this.#hub.topics();
    const data = { wasEmptied: false };
    this.#mode.handlePushes(client, {
      changed: (keys, sender) => this.#hub.changed(keys, sender),
      everythingChanged: () => {
        data.wasEmptied = true;
        this.#hub.everythingChanged(this.part);
      },
    });
    const [id, identity, subscription] = await Promise.all([
      unlessRefused(send(["CLIENT", "ID"])),
      identityOf(send),
      // A refusal is reported by `subscribe`, and must not stop reads and writes.
      topics.length === 0 ? undefined : unlessRefused(this.#mode.subscribe(client, send, [], topics)),
      prepareMore?.(client),
    ]);
    this.#prepared = {
      client,
      id: typeof id === "number" ? id : undefined,
      identity,
      topics: subscription?.topics ?? [],
      data,
    };
    const previous = this.#previous;
    // On another server the same id may be that of a foreign client.
    if (previous?.id !== undefined && identity.runId !== undefined && previous.identity.runId === identity.runId)
      await unlessRefused(send(["CLIENT", "KILL", "ID", String(previous.id)]));
  }

  up(link: SingleLink): void {
    const current = this.#prepared!;
    this.#link = link;
    this.#previous = this.#current = current;
    this.#identityGuard.up(this, current.identity);
  }

  down(error: Error): void {
    const { isSubscribed } = this;
    this.#current = undefined;
    this.#identityGuard.down(this);
    if (isSubscribed) this.#hub.lost(error, this.part);
  }

  distrust(error: Error): void {
    this.#link?.distrust(error);
  }

  subscribe(deadlineMs: number): Promise<void> {
    const subscribed = this.#lastChange.then(() => this.#subscribe(deadlineMs));
    this.#lastChange = subscribed.catch(ignore);
    return subscribed;
  }

  async heartbeat(deadlineMs: number): Promise<boolean> {
    const link = this.#link;
    if (link === undefined) throw new Error("not connected");
    try {
      const [isListening, isPrimary, hasItsData] = await Promise.all([
        this.#mode.heartbeat((args) => this.exchange(args, deadlineMs)),
        this.#isPrimary(deadlineMs),
        this.#hasItsData(deadlineMs),
      ]);
      if (!isListening) link.distrust(new Error("this connection does not receive changes any more"));
      if (!hasItsData) link.distrust(new Error("it has the data of another server now"));
      return isListening && isPrimary && hasItsData && this.#identityGuard.leadsToOneServer;
    } catch (error) {
      if (!isReply(error)) throw error;
      if (isLoggedOut(error)) link.distrust(error as Error);
      // Neither BUSY nor LOADING proves anything: while a script runs, Redis sends replies before their pushes.
      return false;
    }
  }

  /**
   * A server that copies another one is emptied first. If it is a primary again before it is asked for its role, only
   * the history of its data shows it.
   */
  async #hasItsData(deadlineMs: number): Promise<boolean> {
    const current = this.#current;
    if (current?.data.wasEmptied !== true) return true;
    // Before it is asked: it may be emptied once more until the answer is looked at.
    current.data.wasEmptied = false;
    try {
      const { history } = await identityOf((args) => this.exchange(args, deadlineMs));
      return history === current.identity.history;
    } catch (error) {
      current.data.wasEmptied = true;
      throw error;
    }
  }

  /** Like `send`; a connection that answers nothing at all within `deadlineMs` is given up. */
  async exchange(args: readonly string[], deadlineMs: number): Promise<unknown> {
    const link = this.#link;
    if (link === undefined) throw new Error("not connected");
    const reply = this.send(args);
    const cancel = this.#giveUpWhenSilent(link, deadlineMs);
    try {
      return await reply;
    } finally {
      cancel();
    }
  }

  unsubscribe(): void {
    this.#lastChange = this.#lastChange.then(() => this.#unsubscribe()).catch(ignore);
  }

  async #subscribe(deadlineMs: number): Promise<void> {
    const current = this.#current;
    if (current === undefined) throw new Error("not connected");
    const cancel = this.#giveUpWhenSilent(this.#link!, deadlineMs);
    try {
      const { topics, hasGap } = await this.#mode.subscribe(
        current.client,
        this.send,
        current.topics,
        this.#hub.topics(),
      );
      current.topics = topics;
      if (hasGap) this.#hub.everythingChanged(this.part);
    } catch (error) {
      if (!isReply(error) || isTemporary(error)) throw error;
      // No heartbeat follows, which would notice that another server took over.
      await this.#isPrimary(deadlineMs).catch(ignore);
      throw new SubscriptionRefusedError((error as Error).message, { cause: error }, this.part);
    } finally {
      cancel();
    }
  }

  async #unsubscribe(): Promise<void> {
    const current = this.#current;
    if (current === undefined || current.topics.length === 0 || this.#hub.hasListeners) return;
    const { topics } = current;
    current.topics = [];
    await this.#mode.unsubscribe(current.client, this.send, topics);
  }

  /** Sends even if the queue is full: a heartbeat that waited could not notice that the connection is dead. */
  readonly send: Send = (args) => {
    if (this.#current === undefined) return Promise.reject(new Error("not connected"));
    const { queue } = this.#link!;
    queue.inFlight += 1;
    const reply = this.#current.client.sendCommand([...args]);
    const replied = (): void => queue.replied();
    reply.then(replied, replied);
    return reply;
  };

  /**
   * Drops the connection unless there is some sign of life within each `deadlineMs`, and in two deadlines of a call at
   * least: a slow connection is kept, and so is one to a server that stands still for a moment.
   */
  #giveUpWhenSilent(link: SingleLink, deadlineMs: number): () => void {
    const patienceMs = Math.max(deadlineMs, 2 * link.queue.deadlineMs);
    let { signsOfLife } = link;
    let cancel: () => void = ignore;
    const check = (): void => {
      if (link.signsOfLife === signsOfLife) return link.distrust(new Error(`no answer within ${patienceMs} ms`));
      ({ signsOfLife } = link);
      arm();
    };
    const { deadlineMs: restMs } = link.queue;
    const look = (): void => {
      // Only a silent connection is watched for pauses of this process: that wakes it more often.
      if (link.signsOfLife === signsOfLife) cancel = scheduleRunning(this.#clock, restMs, check);
      else cancel = this.#clock.schedule(check, restMs);
    };
    const arm = (): void => {
      cancel = this.#clock.schedule(look, patienceMs - restMs);
    };
    arm();
    return () => cancel();
  }
}
