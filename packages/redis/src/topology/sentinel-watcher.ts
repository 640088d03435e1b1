import { openSession, addressText, type Address, type NodeClient, type Session } from "../connection/session.ts";
import { namedPrimary, namesPrimary, primaryAddress, type Sentinel, type SentinelSettings } from "./sentinel-group.ts";

/** How long to wait before listening to the next sentinel. */
const NEXT_SENTINEL_MS = 1_000;

/** One connection to a primary. */
export interface Watched {
  /** Where it leads. */
  readonly address: string;
  /** Called once, when the sentinels name another primary. */
  moved(): void;
}

/**
 * Listens to the sentinels for all connections to one primary: over one connection, while there are any. A sentinel
 * that is lost is replaced by the next one.
 *
 * @see https://redis.io/docs/latest/develop/reference/sentinel-clients/
 */
export class SentinelWatcher {
  readonly #group: SentinelSettings;
  readonly #watched = new Set<Watched>();
  #subscriber: { readonly session: Session; ask(): Promise<void> } | undefined;
  /** Ends the connection to a sentinel, or the attempt or wait for one. `undefined` while nothing is watched. */
  #listening: AbortController | undefined;

  constructor(group: SentinelSettings) {
    this.#group = group;
  }

  /** @returns a function that ends it. */
  watch(watched: Watched): () => void {
    this.#watched.add(watched);
    if (this.#listening === undefined) {
      this.#listening = new AbortController();
      this.#listen(Math.floor(Math.random() * this.#group.sentinels.length), this.#listening.signal);
    } else if (this.#subscriber !== undefined) {
      // The announcement may have come before. A sentinel that does not answer is lost, and the next one is asked.
      this.#subscriber.ask().catch(ignore);
    }
    return () => this.#end(watched);
  }

  #end(watched: Watched): void {
    this.#watched.delete(watched);
    if (this.#watched.size !== 0) return;
    this.#listening?.abort();
    this.#listening = undefined;
    this.#subscriber?.session.destroy();
    this.#subscriber = undefined;
  }

  /** Listens to one sentinel after the other, and asks each once. */
  #listen(index: number, ended: AbortSignal): void {
    const { sentinels, primaryName, primary } = this.#group;
    const sentinel = sentinels[index % sentinels.length]!;
    const again = (): void => {
      if (ended.aborted) return;
      this.#subscriber = undefined;
      const cancel = primary.clock.schedule(() => this.#listen(index + 1, ended), NEXT_SENTINEL_MS);
      ended.addEventListener("abort", cancel, { once: true });
    };
    let ask: () => Promise<void>;
    openSession(sentinel.address, sentinel.settings, ended, async (client) => {
      ask = () => this.#ask(sentinel, client, ended);
      await client.subscribe("+switch-master", (message) => {
        const [name, , , host, port] = message.split(" ");
        if (name !== primaryName) return;
        try {
          this.#named(primaryAddress({ host: host!, port: Number(port) }, this.#group));
        } catch {
          this.#named(undefined);
        }
      });
      await ask();
    }).then((session) => {
      if (ended.aborted) return session.destroy();
      this.#subscriber = { session, ask };
      session.onLost(again);
    }, again);
  }

  async #ask(sentinel: Sentinel, subscriber: NodeClient, ended: AbortSignal): Promise<void> {
    // Over RESP2 a connection that is subscribed takes no other command.
    const named =
      sentinel.settings.protocol === 3
        ? await namesPrimary(subscriber, this.#group)
        : await namedPrimary(sentinel, this.#group, ended);
    if (named !== undefined) this.#named(named);
  }

  /** @param primary `undefined`: another one, which must not be used. */
  #named(primary: Address | undefined): void {
    for (const watched of [...this.#watched]) {
      if (primary !== undefined && watched.address === addressText(primary)) continue;
      this.#end(watched);
      watched.moved();
    }
  }
}

const ignore = (): void => undefined;
