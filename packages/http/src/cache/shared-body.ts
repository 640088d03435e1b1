import type { Clock } from "@hotset/core";
import { announcedBytes } from "../semantics/directives.ts";
import { ignore, type PlainResponse } from "./messages.ts";
import type { Plan } from "./options.ts";

/** Why a body ended before its end. */
export class BodyEndedEarlyError extends Error {
  override readonly name = "BodyEndedEarlyError";
}

export interface SharedBodyOptions {
  readonly clock: Clock;
  /** More bytes are not kept. */
  readonly maxBytes: number;
  /** The longest time without a byte. */
  readonly idleMs: number;
  /** Length of the body in bytes, as Content-Length announced it. */
  readonly announcedBytes: number | undefined;
  /** Whether the source is read to its end when the last reader left before `maxBytes` were exceeded. */
  readonly finishesAlone: boolean;
}

/**
 * The body of one load, for any number of readers, each from its first byte.
 *
 * Until `maxBytes` the source is read at its own pace and everything is kept. After them only what the slowest reader
 * still needs is kept, at most `maxBytes`, and the source is read at its pace. A reader that takes nothing for
 * two seconds while another waits for bytes is left behind: its body fails. A source without a byte for `idleMs` has broken off, unless it has
 * one reader: that decides itself how long it waits.
 */
export class SharedBody {
  /** All bytes, once they are there; `undefined` when there were more than `maxBytes`, or no reader was left. */
  readonly whole: Promise<Uint8Array | undefined>;
  readonly #source: ReadableStreamDefaultReader<Uint8Array>;
  readonly #options: SharedBodyOptions;
  readonly #readers = new Set<Reader>();
  readonly #chunks: Uint8Array[] = [];
  /** Index of the first kept chunk. */
  #base = 0;
  #bytes = 0;
  #isOver = false;
  /** Whether the source was cancelled because the body has no reader left. */
  #isLeft = false;
  #end: { readonly error: unknown } | "complete" | undefined;
  #wakeSource: (() => void) | undefined;
  #settle!: { resolve(bytes: Uint8Array | undefined): void; reject(error: unknown): void };

  constructor(source: ReadableStream<Uint8Array>, options: SharedBodyOptions) {
    this.#source = source.getReader();
    this.#options = options;
    this.whole = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.whole.catch(ignore);
    void this.#pump();
  }

