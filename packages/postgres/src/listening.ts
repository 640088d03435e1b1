import { BackendUnavailableError, type Clock, type Coherence, type CoherenceListener } from "@hotset/core";
import { inNoCall, within } from "@hotset/core/internal";
import type { Database } from "./database.ts";
import type { LongKeys } from "./entries.ts";
import { faultOf, processOf, type PostgresClient, type PostgresNotice } from "./pool.ts";
import { ANSWER } from "./statements.ts";

export interface ListeningSettings {
  /** The channel, which is the name of the schema. */
  readonly channel: string;
  readonly maxStalenessMs: number;
  readonly clock: Clock;
  readonly longKeys: LongKeys;
  /** Statements of the link are given up after this. */
  readonly deadlineMs: number;
}

/** Signs of life in the time in which copies may be stale. */
const BEATS = 4;
/** Each of so many beats is a notification to itself: it shows that LISTEN still works. */
const PROOF_EACH = 8;

/**
 * Changes as notifications on one connection. The server sends those of all changes that were committed before a
 * statement ahead of the answer to it: the answer is a sign of life.
 *
 *     closed ──attach──▶ opening ──LISTEN, own notification came──▶ open ──error, late answer──▶ closed, lost
 */
export class Listening {
  readonly coherence: Coherence;
  readonly #database: Database;
  readonly #settings: ListeningSettings;
  readonly #listeners = new Set<{ readonly to: CoherenceListener }>();
  #link: Promise<Link> | undefined;
  #server: string | undefined;
  #isClosed = false;

  constructor(database: Database, settings: ListeningSettings) {
    this.#database = database;
    this.#settings = settings;
    this.coherence = { maxStalenessMs: settings.maxStalenessMs, attach: (listener) => this.#attach(listener) };
  }

  /**
   * Asks, over any connection, and has the link show a sign of life that is sent after this call: changes from before
   * have been reported by then. Asks again if a change of the key was reported meanwhile: it may have been committed
   * after the statement had begun.
   */
  async confirm(key: string, ask: () => Promise<string>): Promise<string> {
    const link = await this.#open();
    for (;;) {
      const watch = link.watch(key);
      try {
        const [version] = await Promise.all([ask(), link.beat("sign")]);
        if (!watch.wasReported) return version;
      } finally {
        watch.end();
      }
    }
  }

  get hasListeners(): boolean {
    return this.#listeners.size > 0;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#listeners.clear();
    (await this.#link?.catch(() => undefined))?.end();
  }

  async #attach(to: CoherenceListener): Promise<() => Promise<void>> {
    const link = await this.#open();
    const listener = { to };
    this.#listeners.add(listener);
    try {
      const sentAtMs = to.now();
      await link.beat("proof");
      if (link.isReplaced) to.replaced();
      to.alive(sentAtMs);
    } catch (error) {
      this.#listeners.delete(listener);
      throw error;
    }
    return async () => void this.#listeners.delete(listener);
  }

  #open(): Promise<Link> {
    return (this.#link ??= inNoCall(() => this.#connect()).catch((error: unknown) => {
      this.#link = undefined;
      throw faultOf(this.#database.label, "listen", error);
    }));
  }

  async #connect(): Promise<Link> {
    if (this.#isClosed) throw new Error("closed");
    await this.#database.reach();
    const link = new Link(await this.#database.borrow("kept"), this.#settings, this.#database.label);
    link.onReport = (...report) => this.#report(...report);
    link.onLost = (error) => this.#lose(error);
    link.onBeat = (sent) => {
      for (const [listener, at] of sent) if (this.#listeners.has(listener)) listener.to.alive(at);
    };
    link.sentTo = () => [...this.#listeners].map((listener) => [listener, listener.to.now()] as const);
    const server = await link.listen();
    // Another server, or one that was restarted, may have removed entries again.
    link.isReplaced = this.#server !== undefined && this.#server !== server;
    this.#server = server;
    return link;
  }

  #report(kind: string, key: string | undefined, version: string | undefined): void {
    const versions = key === undefined || version === undefined ? undefined : new Map([[key, version]]);
    for (const { to } of this.#listeners) {
      if (key === undefined) to.everythingChanged();
      else if (kind === "t") to.tagsChanged([key], versions);
      else {
        if (kind !== "l") to.changed([key], versions);
        // Behind its own change and before any later one: the key is locked until the notification is in its place.
        if (kind !== "e") to.leaseChanged([key], kind === "s" ? "exact" : "loose");
      }
    }
  }

  #lose(error: unknown): void {
    this.#link = undefined;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const { to } of listeners) to.lost(faultOf(this.#database.label, "listen", error));
  }
}

type Attached = { readonly to: CoherenceListener };

