import type { Clock } from "@hotset/core";
import { isLoggedOut, isReply, isTemporary, unlessRefused } from "../primitives/faults.ts";
import type { ChangeHub, Source } from "./change-hub.ts";
import { SubscriptionRefusedError } from "../connection/change-notifier.ts";
import type { Send } from "../connection/command-queue.ts";
import { identityOf, type Identity, type TrackedConnection, type ServerIdentityGuard } from "./server-identity.ts";
import type { NodeClient } from "../connection/session.ts";
import type { SingleLink, ConnectionObserver } from "../connection/single-link.ts";

/** A way of hearing of changes over one connection. */
export interface ListenMode {
  /** Makes a new client hand over what comes. Sends nothing. */
  listen(client: NodeClient, hub: ChangeHub): void;
  /**
   * Hears `wanted` from its acknowledgement on. Everything is sent at once.
   *
   * @param heard what this connection hears already.
   * @returns all that is heard then, and whether something of `heard` may have been missed.
   */
  cover(
    client: NodeClient,
    send: Send,
    heard: readonly string[],
    wanted: readonly string[],
  ): Promise<{ readonly heard: readonly string[]; readonly hasGap: boolean }>;
  /**
   * Asks for an answer that comes behind all that was acknowledged to anybody before it was asked.
   *
   * @returns `false` when this connection does not hear any more. Rejects with replies that are errors.
   */
  prove(send: Send): Promise<boolean>;
  /** Hears nothing any more. */
  end(client: NodeClient, send: Send, heard: readonly string[]): Promise<void>;
}

/** What is known of one connection. */
interface Connection {
  readonly client: NodeClient;
  readonly id: number | undefined;
  readonly identity: Identity;
  heard: readonly string[];
}

/** One server, heard over one connection after the other. */
export class ServerFeed implements Source, ConnectionObserver, TrackedConnection {
  readonly isDataConnection: boolean;
  readonly #identityGuard: ServerIdentityGuard;
  readonly #hub: ChangeHub;
  readonly #clock: Clock;
  readonly #mode: ListenMode;
  readonly #isPrimary: (deadlineMs: number) => Promise<boolean>;
  #link: SingleLink | undefined;
  #prepared: Connection | undefined;
  #current: Connection | undefined;
  #previous: Connection | undefined;
  /** One change of what is heard at a time. */
  #turn: Promise<void> = Promise.resolve();

  /**
   * @param oneServer of this and the other connections of its link.
   * @param isPrimary asks whether it is the one that all writes go to: a replica hears of them later than they are acknowledged.
   */
  constructor(
    hub: ChangeHub,
    clock: Clock,
    mode: ListenMode,
    identityGuard: ServerIdentityGuard,
    isDataConnection: boolean,
    isPrimary: (deadlineMs: number) => Promise<boolean>,
  ) {
    this.#identityGuard = identityGuard;
    this.isDataConnection = isDataConnection;
    this.#hub = hub;
    this.#clock = clock;
    this.#mode = mode;
    this.#isPrimary = isPrimary;
  }

  /** Whether its connection hears of anything. */
  get isHearing(): boolean {
    return this.#current !== undefined && this.#current.heard.length !== 0;
  }