  /** Bytes that are kept at present. */
  get keptBytes(): number {
    return this.#chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Another reader, from the first byte on; `undefined` when that is not kept any longer. */
  read(): ReadableStream<Uint8Array> | undefined {
    if (this.#base > 0 || this.#isLeft) return undefined;
    const reader = new Reader();
    this.#readers.add(reader);
    return new ReadableStream<Uint8Array>(
      {
        pull: (controller) => this.#give(reader, controller),
        cancel: (reason) => this.#leave(reader, reason),
      },
      { highWaterMark: 0 },
    );
  }

  async #give(reader: Reader, controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (;;) {
      if (reader.error !== undefined) return controller.error(reader.error);
      const chunk = this.#chunks[reader.next - this.#base];
      if (chunk !== undefined) {
        reader.next++;
        reader.movedAt = this.#options.clock.now();
        controller.enqueue(chunk);
        this.#forget();
        return;
      }
      if (this.#end === "complete") {
        this.#readers.delete(reader);
        return controller.close();
      }
      if (this.#end !== undefined) return controller.error(this.#end.error);
      const woken = reader.waits();
      // Those that have stopped may be left behind from now on.
      this.#wakeSource?.();
      await woken;
      reader.movedAt = this.#options.clock.now();
    }
  }

  async #pump(): Promise<void> {
    try {
      for (;;) {
        if (this.#isOver && !(await this.#room())) return;
        const { done, value } = await this.#next();
        if (this.#isLeft) return;
        if (done) break;
        this.#take(value);
      }
      const { announcedBytes } = this.#options;
      if (announcedBytes !== undefined && announcedBytes !== this.#bytes)
        throw new BodyEndedEarlyError(`the body has ${this.#bytes} bytes, Content-Length says ${announcedBytes}`);
      this.#finish("complete");
      this.#settle.resolve(this.#isOver ? undefined : joined(this.#chunks, this.#bytes));
    } catch (error) {
      if (this.#isLeft) return;
      this.#finish({ error });
      this.#settle.reject(error);
      void this.#source.cancel(error).catch(ignore);
    }
  }

  async #next(): ReturnType<ReadableStreamDefaultReader<Uint8Array>["read"]> {
    const { clock, idleMs } = this.#options;
    let cancel: () => void = ignore;
    const idle = new Promise<never>((_, reject) => {
      const wait = (): void => {
        cancel = clock.schedule(() => {
          if (this.#readers.size === 1) return wait();
          reject(new BodyEndedEarlyError(`no byte of the body came for ${idleMs} ms`));
        }, idleMs);
      };
      wait();
    });
    try {
      return await Promise.race([this.#source.read(), idle]);
    } finally {
      cancel();
    }
  }

  #take(chunk: Uint8Array): void {
    this.#bytes += chunk.byteLength;
    this.#chunks.push(chunk);
    if (!this.#isOver && this.#bytes > this.#options.maxBytes) {
      this.#isOver = true;
      this.#settle.resolve(undefined);
    }
    for (const reader of this.#readers) reader.wake();
    this.#forget();
  }

  /** Waits until the slowest reader needs less than `maxBytes` of what is kept; `false` when no reader is left. */
  async #room(): Promise<boolean> {
    const { clock, maxBytes } = this.#options;
    /** When a reader had all that is kept, and began to wait for the slowest. */
    let waitsSinceAt: number | undefined;
    while (this.keptBytes >= maxBytes && this.#readers.size > 0) {
      const waits = [...this.#readers].some(({ isWaiting }) => isWaiting);
      waitsSinceAt = waits ? (waitsSinceAt ?? clock.now()) : undefined;
      if (waitsSinceAt !== undefined && this.#leaveBehind(waitsSinceAt)) continue;
      let cancel: () => void = ignore;
      await new Promise<void>((resolve) => {
        // Called when a reader takes a chunk, leaves, or begins to wait.
        this.#wakeSource = resolve;
        if (waitsSinceAt === undefined) return;
        const leftMs = waitsSinceAt + PATIENCE_MS - clock.now();
        cancel = clock.schedule(resolve, leftMs > 0 ? leftMs : PATIENCE_MS);
      });
      cancel();
    }
    if (this.#readers.size > 0) return true;
    this.#chunks.length = 0;
    this.#stop();
    return false;
  }

  /**
   * Ends all that have taken nothing for so long while another waited, wherever they are. One that has taken some, however
   * slowly, stays.
   *
   * @returns whether there were any.
   */
  #leaveBehind(waitsSinceAt: number): boolean {
    const untilAt = this.#options.clock.now() - PATIENCE_MS;
    const stopped = [...this.#readers].filter(
      ({ isWaiting, movedAt }) => !isWaiting && Math.max(movedAt, waitsSinceAt) <= untilAt,
    );
    for (const reader of stopped) {
      reader.error = new BodyEndedEarlyError(`the reader took nothing for ${PATIENCE_MS} ms while others waited`);
      this.#readers.delete(reader);
    }
    this.#forget();
    return stopped.length > 0;
  }

  #leave(reader: Reader, reason: unknown): void {
    this.#readers.delete(reader);
    this.#forget();
    const isLast = this.#readers.size === 0 && this.#end === undefined && !this.#isOver;
    if (!isLast || this.#options.finishesAlone) return;
    this.#isOver = true;
    this.#settle.resolve(undefined);
    this.#stop(reason);
  }

  #stop(reason?: unknown): void {
    this.#isLeft = true;
    void this.#source.cancel(reason).catch(ignore);
  }

  /** After the limit, what every reader has. */
  #forget(): void {
    if (!this.#isOver) return;
    const least = Math.min(this.#base + this.#chunks.length, ...[...this.#readers].map(({ next }) => next));
    this.#chunks.splice(0, least - this.#base);
    this.#base = least;
    this.#wakeSource?.();
  }

  #finish(end: { readonly error: unknown } | "complete"): void {
    this.#end = end;
    for (const reader of this.#readers) reader.wake();
  }
}

/** The body of a response for many readers: all of it at once, where it is there. */
export function sharedBodyOf(
  { body, fields }: PlainResponse,
  { clock, settings, bodyIdleMs, finishesAlone }: Pick<Plan, "clock" | "settings" | "bodyIdleMs" | "finishesAlone">,
): SharedBody | Uint8Array {
  if (!(body instanceof ReadableStream)) return body ?? new Uint8Array(0);
  const options = { clock, maxBytes: settings.maxBodyBytes, idleMs: bodyIdleMs, finishesAlone };
  return new SharedBody(body, { ...options, announcedBytes: announcedBytes(fields) });
}

/** One reader: the chunk that it gets next, and its wait for it. */
class Reader {
  next = 0;
  /** When it took a chunk last, or got one to take after a wait. */
  movedAt = -Infinity;
  error: unknown;
  isWaiting = false;
  #wake: () => void = ignore;

  async waits(): Promise<void> {
    this.isWaiting = true;
    await new Promise<void>((resolve) => (this.#wake = resolve));
    this.isWaiting = false;
  }

  wake(): void {
    this.#wake();
  }
}

/** As long may a reader that has stopped hold up others. A chunk of 64 KB takes a slow client more than a second. */
const PATIENCE_MS = 2_000;

function joined(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