/** One connection that listens. */
class Link {
  readonly client: PostgresClient;
  isReplaced = false;
  onReport: (kind: string, key: string | undefined, version: string | undefined) => void = () => undefined;
  onLost: (error: unknown) => void = () => undefined;
  onBeat: (sent: readonly (readonly [Attached, number])[]) => void = () => undefined;
  sentTo: () => readonly (readonly [Attached, number])[] = () => [];
  readonly #settings: ListeningSettings;
  readonly #label: string;
  readonly #proof: string;
  readonly #watches = new Map<string, Set<{ wasReported: boolean }>>();
  #proofs = 0;
  /** The statement that runs: `pg` takes one at a time. */
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #nextKind: "sign" | "proof" = "sign";
  #beats = 0;
  #isOver = false;
  #cancel = (): void => undefined;

  constructor(client: PostgresClient, settings: ListeningSettings, label: string) {
    this.client = client;
    this.#settings = settings;
    this.#label = label;
    this.#proof = `${settings.channel}_${processOf(client) ?? 0}_${Math.random().toString(36).slice(2, 8)}`;
    client.on("error", this.#lose);
    client.on("end", this.#ended);
    client.on("notification", this.#notified);
  }

  /** @returns a name of the server and its start. */
  async listen(): Promise<string> {
    try {
      await this.within(this.client.query({ text: `listen ${this.#settings.channel}; listen "${this.#proof}"` }));
      await this.#send("proof");
      const { rows } = await this.within(
        this.client.query({ text: "select pg_postmaster_start_time()::text", ...ANSWER }),
      );
      this.#schedule();
      return (rows[0] as [string])[0];
    } catch (error) {
      this.end();
      throw error;
    }
  }

  /**
   * A statement whose answer shows that all earlier changes have been reported. One that runs is followed by another.
   */
  beat(kind: "sign" | "proof"): Promise<void> {
    if (kind === "proof") this.#nextKind = kind;
    return (this.#next ??= this.#follow());
  }

  async #follow(): Promise<void> {
    await this.#running;
    const kind = this.#nextKind;
    [this.#next, this.#nextKind] = [undefined, "sign"];
    const sent = this.#send(kind);
    this.#running = sent.catch(this.#lose);
    await sent;
  }

  /** Whether the key is reported from here on, until the end. */
  watch(key: string): { readonly wasReported: boolean; end(): void } {
    const watches = this.#watches.get(key) ?? new Set();
    const end = (): void => {
      watches.delete(watch);
      if (watches.size === 0) this.#watches.delete(key);
    };
    const watch = { wasReported: false, end };
    this.#watches.set(key, watches.add(watch));
    return watch;
  }

  /** Gives up after the deadline: a connection that is silent reports nothing either. */
  within<T>(answer: Promise<T>): Promise<T> {
    const { clock, deadlineMs } = this.#settings;
    return within(clock, deadlineMs, answer, () => {
      const message = `${this.#label}: the listening connection did not answer within ${deadlineMs} ms`;
      const error = new BackendUnavailableError(message, { tier: this.#label, operation: "listen" });
      this.#lose(error);
      throw error;
    });
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancel();
    this.client.off("notification", this.#notified);
    this.client.off("end", this.#ended);
    this.client.release(true);
  }

  async #send(kind: "sign" | "proof"): Promise<void> {
    const before = this.#proofs;
    const query = kind === "sign" ? { text: "select 1" } : { text: `select pg_notify('${this.#proof}', '')` };
    await this.within(this.client.query(query));
    if (kind === "proof" && this.#proofs === before)
      throw new BackendUnavailableError(
        `${this.#label}: a notification did not arrive on the connection that listens; ` +
          'set changes: "poll" if there is a pooler between',
        { tier: this.#label, operation: "listen" },
      );
  }

  #schedule(): void {
    const { clock, maxStalenessMs } = this.#settings;
    this.#cancel = clock.schedule(() => void this.#beatOn(), maxStalenessMs / BEATS);
  }

  async #beatOn(): Promise<void> {
    const sent = this.sentTo();
    this.#beats += 1;
    try {
      await this.beat(this.#beats % PROOF_EACH === 0 ? "proof" : "sign");
    } catch {
      return; // reported as lost
    }
    if (this.#isOver) return;
    this.onBeat(sent);
    this.#schedule();
  }

  readonly #notified = ({ channel, payload = "" }: PostgresNotice): void => {
    if (channel === this.#proof) {
      this.#proofs += 1;
      return;
    }
    if (payload === "" || this.#isOver) return;
    const [name = "", ...rest] = payload.slice(1).split(" ");
    const key = this.#keyOf(name);
    if (key === null) return;
    const watched = key === undefined ? this.#watches.values() : [this.#watches.get(key) ?? []];
    for (const watches of watched) for (const watch of watches) watch.wasReported = true;
    this.onReport(payload[0]!, key, this.#settings.longKeys.versionIn(rest.join(" ")));
  };

  /** `null` for a long key that was not used here; `undefined` if that cannot be known. */
  #keyOf(name: string): string | undefined | null {
    return name.startsWith("#") ? this.#settings.longKeys.find(name.slice(1)) : Buffer.from(name, "base64").toString();
  }

  readonly #lose = (error: unknown): void => {
    if (this.#isOver) return;
    this.end();
    this.onLost(error);
  };

  readonly #ended = (): void => this.#lose(new Error("the connection ended"));
}
