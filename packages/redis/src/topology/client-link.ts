import { BackendUnavailableError } from "@hotset/core";
import {
  identityOf,
  type Identity,
  type TrackedConnection,
  type ServerIdentityGuard,
} from "../changes/server-identity-guard.ts";
import { subscribedLink } from "../changes/server-node.ts";
import type { ChangeNotifier } from "../connection/change-notifier.ts";
import { CommandQueue, type Command, type RawClient } from "../connection/command-queue.ts";
import {
  closed,
  CONNECT,
  THE_ONE_PART,
  whenDrained,
  type Link,
  type LinkSettings,
  type ObservableLink,
} from "../connection/link.ts";
import {
  establish,
  type UnconnectedClient,
  type NodeClient,
  type Session,
  type SessionSettings,
} from "../connection/session.ts";
import { fault, isReply, lost, unlessRefused, unreachable } from "../primitives/faults.ts";
import { ignore } from "../primitives/ignore.ts";
import { conceal } from "../primitives/secrets.ts";

/** The part of node-redis' `createClient()` that is used. */
export interface RedisClientLike {
  readonly isOpen: boolean;
  sendCommand(args: (string | Buffer)[], options?: never): Promise<unknown>;
  withTypeMapping(mapping: object): RedisClientLike;
  connect(): Promise<unknown>;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  duplicate(): RedisClientLike;
  close(): Promise<void>;
}

export interface ClientLinkSettings extends LinkSettings, Pick<SessionSettings, "connectTimeoutMs"> {
  /** Awaited on each connection before it takes commands. */
  readonly prepare: (client: RawClient) => Promise<void>;
}

/**
 * A client of the user, who opens and closes it; it reconnects on its own. While it has no connection, commands are
 * refused here, so that its own queue does not execute them later. Deadlines are ours.
 *
 * Changes are received on a duplicate of it, which is opened for the first listener: commands of the user on the client
 * must not change what is pushed. Two connections are not synchronised, so commands that confirm a write go over the
 * duplicate, too.
 */
export class ClientLink implements ObservableLink, TrackedConnection {
  readonly isDataConnection = true;
  readonly isIoRedis: boolean;
  readonly cannotSubscribe: boolean;
  readonly protocol: 2 | 3;
  readonly queue: CommandQueue;
  readonly tracking: ChangeNotifier | undefined;
  readonly channel: ChangeNotifier | undefined;
  /** Receives changes. */
  readonly changesLink: Link;
  /** Guards the client and its duplicates. */
  readonly #identityGuard: ServerIdentityGuard;
  readonly #client: RedisClientLike;
  readonly #commands: RawClient;
  readonly #settings: ClientLinkSettings;
  readonly #stopWatching: () => void;
  readonly #listeners = new Set<() => void>();
  #preparing: Promise<void> | undefined;
  /** Counts connections: a preparation on an older one is void. */
  #epoch = 0;
  #lastError: Error | undefined;
  #closed: Promise<void> | undefined;

