import diagnostics from "node:diagnostics_channel";
import type { Socket } from "node:net";
import type { Awaitable, Clock } from "@hotset/core";
import { scheduleRunning } from "@hotset/core/internal";
import { connectFault, lost, unlessRefused } from "../primitives/faults.ts";
import { ignore } from "../primitives/ignore.ts";
import { nodeRedis } from "../primitives/node-redis.ts";
import { conceal } from "../primitives/secrets.ts";
import type { RawClient } from "./command-queue.ts";
import { checkTls, nodeTlsOptions, type TlsOptions, type TlsSource } from "./tls.ts";
import type { Traffic } from "./traffic.ts";
import { joinCommands } from "./trip.ts";

/** The address of one server. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string };

/** For messages. */
export const addressText = (address: Address): string =>
  "path" in address ? address.path : `${address.host}:${address.port}`;

export interface SessionSettings {
  /** Absent for a plain connection. */
  readonly tls?: TlsSource | undefined;
  readonly username?: string | undefined;
  /** A function is called at each attempt. */
  readonly password?: string | (() => Awaitable<string>) | undefined;
  readonly database: number;
  /** For CLIENT LIST, on each connection. Not set where the server refuses it. */
  readonly clientName?: string | undefined;
  readonly protocol: 2 | 3;
  /** Bound on the whole attempt: password, name resolution, handshake and scripts. */
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  /** Counts the bytes of the connection. */
  readonly traffic?: Traffic | undefined;
}

/** A client while its connection is being prepared. */
export interface NodeClient extends RawClient {
  subscribe(channel: string, listener: (message: string) => void): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  /** By kind of subscription. With `true` messages and names of channels come as Buffers. */
  SUBSCRIBE: SubscribeToBytes;
  PSUBSCRIBE: SubscribeToBytes;
  SSUBSCRIBE: SubscribeToBytes;
  /** For one listener. */
  UNSUBSCRIBE: SubscribeToBytes;
  PUNSUBSCRIBE: SubscribeToBytes;
  SUNSUBSCRIBE: SubscribeToBytes;
  /** Each command that the server runs, as a line. */
  MONITOR(listener: (line: string | Buffer) => void): Promise<void>;
  /**
   * The handler receives the pushes of RESP3 in the order of the wire: before the continuation of any reply of the same
   * chunk. It returns `true` for a push that it handled.
   *
   * `decoder` hands each error reply on, before anything else can see it.
   */
  _getQueue(): {
    addPushHandler(handler: (push: readonly unknown[]) => boolean): void;
    /** Rejects the commands that have no reply. */
    flushAll?(error: Error): void;
    readonly decoder?: { onErrorReply(error: Error): void };
  };
}

type SubscribeToBytes = (
  name: string,
  listener: (message: Buffer, channel: Buffer) => void,
  asBuffers: true,
) => Promise<void>;

/** One connection, ready for commands. It never reconnects. */
export interface Session {
  /** The server, for messages. */
  readonly address: string;
  readonly client: RawClient;
  /** Changes while bytes arrive, or leave faster than the kernel can keep them. Absent where there is no socket. */
  readonly bytesMoved?: () => number;
  /** Calls `listener` once when the connection is lost for any reason; immediately when it is lost already. */
  onLost(listener: (error: Error) => void): void;
  /** Resets the connection: commands that the kernel still holds are not delivered. Commands in flight reject. */
  destroy(): void;
}

/**
 * Opens one connection, with a separate client object.
 *
 * @param prepare is awaited before the connection counts as open.
 * @param reached is called once there is a socket, on which the server has not answered yet.
 * @throws {BackendUnavailableError} `retryable` is `false` where trying again cannot help: refused
 *   credentials or certificates, and servers other than Redis.
 */
