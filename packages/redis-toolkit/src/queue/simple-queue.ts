import type { Duration } from "@hotset/core";
import type { RedisView } from "../index.ts";
import { checkName, checkOptions, checkSignal, checkView, durationMs, moduleOf } from "../module/module.ts";
import { decodeJson, encodeJson } from "./job.ts";

/**
 * A list: `LPUSH` and `BRPOP`, as programs in any language use it. At most once: a message that was popped by a process
 * that dies is lost, and nothing is retried. {@link queue} loses none. Calls reject with `CommandError` where Redis
 * refuses, and `BackendUnavailableError` where it is not reached.
 */
export interface SimpleQueue<T> {
  /** @returns the length of the list. @throws {EncodeError} for what JSON cannot say. */
  push(message: T): Promise<number>;
  /**
   * Waits in Redis, on a separate connection.
   *
   * @param options.timeout `undefined` comes after it. @default '30s'
   * @throws {CommandError} `CORRUPT_VALUE` for a message that is not JSON; it is removed all the same.
   */
  pop(options?: {
    readonly timeout?: Duration | undefined;
    readonly signal?: AbortSignal | undefined;
  }): Promise<T | undefined>;
  /** How many messages wait. */
  length(): Promise<number>;
}

const HOUR_MS = 3_600_000;

/**
 * A list as a queue: a cheap object, which sends nothing.
 *
 * @param key of the list, inside the view
 * @throws {InvalidArgumentError} for a key that is not text of 1 to 512 characters.
 */
export function simpleQueue<T = unknown>(redis: RedisView, key: string): SimpleQueue<T> {
  checkView("simpleQueue(redis, key)", redis);
  checkName("simpleQueue(redis, key): the key", key);
  return {
    push: async (message) => redis.commands.lPush(key, encodeJson(message)),
    pop: async (options = {}) => {
      checkOptions("pop(options)", options, ["timeout", "signal"]);
      const { timeout = "30s", signal } = options;
      checkSignal("pop: signal", signal);
      const blockMs = durationMs("timeout", timeout, { max: HOUR_MS });
      signal?.throwIfAborted();
      const how = { isReadOnly: false, replies: "bytes", signal } as const;
      // A message that is there needs no separate connection.
      const found = await moduleOf(redis).runInside<Message<T>>((space) => {
        const inside = space.inside(key);
        return { args: ["RPOP", inside], keys: [inside], ...how, decode: (reply) => read(reply as Buffer | null) };
      });
      if (found !== undefined) return found.value;
      const awaited = await moduleOf(redis).runInside<Message<T>>((space) => {
        const inside = space.inside(key);
        const decode = (reply: unknown): Message<T> => read((reply as readonly [Buffer, Buffer] | null)?.[1] ?? null);
        return { args: ["BRPOP", inside, String(blockMs / 1_000)], keys: [inside], ...how, blockMs, decode };
      });
      return awaited?.value;
    },
    length: () => redis.commands.lLen(key),
  };
}

type Message<T> = { readonly value: T } | undefined;

const read = <T>(message: Buffer | null): Message<T> =>
  message === null ? undefined : { value: decodeJson(message) as T };
