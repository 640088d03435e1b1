import type { BackendUnavailableError } from "@hotset/core";
import { CommandQueue, type Command, type RawClient } from "../connection/command-queue.ts";
import {
  closed,
  CONNECT,
  send,
  THE_ONE_PART,
  whenDrained,
  type LinkSettings,
  type ObservableLink,
} from "../connection/link.ts";
import type { Servers } from "../connection/servers.ts";
import { connectFault } from "../primitives/faults.ts";
import { RestClient, type RestClientSettings } from "./rest-client.ts";
import { RestChanges, type RestChangesSettings } from "./rest-feed.ts";
import { bytesWithin } from "./text-arguments.ts";

/** What a request has apart from an entry: the text of a script, keys and tags. */
const BYTES_OF_A_SCRIPT = 40_000;

export interface RestLinkSettings
  extends
    Pick<LinkSettings, "clock" | "random" | "backoff" | "responseTimeoutMs" | "maxInFlight">,
    Pick<RestChangesSettings, "connectTimeoutMs">,
    Pick<RestClientSettings, "url" | "token" | "fetch" | "maxRequestBytes"> {}

/** A link whose commands go over HTTP. There is no connection to open: it is `up` while requests are answered. */
export class RestLink implements ObservableLink {
  readonly isHttp = true;
  /** Replies have the shapes of RESP2. */
  readonly protocol = 2;
  readonly maxEntryBytes: number;
  readonly queue: CommandQueue;
  readonly channel: RestChanges;
  readonly #client: RestClient;
  readonly #settings: RestLinkSettings;
  readonly #listeners = new Set<() => void>();
  #state: "idle" | "up" | "down" = "idle";
  #closed: Promise<void> | undefined;

  constructor(settings: RestLinkSettings) {
    this.#settings = settings;
    this.maxEntryBytes = bytesWithin(settings.maxRequestBytes - BYTES_OF_A_SCRIPT);
    const { clock, responseTimeoutMs: deadlineMs, maxInFlight } = settings;
    this.#client = new RestClient({ ...settings, deadlineMs, ended: (error) => this.#ended(error) });
    this.channel = new RestChanges(settings);
    this.queue = new CommandQueue({ clock, deadlineMs, maxInFlight });
    this.queue.client = this.#client;
    this.queue.server = () => this.address;
  }

  get address(): string {
    return this.#client.address;
  }

  get state(): ObservableLink["state"] {
    return this.#closed === undefined ? this.#state : "closed";
  }

  get reachableParts(): readonly string[] {
    return this.state === "down" || this.state === "closed" ? [] : THE_ONE_PART;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  admit<T>(command: Command<T>, start: (client: RawClient) => void): void {
    if (this.#closed === undefined) this.queue.enqueue(command, start);
    else command.fail(closed(command.origin));
  }

  /** The service decides where it leads. */
  readonly leaveReplica: () => void = () => undefined;

  /** One request, which shows that url and token are right. */
  async connect(): Promise<void> {
    if (this.#closed !== undefined) throw closed(CONNECT);
    try {
      await send(this, CONNECT, ["PING"]);
    } catch (error) {
      throw connectFault(this.address, error);
    }
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.queue.failWaiting(closed);
    this.channel.close();
    await whenDrained(this.queue, this.#settings);
    this.queue.client = undefined;
    this.#client.close();
  }

  #ended(error: BackendUnavailableError | undefined): void {
    const state = error === undefined ? "up" : "down";
    if (state === this.#state) return;
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}

/** The service as one server. Its session shares the requests of the link: there is no connection to keep apart. */
export const restServers = (link: RestLink): Servers => ({
  isCluster: false,
  async primaries() {
    await link.connect();
    return [{ address: link.address, link }];
  },
  async openSession() {
    const { client } = link.queue;
    if (client === undefined) throw closed(CONNECT);
    return { address: link.address, client, transport: undefined, destroy: () => undefined } as never;
  },
  nodeOf: () => undefined,
  refresh: () => undefined,
});
