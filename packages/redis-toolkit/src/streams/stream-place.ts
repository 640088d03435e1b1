import type { Invocation } from "../commands/invocation.ts";
import type { RedisView } from "../commands/view.ts";
import { expectNoEviction, moduleOf, type Module } from "../module/module.ts";

export interface StreamSettings {
  readonly values: "text" | "bytes";
  readonly requireNoEviction: boolean;
}

export interface SendOptions<R> {
  readonly decode: (reply: unknown) => R;
  /** Whether the command changes nothing, so that it may be sent again when a connection is lost. @default false */
  readonly isReadOnly?: boolean | undefined;
  /** @default that of the stream */
  readonly replies?: "text" | "bytes" | undefined;
  readonly blockMs?: number | undefined;
}

type Describe<R> = (key: string) => Invocation<R>["args"];

/** One stream in one view: what its parts send, and with which keys. */
export class StreamPlace {
  readonly redis: RedisView;
  readonly module: Module;
  /** The key of the stream, as the view has it. */
  readonly key: string;
  /** The stream of dead letters, in the same slot. */
  readonly deadKey: string;
  readonly values: "text" | "bytes";
  readonly #requireNoEviction: boolean;
  #wasEvictionChecked = false;

  constructor(redis: RedisView, key: string, settings: StreamSettings) {
    this.redis = redis;
    this.module = moduleOf(redis);
    this.key = key;
    this.deadKey = this.module.space.beside(key, "dead");
    this.values = settings.values;
    this.#requireNoEviction = settings.requireNoEviction;
  }

  /**
   * Redis may evict a stream as a whole. Reported once, or refused, as the options of the stream say.
   *
   * @throws {ConfigurationError} where that is refused. Then also what keeps Redis from being asked.
   */
  async expectNoEviction(): Promise<void> {
    if (this.#requireNoEviction) return expectNoEviction(this.redis, "streams", { required: true });
    if (this.#wasEvictionChecked) return;
    this.#wasEvictionChecked = true;
    // It never rejects, and nothing waits for it.
    void expectNoEviction(this.redis, "streams");
  }

  /** Runs a command over the key of this stream. */
  send<R>(describe: Describe<R>, options: SendOptions<R>): Promise<R> {
    return this.#sendTo(this.key, describe, options);
  }

  /** Runs a command over the stream of dead letters. */
  sendDead<R>(describe: Describe<R>, options: SendOptions<R>): Promise<R> {
    return this.#sendTo(this.deadKey, describe, options);
  }

  #sendTo<R>(name: string, describe: Describe<R>, options: SendOptions<R>): Promise<R> {
    return this.module.runInside((space) => {
      const key = space.inside(name);
      const { decode, isReadOnly = false, replies = this.values, blockMs } = options;
      return { args: describe(key), keys: [key], isReadOnly, replies, decode, blockMs };
    });
  }

  /** Runs a script over the stream. */
  script<R>(
    operation: string,
    text: string,
    args: readonly (string | number)[],
    decode: (reply: unknown) => R,
  ): Promise<R> {
    return this.#run(operation, text, [this.key], args, decode);
  }

  /** Runs a script over the stream and its dead letters. */
  scriptWithDead<R>(
    operation: string,
    text: string,
    args: readonly (string | number)[],
    decode: (reply: unknown) => R,
  ): Promise<R> {
    return this.#run(operation, text, [this.key, this.deadKey], args, decode);
  }

  #run<R>(
    operation: string,
    text: string,
    keys: readonly string[],
    args: readonly (string | number)[],
    decode: (reply: unknown) => R,
  ): Promise<R> {
    return this.module.runScript(text, keys, args.map(String), { replies: this.values, decode, operation });
  }
}

const places = new WeakMap<object, StreamPlace>();

export const placed = (stream: object, place: StreamPlace): void => void places.set(stream, place);

/** The place of a stream, for its groups of consumers. */
export const placeOf = (stream: object): StreamPlace => places.get(stream)!;
