import { BackendUnavailableError, ConfigurationError, type Coherence, type CoherenceListener } from "@hotset/core";
import { KeyNode, KeyTable } from "@hotset/core/internal";
import { SubscriptionRefusedError, type ChangeNotifier, type ChangeListener } from "../connection/change-notifier.ts";
import type { Link } from "../connection/link.ts";
import type { Announcement } from "../lua/script.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { WarmTags } from "./warm-tags.ts";

export interface CoherenceSettings {
  readonly label: string;
  readonly keys: RedisKeys;
  readonly mode: "tracking" | "pubsub";
  /** Names this backend to others. */
  readonly sender: string;
  readonly maxStalenessMs: number;
  readonly reissueWindowMs: number;
  /** Sends one command about versions of tags. */
  readonly readTags: (args: string[]) => Promise<unknown>;
}

/** An own change of an entry under its lease: it was stored, or its placeholder renewed. */
export type OwnChange = "stored" | "renewed";

/** Receives changes by others below the prefix of one backend, and reports them with the keys of the cache. */
export class RedisCoherence implements Coherence {
  readonly maxStalenessMs: number;
  readonly reissueWindowMs: number;
  /** How changes are received. */
  readonly mode: "tracking" | "pubsub";
  /**
   * How this backend announces its own changes: not at all where all track. There its steps have a sender while a cache
   * that listens keeps copies of what they store.
   */
  readonly announcement: Announcement;
  readonly #link: Link;
  readonly #settings: CoherenceSettings;
  readonly #listeners = new WeakMap<CoherenceListener, ChangeListener>();
  readonly #tags: WarmTags;
  /** How many reports came of each key in Redis of which an own change is under way. */
  readonly #counts = new KeyTable<Reports>();
  #tagsTouchedAt: number = -Infinity;
  /** Listeners by what detaches them. */
  readonly #attached = new Map<() => Promise<void>, CoherenceListener>();
  /** Whether several listeners were attached together: the last changes of one may arrive after it has gone. */
  #wasShared = false;
  /** While a read is refused for want of a right: rejects until that is granted. */
  #mayRead: (() => Promise<void>) | undefined;
  #isClosed = false;
  #keepsCopies = false;

