import { flush } from "@hotset/testing";
import type { Args, RawClient } from "../src/connection/command-queue.ts";
import { joinCommands } from "../src/connection/trip.ts";
import { nodeRedis } from "../src/primitives/node-redis.ts";

/** A client whose replies the test gives, to the oldest command first. */
export class Wire implements RawClient {
  readonly sent: string[] = [];
  readonly #pending: { resolve(reply: unknown): void; reject(error: unknown): void }[] = [];

  sendCommand(args: (string | Buffer)[]): Promise<unknown> {
    this.sent.push(args.join(" "));
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
    });
  }

  /** The oldest command, to be settled in another order. */
  take(): { resolve(reply: unknown): void; reject(error: unknown): void } {
    return this.#pending.shift()!;
  }

  reply(value: unknown): Promise<void> {
    this.#pending.shift()!.resolve(value);
    return flush();
  }

  fail(error: unknown): Promise<void> {
    this.#pending.shift()!.reject(error);
    return flush();
  }

  /** As node-redis does with all that has no reply when a connection ends. */
  cut(error: Error): void {
    for (const { reject } of this.#pending.splice(0)) reject(error);
  }
}

/** What node-redis would write, and what it makes of what arrives. */
export interface NodeQueue {
  addCommand(args: Args, options: object): Promise<unknown>;
  commandsToWrite(): Iterable<readonly (string | Buffer)[]>;
  /** As node-redis itself, in place of what {@link joinCommands} made of it. */
  takeUnwritten(): void;
  addPushHandler(handler: (push: unknown[]) => boolean): void;
  subscribe(type: string, channels: string, listener: () => void): Promise<void>;
  flushAll(error: Error): void;
  readonly decoder: { write(chunk: Buffer): void };
}

/** node-redis without a socket. */
export interface Unconnected {
  readonly queue: NodeQueue;
  readonly client: RawClient & { _getQueue(): NodeQueue };
  /** Commands, as node-redis counts them. */
  sent: number;
}

export async function openUnconnected(protocol: 2 | 3): Promise<Unconnected> {
  const { RedisClient } = await nodeRedis();
  return unconnectedOver((new RedisClient({ RESP: protocol }) as unknown as { _getQueue(): NodeQueue })._getQueue());
}

export function unconnectedOver(queue: NodeQueue): Unconnected {
  const { commandsToWrite } = queue;
  queue.takeUnwritten = () => void Array.from(commandsToWrite.call(queue));
  const opened: Unconnected = {
    queue,
    client: {
      _getQueue: () => queue,
      sendCommand: (args, options) => {
        opened.sent += 1;
        return queue.addCommand(args, { typeMapping: { 36: Buffer }, ...options });
      },
    },
    sent: 0,
  };
  joinCommands(opened.client);
  return opened;
}
