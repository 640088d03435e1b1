import { ConfigurationError } from "@hotset/core";
import type { SendOptions } from "../connection/command-queue.ts";
import type { RedisClientLike } from "./client-link.ts";
import { IoRedisCommands, type IoRedisClientLike } from "./ioredis-commands.ts";
import { IoRedisSession } from "./ioredis-session.ts";

export const isIoRedis = (client: RedisClientLike | IoRedisClientLike): client is IoRedisClientLike =>
  typeof (client as Partial<IoRedisClientLike> | null)?.callBuffer === "function";

/**
 * A client of ioredis as one of node-redis. It receives no pushes: ioredis 5 speaks RESP2, and ioredis 6 drops those of
 * RESP3, whose other replies it gives the shapes of RESP2.
 */
export class IoRedisClient implements RedisClientLike {
  readonly isIoRedis = true;
  readonly cannotSubscribe: boolean;
  readonly #client: IoRedisClientLike;
  readonly #commands: IoRedisCommands;
  readonly #listeners: { event: string; listener: Listener; its: string; wrapped: Listener }[] = [];

  /**
   * One for each client, so that its users share their listeners.
   *
   * @throws {ConfigurationError} where the client would change keys, or send commands late or twice.
   */
  static of(client: IoRedisClientLike): IoRedisClient {
    let made = wrappers.get(client);
    if (made === undefined) wrappers.set(client, (made = new IoRedisClient(client)));
    return made;
  }

  private constructor(client: IoRedisClientLike) {
    const options: Settings = client.options;
    if ((client as { readonly isCluster?: boolean }).isCluster === true || options.sentinels != null)
      throw new ConfigurationError(
        "fromClient(client): a cluster or sentinels of ioredis cannot be used; use cluster(urls) or sentinel(urls, " +
          "{ primaryName })",
      );
    if (options.autoResendUnfulfilledCommands !== false || options.enableOfflineQueue !== false)
      throw new ConfigurationError(
        "fromClient(client): this client of ioredis sends commands again, or late, after a reconnection: give " +
          "client.duplicate({ autoResendUnfulfilledCommands: false, enableOfflineQueue: false })",
      );
    if ((options.keyPrefix ?? "") !== "" || options.enableAutoPipelining === true)
      throw new ConfigurationError(
        "fromClient(client): this client of ioredis has a keyPrefix, or enableAutoPipelining; set neither, and the " +
          "prefix with .keyPrefix(prefix)",
      );
    if (options.replyMapping === "resp3")
      throw new ConfigurationError(
        'fromClient(client): this client of ioredis has replyMapping: "resp3"; remove it, or give ' +
          "client.duplicate({ replyMapping: undefined })",
      );
    const { subscribe, unsubscribe }: Partial<IoRedisClientLike> = client;
    this.cannotSubscribe = typeof subscribe !== "function" || typeof unsubscribe !== "function";
    this.#client = client;
    this.#commands = new IoRedisCommands(client);
  }

  get isOpen(): boolean {
    return !["wait", "end"].includes(this.#client.status);
  }

  get isReady(): boolean {
    return this.#client.status === "ready";
  }

  get options(): object {
    const { password, host, port, path }: Settings = this.#client.options;
    return { password, RESP: 2, socket: { host, port, path } };
  }

  sendCommand(args: (string | Buffer)[], options?: SendOptions): Promise<unknown> {
    return this.#commands.send(args, options);
  }

  on(event: string, listener: Listener): this {
    const its = EVENTS[event] ?? event;
    const wrapped = (error?: unknown): void => {
      // ioredis forgets what was in flight when it reconnects, and never answers it.
      if (its === "close") this.#commands.failAll(new Error("the connection was closed"));
      listener(error instanceof Error ? new Error(error.message) : undefined);
    };
    this.#listeners.push({ event, listener, its, wrapped });
    this.#client.on(its, wrapped);
    return this;
  }

  off(event: string, listener: Listener): this {
    const index = this.#listeners.findIndex((each) => each.event === event && each.listener === listener);
    const [removed] = index < 0 ? [] : this.#listeners.splice(index, 1);
    if (removed !== undefined) this.#client.off(removed.its, removed.wrapped);
    return this;
  }

  withTypeMapping(): RedisClientLike {
    return this;
  }

  /** The user opens and closes the client. */
  async connect(): Promise<void> {}

  async close(): Promise<void> {}

  duplicate(options?: { readonly database?: number }): RedisClientLike {
    return new IoRedisSession(this.#client, options?.database) as unknown as RedisClientLike;
  }
}

const wrappers = new WeakMap<IoRedisClientLike, IoRedisClient>();

/** The options of ioredis that matter here. */
interface Settings {
  readonly autoResendUnfulfilledCommands?: boolean;
  readonly enableOfflineQueue?: boolean;
  readonly enableAutoPipelining?: boolean;
  readonly keyPrefix?: string | undefined;
  readonly sentinels?: unknown;
  readonly replyMapping?: unknown;
  readonly password?: unknown;
  readonly host?: unknown;
  readonly port?: unknown;
  readonly path?: unknown;
}

type Listener = (error?: unknown) => void;

/** The events of node-redis that ioredis has under another name: its "reconnecting" comes after a wait. */
const EVENTS: Readonly<Record<string, string>> = { reconnecting: "close" };
