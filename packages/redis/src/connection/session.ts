import diagnostics from "node:diagnostics_channel";
import type { Socket } from "node:net";
import type { Awaitable, Clock } from "@hotset/core";
import { connectFault, isLoggedOut, isReply } from "../primitives/faults.ts";
import type { RawClient } from "./command-queue.ts";
import { nodeRedis } from "../primitives/node-redis.ts";
import { ALL_SCRIPTS } from "../lua/all-scripts.ts";

/** Where one server listens. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string };

/** For messages. */
export const placeOf = (address: Address): string =>
  "path" in address ? address.path : `${address.host}:${address.port}`;

export interface TlsOptions {
  readonly ca?: string | Uint8Array;
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  readonly servername?: string;
}

export interface SessionSettings {
  /** Absent for a plain connection. */
  readonly tls?: TlsOptions | undefined;
  readonly username?: string | undefined;
  /** A function is asked at each attempt. */
  readonly password?: string | (() => Awaitable<string>) | undefined;
  readonly database: number;
  readonly protocol: 2 | 3;
  /** Bound on the whole attempt: password, name resolution, handshake and scripts. */
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
}

/** A client while its connection is being prepared. */
export interface NodeClient extends RawClient {
  subscribe(channel: string, listener: (message: string) => void): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  /** What RESP3 pushes comes here, in the order of the wire: before the continuation of any reply of the same chunk. The handler says whether it was its own. */
  _getQueue(): { addPushHandler(handler: (push: readonly unknown[]) => boolean): void };
}

/** One connection, ready for commands. There is none other to wait for: it never reconnects. */
export interface Session {
  readonly client: RawClient;
  /** Called once when the connection is lost, however; at once when it is lost already. */
  onLost(listener: (error: Error) => void): void;
  /** Ends it by a reset: what the kernel still holds of our commands is not delivered. Everything in flight rejects. */
  destroy(): void;
}

/**
 * Opens one connection, with a client object of its own.
 *
 * @param prepare is awaited before the connection counts as open.
 * @throws {BackendUnavailableError} `retryable` is `false` where trying again cannot help: refused
 *   credentials or certificates, and servers that are no Redis.
 */
