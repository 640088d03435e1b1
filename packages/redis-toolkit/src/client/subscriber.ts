import { FUNCTION, keepAlive, oneOf, readOption, refuse, text } from "@hotset/core/internal";
import {
  type Servers,
  type LinkSettings,
  type NodeClient,
  SingleLink,
  fault,
  type Origin,
  ignore,
} from "@hotset/redis/internal";
import type { OpenOptions, Subscriber, SubscriberEvents, SubscriptionKind } from "./contract.ts";
import { deliver } from "./deliver.ts";

const KIND = oneOf<SubscriptionKind>("channel", "pattern", "shard");
const NAME = text("");
const EVENT = oneOf("lost", "gap");

type Listener = (message: Buffer, channel: Buffer) => void;

interface Subscription {
  readonly kind: SubscriptionKind;
  readonly name: string;
  readonly listeners: Set<Listener>;
  readonly dispatch: Listener;
  /** Settles with the confirmation. */
  confirmed: Promise<unknown>;
}

export interface SubscriberSettings extends LinkSettings {
  readonly heartbeatMs: number;
}

/**
 * Subscriptions over a separate link. Each new connection subscribes to everything before it counts as up, and a
 * heartbeat finds one that is silent: no message is a usual state here.
 */
export class LinkSubscriber implements Subscriber {
  readonly #settings: SubscriberSettings;
  readonly #servers: Servers;
  readonly #key: string | Buffer | undefined;
  readonly #link: SingleLink;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #listeners: { readonly [Event in keyof SubscriberEvents]: Set<SubscriberEvents[Event]> } = {
    lost: new Set(),
    gap: new Set(),
  };
  readonly #onEnd: (subscriber: LinkSubscriber) => void;
  #client: NodeClient | undefined;
  /** Pending while its connection is lost: then no socket keeps the process alive. */
  #gap: PromiseWithResolvers<void> | undefined;
  #cancelHeartbeat: () => void = () => undefined;
  #closed: Promise<void> | undefined;

  /** @param onEnd called once, when it is closed. */
  constructor(
    servers: Servers,
    { key }: OpenOptions,
    settings: SubscriberSettings,
    onEnd: (subscriber: LinkSubscriber) => void,
  ) {
    this.#settings = settings;
    this.#servers = servers;
    this.#key = key;
    this.#onEnd = onEnd;
    this.#link = new SingleLink(
      (aborted) => servers.openSession({ key, aborted, prepare: (client) => this.#prepare(client) }),
      settings,
      { up: () => this.#up(), down: (error) => this.#down(error) },
    );
  }

  connect(): Promise<void> {
    return this.#link.connect();
  }

  async subscribe(kind: SubscriptionKind, name: string, listener: Listener): Promise<() => Promise<void>> {
    readOption(kind, "subscribe(kind): kind", KIND);
    if (!readOption(name, "subscribe(kind, name): name", NAME).isWellFormed())
      refuse("subscribe(kind, name): name", name, "well-formed text");
    readOption(listener, "subscribe(kind, name, listener): listener", FUNCTION);
    const id = `${kind} ${name}`;
    let subscription = this.#subscriptions.get(id);
    if (subscription === undefined) {
      const listeners = new Set<Listener>();
      const dispatch: Listener = (message, channel) => listeners.forEach((each) => deliver(each, message, channel));
      subscription = { kind, name, listeners, dispatch, confirmed: Promise.resolve() };
      this.#subscriptions.set(id, subscription);
      subscription.confirmed = this.#exchange((client) => start(client, subscription!));
    }
    const mine: Listener = (message, channel) => listener(message, channel);
    subscription.listeners.add(mine);
    try {
      await subscription.confirmed;
    } catch (error) {
      await this.#remove(id, subscription, mine).catch(ignore);
      throw fault(SUBSCRIBE, error);
    }
    return () => this.#remove(id, subscription, mine);
  }

  on<Event extends keyof SubscriberEvents>(event: Event, listener: SubscriberEvents[Event]): () => void {
    const listeners = this.#listeners[readOption(event, "on(event): event", EVENT)] as Set<SubscriberEvents[Event]>;
    readOption(listener, "on(event, listener): listener", FUNCTION);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#cancelHeartbeat();
    this.#subscriptions.clear();
    this.#gap?.resolve();
    this.#onEnd(this);
    await this.#link.close();
  }

  async #remove(id: string, subscription: Subscription, listener: Listener): Promise<void> {
    const { listeners } = subscription;
    if (!listeners.delete(listener) || listeners.size !== 0) return;
    if (this.#subscriptions.get(id) === subscription) this.#subscriptions.delete(id);
    if (this.#link.state !== "up") return;
    // A connection that is lost meanwhile has no subscription any more.
    await this.#exchange((client) => stop(client, subscription)).catch(ignore);
  }

  /** Commands of pub/sub wait for the connection, and are bounded, like all others. */
  #exchange(send: (client: NodeClient) => Promise<void>): Promise<unknown> {
    const { queue } = this.#link;
    const command = queue.begin<unknown>(SUBSCRIBE);
    const begin = (): void => {
      command.exchange({ sendCommand: () => send(this.#client!) }, []);
    };
    if (queue.hasRoom) begin();
    else this.#link.admit(command, begin);
    return keepAlive(queue.clock, command.promise);
  }

  async #prepare(client: NodeClient): Promise<void> {
    this.#client = client;
    (client as NodeClient & EventClient).on("sharded-channel-moved", () => this.#leave());
    await Promise.all(Array.from(this.#subscriptions.values(), (subscription) => start(client, subscription)));
  }

  /** The server ends sharded subscriptions when it stops serving their slot. */
  #leave(): void {
    this.#servers.refresh();
    this.#link.distrust(new Error("the slot of a channel was moved to another node"));
  }

  #up(): void {
    this.#cancelHeartbeat();
    this.#beatLater();
    if (this.#gap === undefined) return;
    this.#gap.resolve();
    this.#gap = undefined;
    for (const listener of this.#listeners.gap) deliver(listener);
  }

  #down(error: Error): void {
    if (this.#closed !== undefined) return;
    if (this.#gap === undefined) {
      this.#gap = Promise.withResolvers();
      void keepAlive(this.#settings.clock, this.#gap.promise);
    }
    for (const listener of this.#listeners.lost) deliver(listener, error);
  }

  #beatLater(): void {
    const { clock, heartbeatMs } = this.#settings;
    this.#cancelHeartbeat = clock.schedule(() => {
      this.#beat();
      this.#beatLater();
    }, heartbeatMs);
  }

  #beat(): void {
    const { queue } = this.#link;
    // An attempt that was refused for good ends the back-off: a password may be right again.
    if (queue.client === undefined) return void this.#link.ready().catch(ignore);
    this.#followShard();
    const beat = queue.begin<unknown>(HEARTBEAT);
    beat.promise.catch(ignore);
    beat.exchange(queue.client, ["PING"]);
  }

  /** node-redis does not report that a slot has moved while a command is in flight. */
  #followShard(): void {
    if (!Array.from(this.#subscriptions.values()).some(({ kind }) => kind === "shard")) return;
    const node = this.#servers.nodeOf(this.#key);
    if (node !== undefined && node !== this.#link.address) this.#leave();
    else this.#servers.refresh();
  }
}

/** An event of node-redis. */
interface EventClient {
  on(event: "sharded-channel-moved", listener: () => void): unknown;
}

function start(client: NodeClient, { kind, name, dispatch }: Subscription): Promise<void> {
  switch (kind) {
    case "channel":
      return client.SUBSCRIBE(name, dispatch, AS_BUFFERS);
    case "pattern":
      return client.PSUBSCRIBE(name, dispatch, AS_BUFFERS);
    case "shard":
      return client.SSUBSCRIBE(name, dispatch, AS_BUFFERS);
  }
}

/** With the listener: then node-redis sends a later subscription to the same name, and adds it to none that ends. */
function stop(client: NodeClient, { kind, name, dispatch }: Subscription): Promise<void> {
  switch (kind) {
    case "channel":
      return client.UNSUBSCRIBE(name, dispatch, AS_BUFFERS);
    case "pattern":
      return client.PUNSUBSCRIBE(name, dispatch, AS_BUFFERS);
    case "shard":
      return client.SUNSUBSCRIBE(name, dispatch, AS_BUFFERS);
  }
}

const AS_BUFFERS = true;

const SUBSCRIBE: Origin = Object.freeze({ tier: "redis", operation: "SUBSCRIBE" });
const HEARTBEAT: Origin = Object.freeze({ tier: "redis", operation: "heartbeat" });
