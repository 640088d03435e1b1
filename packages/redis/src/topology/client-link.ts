import { BackendUnavailableError } from "@hotset/core";
import { fault, unreachable } from "../primitives/faults.ts";
import { subscribedLink } from "../changes/server-node.ts";
import type { ChangeNotifier } from "../connection/change-notifier.ts";
import { CommandQueue, type Command, type RawClient } from "../connection/command-queue.ts";
import { closed, CONNECT, drained, type Link, type LinkSettings } from "../connection/link.ts";
import {
  identityOf,
  type Identity,
  type TrackedConnection,
  type ServerIdentityGuard,
} from "../changes/server-identity.ts";
import {
  establish,
  loadScripts,
  type FreshClient,
  type NodeClient,
  type Session,
  type SessionSettings,
} from "../connection/session.ts";

/** The part of node-redis' `createClient()` that is used. */
export interface RedisClientLike {
  readonly isOpen: boolean;
  sendCommand(args: (string | Buffer)[], options?: never): Promise<unknown>;
  withTypeMapping(mapping: object): RedisClientLike;
  connect(): Promise<unknown>;
  // oxlint-disable-next-line typescript/no-explicit-any -- as EventEmitter has it: a client's own type must fit
  on(event: string, listener: (...args: any[]) => void): unknown;
  duplicate(): RedisClientLike;
  close(): Promise<void>;
}

/**
 * A client that the user opened, and who reconnects and closes it. While it has no connection,
 * calls are refused here, so that its own queue does not execute them later. Deadlines are ours.
 *
 * Changes are heard on a duplicate of it, which is opened for the first who listens: what the user
 * does with the client must not decide what is pushed. Two connections are not in step; so what
 * asks whether something still stands goes over the duplicate, too.
 */
export class ClientLink implements Link, TrackedConnection {
  readonly isDataConnection = true;
  readonly queue: CommandQueue;
  readonly tracking: ChangeNotifier | undefined;
  readonly channel: ChangeNotifier | undefined;
  /** Where changes are heard. */
  readonly listening: Link;
  /** Of the client and its duplicates. */
  readonly #identityGuard: ServerIdentityGuard;
  readonly #client: RedisClientLike;
  readonly #commands: RawClient;
  readonly #settings: LinkSettings;
  readonly #listeners: readonly (readonly [event: string, listener: (error?: Error) => void])[];
  #preparing: Promise<void> | undefined;
  /** Counts connections: what was prepared on an older one does not count. */
  #epoch = 0;
  #trouble: Error | undefined;
  #closed: Promise<void> | undefined;

  constructor(client: RedisClientLike, settings: LinkSettings & Pick<SessionSettings, "clock" | "connectTimeoutMs">) {
    const protocol = protocolOf(client);
    const { link, identityGuard } = subscribedLink(
      (aborted, prepare) => openDuplicate(client, protocol, settings, aborted, prepare),
      { ...settings, protocol },
      false,
    );
    this.listening = link;
    this.#identityGuard = identityGuard;
    this.tracking = this.listening.tracking;
    this.channel = this.listening.channel;
    this.#client = client;
    this.#commands = withBuffers(client);
    this.#settings = settings;
    this.queue = new CommandQueue({
      clock: settings.clock,
      deadlineMs: settings.responseTimeoutMs,
      maxInFlight: settings.maxInFlight,
    });
    const onDown = (error?: Error): void => {
      this.#epoch += 1;
      this.#trouble = error ?? this.#trouble;
      this.queue.client = undefined;
      identityGuard.down(this);
    };
    this.#listeners = [
      ["error", onDown],
      ["reconnecting", onDown],
      ["end", onDown],
      ["ready", onDown],
    ];
    for (const [event, listener] of this.#listeners) client.on(event, listener);
  }