export async function openSession(
  address: Address,
  settings: SessionSettings,
  aborted: AbortSignal,
  prepare: (client: NodeClient) => Promise<void> = loadScripts,
): Promise<Session> {
  const { RedisClient, RESP_TYPES } = await nodeRedis().catch((error: unknown) => {
    throw connectFault(placeOf(address), error);
  });
  return establish(placeOf(address), settings, aborted, prepare, async (failed, fail) => {
    const password =
      typeof settings.password === "function"
        ? await Promise.race([askPassword(settings.password), failed])
        : settings.password;
    const transport = settings.tls === undefined || "path" in address ? undefined : connectTcp(address, fail);
    // Not createClient(), which builds a class with every command of Redis for each set of options.
    const client = new RedisClient({
      RESP: settings.protocol,
      ...(settings.username === undefined ? undefined : { username: settings.username }),
      ...(password === undefined ? undefined : { password }),
      database: settings.database,
      socket: socketOptions(address, settings, transport),
      // The client's own timeout costs more than the command, and does not bound the reply.
      commandOptions: { timeout: 0, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
      disableOfflineQueue: true,
      maintNotifications: "disabled",
    });
    return { client, transport };
  });
}

/** A client that is not connected yet, and what it is to run over where that is made here. */
export interface FreshClient {
  readonly client: ConnectingClient;
  readonly transport: Socket | undefined;
}

interface ConnectingClient extends NodeClient {
  // oxlint-disable-next-line typescript/no-explicit-any -- as EventEmitter has it
  on(event: "error", listener: (error: any) => void): unknown;
  connect(): Promise<unknown>;
  destroy(): void;
}

/**
 * Connects a client that never reconnects, and bounds all of it.
 *
 * @param place for messages.
 * @param make is told by `failed` when it is too late, and tells by `fail` when it is for nothing.
 */
export async function establish(
  place: string,
  settings: Pick<SessionSettings, "clock" | "connectTimeoutMs">,
  aborted: AbortSignal,
  prepare: (client: NodeClient) => Promise<void>,
  make: (failed: Promise<never>, fail: (error: Error) => void) => Awaitable<FreshClient>,
): Promise<Session> {
  let lost: Error | undefined;
  const listeners: ((error: Error) => void)[] = [];
  let fail!: (error: Error) => void;
  const failed = new Promise<never>((_resolve, reject) => {
    fail = (error) => {
      if (lost !== undefined) return;
      lost = error;
      reject(error);
      for (const listener of listeners) listener(error);
    };
  });
  failed.catch(ignore);
  const stopClock = settings.clock.schedule(
    () => fail(new ConnectTimeout(settings.connectTimeoutMs)),
    settings.connectTimeoutMs,
  );
  const onAbort = (): void => fail(new Error("the connection was closed while it was being opened"));
  if (aborted.aborted) onAbort();
  aborted.addEventListener("abort", onAbort);

  let giveUp: () => void = ignore;
  try {
    const { client, transport } = await make(failed, fail);
    // Emitted also for bytes that are no reply, after which nothing can be told apart any more. The client goes on to
    // reject what is in flight with this very error; destroying it in between would have them say that we did.
    client.on("error", (error: Error) => queueMicrotask(() => fail(error)));
    giveUp = () => transport?.destroy();
    const { result: connecting, socket } = withSocket(() => client.connect());
    connecting.catch(ignore);
    // Nobody's command is on its way yet.
    giveUp = () => {
      (transport ?? socket)?.destroy();
      client.destroy();
    };
    await Promise.race([connecting, failed]);
    await Promise.race([prepare(client), failed]);
    return {
      client,
      onLost(listener) {
        if (lost === undefined) listeners.push(listener);
        else listener(lost);
      },
      destroy() {
        lost ??= new Error("the connection was closed");
        reset(transport ?? socket);
        client.destroy();
      },
    };
  } catch (error) {
    fail(error as Error);
    giveUp();
    throw connectFault(place, error);
  } finally {
    stopClock();
    aborted.removeEventListener("abort", onAbort);
  }
}

/** An attempt that took too long, whatever it was waiting for. */
export class ConnectTimeout extends Error {
  readonly timeoutMs: number;
  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
}

/** The user's password function failed. Its error is kept as the cause only: it may quote secrets. */
export class PasswordError extends Error {
  constructor(cause: unknown) {
    super("the password function failed", { cause });
  }
}

async function askPassword(ask: () => Awaitable<string>): Promise<string> {
  let password: unknown;
  try {
    password = await ask();
  } catch (error) {
    throw new PasswordError(error);
  }
  if (typeof password !== "string")
    throw new PasswordError(new TypeError(`it gave a ${typeof password} and no string`));
  return password;
}

/** What TLS runs over, made here because only a plain TCP socket can be reset. */
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
  { tls, connectTimeoutMs }: SessionSettings,
  transport: Socket | undefined,
): RedisSocketOptions {
  const common = { connectTimeout: connectTimeoutMs, reconnectStrategy: false as const };
  if ("path" in address) return { ...common, path: address.path, tls: false };
  if (tls === undefined || transport === undefined) return { ...common, ...address, tls: false };
  const { ca, cert, key, servername = net().isIP(address.host) === 0 ? address.host : undefined } = tls;
  return {
    ...common,
    ...address,
    tls: true,
    socket: transport,
    ...(ca === undefined ? undefined : { ca: pem(ca) }),
    ...(cert === undefined ? undefined : { cert: pem(cert) }),
    ...(key === undefined ? undefined : { key: pem(key) }),
    ...(servername === undefined ? undefined : { servername }),
    // Said explicitly, because NODE_TLS_REJECT_UNAUTHORIZED changes the default.
    rejectUnauthorized: true,
  };
}

/** Loaded with the first connection: importing this package need not wait for it. */
const net = (): typeof import("node:net") => process.getBuiltinModule("node:net");

const pem = (text: string | Uint8Array): string | Buffer => (typeof text === "string" ? text : Buffer.from(text));

type RedisSocketOptions = NonNullable<import("@redis/client").RedisClientOptions["socket"]>;

/** What `connect` returns, and the socket that it creates at once: node-redis does not hand it out, and only it can be reset. */
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
 * RST instead of FIN: what has not left this machine is discarded. A pipe knows no reset.
 *
 * Neither does a socket that is being shut down, as it is for an instant after its peer has ended it: Node refuses, and
 * never closes its handle then, so the process would not end. Seen in Node 20 to 24. TLS over `socket` does not tell that
 * it is being shut down; there the instant is left to chance.
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

/**
 * Loads the scripts before anything else is sent: one that is missing would be sent again behind
 * what was queued meanwhile. A user who may only read cannot load them, and needs none.
 */
export async function loadScripts(client: RawClient): Promise<void> {
  const replies = await Promise.allSettled(
    ALL_SCRIPTS.map((script) => client.sendCommand(["SCRIPT", "LOAD", script.text])),
  );
  for (const reply of replies) {
    if (reply.status === "rejected" && (!isReply(reply.reason) || isLoggedOut(reply.reason))) throw reply.reason;
  }
}

const ignore = (): void => undefined;
