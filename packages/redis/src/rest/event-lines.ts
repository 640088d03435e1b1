/** The most characters of one event. A change names one key, so a stream that sends more is not believed. */
export const MAX_EVENT_CHARS: number = 2 ** 22;

export interface EventReceiver {
  /** The data of one event: its lines, joined by line feeds. */
  event(data: string): void;
  /**
   * What the event that is being received said cannot be known exactly: it has several lines, whose ends were line feeds
   * or carriage returns, or a line that the service did not write as one.
   */
  unclear(): void;
}

/**
 * Takes the text of server-sent events apart, however it was divided on the way. An event that has not ended is kept, up
 * to {@link MAX_EVENT_CHARS}.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export class EventLines {
  readonly #receiver: EventReceiver;
  /** The last line, without its end. */
  #rest = "";
  /** A carriage return at the end of the last chunk, which may be half of a line end. */
  #return = "";
  #data: string[] = [];
  #dataChars = 0;
  /** How the service ends its lines. Another end was in a message. */
  #lineEnd: string | undefined;

  constructor(receiver: EventReceiver) {
    this.#receiver = receiver;
  }

  /** Whether an event has begun and not ended. Comments are of none. */
  get isWithinEvent(): boolean {
    return this.#data.length > 0 || (this.#rest !== "" && !this.#rest.startsWith(":"));
  }

  /** @throws {Error} once an event is larger than {@link MAX_EVENT_CHARS}. */
  push(chunk: string): void {
    const text = this.#return + chunk;
    this.#return = text.endsWith("\r") ? "\r" : "";
    let begin = 0;
    for (const { 0: end, index } of text.matchAll(/\r\n|\r(?!$)|\n/g)) {
      this.#line(this.#rest + text.slice(begin, index), end);
      this.#rest = "";
      begin = index + end.length;
    }
    this.#rest += text.slice(begin, text.length - this.#return.length);
    this.#checkSize(this.#rest);
  }

  #checkSize(line: string): void {
    if (this.#dataChars + line.length > MAX_EVENT_CHARS)
      throw new Error(`an event of more than ${MAX_EVENT_CHARS} characters`);
  }

  #line(line: string, end: string): void {
    this.#checkSize(line);
    this.#lineEnd ??= end;
    if (end !== this.#lineEnd) this.#receiver.unclear();
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) return;
    const [, field = "", value = ""] = /^([a-z]+)(?:: ?([^]*))?$/.exec(line) ?? [];
    if (field === "data") {
      if (this.#data.length > 0) this.#receiver.unclear();
      this.#data.push(value);
      this.#dataChars += value.length;
    } else if (!OTHER_FIELDS.has(field)) {
      this.#receiver.unclear();
    }
  }

  #dispatch(): void {
    const data = this.#data;
    if (data.length === 0) return;
    this.#data = [];
    this.#dataChars = 0;
    this.#receiver.event(data.join("\n"));
  }
}

const OTHER_FIELDS = new Set(["event", "id", "retry"]);
