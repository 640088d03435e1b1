import { BackendUnavailableError, type Clock } from "@hotset/core";
import { scheduleRunning } from "@hotset/core/internal";
import { SubscriptionRefusedError } from "../connection/change-notifier.ts";
import { lost } from "../primitives/faults.ts";
import { conceal } from "../primitives/secrets.ts";
import { EventLines } from "./event-lines.ts";
import type { RestClientSettings } from "./rest-client.ts";

export interface EventStreamSettings extends Pick<RestClientSettings, "url" | "token" | "fetch"> {
  readonly channel: string;
  readonly clock: Clock;
  /** Bound on the request and the confirmation of the subscription. */
  readonly connectTimeoutMs: number;
  /** A message of the channel. */
  readonly message: (text: string) => void;
  /** Messages may have been missed, and later ones arrive. */
  readonly gap: () => void;
  /** The stream was open, and has ended for any reason but {@link EventStream.close}. Called once. */
  readonly ended: (error: BackendUnavailableError) => void;
}

/**
 * The messages of one channel as server-sent events: a POST to `/subscribe/<channel>`, whose answer does not end. Events
 * are `subscribe,<channel>,<count>` once the service has subscribed, and `message,<channel>,<message>`.
 */
export class EventStream {
  readonly #settings: EventStreamSettings;
  readonly #address: string;
  readonly #aborts = new AbortController();
  readonly #subscribed = Promise.withResolvers<void>();
  readonly #lines: EventLines;
  #phase: "opening" | "open" | "over" = "opening";
  #messages = 0;
  #bytes = 0;

  constructor(settings: EventStreamSettings) {
    this.#settings = settings;
    this.#address = new URL(settings.url).host;
    this.#lines = new EventLines({
      event: (data) => this.#event(data),
      unclear: () => this.#settings.gap(),
    });
    this.#subscribed.promise.catch(() => undefined);
  }

  /**
   * Resolves once the service has confirmed the subscription.
   *
   * @throws {SubscriptionRefusedError} where another attempt would be answered the same.
   * @throws {BackendUnavailableError} where another one may help.
   */
  async open(aborted: AbortSignal): Promise<void> {
    const { clock, connectTimeoutMs } = this.#settings;
    const cancel = scheduleRunning(clock, connectTimeoutMs, () =>
      this.#end(new Error(`no confirmation of the subscription within ${connectTimeoutMs} ms`)),
    );
    const stop = (): void => this.#end(new Error("it was closed while it was being opened"));
    if (aborted.aborted) stop();
    aborted.addEventListener("abort", stop);
    try {
      const response = await Promise.race([this.#request(), this.#subscribed.promise as Promise<never>]);
      void this.#read(response.body!);
      await this.#subscribed.promise;
    } catch (error) {
      this.close();
      throw this.#failure(error);
    } finally {
      cancel();
      aborted.removeEventListener("abort", stop);
    }
  }

  get isOpen(): boolean {
    return this.#phase === "open";
  }

  /** Changes with each message, and while the bytes of a large one arrive. Comments show only that the proxy lives. */
  get signsOfLife(): number {
    return this.#messages + this.#bytes;
  }

  /** Gives it up: it ended, as far as its user can tell. */
  distrust(reason: Error): void {
    this.#end(reason);
  }

  /** Ends the request. {@link EventStreamSettings.ended} is not called. */
  close(): void {
    this.#phase = "over";
    this.#aborts.abort();
  }

  async #request(): Promise<Response> {
    const { url, token, channel, fetch: given } = this.#settings;
    const response = await (given ?? globalThis.fetch)(`${url}/subscribe/${encodeURIComponent(channel)}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, accept: "text/event-stream", "cache-control": "no-cache" },
      redirect: "manual",
      signal: this.#aborts.signal,
      // Frameworks may answer a fetch from a cache of theirs.
      ...{ cache: "no-store" },
    });
    checkStream(response, this.#address);
    return response;
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (this.#phase === "over") break;
        if (done) throw new Error("the service ended the stream");
        this.#lines.push(decoder.decode(value, { stream: true }));
        if (this.#lines.isWithinEvent) this.#bytes += value.length;
      }
    } catch (error) {
      this.#end(error);
    }
    reader.cancel().catch(() => undefined);
  }

  #event(data: string): void {
    if (this.#phase === "over") return;
    const { channel, message, gap } = this.#settings;
    const begins = (kind: string): boolean => data.startsWith(`${kind},${channel},`);
    if (begins("message")) {
      this.#messages += 1;
      message(data.slice("message,".length + channel.length + 1));
    } else if (begins("subscribe")) {
      // A second time, the service has lost its own subscription meanwhile.
      if (this.#phase === "open") gap();
      this.#phase = "open";
      this.#subscribed.resolve();
    } else if (begins("unsubscribe")) {
      this.#end(new Error("the service ended the subscription"));
    }
  }

  #end(error: unknown): void {
    if (this.#phase === "over") return;
    const wasOpen = this.#phase === "open";
    this.close();
    const failure = this.#failure(error);
    if (wasOpen) this.#settings.ended(failure as BackendUnavailableError);
    else this.#subscribed.reject(failure);
  }

  #failure(error: unknown): Error {
    if (error instanceof BackendUnavailableError || error instanceof SubscriptionRefusedError) return error;
    const reason = error instanceof Error ? error : new Error(String(error));
    conceal(reason, [this.#settings.token]);
    return lost(this.#address, reason);
  }
}

/** Statuses that say that there is no such thing, or not for this token. */
const FINAL = new Set([400, 401, 403, 404, 405, 406, 410, 501]);

/** @throws what {@link EventStream.open} throws. Nothing of the body is quoted. */
function checkStream({ status, headers, body }: Response, address: string): void {
  const kind = headers.get("content-type")?.split(";")[0] ?? "no content type";
  if (status === 200 && kind === "text/event-stream" && body !== null) return;
  body?.cancel().catch(() => undefined);
  const what = `Redis over HTTP at ${address} answered with ${status} and ${kind} to /subscribe`;
  if (FINAL.has(status) || (status >= 300 && status < 400)) throw new SubscriptionRefusedError(what);
  throw new BackendUnavailableError(what, { operation: "subscribe", maybeExecuted: false });
}