  admit<T>(call: Command<T>, start: (client: RawClient) => void): void {
    if (this.#closed !== undefined) return call.fail(closed(call.origin));
    const away = this.#away();
    if (away !== undefined) return call.fail(unreachable(call.origin, away));
    this.queue.wait(call, start);
    if (this.queue.client === undefined) this.#prepare().catch(ignore);
  }

  distrust(): void {
    // Where it leads is the user's business.
  }

  async connect(): Promise<void> {
    if (this.#closed !== undefined) throw closed(CONNECT);
    const away = this.#away();
    if (away !== undefined) throw away;
    if (this.queue.client === undefined) await this.#prepare();
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  #away(): BackendUnavailableError | undefined {
    const client: RedisClientLike & { readonly isReady?: boolean } = this.#client;
    if (client.isReady ?? client.isOpen) return undefined;
    const state = client.isOpen ? "has no connection at the moment" : "is not open: call its connect() before";
    return new BackendUnavailableError(`the client given to fromClient ${state}`, {
      cause: this.#trouble,
      maybeExecuted: false,
    });
  }

  /** Loads the scripts and finds out who answers, once for each of its connections. */
  #prepare(): Promise<void> {
    return (this.#preparing ??= this.#load().finally(() => {
      this.#preparing = undefined;
    }));
  }

  async #load(): Promise<void> {
    const epoch = this.#epoch;
    const call = this.queue.begin<Identity>(CONNECT);
    Promise.all([identityOf((args) => this.#commands.sendCommand([...args])), loadScripts(this.#commands)]).then(
      ([identity]) => call.done(identity),
      (error: unknown) => call.fail(fault(CONNECT, error)),
    );
    let identity: Identity;
    try {
      identity = await call.promise;
    } catch (error) {
      this.queue.abandon((origin) => unreachable(origin, error as BackendUnavailableError));
      throw error;
    }
    if (epoch !== this.#epoch || this.#closed !== undefined)
      return this.queue.abandon((origin) => unreachable(origin, this.#away() ?? LOST));
    this.queue.client = this.#ofConnection(epoch);
    this.#identityGuard.up(this, identity);
    this.queue.resume();
  }

  /**
   * The client sends again over its next connection what it had not written to the last one: such a reply may be another
   * server's, and comes before it is known who that is. It does not count.
   */
  #ofConnection(epoch: number): RawClient {
    const checked = <T>(reply: T): T => {
      if (epoch !== this.#epoch) throw new Error("the client has reconnected meanwhile");
      return reply;
    };
    return { sendCommand: (args) => this.#commands.sendCommand(args).then(checked) };
  }

  async #close(): Promise<void> {
    this.queue.abandon(closed);
    await this.listening.close();
    await drained(this.queue, this.#settings);
    this.queue.client = undefined;
    const emitter: RedisClientLike & { off?: RedisClientLike["on"] } = this.#client;
    for (const [event, listener] of this.#listeners) emitter.off?.(event, listener);
  }
}

/** Tracking needs pushes, which a client of another kind, or an older one, cannot hand over. */
function protocolOf(client: RedisClientLike): 2 | 3 {
  const {
    options,
    _getQueue,
  }: RedisClientLike & { readonly options?: { readonly RESP?: unknown }; readonly _getQueue?: unknown } = client;
  return options?.RESP === 2 || typeof _getQueue !== "function" ? 2 : 3;
}

/** Connects a duplicate, once: it is not to reconnect by itself, for it would hear of nothing then. */
function openDuplicate(
  client: RedisClientLike,
  protocol: 2 | 3,
  settings: Pick<SessionSettings, "clock" | "connectTimeoutMs">,
  aborted: AbortSignal,
  prepare: (client: NodeClient) => Promise<void>,
): Promise<Session> {
  return establish("the address of the client given to fromClient", settings, aborted, prepare, () => {
    const original: RedisClientLike & { readonly options?: { readonly socket?: object } } = client;
    const overrides = {
      RESP: protocol,
      socket: { ...original.options?.socket, reconnectStrategy: false },
      commandOptions: { timeout: 0, typeMapping: { [BLOB_STRING]: Buffer } },
      disableOfflineQueue: true,
      // Each of these would track in a way of its own.
      clientSideCache: undefined,
      emitInvalidate: false,
    };
    const duplicate = (original as { duplicate(overrides: object): unknown }).duplicate(overrides);
    return { client: duplicate as FreshClient["client"], transport: undefined };
  });
}

/** What ends a wait for a connection that was replaced meanwhile; the next call finds the new one. */
const LOST = new BackendUnavailableError("the client given to fromClient has just reconnected", {
  maybeExecuted: false,
});

/** Blobs as Buffers; and without the client's own timeout where it can be turned off, which costs more than the command. */
function withBuffers(client: RedisClientLike): RawClient {
  const typeMapping = { [BLOB_STRING]: Buffer };
  const tunable: RedisClientLike & { withCommandOptions?(options: object): RedisClientLike } = client;
  return tunable.withCommandOptions?.({ timeout: 0, typeMapping }) ?? client.withTypeMapping(typeMapping);
}

/** `RESP_TYPES.BLOB_STRING` of node-redis: the type's first byte on the wire, `$`. */
const BLOB_STRING = 36;

const ignore = (): void => undefined;