  /**
   * Makes a connection ready, in one trip: finds out who the server is, and hears where somebody listens. Then what the
   * previous connection has left in its buffers is stopped: it would be executed behind what is sent here.
   *
   * @param more what else is to be sent in that trip.
   */
  async prepare(client: NodeClient, more: (client: NodeClient) => Promise<void>): Promise<void> {
    const send: Send = (args) => client.sendCommand([...args]);
    const topics = this.#hub.topics();
    this.#mode.listen(client, this.#hub);
    const [id, identity, covered] = await Promise.all([
      unlessRefused(send(["CLIENT", "ID"])),
      identityOf(send),
      // A refusal is told to those who attach, and keeps nobody from reading and writing.
      topics.length === 0 ? undefined : unlessRefused(this.#mode.cover(client, send, [], topics)),
      more(client),
    ]);
    this.#prepared = { client, id: typeof id === "number" ? id : undefined, identity, heard: covered?.heard ?? [] };
    const previous = this.#previous;
    // Elsewhere the number may be a stranger's.
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
    const { isHearing } = this;
    this.#current = undefined;
    this.#identityGuard.down(this);
    if (isHearing) this.#hub.lost(error);
  }

  distrust(error: Error): void {
    this.#link?.distrust(error);
  }

  cover(deadlineMs: number): Promise<void> {
    const covered = this.#turn.then(() => this.#cover(deadlineMs));
    this.#turn = covered.catch(ignore);
    return covered;
  }

  async ask(deadlineMs: number): Promise<boolean> {
    const link = this.#link;
    if (link === undefined) throw new Error("there is no connection");
    try {
      const [isHearing, isPrimary] = await Promise.all([
        this.#mode.prove((args) => this.exchange(args, deadlineMs)),
        this.#isPrimary(deadlineMs),
      ]);
      if (!isHearing) link.distrust(new Error("this connection does not hear of changes any more"));
      return isHearing && isPrimary && this.#identityGuard.isOne;
    } catch (error) {
      if (!isReply(error)) throw error;
      if (isLoggedOut(error)) link.distrust(error as Error);
      // Neither BUSY nor LOADING proves anything: while a script runs, Redis sends replies before their pushes.
      return false;
    }
  }

  /** As `send`; a connection on which nothing at all is answered within `deadlineMs` is given up. */
  async exchange(args: readonly string[], deadlineMs: number): Promise<unknown> {
    const link = this.#link;
    if (link === undefined) throw new Error("there is no connection");
    const reply = this.send(args);
    const cancel = this.#giveUpWhenSilent(link, deadlineMs);
    try {
      return await reply;
    } finally {
      cancel();
    }
  }

  rest(): void {
    this.#turn = this.#turn.then(() => this.#stop()).catch(ignore);
  }

  async #cover(deadlineMs: number): Promise<void> {
    const current = this.#current;
    if (current === undefined) throw new Error("there is no connection");
    const cancel = this.#giveUpWhenSilent(this.#link!, deadlineMs);
    try {
      const { heard, hasGap } = await this.#mode.cover(current.client, this.send, current.heard, this.#hub.topics());
      current.heard = heard;
      if (hasGap) this.#hub.everythingChanged();
    } catch (error) {
      if (!isReply(error) || isTemporary(error)) throw error;
      throw new SubscriptionRefusedError((error as Error).message, { cause: error });
    } finally {
      cancel();
    }
  }

  async #stop(): Promise<void> {
    const current = this.#current;
    if (current === undefined || current.heard.length === 0 || this.#hub.hasListeners) return;
    const { heard } = current;
    current.heard = [];
    await this.#mode.end(current.client, this.send, heard);
  }

  /** Sends whether or not there is room: a heartbeat must not wait for what it is to bound. */
  readonly send: Send = (args) => {
    if (this.#current === undefined) return Promise.reject(new Error("there is no connection"));
    const { queue } = this.#link!;
    queue.inFlight += 1;
    const reply = this.#current.client.sendCommand([...args]);
    const replied = (): void => queue.replied();
    reply.then(replied, replied);
    return reply;
  };

  /** One that is slow goes on. */
  #giveUpWhenSilent(link: SingleLink, deadlineMs: number): () => void {
    let { replies } = link.queue;
    let cancel: () => void = ignore;
    let isOver = false;
    const judge = (): void => {
      if (isOver) return;
      if (link.queue.replies === replies) return link.distrust(new Error(`no answer within ${deadlineMs} ms`));
      ({ replies } = link.queue);
      arm();
    };
    const arm = (): void => {
      // After a pause of this process timers run first, and what came meanwhile is read next.
      cancel = this.#clock.schedule(() => setImmediate(judge), deadlineMs);
    };
    arm();
    return () => {
      isOver = true;
      cancel();
    };
  }
}

const ignore = (): void => undefined;
