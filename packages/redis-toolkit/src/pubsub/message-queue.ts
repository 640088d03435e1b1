import { OverloadedError } from "@hotset/core";
import { keepAlive } from "@hotset/core/internal";
import type { Module } from "../module/module.ts";

/** A message, or that some may have been missed. */
export type ChannelEvent<T> =
  | { readonly kind: "message"; readonly message: T; readonly channel: string }
  /** The connection was lost and is back: messages in between were missed. */
  | { readonly kind: "gap" };

/** The events of one subscriber. Ends by `close`, by leaving the loop, by its signal, or by `redis.disconnect()`. */
export interface Subscription<T> extends AsyncIterableIterator<ChannelEvent<T>>, AsyncDisposable {
  /** Messages left out because the reader was too slow. */
  readonly dropped: number;
  /** Messages left out because they could not be read, or did not fit the schema. */
  readonly corrupt: number;
  /** Resolves once the server has confirmed the end. Idempotent. */
  close(): Promise<void>;
}

/** Without room for a message: which one is left out, or that the subscription ends. */
export type Overflow = "drop-oldest" | "drop-newest" | "close";

export interface MessageQueueSettings<T> {
  /** For the log. */
  readonly name: string;
  /** Messages that wait for the reader. */
  readonly buffer: number;
  /** Their bytes. One message is kept, however large. */
  readonly maxBytes: number;
  readonly overflow: Overflow;
  readonly read: (bytes: Buffer) => Promise<T>;
  /** The module of all subscriptions, whose `counts` they share. */
  readonly module: Pick<Module, "clock" | "counts" | "report">;
}

type Waiting =
  | { readonly kind: "message"; readonly bytes: Buffer; readonly channel: string }
  | { readonly kind: "gap" };

/** The events of one subscription, in the order in which they came. Bounded; messages are read when they are taken. */
export class MessageQueue<T> implements Subscription<T> {
  dropped = 0;
  corrupt = 0;
  readonly #settings: MessageQueueSettings<T>;
  #waiting: Waiting[] = [];
  #messages = 0;
  #bytes = 0;
  /** One for all: a stack trace costs more than a message. */
  #full: OverloadedError | undefined;
  #wake: (() => void) | undefined;
  /** The call of `next` before: events go to calls in their order. */
  #turn: Promise<unknown> = Promise.resolve();
  #end: (() => Promise<void>) | undefined;
  #ended: Promise<void> | undefined;

  constructor(settings: MessageQueueSettings<T>) {
    this.#settings = settings;
  }

  /** `end` is called once, at the end; immediately for a queue that has ended meanwhile. */
  onEnd(end: () => Promise<void>): void {
    this.#end = end;
    if (this.#ended !== undefined) this.#ended = end();
  }

  push(bytes: Buffer, channel: string): void {
    if (this.#ended !== undefined) return;
    const { overflow } = this.#settings;
    while (!this.#hasRoom(bytes)) {
      this.#drop();
      if (overflow === "close") return void this.close();
      if (overflow === "drop-newest") return;
      this.#remove(this.#waiting.findIndex(({ kind }) => kind === "message"));
    }
    this.#messages += 1;
    this.#bytes += bytes.length;
    this.#add({ kind: "message", bytes, channel });
  }

  #hasRoom(bytes: Buffer): boolean {
    const { buffer, maxBytes } = this.#settings;
    return this.#messages === 0 || (this.#messages < buffer && this.#bytes + bytes.length <= maxBytes);
  }

  #drop(): void {
    const { name, buffer, maxBytes, module } = this.#settings;
    this.dropped += 1;
    module.counts.messagesDropped += 1;
    this.#full ??= new OverloadedError(
      `the reader of ${JSON.stringify(name)} is too slow, so messages are dropped: at most ${buffer} with ${maxBytes} bytes wait for it; see buffer and maxBytes`,
      { tier: "redis", operation: "subscribe" },
    );
    module.report("pub/sub", this.#full);
  }

  #remove(index: number): Waiting | undefined {
    const [removed] = index === 0 ? [this.#waiting.shift()] : this.#waiting.splice(index, 1);
    if (removed?.kind === "message") {
      this.#messages -= 1;
      this.#bytes -= removed.bytes.length;
    }
    return removed;
  }

  gap(): void {
    if (this.#ended === undefined) this.#settings.module.counts.subscriptionGaps += 1;
    // Two gaps in a row say no more than one.
    if (this.#ended === undefined && this.#waiting.at(-1)?.kind !== "gap") this.#add({ kind: "gap" });
  }

  next(): Promise<IteratorResult<ChannelEvent<T>, undefined>> {
    const taken = this.#turn.then(() => this.#take());
    this.#turn = taken;
    return taken;
  }

  async #take(): Promise<IteratorResult<ChannelEvent<T>, undefined>> {
    for (;;) {
      const first = this.#remove(0);
      if (first === undefined) {
        if (this.#ended !== undefined) return { done: true, value: undefined };
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await keepAlive(this.#settings.module.clock, promise);
        continue;
      }
      if (first.kind === "gap") return { done: false, value: first };
      try {
        const message = await this.#settings.read(first.bytes);
        return { done: false, value: { kind: "message", message, channel: first.channel } };
      } catch {
        this.corrupt += 1;
        this.#settings.module.counts.messagesCorrupt += 1;
      }
    }
  }

  /** Leaving a loop ends the subscription. */
  async return(): Promise<IteratorResult<ChannelEvent<T>, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  /** Messages that wait are still delivered. */
  close(): Promise<void> {
    this.#ended ??= this.#end?.() ?? Promise.resolve();
    this.#wake?.();
    return this.#ended;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #add(event: Waiting): void {
    this.#waiting.push(event);
    this.#wake?.();
    this.#wake = undefined;
  }
}
