import { InvalidArgumentError, MissingConnectionError, type Awaitable, type Clock } from "@hotset/core";
import { kindOf } from "@hotset/core/internal";
import type { RawClient } from "./connection/command-queue.ts";
import type { ObservableLink } from "./connection/link.ts";
import type { Servers } from "./connection/servers.ts";
import { Traffic } from "./connection/traffic.ts";
import type { Backoff } from "./primitives/backoff.ts";

/**
 * Marks what `single`, `cluster`, `sentinel`, `fromClient` and `http` return; nothing else has it. Registered, since the
 * entry for HTTP is built apart from the others.
 */
const CONNECTION: unique symbol = Symbol.for("hotset.redis.connection");

/**
 * The address of Redis. Opens nothing. Backends over the same object share its sockets where their settings are equal.
 */
export interface Connection {
  readonly [CONNECTION]: "own";
}

/** A client that the user opens and closes. */
export interface ClientConnection {
  readonly [CONNECTION]: "client";
}

/** Redis over HTTP. Opens nothing. Backends over the same object share its requests where their settings are equal. */
export interface HttpConnection {
  readonly [CONNECTION]: "http";
}

/** Whether a value is what `http` returned. */
export const isOverHttp = (connection: unknown): connection is HttpConnection =>
  typeof connection === "object" &&
  connection !== null &&
  (connection as Partial<HttpConnection>)[CONNECTION] === "http";

/** How a link is opened and used. Users with equal settings share one link. */
export interface ConnectSettings {
  readonly username: string | undefined;
  readonly password: string | (() => Awaitable<string>) | undefined;
  readonly clientName: string | undefined;
  /** Where no `clientName` is set: that of the user which opens the link. */
  readonly defaultName: string;
  readonly protocol: 2 | 3;
  readonly connectTimeoutMs: number;
  readonly responseTimeoutMs: number;
  readonly retries: number;
  readonly reconnects: "always" | "used";
  readonly backoff: Backoff;
  readonly maxInFlight: number;
  /** Makes each connection ready, such as by loading scripts. */
  readonly prepare: (client: RawClient) => Promise<void>;
  /** Names of the settings that were given. */
  readonly connects: readonly string[];
  readonly clock: Clock;
  readonly random: () => number;
  /** Made with the link. */
  readonly traffic?: Traffic;
}

/** A shared link, as one of its users has it. */
export interface Hold {
  readonly link: ObservableLink;
  readonly servers: Servers;
  readonly traffic: Traffic;
  readonly database: number | undefined;
  /** Closes the link if this was its last user. Idempotent. */
  release(): Promise<void>;
}

/** One link, and the servers behind it. */
export interface Made {
  readonly link: ObservableLink;
  readonly servers: Servers;
  /** Its number, where the connection says it; there is none in a cluster. */
  readonly database?: number | undefined;
  /** Called when the last user has gone and the link is closed. */
  readonly onClosed?: () => void;
}

/** A connection of one kind. */
export interface ConnectionOf<Kind extends "own" | "client" | "http"> {
  readonly [CONNECTION]: Kind;
}

/** A connection whose links `make` makes, one for each set of equal settings. */
export const sharedConnection = <Kind extends "own" | "client" | "http">(
  kind: Kind,
  make: (settings: ConnectSettings) => Made,
): ConnectionOf<Kind> => new SharedConnection(kind, make);

/** Hands out links, one for each set of equal settings. Its fields are private, so no log prints them. */
class SharedConnection<Kind extends "own" | "client" | "http"> {
  readonly [CONNECTION]: Kind;
  readonly #make: (settings: ConnectSettings) => Made;
  readonly #links: (Made & Pick<Hold, "traffic"> & { readonly settings: ConnectSettings; holders: number })[] = [];

  constructor(kind: Kind, make: (settings: ConnectSettings) => Made) {
    this[CONNECTION] = kind;
    this.#make = make;
  }

  hold(settings: ConnectSettings): Hold {
    let shared = this.#links.find((one) => isEqual(one.settings, settings));
    if (shared === undefined) {
      const traffic = new Traffic();
      const made = this.#make({ ...settings, clientName: settings.clientName ?? settings.defaultName, traffic });
      this.#links.push((shared = { ...made, settings, traffic, holders: 0 }));
    }
    const mine = shared;
    mine.holders += 1;
    let released: Promise<void> | undefined;
    return {
      link: mine.link,
      servers: mine.servers,
      traffic: mine.traffic,
      database: mine.database,
      release: () => (released ??= this.#release(mine)),
    };
  }

  async #release(shared: Made & { holders: number }): Promise<void> {
    shared.holders -= 1;
    if (shared.holders > 0) return;
    const at = this.#links.findIndex((one) => one.link === shared.link);
    this.#links.splice(at, 1);
    await shared.link.close();
    shared.onClosed?.();
  }
}

/**
 * @throws {MissingConnectionError} for `undefined`.
 * @throws {InvalidArgumentError} for anything else that `single`, `cluster`, `sentinel`, `fromClient` or `http` did not return.
 */
export function hold(connection: unknown, settings: ConnectSettings): Hold {
  // By the mark and not by the class, of which the entry for HTTP has its own.
  if (typeof connection === "object" && connection !== null && CONNECTION in connection)
    return (connection as SharedConnection<"own">).hold(settings);
  if (connection === undefined) throw new MissingConnectionError(`redis: no connection; ${CONNECTIONS}`);
  throw new InvalidArgumentError(`connection must be a URL or a connection, got ${kindOf(connection)}; ${CONNECTIONS}`);
}

const CONNECTIONS =
  "give a URL, single(url) or its parts ({ host, port }), cluster(urls), sentinel(urls, { primaryName }), or fromClient(client) for your own client";

/** What decides whether users can share a link: not all that they give, such as the pool of the toolkit. */
function ofLink({ backoff, maxInFlight, prepare, clock, random, ...of }: ConnectSettings): readonly unknown[] {
  const { username, password, clientName, protocol, connectTimeoutMs, responseTimeoutMs, retries, reconnects } = of;
  const login = [username, password, clientName, protocol];
  const calls = [connectTimeoutMs, responseTimeoutMs, retries, reconnects, maxInFlight];
  return [...login, ...calls, backoff.baseMs, backoff.factor, backoff.maxMs, prepare, clock, random];
}
const isEqual = (one: ConnectSettings, other: ConnectSettings): boolean =>
  ofLink(one).every((value, i) => value === ofLink(other)[i]);
