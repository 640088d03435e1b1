import { InvalidArgumentError, json, type Clock, type StandardSchema } from "@hotset/core";
import { kindOf } from "@hotset/core/internal";
import type { RedisConnection, Subscriber, SubscriptionKind } from "../client/contract.ts";
import type { RedisView } from "../commands/view.ts";
import {
  checkOptions,
  checkSchema,
  checkSignal,
  checkTcpView,
  moduleOf,
  shown,
  checkWholeNumber,
} from "../module/module.ts";
import { MessageQueue, type ChannelEvent, type Overflow, type Subscription } from "./message-queue.ts";

export type { ChannelEvent, Overflow, Subscription };

/** How messages are written. `json` with a schema checks what is received. */
export interface ChannelOptions<T> {
  /** @default 'json' */
  readonly codec?: "json" | "text" | "bytes" | undefined;
  /** Checks and types received messages; others are counted in `corrupt` and left out. */
  readonly schema?: StandardSchema<T> | undefined;
  /** A pattern of channels, or a channel of sharded pub/sub. @default 'channel' */
  readonly kind?: SubscriptionKind | undefined;
  /** Messages that wait for the reader of one subscription. @default 10_000 */
  readonly buffer?: number | undefined;
  /** Bytes of those messages. One message is kept, however large. @default 16_777_216 */
  readonly maxBytes?: number | undefined;
  /** Beyond that: which message is left out, or that the subscription ends. @default 'drop-oldest' */
  readonly overflow?: Overflow | undefined;
}

/** A handler of events, until it is closed. */
export interface Listening extends AsyncDisposable {
  /** Messages left out because the handler was too slow. */
  readonly dropped: number;
  /** Messages left out because they could not be read, or did not fit the schema. */
  readonly corrupt: number;
  /** Events whose handler threw, or rejected. */
  readonly failures: number;
  /** Ends it, and resolves once the handler that runs has ended: a handler must not wait for it. */
  close(): Promise<void>;
}

/**
 * One channel. Calls reject with `CommandError` where Redis refuses, `BackendUnavailableError` where it is not reached,
 * and `EncodeError` for a message that JSON cannot say.
 */