export async function openSession(
  address: Address,
  settings: SessionSettings,
  aborted: AbortSignal,
  prepare: (client: NodeClient) => Promise<void>,
  reached?: () => void,
): Promise<Session> {
  const { RedisClient, RESP_TYPES } = await nodeRedis().catch((error: unknown) => {
    throw connectFault(addressText(address), error);
  });
  const prepareNamed = async (client: NodeClient): Promise<void> => {
    const named = settings.clientName === undefined ? undefined : setName(client, settings.clientName);
    await Promise.all([named, prepare(client)]);
  };
  return establish(addressText(address), { ...settings, reached }, aborted, prepareNamed, async (failed, fail) => {
    const [password, tls] = await Promise.race([
      Promise.all([passwordOf(settings.password), "path" in address ? undefined : tlsOf(settings.tls)]),
      failed,
    ]);
    const transport = tls === undefined || "path" in address ? undefined : connectTcp(address, fail);
    // Not createClient(), which builds a class with every command of Redis for each set of options.
    const client = new RedisClient({
      RESP: settings.protocol,
      ...(settings.username === undefined ? undefined : { username: settings.username }),
      ...(password === undefined ? undefined : { password }),
      database: settings.database,
      socket: socketOptions(address, tls, transport),
      // The client's own timeout costs more than the command, and does not bound the reply.
      commandOptions: { timeout: 0, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
      disableOfflineQueue: true,
      maintNotifications: "disabled",
    });
    joinCommands(client);
    return { client, transport, secrets: [password, tls?.passphrase].filter((secret) => secret !== undefined) };
  });
}

/** Not by node-redis, for which a refusal is a failure to connect. */
const setName = (client: NodeClient, name: string): Promise<unknown> =>
  unlessRefused(client.sendCommand(["CLIENT", "SETNAME", name]));

/**
 * To be called before a session is destroyed: its commands in flight reject with `reason`. On its own node-redis says
 * only that it was disconnected.
 */
export function rejectInFlight(client: RawClient, reason: Error): void {
  (client as Partial<NodeClient>)._getQueue?.().flushAll?.(reason);
}

/** node-redis before 6.2 throws when the client has closed itself, after a lost connection. */
function destroyClient(client: ConnectingClient): void {
  if (client.isOpen) client.destroy();
}

/** A client that is not connected yet, and the socket to run over, where that is made here. */
export interface UnconnectedClient {
  readonly client: ConnectingClient;
  readonly transport: Socket | undefined;
  /** Passwords: no error of the connection shows them. */
  readonly secrets: readonly string[];
}

interface ConnectingClient extends NodeClient {
  on(event: "error", listener: (...args: unknown[]) => void): unknown;
  readonly isOpen: boolean;
  connect(): Promise<unknown>;
  destroy(): void;
}

interface Establishing extends Pick<SessionSettings, "clock" | "connectTimeoutMs" | "traffic"> {
  /** Called once there is a socket, on which the server has not answered yet. */
  readonly reached?: (() => void) | undefined;
}

/**
 * Connects a client that never reconnects, and bounds all of it.
 *
 * @param address for messages.
 * @param make creates the client. `failed` rejects when it is too late; `make` calls `fail` when connecting must fail.
 */
export async function establish(
  address: string,
  settings: Establishing,
  aborted: AbortSignal,
  prepare: (client: NodeClient) => Promise<void>,
  make: (failed: Promise<never>, fail: (error: Error) => void) => Awaitable<UnconnectedClient>,
): Promise<Session> {
  const loss = new Loss();
  const stopClock = scheduleRunning(settings.clock, settings.connectTimeoutMs, () =>
    loss.report(new Error(`no answer within ${settings.connectTimeoutMs} ms`)),
  );
  const onAbort = (): void => loss.report(new Error("the connection was closed while it was being opened"));
  if (aborted.aborted) onAbort();
  aborted.addEventListener("abort", onAbort);

  let giveUp: () => void = ignore;
  let secrets: readonly string[] = [];
  try {
    const made = await make(loss.promise, loss.report);
    const { client, transport } = made;
    secrets = made.secrets;
    concealReplies(client, secrets);
    // Emitted also for bytes that are not a reply, after which replies cannot be parsed any more. The client continues
    // to reject the commands in flight with this very error, which names no server: they are rejected before that.
    // Their callers continue after the report of the loss, by which trust has ended and an attempt has failed.
    client.on("error", (error) => {
      conceal(error, made.secrets);
      const reason = error instanceof Error ? error : new Error(String(error));
      queueMicrotask(() => loss.report(reason));
      rejectInFlight(client, lost(address, reason));
    });
    giveUp = () => transport?.destroy();
    const { result: connecting, socket } = withSocket(() => client.connect());
    connecting.catch(ignore);
    settings.traffic?.add(transport ?? socket);
    (transport ?? socket)?.once("connect", settings.reached ?? ignore);
    // No command of a caller is on its way yet.
    giveUp = () => {
      (transport ?? socket)?.destroy();
      destroyClient(client);
    };
    await Promise.race([connecting, loss.promise]);
    await Promise.race([prepare(client), loss.promise]);
    return {
      address,
      client,
      bytesMoved: bytesMovedOn(transport ?? socket),
      onLost: (listener) => loss.on(listener),
      destroy() {
        loss.silence();
        reset(transport ?? socket);
        destroyClient(client);
      },
    };
  } catch (error) {
    loss.report(error as Error);
    giveUp();
    conceal(error, secrets);
    throw connectFault(address, error);
  } finally {
    stopClock();
    aborted.removeEventListener("abort", onAbort);
  }
}

/**
 * Error replies are cleaned where they are decoded: node-redis publishes them on its own diagnostics channels, before
 * the commands reject.
 */
function concealReplies(client: Partial<Pick<NodeClient, "_getQueue">>, secrets: readonly string[]): void {
  const decoder = client._getQueue?.().decoder;
  if (decoder === undefined) return;
  const { onErrorReply } = decoder;
  decoder.onErrorReply = (error) => {
    conceal(error, secrets);
    onErrorReply(error);
  };
}

/** The loss of one connection, or the failure of the attempt to open it. Only the first error counts. */
class Loss {
  /** Rejects with the error. */
  readonly promise: Promise<never>;
  readonly #listeners: ((error: Error) => void)[] = [];
  #error: Error | undefined;
  #reject!: (error: Error) => void;

  constructor() {
    this.promise = new Promise<never>((_resolve, reject) => {
      this.#reject = reject;
    });
    this.promise.catch(ignore);
  }

  readonly report = (error: Error): void => {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#reject(error);
    for (const listener of this.#listeners) listener(error);
  };

  /** Calls `listener` immediately when the connection is lost already. */
  on(listener: (error: Error) => void): void {
    if (this.#error === undefined) this.#listeners.push(listener);
    else listener(this.#error);
  }

  /** We close the connection ourselves: a later error is not reported. */
  silence(): void {
    this.#error ??= new Error("the connection was closed");
  }
}

/** A user with `nopass` may log in with any, and node-redis does not log in without one. */
const ANY_PASSWORD = "nopass";

async function passwordOf(given: SessionSettings["password"]): Promise<string | undefined> {
  if (typeof given !== "function") return given === "" ? ANY_PASSWORD : given;
  const password: unknown = await called("password", given);
  // For an empty one the client would log in as the default user.
  if (typeof password === "string" && password !== "") return password;
  throw callbackFailure(
    "password",
    new TypeError(`it must return a non-empty string, got ${password === "" ? "an empty one" : typeof password}`),
  );
}

async function tlsOf(given: TlsSource | undefined): Promise<TlsOptions | undefined> {
  if (typeof given !== "function") return given;
  const tls: unknown = await called("tls", given);
  if (typeof tls === "object" && tls !== null) return checkTls("the tls function", tls);
  throw callbackFailure("tls", new TypeError(`it must return an object, got ${typeof tls}`));
}

async function called<T>(option: "password" | "tls", callback: () => Awaitable<T>): Promise<T> {
  try {
    return await callback();
  } catch (error) {
    throw callbackFailure(option, error);
  }
}

/** A function of the user failed. Its error is kept only as the cause: it may quote secrets. */
const callbackFailure = (option: "password" | "tls", cause: unknown): Error =>
  new Error(`the ${option} function failed`, { cause });

/** The socket under TLS, made here because only a plain TCP socket can be reset. */
function connectTcp(
  address: { readonly host: string; readonly port: number },
  onError: (error: Error) => void,
): Socket {
  return net()
    .connect({ ...address, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 })
    .on("error", onError);
}

function socketOptions(
  address: Address,
  tls: TlsOptions | undefined,
  transport: Socket | undefined,
): RedisSocketOptions {
  // `establish` bounds the whole attempt, and knows of pauses of this process.
  const common = { connectTimeout: 0, reconnectStrategy: false as const };
  if ("path" in address) return { ...common, path: address.path, tls: false };
  if (tls === undefined || transport === undefined) return { ...common, ...address, tls: false };
  return { ...common, ...address, tls: true, socket: transport, ...nodeTlsOptions(tls, address.host) };
}

/** Loaded with the first connection: importing this package need not wait for it. */
const net = (): typeof import("node:net") => process.getBuiltinModule("node:net");

type RedisSocketOptions = NonNullable<import("@redis/client").RedisClientOptions["socket"]>;

/**
 * The result of `connect`, and the socket that it creates synchronously: node-redis does not expose it, and only the
 * socket can be reset.
 */
function withSocket<T>(connect: () => T): { readonly result: T; readonly socket: Socket | undefined } {
  let socket: Socket | undefined;
  const listener = (message: unknown): void => {
    socket = (message as { readonly socket: Socket }).socket;
  };
  diagnostics.subscribe("net.client.socket", listener);
  try {
    return { result: connect(), socket };
  } finally {
    diagnostics.unsubscribe("net.client.socket", listener);
  }
}

/**
 * Counts the bytes of a socket that show that its peer lives: those received, and those that the kernel took while more
 * were waiting, since it has room only for what the peer has acknowledged. A request that fits into its buffers shows
 * nothing.
 */
function bytesMovedOn(socket: Socket | undefined): () => number {
  let taken = 0;
  return () => {
    if (socket === undefined) return 0;
    const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly writeQueueSize?: number } | null };
    const unsent = socket.writableLength + (handle?.writeQueueSize ?? 0);
    if (unsent > 0) taken = Math.max(taken, socket.bytesWritten - unsent);
    return socket.bytesRead + taken;
  };
}

/**
 * RST instead of FIN: data that has not left this machine is discarded. A pipe cannot be reset.
 *
 * Nor can a socket that is being shut down, as it is for an instant after its peer has ended it: Node refuses, and then
 * never closes its handle, so the process would not end. Seen in Node 20 to 24. A TLS socket over `socket` does not
 * show that it is being shut down; there the instant is left to chance.
 *
 * @see https://github.com/libp2p/js-libp2p/pull/3597
 */
function reset(socket: Socket | undefined): void {
  try {
    if (socket?.writableEnded === true) socket.destroy();
    else socket?.resetAndDestroy();
  } catch {
    socket?.destroy();
  }
}
