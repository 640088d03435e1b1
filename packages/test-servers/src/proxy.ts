import { connect, createServer, type Server, type Socket } from "node:net";
import { freePort } from "./port.ts";
import { Hold, ProxiedConnection, reset, type Direction, type Faults } from "./proxied-connection.ts";
import { TrafficLog, type ReadonlyCommand, type TrafficCounts } from "./traffic.ts";

/** The server behind the proxy: a port of this machine, a port of another host, or a unix socket. */
export type ProxyTarget = number | { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * A TCP proxy in front of a server. It breaks the link in the ways that networks do, and counts the traffic. Listens on
 * 127.0.0.1. Faults add up and last until `pass`.
 */
export interface FaultProxy extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** `redis://127.0.0.1:<port>`. */
  readonly url: string;

  /**
   * Ends all faults. Bytes held back by `stall` arrive now. A connection that lost bytes to `swallow` stays silent for
   * good, as if its peer had forgotten it: only new connections work.
   */
  pass(): Promise<void>;
  /** Delays each chunk. @param ms one number for both directions, or one for each */
  delay(ms: number | Readonly<Partial<Record<Direction, number>>>): void;
  /** Resets (RST) all present connections, on both sides. New ones are accepted. */
  cut(): void;
  /**
   * Passes `bytes` more bytes in `direction` on each connection, then resets it.
   *
   * @param options.once removes the limit after the first connection that it cuts. @default true
   */
  limit(bytes: number, direction: Direction, options?: { readonly once?: boolean }): void;
  /**
   * Accepts no new connection; present ones continue. Resolves when this is in effect.
   *
   * @param how `"closed"`: the port is closed, ECONNREFUSED. `"reset"`: accepted, then RST. @default "closed"
   */
  refuse(how?: "closed" | "reset"): Promise<void>;
  /**
   * Half-open: bytes of `direction` vanish silently, on present and new connections, and so do ends of connections.
   * @default both directions
   */
  swallow(direction?: Direction | "both"): void;
  /** As `swallow`, but the bytes are kept and delivered by `pass`: a network that recovers in time. */
  stall(direction?: Direction | "both"): void;
  /**
   * Holds the next command that matches, and all bytes after it on its connection.
   *
   * @param command a name in any case, or a predicate of name and arguments.
   * @param point `"request"`: before the server receives it. `"reply"`: the server has executed it, but the client does
   * not
   *   know. @default "request"
   */
  hold(command: string | ((command: ReadonlyCommand) => boolean), point?: "request" | "reply"): Hold;
  /** New connections lead to another server, like a name that now resolves elsewhere. Present ones stay. */
  lead(target: ProxyTarget): void;

  /** The traffic since the start or `resetCounts`. */
  readonly counts: TrafficCounts;
  /** The last 10,000 commands of clients, oldest first. @see TrafficLog */
  commands(): readonly ReadonlyCommand[];
  resetCounts(): void;
  /** Number of connections that are not closed on both sides. */
  readonly openConnections: number;

  /** Resets all connections and stops listening. */
  close(): Promise<void>;
}

/** Starts a proxy without faults. */
export async function startProxy(target: ProxyTarget): Promise<FaultProxy> {
  const port = await freePort();
  const proxy = new ListeningProxy(port, target);
  await proxy.listen();
  return proxy;
}

class ListeningProxy implements FaultProxy {
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly url: string;
  readonly #faults: Faults = { delayMs: { toServer: 0, toClient: 0 }, blocked: {}, limit: undefined, holds: new Set() };
  readonly #traffic = new TrafficLog();
  readonly #connections = new Set<ProxiedConnection>();
  #target: Exclude<ProxyTarget, number>;
  #holds: Hold[] = [];
  #refusal: "closed" | "reset" | undefined;
  #server: Server | undefined;

  constructor(port: number, target: ProxyTarget) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
    this.#target = addressOf(target);
  }

  async listen(): Promise<void> {
    this.#server = await listen(this.port, (client) => this.#accept(client));
  }

  async pass(): Promise<void> {
    this.#faults.delayMs = { toServer: 0, toClient: 0 };
    this.#faults.blocked = {};
    this.#faults.limit = undefined;
    for (const hold of this.#holds) hold.release();
    this.#holds = [];
    this.#faults.holds.clear();
    for (const connection of this.#connections) connection.heal();
    const wasClosed = this.#refusal === "closed";
    this.#refusal = undefined;
    if (wasClosed) await this.listen();
  }

  delay(ms: number | Readonly<Partial<Record<Direction, number>>>): void {
    this.#faults.delayMs =
      typeof ms === "number" ? { toServer: ms, toClient: ms } : { toServer: 0, toClient: 0, ...ms };
  }

  cut(): void {
    for (const connection of this.#connections) connection.cut();
  }

  limit(bytes: number, direction: Direction, { once = true }: { readonly once?: boolean } = {}): void {
    this.#faults.limit = { bytes, direction, once };
    for (const connection of this.#connections) connection.limitAnew();
  }

  async refuse(how: "closed" | "reset" = "closed"): Promise<void> {
    const wasClosed = this.#refusal === "closed";
    this.#refusal = how;
    if (how === "closed" && !wasClosed) await stopListening(this.#server);
    if (how === "reset" && wasClosed) await this.listen();
  }

  swallow(direction: Direction | "both" = "both"): void {
    this.#faults.blocked = { ...this.#faults.blocked, ...blocked(direction, "swallow") };
  }

  stall(direction: Direction | "both" = "both"): void {
    this.#faults.blocked = { ...this.#faults.blocked, ...blocked(direction, "stall") };
  }

  hold(command: string | ((command: ReadonlyCommand) => boolean), point: "request" | "reply" = "request"): Hold {
    const matches = typeof command === "string" ? ([name]: ReadonlyCommand) => name === command.toUpperCase() : command;
    const hold = new Hold(matches, point);
    this.#holds.push(hold);
    this.#faults.holds.add(hold);
    return hold;
  }

  lead(target: ProxyTarget): void {
    this.#target = addressOf(target);
  }

  get counts(): TrafficCounts {
    return this.#traffic.counts();
  }

  commands(): readonly ReadonlyCommand[] {
    return this.#traffic.commands();
  }

  resetCounts(): void {
    this.#traffic.reset();
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  async close(): Promise<void> {
    this.cut();
    await stopListening(this.#server);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    if (this.#refusal === "reset") {
      // Without a listener an error of the socket would be thrown in this process.
      client.on("error", () => undefined);
      reset(client);
      return;
    }
    const server = connect({ ...this.#target, noDelay: true, allowHalfOpen: true });
    const connection = new ProxiedConnection(client, server, this.#faults, this.#traffic.connected());
    this.#connections.add(connection);
    connection.onEnd = () => this.#connections.delete(connection);
  }
}

const addressOf = (target: ProxyTarget): Exclude<ProxyTarget, number> =>
  typeof target === "number" ? { host: "127.0.0.1", port: target } : target;

function blocked(direction: Direction | "both", how: "swallow" | "stall"): Faults["blocked"] {
  return direction === "both" ? { toServer: how, toClient: how } : { [direction]: how };
}

/** Listens on `port` of 127.0.0.1. Does not keep the process alive. */
function listen(port: number, accept: (client: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, accept);
    server.unref();
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1" }, () => resolve(server));
  });
}

/** Closes only the listener: waiting for `close` would also wait for the accepted connections. */
function stopListening(server: Server | undefined): Promise<void> {
  server?.close();
  return new Promise((resolve) => setImmediate(resolve));
}