export interface Channel<T> {
  /**
   * Sends a message to those that listen now; nothing is kept.
   *
   * @returns how many connections received it, maybe none; in a cluster those of the node that was asked
   */
  publish(message: T): Promise<number>;
  /**
   * Resolves once the server has confirmed it: messages that are published from then on are received.
   *
   * @throws {CommandError} where the server refuses it, as for a user without the right to this channel.
   */
  subscribe(options?: { readonly signal?: AbortSignal | undefined }): Promise<Subscription<T>>;
  /**
   * One event after another. A handler that fails is counted, and the next event follows. `redis.disconnect()` ends it
   * and waits for its handler, 10 seconds at most.
   */
  listen(
    handler: (event: ChannelEvent<T>) => unknown,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<Listening>;
}

/** Publishing and subscribing over one view: channels of a tenant lie below its prefix. */
export interface PubSub {
  /** @throws {InvalidArgumentError} for an empty name, and for options that can never work. */
  channel<T = unknown>(name: string, options?: ChannelOptions<T>): Channel<T>;
  /**
   * One handler for several channels, as `listen` of each: for one channel it is called with one event after another.
   * Where a channel cannot be subscribed to, none is.
   *
   * @throws {InvalidArgumentError} for no name, and for options that can never work.
   * @throws {CommandError} where the server refuses one of them.
   */
  subscribe<T = unknown>(
    names: readonly string[],
    handler: (event: ChannelEvent<T>) => unknown,
    options?: ChannelOptions<T> & { readonly signal?: AbortSignal | undefined },
  ): Promise<Listening>;
}

/**
 * Channels over one view: a cheap object, which sends nothing.
 *
 * @throws {InvalidArgumentError} for what is not a view.
 */
export function pubsub(redis: RedisView): PubSub {
  checkTcpView("pubsub(redis)", redis);
  const channel = <T>(name: string, options: ChannelOptions<T> = {}): Channel<T> => {
    check(name, options);
    return new RedisChannel<T>(redis, name, options);
  };
  return {
    channel,
    subscribe: async <T>(
      names: readonly string[],
      handler: (event: ChannelEvent<T>) => unknown,
      options: ChannelOptions<T> & { readonly signal?: AbortSignal } = {},
    ) => {
      checkOptions("subscribe(names, handler, options)", options, ["signal", ...OPTIONS]);
      if (!Array.isArray(names) || names.length === 0)
        throw new InvalidArgumentError(`subscribe(names): names must be a list of channels, got ${shown(names)}`);
      const { signal, ...others } = options;
      const channels = names.map((name: string) => channel<T>(name, others));
      const begun = await Promise.allSettled(channels.map((each) => each.listen(handler, { signal })));
      const listening = begun.flatMap((each) => (each.status === "fulfilled" ? each.value : []));
      const all = together(listening);
      const failed = begun.find((each) => each.status === "rejected");
      if (failed === undefined) return all;
      await all.close();
      throw failed.reason;
    },
  };
}

function together(all: readonly Listening[]): Listening {
  const sum = (name: "dropped" | "corrupt" | "failures"): number => all.reduce((total, each) => total + each[name], 0);
  const close = async (): Promise<void> => void (await Promise.all(all.map((each) => each.close())));
  return {
    get dropped() {
      return sum("dropped");
    },
    get corrupt() {
      return sum("corrupt");
    },
    get failures() {
      return sum("failures");
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const OPTIONS = ["codec", "schema", "kind", "buffer", "maxBytes", "overflow"];
/** A burst is read from the socket before a handler runs. */
const DEFAULT_BUFFER = 10_000;
const DEFAULT_MAX_BYTES = 16 * 2 ** 20;
const AT_LEAST_1 = { min: 1, max: Number.MAX_SAFE_INTEGER };
/** How long `redis.disconnect()` waits for the handler of a listener. */
const LISTENER_GRACE_MS = 10_000;
const SUBSCRIBES = { channel: "SUBSCRIBE", pattern: "PSUBSCRIBE", shard: "SSUBSCRIBE" } as const;

function check<T>(name: string, options: ChannelOptions<T>): void {
  const refuse = (text: string): never => {
    throw new InvalidArgumentError(`channel(name, options): ${text}`);
  };
  if (typeof name !== "string" || name === "") refuse("the name must be text that is not empty");
  checkOptions("channel(name, options)", options, OPTIONS);
  const { codec = "json", kind = "channel", overflow = "drop-oldest", schema } = options;
  const { buffer = DEFAULT_BUFFER, maxBytes = DEFAULT_MAX_BYTES } = options;
  checkSchema("channel(name, options): schema", schema);
  if (!["json", "text", "bytes"].includes(codec)) refuse('codec must be "json", "text" or "bytes"');
  if (!["channel", "pattern", "shard"].includes(kind)) refuse('kind must be "channel", "pattern" or "shard"');
  checkWholeNumber("channel(name, options): buffer", buffer, AT_LEAST_1);
  checkWholeNumber("channel(name, options): maxBytes", maxBytes, AT_LEAST_1);
  if (!["drop-oldest", "drop-newest", "close"].includes(overflow))
    refuse('overflow must be "drop-oldest", "drop-newest" or "close"');
}

class RedisChannel<T> implements Channel<T> {
  readonly #redis: RedisView;
  readonly #name: string;
  readonly #options: ChannelOptions<T>;
  readonly #kind: SubscriptionKind;

  constructor(redis: RedisView, name: string, options: ChannelOptions<T>) {
    this.#redis = redis;
    this.#name = name;
    this.#options = options;
    this.#kind = options.kind ?? "channel";
  }

  async publish(message: T): Promise<number> {
    if (this.#kind === "pattern")
      throw new InvalidArgumentError("publish: a pattern is not a channel; publish to channel(name)");
    const bytes = encode(this.#options.codec ?? "json", message);
    return moduleOf(this.#redis).runInside((space) => {
      const channel = space.inside(this.#name);
      const isShard = this.#kind === "shard";
      return {
        args: [isShard ? "SPUBLISH" : "PUBLISH", channel, bytes],
        keys: isShard ? [channel] : [],
        isReadOnly: false,
        replies: "text",
        decode: Number,
      };
    });
  }

  async subscribe(options: { readonly signal?: AbortSignal } = {}): Promise<Subscription<T>> {
    checkOptions("subscribe(options)", options, ["signal"]);
    checkSignal("subscribe: signal", options.signal);
    options.signal?.throwIfAborted();
    const module = moduleOf(this.#redis);
    const { connection, onDisconnect, space } = module;
    const name = this.#kind === "pattern" ? space.pattern(this.#name) : space.inside(this.#name);
    const { codec = "json", schema, overflow = "drop-oldest" } = this.#options;
    const { buffer = DEFAULT_BUFFER, maxBytes = DEFAULT_MAX_BYTES } = this.#options;
    const read = (bytes: Buffer): Promise<T> => decode(codec, bytes, schema);
    const queue = new MessageQueue<T>({ name: this.#name, buffer, maxBytes, overflow, read, module });
    const subscriber = await shared(connection, this.#kind === "shard" ? name : undefined);
    const end = (): void => void queue.close();
    const forget = onDisconnect(() => queue.close(), "waits");
    options.signal?.addEventListener("abort", end);
    const removeGap = subscriber.use.on("gap", () => queue.gap());
    const detach = (): void => {
      forget();
      removeGap();
      options.signal?.removeEventListener("abort", end);
    };
    try {
      const unsubscribe = await subscriber.use.subscribe(this.#kind, name, (message, channel) =>
        queue.push(message, space.outside(channel.toString())),
      );
      queue.onEnd(async () => {
        detach();
        await unsubscribe();
        await subscriber.release();
      });
    } catch (error) {
      detach();
      await subscriber.release();
      throw module.errorOf(SUBSCRIBES[this.#kind], error);
    }
    if (options.signal?.aborted) await queue.close();
    return queue;
  }

  async listen(
    handler: (event: ChannelEvent<T>) => unknown,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Listening> {
    if (typeof handler !== "function")
      throw new InvalidArgumentError("listen(handler): the handler must be a function");
    const { clock, onDisconnect } = moduleOf(this.#redis);
    const subscription = await this.subscribe(options);
    let failures = 0;
    const ended = (async () => {
      for await (const event of subscription)
        try {
          await handler(event);
        } catch {
          failures += 1;
        }
    })();
    const close = async (): Promise<void> => {
      await subscription.close();
      await ended;
    };
    const forget = onDisconnect(() => atMost(LISTENER_GRACE_MS, close(), clock), "listeners");
    void ended.then(forget);
    return {
      get dropped() {
        return subscription.dropped;
      },
      get corrupt() {
        return subscription.corrupt;
      },
      get failures() {
        return failures;
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  }
}

/** Resolves with `work`, or after `ms`. */
function atMost(ms: number, work: Promise<void>, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.schedule(resolve, ms);
    const end = (): void => (cancel(), resolve());
    work.then(end, end);
  });
}

function encode(codec: "json" | "text" | "bytes", message: unknown): string | Buffer {
  if (codec === "json") return Buffer.from(json().encode(message));
  if (codec === "text" ? typeof message === "string" : Buffer.isBuffer(message)) return message as string | Buffer;
  throw new InvalidArgumentError(
    `publish: a message must be ${codec === "text" ? "text" : "a Buffer"}, got ${kindOf(message)}`,
  );
}

async function decode<T>(
  codec: "json" | "text" | "bytes",
  bytes: Buffer,
  schema: StandardSchema<T> | undefined,
): Promise<T> {
  const value: unknown = codec === "json" ? json().decode(bytes) : codec === "text" ? bytes.toString() : bytes;
  if (schema === undefined) return value as T;
  const result = await schema["~standard"].validate(value);
  if (result.issues !== undefined) throw new Error("the message does not fit the schema");
  return result.value;
}

interface Shared {
  readonly use: Subscriber;
  /** Closes it if this was its last user. */
  release(): Promise<void>;
}

/** One socket for all channels of a connection; for sharded ones, one for each channel, on its node. */
const subscribers = new WeakMap<
  RedisConnection,
  Map<string, { readonly opened: Promise<Subscriber>; users: number }>
>();

async function shared(connection: RedisConnection, shard: string | undefined): Promise<Shared> {
  let all = subscribers.get(connection);
  if (all === undefined) subscribers.set(connection, (all = new Map()));
  const name = shard === undefined ? "" : `shard ${shard}`;
  let one = all.get(name);
  if (one === undefined) {
    const opened = connection.open({ role: "subscriber", ...(shard === undefined ? undefined : { key: shard }) });
    all.set(name, (one = { opened, users: 0 }));
  }
  const mine = one;
  mine.users += 1;
  const forget = (): boolean => {
    mine.users -= 1;
    if (mine.users === 0 && all.get(name) === mine) all.delete(name);
    return mine.users === 0;
  };
  try {
    const use = await mine.opened;
    return { use, release: async () => (forget() ? use.close() : undefined) };
  } catch (error) {
    forget();
    throw error;
  }
}
