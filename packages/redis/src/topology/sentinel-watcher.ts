import { scheduleRunning } from "@hotset/core/internal";
import { openSession, addressText, type Address, type NodeClient, type Session } from "../connection/session.ts";
import { ignore } from "../primitives/ignore.ts";
import { namedPrimary, namesPrimary, primaryAddress, type Sentinel, type SentinelSettings } from "./sentinel-group.ts";

/** How long to wait before listening to the next sentinel. */
const NEXT_SENTINEL_MS = 1_000;

/** One connection to a primary. */
export interface Watched {
  /** Where it leads: to the primary that the watcher knew, else to the one that all sentinels named. */
  readonly address: Address;
  /** Called once, when the sentinels name another primary. */
  moved(): void;
}

/**
 * Listens to the sentinels for all connections to one primary: over one connection, from the first of them until
 * `close`. A sentinel that is lost, or contradicts the others, is replaced by the next one.
 *
 * @see https://redis.io/docs/latest/develop/reference/sentinel-clients/
 */
export class SentinelWatcher {
  readonly #group: SentinelSettings;
  readonly #watched = new Set<Watched>();
  readonly #closing = new AbortController();
  #isListening = false;
  #subscriber: { readonly session: Session; ask(): void } | undefined;
  #cancelNext: () => void = ignore;
  #primary: Address | undefined;

  constructor(group: SentinelSettings) {
    this.#group = group;
  }

  /** The primary that all sentinels together named, or one announced. `undefined`: all of them are to be asked. */
  get primary(): Address | undefined {
    return this.#primary;
  }

  /** A connection to `primary` was lost, or could not be opened. */
  doubt(primary: Address): void {
    if (this.#primary !== undefined && isSame(this.#primary, primary)) this.#primary = undefined;
  }

  /** @returns a function that ends it. */
  watch(watched: Watched): () => void {
    this.#watched.add(watched);
    this.#primary ??= watched.address;
    if (!this.#isListening) {
      this.#isListening = true;
      this.#listen(Math.floor(Math.random() * this.#group.sentinels.length));
    } else {
      // The announcement may have come before.
      this.#subscriber?.ask();
    }
    return () => this.#watched.delete(watched);
  }

  close(): void {
    this.#closing.abort();
    this.#cancelNext();
    this.#subscriber?.session.destroy();
  }

  /** Listens to one sentinel after the other, and asks each once. */
  #listen(index: number): void {
    const { sentinels, primary } = this.#group;
    const { signal: closing } = this.#closing;
    const sentinel = sentinels[index % sentinels.length]!;
    let hasEnded = false;
    const next = (): void => {
      if (hasEnded || closing.aborted) return;
      hasEnded = true;
      this.#subscriber?.session.destroy();
      this.#subscriber = undefined;
      this.#primary = undefined;
      this.#cancelNext = primary.clock.schedule(() => this.#listen(index + 1), NEXT_SENTINEL_MS);
    };
    let ask: () => Promise<void>;
    openSession(sentinel.address, sentinel.settings, closing, async (client) => {
      ask = () => this.#ask(sentinel, client);
      await client.subscribe("+switch-master", (message) => this.#announced(message));
      await ask();
    }).then((session) => {
      if (closing.aborted) return session.destroy();
      const { connectTimeoutMs } = sentinel.settings;
      const askInTime = (): void => {
        const cancel = scheduleRunning(primary.clock, connectTimeoutMs, next);
        ask().then(cancel, () => {
          cancel();
          next();
        });
      };
      this.#subscriber = { session, ask: askInTime };
      session.onLost(next);
    }, next);
  }

  #announced(message: string): void {
    const [name, , , host, port] = message.split(" ");
    if (name !== this.#group.primaryName) return;
    try {
      this.#primary = primaryAddress({ host: host!, port: Number(port) }, this.#group);
    } catch {
      // It must not be used.
      this.#primary = undefined;
    }
    this.#endOthers(this.#primary);
  }

  /** @throws when this sentinel knows no primary, or another one than all of them together. */
  async #ask(sentinel: Sentinel, subscriber: NodeClient): Promise<void> {
    // Over RESP2 a connection that is subscribed takes no other command.
    const named =
      sentinel.settings.protocol === 3
        ? await namesPrimary(subscriber, this.#group)
        : await namedPrimary(sentinel, this.#group, this.#closing.signal);
    if (named === undefined) throw new Error("it does not know the primary");
    // It knows of a failover before the others, or does not learn of it: they are asked again.
    if (this.#endOthers(named)) throw new Error("it names another primary than the other sentinels");
  }

  /** @returns whether there were connections to others than `primary`. */
  #endOthers(primary: Address | undefined): boolean {
    const others = Array.from(this.#watched).filter(
      ({ address }) => primary === undefined || !isSame(address, primary),
    );
    for (const other of others) {
      this.#watched.delete(other);
      other.moved();
    }
    return others.length > 0;
  }
}

const isSame = (one: Address, other: Address): boolean => addressText(one) === addressText(other);
