import type { Duration } from "@hotset/core";
import type { RedisView } from "../index.ts";
import {
  checkName,
  checkOptions,
  checkSignal,
  checkTcpView,
  durationMs,
  moduleOf,
  type Module,
} from "../module/module.ts";
import { decodeJson, encodeJson } from "./job.ts";

/**
 * A list: `LPUSH` and `BRPOP`, as programs in any language use it. At most once: a message that was popped by a process
 * that dies is lost, and nothing is retried. {@link queue} loses none. Calls reject with `CommandError` where Redis
 * refuses, and `BackendUnavailableError` where it is not reached.
 */
export interface SimpleQueue<T> {
  /** Adds a message (`LPUSH`). @returns the length of the list. @throws {EncodeError} for what JSON cannot say. */
  push(message: T): Promise<number>;
  /**
   * Takes a message (`RPOP`), or waits for one on a separate connection (`BRPOP`). With a `signal` it waits in Redis
   * for a second at a time: the last wait continues after the signal, and a message that it brings is put back
   * (`RPUSH`), which `redis.disconnect()` waits for.
   *
   * @param options.timeout `undefined` comes after it; at most 1 hour. @default '30s'
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
  checkTcpView("simpleQueue(redis, key)", redis);
  checkName("simpleQueue(redis, key): the key", key);
  return {
    push: async (message) => redis.commands.lPush(key, encodeJson(message)),
    pop: async (options = {}) => {
      checkOptions("pop(options)", options, ["timeout", "signal"]);
      const { timeout = "30s", signal } = options;
      checkSignal("pop: signal", signal);
      const blockMs = durationMs("timeout", timeout, { max: HOUR_MS });
      signal?.throwIfAborted();
      return (await popped<T>(moduleOf(redis), key, { blockMs, signal }))?.value;
    },
    length: () => redis.commands.lLen(key),
  };
}

/** How long a pop that was given up still waits in Redis. */
const SLICE_MS = 1_000;

/**
 * A command that waits cannot be taken back: it would lose the message that crosses the signal. So with a signal it
 * waits in slices, and a message that comes after the signal is put back where it was.
 */
async function popped<T>(
  module: Module,
  key: string,
  { blockMs, signal }: { readonly blockMs: number; readonly signal: AbortSignal | undefined },
): Promise<Message<T>> {
  // A message that is there needs no separate connection.
  const found = await (signal === undefined
    ? pop<T>(module, key)
    : unlessAborted(module, key, signal, pop<T>(module, key)));
  if (found !== undefined) return found;
  if (signal === undefined) return pop<T>(module, key, blockMs);
  for (let leftMs = blockMs; leftMs > 0; leftMs -= SLICE_MS) {
    const waited = pop<T>(module, key, Math.min(leftMs, SLICE_MS));
    const message = await unlessAborted(module, key, signal, waited);
    if (message !== undefined) return message;
  }
  return undefined;
}

/** Rejects with the reason of the signal, and puts back what comes later. */
async function unlessAborted<T>(
  module: Module,
  key: string,
  signal: AbortSignal,
  waited: Promise<Message<T>>,
): Promise<Message<T>> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    if (signal.aborted) abort();
    return await Promise.race([waited, aborted.promise]);
  } catch (error) {
    if (signal.aborted) putBackLater(module, key, waited);
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** `redis.disconnect()` waits for it. */
function putBackLater<T>(module: Module, key: string, waited: Promise<Message<T>>): void {
  const done = waited.then(
    async (message) => {
      if (message === undefined) return;
      await module.runInside((space) => {
        const inside = space.inside(key);
        return {
          ...{ args: ["RPUSH", inside, message.bytes], keys: [inside] },
          ...{ isReadOnly: false, replies: "bytes", decode: () => undefined },
        };
      });
    },
    () => undefined,
  );
  const forget = module.onDisconnect(() => done, "waits");
  done.catch((error: unknown) => module.report("queue: a popped message was not put back", error)).finally(forget);
}

type Message<T> = { readonly value: T; readonly bytes: Buffer } | undefined;

/** @param blockMs waits so long in Redis, on a separate connection */
function pop<T>(module: Module, key: string, blockMs?: number): Promise<Message<T>> {
  return module.runInside<Message<T>>((space) => {
    const inside = space.inside(key);
    const how = { keys: [inside], isReadOnly: false, replies: "bytes" } as const;
    if (blockMs === undefined)
      return { args: ["RPOP", inside], ...how, decode: (reply) => read(reply as Buffer | null) };
    const decode = (reply: unknown): Message<T> => read((reply as readonly [Buffer, Buffer] | null)?.[1] ?? null);
    return { args: ["BRPOP", inside, String(blockMs / 1_000)], ...how, blockMs, decode };
  });
}

const read = <T>(message: Buffer | null): Message<T> =>
  message === null ? undefined : { value: decodeJson(message) as T, bytes: message };
