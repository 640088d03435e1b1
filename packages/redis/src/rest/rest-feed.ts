import type { BackendUnavailableError } from "@hotset/core";
import { newId, scheduleRunning } from "@hotset/core/internal";
import { ChangeHub, type ChangeSource } from "../changes/change-hub.ts";
import { parseChange } from "../changes/channel.ts";
import { identityOf } from "../changes/server-identity-guard.ts";
import { SubscriptionRefusedError, type ChangeListener, type ChangeNotifier } from "../connection/change-notifier.ts";
import { closed, CONNECT, type LinkSettings } from "../connection/link.ts";
import { backoffMs } from "../primitives/backoff.ts";
import { isReply, isTemporary } from "../primitives/faults.ts";
import { ignore } from "../primitives/ignore.ts";
import { EventStream, type EventStreamSettings } from "./event-stream.ts";
import { RestClient, type RestClientSettings } from "./rest-client.ts";

export interface RestChangesSettings
  extends
    Pick<LinkSettings, "clock" | "random" | "backoff" | "responseTimeoutMs">,
    Pick<EventStreamSettings, "connectTimeoutMs">,
    Omit<RestClientSettings, "deadlineMs" | "ended"> {}

/** Reports the changes of each channel over a separate stream. Streams are opened for listeners, and end with them. */
export class RestChanges implements ChangeNotifier {
  readonly #settings: RestChangesSettings;
  /** Apart from the requests of the cache, behind which a sign of life would wait. */
  readonly #client: RestClient;
  readonly #channels = new Map<string, { readonly hub: ChangeHub; readonly feed: RestFeed }>();

  constructor(settings: RestChangesSettings) {
    this.#settings = settings;
    this.#client = new RestClient({ ...settings, deadlineMs: settings.responseTimeoutMs, ended: ignore });
  }

  attach(listener: ChangeListener): Promise<() => Promise<void>> {
    return this.#of(listener.topic).hub.attach(listener);
  }