  constructor(link: Link, settings: CoherenceSettings) {
    this.maxStalenessMs = settings.maxStalenessMs;
    this.reissueWindowMs = settings.reissueWindowMs;
    this.#link = link;
    this.#settings = settings;
    this.#tags = new WarmTags(settings.readTags);
    this.mode = settings.mode;
    settings.keys.rememberHashed((key) => this.#forgotten(key));
    const channel = this.mode === "pubsub" ? settings.keys.channel : "";
    const sender = (): string => (channel !== "" || this.#keepsCopies ? settings.sender : "");
    this.announcement = {
      channel,
      get sender() {
        return sender();
      },
    };
  }

  /** @throws {ConfigurationError} where the server refuses it: the message lists the permissions to grant. */
  async attach(listener: CoherenceListener): Promise<() => Promise<void>> {
    await this.#mayRead?.();
    this.#mayRead = undefined;
    const known = this.#listenerOf(listener);
    return this.#keep(listener, await this.#receive(known));
  }

  /** A read was refused for want of a right: a change that is reported cannot be followed by a read of what it made. */
  forbidden(error: unknown, mayRead: () => Promise<void>): void {
    if (this.#mayRead !== undefined) return;
    this.#mayRead = mayRead;
    for (const listener of this.#attached.values()) listener.lost(error);
  }

  get hasListeners(): boolean {
    return this.#attached.size !== 0;
  }

  /** Notes which tags are in use, while there are listeners. @param command reads or issues their versions. */
  noteTagsInUse(command: readonly (string | Buffer)[]): void {
    if (this.#attached.size !== 0) this.#tags.noteInUse(command);
  }

  /**
   * Resolves once every change acknowledged by now, to any client, has been received over the channel.
   *
   * @param part only changes of this part count.
   * @throws {BackendUnavailableError}
   */
  async settled(part?: string): Promise<void> {
    if (this.#attached.size === 0) return;
    if (await this.#link.channel?.settled(part)) return;
    const { label } = this.#settings;
    throw new BackendUnavailableError(`${label}: not certain that all changes have been received`, {
      tier: label,
      operation: "confirm",
      maybeExecuted: false,
    });
  }

  /**
   * Redis pushes a store, or the renewal of a placeholder, to the process itself, once. One report until its answer is
   * that of the own change, or of an older one, for which it was not refused: the listener learns that by
   * `leaseChanged`. Nothing is counted where such changes are not pushed, or to another connection than that of their
   * answer.
   */
  countReports(key: string): Reports | undefined {
    if (this.mode !== "tracking" || this.#link.changesLink !== undefined || this.#attached.size !== 1) return undefined;
    const reports = new Reports(this.#counts, key, this.#attached);
    this.#counts.add(this.#settings.keys.entry(key), reports);
    return reports;
  }

  /** Reports a change of an entry: that of another process which came between an own write and the read behind it. */
  changed(key: string): void {
    for (const listener of this.#attached.values()) listener.changed([key]);
  }

  /** Detaches all listeners. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(Array.from(this.#attached.keys(), (detach) => detach()));
  }

  /** Not with every heartbeat, nor for each listener: this serves only to keep the versions in use. */
  #touchTags(): void {
    const now = this.#link.queue.clock.now();
    if (now - this.#tagsTouchedAt < this.maxStalenessMs) return;
    this.#tagsTouchedAt = now;
    this.#tags.touch();
  }

  async #receive(listener: ChangeListener): Promise<() => Promise<void>> {
    const { tracking, channel } = this.#link;
    try {
      return await required(this.mode === "tracking" ? tracking : channel).attach(listener);
    } catch (error) {
      throw this.#explained(error, listener.topic);
    }
  }

  /** A refusal as an error that says what to grant, and any other error as it is. */
  #explained(error: unknown, topic: string): unknown {
    if (!(error instanceof SubscriptionRefusedError)) return error;
    const { label } = this.#settings;
    const toReceive = this.#link.isHttp === true ? toStream : toSubscribeTo;
    const message =
      this.mode === "tracking"
        ? `${error.server} refuses tracking: ${error.message}; ${TO_TRACK}`
        : `${error.server} refuses to report changes: ${error.message}; ${toReceive(topic)}`;
    return new ConfigurationError(`${label}: ${message}`, { tier: label, operation: "attach", cause: error });
  }

  async #keep(listener: CoherenceListener, detach: () => Promise<void>): Promise<() => Promise<void>> {
    const keeps = ({ keepsCopies }: CoherenceListener): boolean => keepsCopies !== false;
    const end = async (): Promise<void> => {
      this.#attached.delete(end);
      this.#keepsCopies = [...this.#attached.values()].some(keeps);
      await detach();
    };
    this.#attached.set(end, listener);
    this.#keepsCopies ||= keeps(listener);
    this.#wasShared ||= this.#attached.size > 1;
    if (this.#isClosed) await end();
    return end;
  }

  /** Later changes of this key would be reported under its hash: copies of it go now. */
  #forgotten(key: string): void {
    for (const listener of this.#attached.values())
      if (key.startsWith("{~")) listener.tagsChanged([key]);
      else listener.changed([key]);
  }

  /** @returns whether `redisKey` is a lease, or announces the end of one. */
  #reportLease(listener: CoherenceListener, redisKey: string): boolean {
    const { keys } = this.#settings;
    const entryKey = keys.ofLease(redisKey) ?? keys.ofFreed(redisKey);
    if (entryKey === undefined) return false;
    const key = keys.decode(entryKey);
    if (key !== undefined) listener.leaseChanged([key], "loose");
    return true;
  }

  /** A listener that attaches again gets the same one: hubs remember it by that. */
  #listenerOf(listener: CoherenceListener): ChangeListener {
    let known = this.#listeners.get(listener);
    if (known === undefined) this.#listeners.set(listener, (known = this.#translate(listener)));
    return known;
  }

  #translate(listener: CoherenceListener): ChangeListener {
    const { keys, maxStalenessMs, sender: ownSender } = this.#settings;
    const topic = this.mode === "tracking" ? keys.tracked : keys.channel;
    return {
      topic,
      maxStalenessMs,
      now: () => listener.now(),
      changed: (redisKeys, sender) => {
        // With a second listener the change may be that of another cache over this backend.
        if (sender === ownSender && !this.#wasShared) return;
        const changed: string[] = [];
        const tagsChanged: string[] = [];
        for (const redisKey of redisKeys) {
          if (this.#reportLease(listener, redisKey)) continue;
          for (let each = this.#counts.first(redisKey); each !== undefined; each = this.#counts.after(each))
            each.count += 1;
          // A renewal of a tag that was not read here changes the issuer: a loader that runs here may yet add that tag.
          const key = keys.tagOfIssuer(redisKey) ?? keys.decode(redisKey);
          if (key !== undefined) (key.startsWith("{~") ? tagsChanged : changed).push(key);
        }
        if (changed.length !== 0) listener.changed(changed);
        if (tagsChanged.length !== 0) listener.tagsChanged(tagsChanged);
      },
      everythingChanged: (part, concerns) =>
        listener.everythingChanged(part, concerns && ((key) => concerns(keys.entryIfAny(key) ?? ""))),
      alive: (sentAtMs, part) => {
        listener.alive(sentAtMs, part);
        this.#touchTags();
      },
      replaced: (part) => listener.replaced(part),
      lost: (error, part) => listener.lost(this.#explained(error, topic), part),
    };
  }
}

/** How many reports came of the key of an own change while that is under way. */
export class Reports extends KeyNode {
  count = 0;
  readonly #among: KeyTable<Reports>;
  readonly #key: string;
  readonly #attached: ReadonlyMap<unknown, CoherenceListener>;

  constructor(among: KeyTable<Reports>, key: string, attached: ReadonlyMap<unknown, CoherenceListener>) {
    super();
    this.#among = among;
    this.#key = key;
    this.#attached = attached;
  }

  /** @param done `undefined` where nothing was changed. */
  end(done: OwnChange | undefined): void {
    this.#among.remove(this);
    if (done === undefined || this.count !== 1) return;
    for (const listener of this.#attached.values())
      listener.leaseChanged([this.#key], done === "stored" ? "exact" : "renewed");
  }
}

function required(notifier: ChangeNotifier | undefined): ChangeNotifier {
  if (notifier === undefined) throw new SubscriptionRefusedError("this connection does not support it");
  return notifier;
}

const TO_TRACK =
  'grant the user +client|tracking, over RESP3, or set coherence("pubsub") in all processes, or ("none")';
const toSubscribeTo = (topic: string): string =>
  `grant the user +subscribe +unsubscribe +publish and the channel &${topic}, or set coherence("none")`;
const toStream = (topic: string): string =>
  `check that the service at url offers /subscribe/${topic} as server-sent events, and that the token may subscribe and ` +
  'publish, or leave out coherence("pubsub") in all processes';
