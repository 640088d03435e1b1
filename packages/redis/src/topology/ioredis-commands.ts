import type { SendOptions } from "../connection/command-queue.ts";
import { textReply } from "../primitives/text-reply.ts";

/**
 * The part of ioredis' `new Redis()` that is used. `subscribe` and `unsubscribe` are called on a `duplicate`, where
 * changes arrive over a channel. A rejection that does not read like a reply of Redis counts as a lost connection.
 */
export interface IoRedisClientLike {
  readonly status: string;
  readonly options: object;
  callBuffer(command: string, ...args: (string | Buffer)[]): Promise<unknown>;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
  duplicate(options: object): IoRedisClientLike;
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  connect(): Promise<unknown>;
  disconnect(): void;
}

/** Commands over a client of ioredis, with the replies and errors of node-redis. */
export class IoRedisCommands {
  readonly #client: IoRedisClientLike;
  readonly #inFlight = new Set<(error: Error) => void>();

  constructor(client: IoRedisClientLike) {
    this.#client = client;
  }

  /**
   * Blobs come as Buffers, unless `typeMapping` says text. An error has its message alone: ioredis adds the command
   * with its arguments.
   */
  send([command = "", ...args]: readonly (string | Buffer)[], options?: SendOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        this.#inFlight.delete(fail);
        reject(new Error(error.message === SUBSCRIBED ? `ERR ${error.message}` : error.message));
      };
      this.#inFlight.add(fail);
      this.#client.callBuffer(nameOf(String(command)), ...args).then((reply) => {
        this.#inFlight.delete(fail);
        resolve(textReply(reply, options?.typeMapping));
      }, fail);
    });
  }

  /** Rejects the commands that have no reply. */
  failAll(error: Error): void {
    for (const fail of [...this.#inFlight]) fail(error);
  }
}

/**
 * In small letters, by which it knows what a connection that is subscribed may send, and which replies ioredis 6 gives
 * the shape of RESP2. It would make an object of that of `hgetall`.
 */
function nameOf(command: string): string {
  const name = command.toLowerCase();
  return name === "hgetall" ? "HGETALL" : name;
}

/** The text with which a server of RESP2 refuses commands of a subscriber. */
const SUBSCRIBED = "Connection in subscriber mode, only subscriber commands may be used";
