import type { Clock, CoherenceListener } from "@hotset/core";
import type { StoreListener, MemoryStore } from "./scripted-store.ts";

/**
 * The link that reports changes to a {@link scriptedBackend} with `coherence: 'reported'`, controlled by the test.
 * Calls throw nothing.
 */
export interface ScriptedCoherence {
  /** How many listeners are attached now. */
  readonly attached: number;
  /** Reports kept back by {@link hold}, oldest first. */
  readonly held: readonly ScriptedReport[];
  /**
   * Makes the link slow or silent: keeps back reports, signs of life and answers to `leases.confirm`. They stay in
   * order.
   */
  hold(): void;
  /** Delivers the oldest `count` of {@link held}, and keeps back the others. @default all, and ends {@link hold} */
  deliver(count?: number): void;
  /** Discards {@link held} without delivery, like a link that was cut silently. Continues holding. */
  drop(): void;
  /**
   * The link breaks: listeners are notified with `lost`, {@link held} is discarded, and `attach` rejects or hangs until
   * {@link heal}. Calls are still answered; {@link ScriptedBackend.down} stops these.
   */
  lose(options?: LoseOptions): void;
  /** `attach` works again, and hanging calls of it continue. Ends {@link hold}. */
  heal(): void;
  /** Notifies the listeners that anything may have changed. */
  everything(): void;
  /**
   * Notifies the listeners that another server answers: now, or right after the next attachment if none is attached.
   */
  replaced(): void;
  /** Sends one sign of life now. */
  alive(): void;
  /** Stops the regular signs of life. @returns a function that resumes them. */
  freezeHeartbeat(): () => void;
}

/** How a scripted link is lost. */
export interface LoseOptions {
  /** @default a {@link BackendUnavailableError} */
  readonly error?: Error | undefined;
  /** Behaviour of `attach` until the link is healed. @default 'rejects' */
  readonly attach?: "rejects" | "hangs" | undefined;
}

/** A message that a scripted link reports. */
export interface ScriptedReport {
  /** The method of the listener, or the answer to a `leases.confirm`. */
  readonly what: "changed" | "leaseChanged" | "tagsChanged" | "everythingChanged" | "alive" | "confirm";
  /** The keys, or the tags, that it names. */
  readonly keys: readonly string[];
}

/** The backend, as seen by its link. */
export interface LinkEnd {
  readonly clock: Clock;
  readonly store: MemoryStore;
  /** Whether own changes are reported too. */
  readonly echoes: boolean;
  readonly heartbeatMs: number;
  readonly isDown: () => boolean;
  readonly unavailable: (what: string) => Error;
}

interface Attachment {
  readonly listener: CoherenceListener;
  stopHeartbeat: () => void;
}

interface Frame extends ScriptedReport {
  arrive(): void;
  /** Called instead of `arrive` if the link breaks first. */
  break?(): void;
}

/** One connection: reports arrive in the order in which they are sent. */
export class ScriptedLink implements ScriptedCoherence, StoreListener {
  readonly #end: LinkEnd;
  readonly #attachments = new Set<Attachment>();
  #held: Frame[] = [];
  #isHolding = false;
  #isFrozen = false;
  #isReplaced = false;
  #lost: { readonly error: Error; readonly attach: "rejects" | "hangs" } | undefined;
  readonly #healed = new Set<() => void>();

  constructor(end: LinkEnd) {
    this.#end = end;
  }

  get attached(): number {
    return this.#attachments.size;
  }

  get held(): readonly ScriptedReport[] {
    return this.#held.map(({ what, keys }) => ({ what, keys }));
  }

