import { answerOf } from "./answers.ts";

/** A page gets at most ten updates a second; four are enough to the eye. */
const UPDATE_MS = 250;
const SLOWEST_MS = 5_000;
/** An update may take this part of the time of its process. */
const SHARE = 1 / 200;
/** Proxies close a connection on which nothing happens. */
const ALIVE_MS = 15_000;
/** The browser connects again, and is authorised again. */
const LONGEST_MS = 10 * 60_000;
/** Streams of all pages at one time. */
export const MAX_STREAMS = 50;

/**
 * Server-sent events: the parts of what `look` returns that have changed. A client that reads slowly gets the latest
 * state, and none of those between.
 *
 * @param onEnd called once, when the client has left or the stream has ended.
 */
export function liveStream(
  look: () => object,
  onEnd: () => void,
): { readonly response: Response; readonly end: () => void } {
  const stream = new Stream(look, onEnd);
  return {
    response: answerOf(200, "text/event-stream", stream.body, { "x-accel-buffering": "no" }),
    end: () => stream.end(),
  };
}

class Stream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #look: () => object;
  readonly #onEnd: () => void;
  readonly #encoder = new TextEncoder();
  readonly #startedAt = performance.now();
  /** Each part as it was sent. */
  readonly #sent = new Map<string, string>();
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #timer: NodeJS.Timeout | undefined;
  #sentAt = this.#startedAt;
  #isOver = false;

  constructor(look: () => object, onEnd: () => void) {
    this.#look = look;
    this.#onEnd = onEnd;
    this.body = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
        this.#send("retry: 2000\n\n");
        this.#later(0);
      },
      cancel: () => this.#over(),
    });
  }

  end(): void {
    if (this.#isOver) return;
    this.#over();
    this.#controller.close();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#onEnd();
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => this.#update(), ms);
    this.#timer.unref();
  }

  #update(): void {
    const startedAt = performance.now();
    if (startedAt - this.#startedAt > LONGEST_MS) {
      this.end();
      return;
    }
    // Without room the client has not read the last update yet.
    if ((this.#controller.desiredSize ?? 0) > 0) {
      const changed = this.#changed();
      if (changed !== "") this.#send(`data: {${changed}}\n\n`);
      else if (startedAt - this.#sentAt > ALIVE_MS) this.#send(": alive\n\n");
    }
    const tookMs = performance.now() - startedAt;
    this.#later(Math.min(SLOWEST_MS, Math.max(UPDATE_MS, tookMs / SHARE)));
  }

  /** Members of a JSON object. */
  #changed(): string {
    const members: string[] = [];
    for (const [name, part] of Object.entries(this.#state())) {
      const json = JSON.stringify(part);
      if (json === undefined || this.#sent.get(name) === json) continue;
      this.#sent.set(name, json);
      members.push(`${JSON.stringify(name)}:${json}`);
    }
    return members.join();
  }

  /** A state that cannot be read is one sentence: the page shows it. */
  #state(): object {
    try {
      return this.#look();
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  }

  #send(text: string): void {
    this.#sentAt = performance.now();
    this.#controller.enqueue(this.#encoder.encode(text));
  }
}
