import type { SendOptions } from "../connection/command-queue.ts";
import type { UnconnectedClient } from "../connection/session.ts";
import { IoRedisCommands, type IoRedisClientLike } from "./ioredis-commands.ts";

type SessionClient = UnconnectedClient["client"];
type Listener = (message: Buffer, channel: Buffer) => void;
type Kind = "subscribe" | "psubscribe" | "ssubscribe";

/** The part of a duplicate that only sessions use. */
interface Duplicate
  extends IoRedisClientLike, Record<Kind | `${"p" | "s" | ""}unsubscribe`, (name: string) => Promise<unknown>> {
  monitor(): Promise<IoRedisClientLike>;
}

/** A separate connection of a client of ioredis, its `duplicate()`, as one of node-redis. It never reconnects. */
export class IoRedisSession implements SessionClient {
  readonly #client: Duplicate;
  readonly #commands: IoRedisCommands;
  #monitor: IoRedisClientLike | undefined;
  readonly #listeners: Readonly<Record<Kind, Map<string, Set<Listener>>>> = {
    subscribe: new Map(),
    psubscribe: new Map(),
    ssubscribe: new Map(),
  };

  /** @param database that of the client. `undefined`: its options say so. */
  constructor(client: IoRedisClientLike, database: number | undefined) {
    this.#client = client.duplicate({
      ...OPTIONS,
      ...(database === undefined ? undefined : { db: database }),
    }) as Duplicate;
    this.#commands = new IoRedisCommands(this.#client);
    this.#receive("messageBuffer", "subscribe");
    this.#receive("smessageBuffer", "ssubscribe");
    this.#client.on("pmessageBuffer", (pattern, channel, message) =>
      this.#dispatch("psubscribe", String(pattern), message as Buffer, channel as Buffer),
    );
  }

  get isOpen(): boolean {
    return !["wait", "end"].includes(this.#client.status);
  }

  /** Errors, and the end of the connection, which ioredis does not report as one. */
  on(_event: "error", listener: (...args: unknown[]) => void): this {
    this.#client.on("error", (error) => listener(new Error((error as Error).message)));
    this.#client.on("close", () => listener(new Error("the connection was closed")));
    return this;
  }

  connect(): Promise<unknown> {
    return this.#client.connect();
  }

  destroy(): void {
    this.#client.disconnect();
    this.#monitor?.disconnect();
  }

  sendCommand(args: readonly (string | Buffer)[], options?: SendOptions): Promise<unknown> {
    return this.#commands.send(args, options);
  }

  _getQueue(): ReturnType<SessionClient["_getQueue"]> {
    return { addPushHandler: () => undefined, flushAll: (error) => this.#commands.failAll(error) };
  }

  subscribe(channel: string, listener: (message: string) => void): Promise<void> {
    return this.SUBSCRIBE(channel, (message) => listener(message.toString()));
  }

  async unsubscribe(channel: string): Promise<void> {
    this.#listeners.subscribe.delete(channel);
    await this.#client.unsubscribe(channel);
  }

  SUBSCRIBE = (name: string, listener: Listener): Promise<void> => this.#begin("subscribe", name, listener);
  PSUBSCRIBE = (name: string, listener: Listener): Promise<void> => this.#begin("psubscribe", name, listener);
  SSUBSCRIBE = (name: string, listener: Listener): Promise<void> => this.#begin("ssubscribe", name, listener);
  UNSUBSCRIBE = (name: string, listener: Listener): Promise<void> => this.#end("subscribe", name, listener);
  PUNSUBSCRIBE = (name: string, listener: Listener): Promise<void> => this.#end("psubscribe", name, listener);
  SUNSUBSCRIBE = (name: string, listener: Listener): Promise<void> => this.#end("ssubscribe", name, listener);

  /** ioredis monitors on one more connection, and takes the lines apart. */
  async MONITOR(listener: (line: string) => void): Promise<void> {
    const monitor = await this.#client.monitor();
    this.#monitor = monitor;
    monitor.on("error", () => undefined);
    monitor.on("close", () => this.#client.disconnect());
    monitor.on("monitor", (time, args, source, database) => {
      const quoted = (args as readonly string[]).map((arg) => JSON.stringify(arg)).join(" ");
      listener(`${String(time)} [${String(database)} ${String(source)}] ${quoted}`);
    });
    if (!this.isOpen) monitor.disconnect();
  }

  #receive(event: string, kind: Kind): void {
    this.#client.on(event, (channel, message) =>
      this.#dispatch(kind, String(channel), message as Buffer, channel as Buffer),
    );
  }

  #dispatch(kind: Kind, name: string, message: Buffer, channel: Buffer): void {
    for (const listener of this.#listeners[kind].get(name) ?? []) listener(message, channel);
  }

  async #begin(kind: Kind, name: string, listener: Listener): Promise<void> {
    const listeners = this.#listeners[kind];
    const known = listeners.get(name) ?? new Set();
    listeners.set(name, known.add(listener));
    await this.#bare(this.#client[kind](name));
  }

  async #end(kind: Kind, name: string, listener: Listener): Promise<void> {
    const known = this.#listeners[kind].get(name);
    if (known?.delete(listener) !== true || known.size > 0) return;
    this.#listeners[kind].delete(name);
    await this.#bare(this.#client[ENDS[kind]](name));
  }

  /** An error without the command and its arguments, which ioredis adds. */
  async #bare(reply: Promise<unknown>): Promise<void> {
    try {
      await reply;
    } catch (error) {
      // eslint-disable-next-line preserve-caught-error -- it has the arguments
      throw new Error((error as Error).message);
    }
  }
}

const ENDS = { subscribe: "unsubscribe", psubscribe: "punsubscribe", ssubscribe: "sunsubscribe" } as const;

/** Bounds, and what follows a loss, are those of its caller. */
const OPTIONS = {
  lazyConnect: true,
  retryStrategy: null,
  reconnectOnError: null,
  enableOfflineQueue: false,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: null,
  commandTimeout: undefined,
  socketTimeout: undefined,
};