  async settled(): Promise<boolean> {
    const hubs = [...this.#channels.values()].map(({ hub }) => hub).filter((hub) => hub.hasListeners);
    const answers = await Promise.all(hubs.map((hub) => hub.settled()));
    return answers.length > 0 && answers.every(Boolean);
  }

  /** Ends the streams. Attempts to attach reject. */
  close(): void {
    for (const { feed } of this.#channels.values()) feed.close();
    this.#client.close();
  }

  #of(channel: string): { readonly hub: ChangeHub; readonly feed: RestFeed } {
    let known = this.#channels.get(channel);
    if (known === undefined) {
      const { clock } = this.#settings;
      const hub: ChangeHub = new ChangeHub(
        clock,
        () => feed.ready(),
        () => [feed],
      );
      const feed = new RestFeed(channel, hub, this.#client, this.#settings);
      this.#channels.set(channel, (known = { hub, feed }));
    }
    return known;
  }
}

/** A beat that has not come back. */
interface Beat {
  readonly number: number;
  /** `false`: it was lost on its way, so it proves nothing. Rejected with the loss of the stream. */
  readonly ends: PromiseWithResolvers<boolean>;
  isPublished: boolean;
  isOvertaken: boolean;
}

/** A stream that lasted less counts as a failed attempt: those that are cut immediately must back off. */
const STABLE_MS = 1_000;

/**
 * The changes of one channel, received over one stream after the other.
 *
 *     closed ──listener──▶ opening ──confirmed──▶ open ──ended, cut, silent──▶ opening …
 *                           │  └──failed──▶ waits, then tries again
 *                           └──refused──▶ closed, until a listener tries again
 *
 * A stream cannot be asked anything, so a sign of life goes through the channel itself: it is published, and comes back
 * behind each message that was published before. That holds for a replica which the service has subscribed to as well,
 * since replicas receive messages in their order.
 *
 * A service may lose messages and keep the stream: its own subscription was broken for a while, say. Each beat proves
 * that nothing was lost before it only while all beats come back, so one that does not puts all copies in doubt.
 */
class RestFeed implements ChangeSource {
  readonly #channel: string;
  readonly #hub: ChangeHub;
  readonly #client: RestClient;
  readonly #settings: RestChangesSettings;
  readonly #id = newId();
  readonly #closing = new AbortController();
  #stream: EventStream | undefined;
  #openedAt = 0;
  #opening: Promise<void> | undefined;
  #failures = 0;
  /** Redis refused a beat over the last stream, which ended by that. */
  #refusal: SubscriptionRefusedError | undefined;
  /** Beats that could not be published, in a row. */
  #unpublished = 0;
  #history: string | undefined;
  #lastBeat = 0;
  /** In the order in which they are published: those that have not come back over the present stream. */
  readonly #beats = new Map<string, Beat>();

  constructor(channel: string, hub: ChangeHub, client: RestClient, settings: RestChangesSettings) {
    this.#channel = channel;
    this.#hub = hub;
    this.#client = client;
    this.#settings = settings;
  }

  /** Resolves once a stream is open. Tries again until then, unless the service refuses. */
  ready(): Promise<void> {
    if (this.#stream !== undefined) return Promise.resolve();
    return (this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    }));
  }

  async subscribe(): Promise<void> {
    // The hub asks again for as long as no beat can be published.
    await this.#pause(this.#unpublished);
    // The beat of a listener that is attached may have met the refusal meanwhile.
    if (this.#stream === undefined) throw this.#refusal ?? new Error("not connected");
  }

  async heartbeat(deadlineMs: number): Promise<boolean> {
    const stream = this.#stream;
    if (stream === undefined) throw new Error("not connected");
    const number = (this.#lastBeat += 1);
    const text = `${BEAT}${this.#id} ${number}`;
    const ends = Promise.withResolvers<boolean>();
    ends.promise.catch(ignore);
    const beat: Beat = { number, ends, isPublished: false, isOvertaken: false };
    this.#beats.set(text, beat);
    let cancel: () => void = ignore;
    try {
      if (!(await this.#publish(text, stream))) return false;
      beat.isPublished = true;
      if (beat.isOvertaken) {
        this.#hub.everythingChanged();
        return false;
      }
      cancel = this.#giveUpWhenSilent(stream, deadlineMs);
      return await ends.promise;
    } finally {
      cancel();
      this.#beats.delete(text);
    }
  }

  /** @returns `false` where Redis cannot publish now. */
  async #publish(beat: string, stream: EventStream): Promise<boolean> {
    try {
      await this.#client.sendCommand(["PUBLISH", this.#channel, beat]);
      this.#unpublished = 0;
      return true;
    } catch (error) {
      this.#unpublished += 1;
      if (!isReply(error)) throw error;
      if (isTemporary(error)) return false;
      // Listeners that are attached attach again, and get the refusal.
      const { message } = error as Error;
      this.#refusal = new SubscriptionRefusedError(message, { cause: error });
      stream.distrust(error as Error);
      throw this.#refusal;
    }
  }

  unsubscribe(): void {
    this.#stream?.close();
    this.#stream = undefined;
    this.#takeBeats()(new Error("the subscription was ended"));
  }

  close(): void {
    this.#closing.abort();
    this.unsubscribe();
  }

  async #open(): Promise<void> {
    const { signal } = this.#closing;
    for (;;) {
      await this.#pause(this.#failures);
      if (signal.aborted) throw closed(CONNECT);
      const stream = this.#newStream();
      try {
        await stream.open(signal);
        await this.#identify();
        if (signal.aborted) throw closed(CONNECT);
        if (!stream.isOpen) throw new Error("it was lost");
        this.#stream = stream;
        this.#refusal = undefined;
        this.#openedAt = this.#settings.clock.now();
        return;
      } catch (error) {
        stream.close();
        this.#failures += 1;
        if (signal.aborted) throw closed(CONNECT);
        if (error instanceof SubscriptionRefusedError) throw error;
      }
    }
  }

  #newStream(): EventStream {
    const stream = new EventStream({
      ...this.#settings,
      channel: this.#channel,
      message: (text) => this.#message(text),
      gap: () => this.#hub.everythingChanged(),
      ended: (error) => {
        if (this.#stream === stream) this.#lost(error);
      },
    });
    return stream;
  }

  #lost(error: BackendUnavailableError): void {
    const { clock } = this.#settings;
    this.#failures = clock.now() - this.#openedAt < STABLE_MS ? this.#failures + 1 : 0;
    // Before the beats reject: trust must have ended by then.
    const rejectBeats = this.#takeBeats();
    this.#stream = undefined;
    this.#hub.lost(error);
    rejectBeats(error);
  }

  /** Asks which server answers, as far as the service says: after a failover, invalidations are issued again. */
  async #identify(): Promise<void> {
    const { history } = await identityOf((args) => this.#client.sendCommand([...args]));
    const isAnother = history !== undefined && this.#history !== undefined && history !== this.#history;
    this.#history = history ?? this.#history;
    if (isAnother) this.#hub.replaced();
  }

  async #pause(failures: number): Promise<void> {
    if (failures === 0) return;
    const { clock, backoff, random } = this.#settings;
    const { signal } = this.#closing;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const cancel = clock.schedule(end, backoffMs(backoff, failures, random()));
      signal.addEventListener("abort", end);
      if (signal.aborted) end();
    });
  }

  #message(text: string): void {
    if (text.startsWith(BEAT)) return this.#returned(text);
    const change = parseChange(text);
    if (change !== undefined) this.#hub.changed([change.key], change.sender);
  }

  /** Beats come back in the order in which they were published: one that a later one overtakes was lost on its way. */
  #returned(text: string): void {
    const returned = this.#beats.get(text);
    if (returned === undefined) return;
    this.#beats.delete(text);
    let hasMissed = false;
    for (const beat of this.#beats.values()) {
      if (beat.number > returned.number) break;
      beat.isOvertaken = true;
      // Whether Redis has published it shows in the answer, which may still be on its way.
      hasMissed ||= beat.isPublished;
      if (beat.isPublished) beat.ends.resolve(false);
    }
    if (hasMissed) this.#hub.everythingChanged();
    returned.ends.resolve(true);
  }

  /** @returns rejects the beats that have not come back. */
  #takeBeats(): (error: Error) => void {
    const waiting = [...this.#beats.values()];
    this.#beats.clear();
    return (error) => waiting.forEach(({ ends }) => ends.reject(error));
  }

  /** A beat was published: the stream is given up unless something of the channel arrives within each `deadlineMs`. */
  #giveUpWhenSilent(stream: EventStream, deadlineMs: number): () => void {
    const { clock, responseTimeoutMs } = this.#settings;
    const patienceMs = Math.max(deadlineMs, 2 * responseTimeoutMs);
    let { signsOfLife } = stream;
    let cancel: () => void = ignore;
    const look = (): void => {
      if (stream.signsOfLife === signsOfLife) return stream.distrust(new Error(`no message within ${patienceMs} ms`));
      ({ signsOfLife } = stream);
      cancel = scheduleRunning(clock, patienceMs, look);
    };
    cancel = scheduleRunning(clock, patienceMs, look);
    return () => cancel();
  }
}

/** Begins a sign of life. Versions of messages are numbers from 1 on, so other processes ignore it. */
const BEAT = "0 ";