  /** @returns a function that detaches `listener`. */
  async attach(listener: CoherenceListener, sentAtMs: number): Promise<() => void> {
    while (this.#lost !== undefined) {
      if (this.#lost.attach === "rejects") throw this.#lost.error;
      await new Promise<void>((resolve) => this.#healed.add(resolve));
    }
    const attachment: Attachment = { listener, stopHeartbeat: () => undefined };
    this.#attachments.add(attachment);
    this.#end.store.listeners.add(this);
    this.#send("alive", [], attachment, () => listener.alive(sentAtMs));
    this.#beat(attachment);
    return () => this.#detach(attachment);
  }

  /** Must be called after an attachment was answered. */
  answeredAttach(): void {
    if (!this.#isReplaced) return;
    this.#isReplaced = false;
    this.replaced();
  }

  /** Resolves when all reports sent before have arrived. */
  async answer(key: string): Promise<void> {
    if (!this.#isHolding) return;
    await new Promise<void>((resolve, reject) => {
      this.#held.push({
        what: "confirm",
        keys: [key],
        arrive: resolve,
        break: () => reject(this.#end.unavailable("lost its answer with the link")),
      });
    });
  }

  close(): void {
    for (const attachment of this.#attachments) this.#detach(attachment);
  }

  changed(keys: readonly string[], by: StoreListener | undefined): void {
    if (by === this && !this.#end.echoes) return;
    for (const each of this.#attachments) this.#send("changed", keys, each, () => each.listener.changed(keys));
  }

  leaseChanged(keys: readonly string[], by: StoreListener | undefined): void {
    if (by === this && !this.#end.echoes) return;
    for (const each of this.#attachments)
      this.#send("leaseChanged", keys, each, () => each.listener.leaseChanged(keys));
  }

  tagsChanged(tags: readonly string[], by: StoreListener | undefined): void {
    if (by === this && !this.#end.echoes) return;
    for (const each of this.#attachments) this.#send("tagsChanged", tags, each, () => each.listener.tagsChanged(tags));
  }

  everythingChanged(): void {
    for (const each of this.#attachments)
      this.#send("everythingChanged", [], each, () => each.listener.everythingChanged());
  }

  hold(): void {
    this.#isHolding = true;
  }

  deliver(count?: number): void {
    if (count === undefined) this.#isHolding = false;
    for (const frame of this.#held.splice(0, count ?? this.#held.length)) frame.arrive();
  }

  drop(): void {
    this.#held = [];
  }

  lose(options: LoseOptions = {}): void {
    const { error = this.#end.unavailable("lost its link"), attach = "rejects" } = options;
    this.#lost = { error, attach };
    for (const frame of this.#held.splice(0)) frame.break?.();
    for (const attachment of this.#attachments) {
      this.#detach(attachment);
      attachment.listener.lost(error);
    }
  }

  heal(): void {
    this.#lost = undefined;
    this.deliver();
    for (const resolve of this.#healed) resolve();
    this.#healed.clear();
  }

  everything(): void {
    this.everythingChanged();
  }

  replaced(): void {
    this.#isReplaced = this.#attachments.size === 0;
    for (const { listener } of this.#attachments) listener.replaced();
  }

  alive(): void {
    for (const attachment of this.#attachments) this.#alive(attachment);
  }

  freezeHeartbeat(): () => void {
    this.#isFrozen = true;
    return () => {
      this.#isFrozen = false;
    };
  }

  #alive(attachment: Attachment): void {
    const sentAtMs = attachment.listener.now();
    this.#send("alive", [], attachment, () => attachment.listener.alive(sentAtMs));
  }

  #beat(attachment: Attachment): void {
    attachment.stopHeartbeat = this.#end.clock.schedule(() => {
      this.#beat(attachment);
      if (!this.#isFrozen && !this.#end.isDown()) this.#alive(attachment);
    }, this.#end.heartbeatMs);
  }

  #send(what: ScriptedReport["what"], keys: readonly string[], to: Attachment, arrive: () => void): void {
    const frame: Frame = {
      what,
      keys,
      arrive: () => {
        if (this.#attachments.has(to)) arrive();
      },
    };
    if (this.#isHolding) this.#held.push(frame);
    else frame.arrive();
  }

  #detach(attachment: Attachment): void {
    attachment.stopHeartbeat();
    this.#attachments.delete(attachment);
    if (this.#attachments.size === 0) this.#end.store.listeners.delete(this);
  }
}