  constructor(client: RedisClientLike, settings: ClientLinkSettings) {
    const {
      isIoRedis = false,
      cannotSubscribe = false,
    }: RedisClientLike & Partial<Pick<Link, "isIoRedis" | "cannotSubscribe">> = client;
    this.isIoRedis = isIoRedis;
    this.cannotSubscribe = cannotSubscribe;
    this.protocol = protocolOf(client);
    const { link, identityGuard } = subscribedLink((aborted, prepare) => this.openDuplicate(aborted, prepare), {
      ...settings,
      protocol: this.protocol,
      carries: "changes",
    });
    this.changesLink = link;
    this.#identityGuard = identityGuard;
    this.tracking = this.changesLink.tracking;
    this.channel = this.changesLink.channel;
    this.#client = client;
    this.#commands = withBuffers(client);
    this.#settings = settings;
    this.queue = new CommandQueue({
      clock: settings.clock,
      deadlineMs: settings.responseTimeoutMs,
      maxInFlight: settings.maxInFlight,
    });
    this.queue.server = () => knownAddress(client);
    this.#stopWatching = watch(client, (error) => {
      conceal(error, secretsOf(client));
      this.#epoch += 1;
      if (error instanceof Error) this.#lastError = error;
      this.queue.client = undefined;
      identityGuard.down(this);
      this.#changed();
    });
  }

  get state(): ObservableLink["state"] {
    if (this.#closed !== undefined) return "closed";
    if (this.queue.client !== undefined) return "up";
    if (this.#whyUnusable() !== undefined) return "down";
    return this.#preparing === undefined ? "idle" : "connecting";
  }

  get reachableParts(): readonly string[] {
    return this.#closed === undefined && this.#whyUnusable() === undefined ? THE_ONE_PART : [];
  }

  get address(): string {
    return knownAddress(this.#client) ?? ADDRESS;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Connects a duplicate, once: it must not reconnect on its own, since it would receive no changes then. */
  openDuplicate(aborted: AbortSignal, prepare: (client: NodeClient) => Promise<void>): Promise<Session> {
    const client: RedisClientLike & { readonly options?: { readonly socket?: object } } = this.#client;
    return establish(this.address, this.#settings, aborted, prepare, async (failed) => {
      const database = await Promise.race([databaseOf(client), failed]);
      const overrides = {
        RESP: this.protocol,
        // A database in the URL, whose parts are separate options by now, would win.
        ...(database === undefined ? undefined : { database, url: undefined }),
        socket: { ...client.options?.socket, reconnectStrategy: false },
        commandOptions: { timeout: 0, typeMapping: { [BLOB_STRING]: Buffer } },
        disableOfflineQueue: true,
        // Each of these would set up its own tracking.
        clientSideCache: undefined,
        emitInvalidate: false,
      };
      const duplicate = (client as { duplicate(overrides: object): unknown }).duplicate(overrides);
      return { client: duplicate as UnconnectedClient["client"], transport: undefined, secrets: secretsOf(client) };
    });
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  admit<T>(command: Command<T>, start: (client: RawClient) => void): void {
    if (this.#closed !== undefined) return command.fail(closed(command.origin));
    const unusable = this.#whyUnusable();
    if (unusable !== undefined) return command.fail(unreachable(command.origin, unusable));
    this.queue.enqueue(command, start);
    if (this.queue.client === undefined) this.#prepare().catch(ignore);
  }

  /** The user decides where it leads. */
  readonly distrust: () => void = ignore;
  readonly leaveReplica: () => void = ignore;

  async connect(): Promise<void> {
    if (this.#closed !== undefined) throw closed(CONNECT);
    const unusable = this.#whyUnusable();
    if (unusable !== undefined) throw unusable;
    if (this.queue.client === undefined) await this.#prepare();
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  #whyUnusable(): BackendUnavailableError | undefined {
    const client: RedisClientLike & { readonly isReady?: boolean } = this.#client;
    if (client.isReady ?? client.isOpen) return undefined;
    const state = client.isOpen ? "has no connection at the moment" : "is not open: call its connect() first";
    return new BackendUnavailableError(`the client given to fromClient ${state}`, {
      cause: this.#lastError,
      maybeExecuted: false,
    });
  }

  /** Loads the scripts and identifies the server, once for each of its connections. */
  #prepare(): Promise<void> {
    return (this.#preparing ??= this.#load().finally(() => {
      this.#preparing = undefined;
    }));
  }

  async #load(): Promise<void> {
    const epoch = this.#epoch;
    const command = this.queue.begin<Identity>(CONNECT);
    Promise.all([
      identityOf((args) => this.#commands.sendCommand([...args])),
      this.#settings.prepare(this.#commands),
    ]).then(
      ([identity]) => command.done(identity),
      (error: unknown) => command.fail(fault(CONNECT, error)),
    );
    let identity: Identity;
    try {
      identity = await command.promise;
    } catch (error) {
      this.queue.failWaiting((origin) => unreachable(origin, error as BackendUnavailableError));
      throw error;
    }
    if (epoch !== this.#epoch || this.#closed !== undefined)
      return this.queue.failWaiting((origin) => unreachable(origin, this.#whyUnusable() ?? LOST));
    this.queue.client = this.#clientOfEpoch(epoch);
    this.#identityGuard.up(this, identity);
    this.queue.sendWaiting();
    this.#changed();
  }

  /**
   * After a reconnection the client sends again the commands that it had not written to the last connection. Such a
   * reply may come from another server, before that one is identified: it is rejected. Where the client itself fails,
   * and not its server, the error names the server.
   */
  #clientOfEpoch(epoch: number): RawClient {
    const checked = <T>(reply: T): T => {
      if (epoch !== this.#epoch) throw lost(this.address, new Error("the client has reconnected meanwhile"));
      return reply;
    };
    const named = (error: unknown): never => {
      if (!(error instanceof Error) || isReply(error)) throw error;
      conceal(error, secretsOf(this.#client));
      throw lost(this.address, error);
    };
    return { sendCommand: (args, options) => this.#commands.sendCommand(args, options).then(checked, named) };
  }

  async #close(): Promise<void> {
    this.queue.failWaiting(closed);
    await this.changesLink.close();
    await whenDrained(this.queue, this.#settings);
    this.queue.client = undefined;
    this.#stopWatching();
  }
}

type Watcher = (error?: unknown) => void;

/** Each begins or ends a connection, or the time in which there is none. */
const EVENTS = ["error", "reconnecting", "end", "ready"];

const watched = new WeakMap<RedisClientLike, Watched>();

/** All links over one client share one listener for each event: Node warns of more than ten. */
class Watched {
  readonly #client: RedisClientLike & { off?: RedisClientLike["on"] };
  readonly #watchers = new Set<Watcher>();

  constructor(client: RedisClientLike) {
    this.#client = client;
  }

  /** @returns ends it. */
  add(watcher: Watcher): () => void {
    if (this.#watchers.size === 0) for (const event of EVENTS) this.#client.on(event, this.#onEvent);
    this.#watchers.add(watcher);
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) for (const event of EVENTS) this.#client.off?.(event, this.#onEvent);
    };
  }

  readonly #onEvent = (error?: unknown): void => {
    for (const watcher of this.#watchers) watcher(error);
  };
}

/** Calls `watcher` when a connection of `client` begins or ends, until the returned function is called. */
function watch(client: RedisClientLike, watcher: Watcher): () => void {
  let all = watched.get(client);
  if (all === undefined) watched.set(client, (all = new Watched(client)));
  return all.add(watcher);
}

/** Tracking needs pushes, which a client of another kind, or an older one, does not expose. */
function protocolOf(client: RedisClientLike): 2 | 3 {
  const {
    options,
    _getQueue,
  }: RedisClientLike & { readonly options?: { readonly RESP?: unknown }; readonly _getQueue?: unknown } = client;
  return options?.RESP === 2 || typeof _getQueue !== "function" ? 2 : 3;
}

/**
 * The database that the client is in: its owner may have called `select`. `undefined` where the server does not say;
 * then its options decide.
 */
async function databaseOf(client: RedisClientLike & { readonly isReady?: boolean }): Promise<number | undefined> {
  if (client.isReady === false) return undefined;
  const info = await unlessRefused(client.sendCommand(["CLIENT", "INFO"]));
  const database = /(?:^| )db=(\d+)/.exec(String(info))?.[1];
  return database === undefined ? undefined : Number(database);
}

/** `undefined` where the client does not show where it leads. It may hold credentials in its URL, which is not read. */
function knownAddress(client: RedisClientLike): string | undefined {
  const { options }: RedisClientLike & { readonly options?: { readonly socket?: object } } = client;
  const { host, port = 6_379, path }: Readonly<Record<string, unknown>> = { ...options?.socket };
  if (typeof path === "string") return path;
  return typeof host === "string" && typeof port === "number" ? `${host}:${port}` : undefined;
}

const ADDRESS = "the address of the client given to fromClient";

function secretsOf(client: RedisClientLike): readonly string[] {
  const { options }: RedisClientLike & { readonly options?: { readonly password?: unknown } } = client;
  return typeof options?.password === "string" ? [options.password] : [];
}

/** Fails commands that waited for a connection which was replaced meanwhile; the next command finds the new one. */
const LOST = new BackendUnavailableError("the client given to fromClient has just reconnected", {
  maybeExecuted: false,
});

/** Blobs come as Buffers. The client's own timeout, which costs more than the command, is turned off where possible. */
function withBuffers(client: RedisClientLike): RawClient {
  const typeMapping = { [BLOB_STRING]: Buffer };
  const tunable: RedisClientLike & { withCommandOptions?(options: object): RedisClientLike } = client;
  return tunable.withCommandOptions?.({ timeout: 0, typeMapping }) ?? client.withTypeMapping(typeMapping);
}

/** `RESP_TYPES.BLOB_STRING` of node-redis: the type's first byte on the wire, `$`. */
const BLOB_STRING = 36;
