import { connect, createServer, type Server, type Socket } from "node:net";
import { freePort } from "./port.ts";
import { Hold, ProxiedConnection, reset, type Direction, type Faults } from "./proxied-connection.ts";
import { TrafficLog, type ReadonlyCommand, type TrafficCounts } from "./traffic.ts";

/** Where the proxy passes things on to: a port of this machine, another host's, or a unix socket. */
export type ProxyTarget = number | { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * A TCP proxy in front of a server, which breaks the link in the ways that networks do and counts
 * what passes. Listens on 127.0.0.1. Faults add up and last until `pass`.
 */
export interface FaultProxy extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** `redis://127.0.0.1:<port>`. */
  readonly url: string;

  /**
   * Ends all faults. What `stall` held back arrives now. A connection that lost bytes to `swallow`
   * stays silent for good, as one whose peer has forgotten it: only new ones work.
   */
  pass(): Promise<void>;
  /** Adds this much to each chunk's way. @param ms one figure for both ways, or one for each */
  delay(ms: number | Readonly<Partial<Record<Direction, number>>>): void;
  /** Resets (RST) all connections there are, on both sides. New ones are accepted. */
  cut(): void;
  /**
   * Passes `bytes` more bytes in `direction` on each connection, then resets it.
   *
   * @param options.once lifts the limit with the first connection that it cut. @default true
   */
  limit(bytes: number, direction: Direction, options?: { readonly once?: boolean }): void;
  /**
   * Lets no new connection in; those there are go on. Resolves when that holds.
   *
   * @param how `"closed"`: nobody listens, ECONNREFUSED. `"reset"`: accepted, then RST. @default "closed"
   */
  refuse(how?: "closed" | "reset"): Promise<void>;
  /**
   * Half-open: bytes of `direction` vanish, on present and new connections; nobody is told, ends
   * of connections included. @default both directions
   */
  swallow(direction?: Direction | "both"): void;
  /** As `swallow`, but the bytes are kept and delivered by `pass`: a network that comes back in time. */
  stall(direction?: Direction | "both"): void;
  /**
   * Holds the next command that matches, and what follows it on its connection.
   *
   * @param command a name in any case, or a test of name and arguments.
   * @param point `"request"`: before the server has seen it. `"reply"`: the server has executed
   *   it, the client does not know. @default "request"
   */
  hold(command: string | ((command: ReadonlyCommand) => boolean), point?: "request" | "reply"): Hold;
  /** New connections lead to another server, as behind a name that moved. Those there are stay where they are. */
  lead(target: ProxyTarget): void;

  /** What has passed since the start or `resetCounts`. */
  readonly counts: TrafficCounts;
  /** The commands clients sent, oldest first: the last 10,000. @see TrafficLog */
  commands(): readonly ReadonlyCommand[];
  resetCounts(): void;
  /** Connections that are not closed on both sides. */
  readonly openConnections: number;

  /** Resets all connections and stops listening. */
  close(): Promise<void>;
}

/** Starts a proxy that passes everything on. */
export async function startProxy(target: ProxyTarget): Promise<FaultProxy> {
  let to = addressOf(target);
  const port = await freePort();
  const faults: Faults = { delayMs: { toServer: 0, toClient: 0 }, blocked: {}, limit: undefined, holds: new Set() };
  const traffic = new TrafficLog();
  const connections = new Set<ProxiedConnection>();
  let holds: Hold[] = [];
  let refusal: "closed" | "reset" | undefined;

  const accept = (client: Socket): void => {
    if (refusal === "reset") {
      // An RST that comes without a listener for it would be thrown in our own process.
      client.on("error", () => undefined);
      reset(client);
      return;
    }
    const server = connect({ ...to, noDelay: true, allowHalfOpen: true });
    const connection = new ProxiedConnection(client, server, faults, traffic.connected());
    connections.add(connection);
    connection.onEnd = () => connections.delete(connection);
  };

  let server = await listen(port, accept);
  const close = async (): Promise<void> => {
    for (const connection of connections) connection.cut();
    await stopListening(server);
  };

  return {
    host: "127.0.0.1",
    port,
    url: `redis://127.0.0.1:${port}`,
    pass: async () => {
      faults.delayMs = { toServer: 0, toClient: 0 };
      faults.blocked = {};
      faults.limit = undefined;
      for (const hold of holds) hold.release();
      holds = [];
      faults.holds.clear();
      for (const connection of connections) connection.heal();
      const wasClosed = refusal === "closed";
      refusal = undefined;
      if (wasClosed) server = await listen(port, accept);
    },
    delay: (ms) => {
      faults.delayMs = typeof ms === "number" ? { toServer: ms, toClient: ms } : { toServer: 0, toClient: 0, ...ms };
    },
    cut: () => {
      for (const connection of connections) connection.cut();
    },
    limit: (bytes, direction, { once = true } = {}) => {
      faults.limit = { bytes, direction, once };
      for (const connection of connections) connection.limitAnew();
    },
    refuse: async (how = "closed") => {
      const wasClosed = refusal === "closed";
      refusal = how;
      if (how === "closed" && !wasClosed) await stopListening(server);
      if (how === "reset" && wasClosed) server = await listen(port, accept);
    },
    swallow: (direction = "both") => {
      faults.blocked = { ...faults.blocked, ...blocked(direction, "swallow") };
    },
    stall: (direction = "both") => {
      faults.blocked = { ...faults.blocked, ...blocked(direction, "stall") };
    },
    hold: (command, point = "request") => {
      const hold = new Hold(typeof command === "string" ? ([name]) => name === command.toUpperCase() : command, point);
      holds.push(hold);
      faults.holds.add(hold);
      return hold;
    },
    lead: (other) => {
      to = addressOf(other);
    },
    get counts() {
      return traffic.counts();
    },
    commands: () => traffic.commands(),
    resetCounts: () => traffic.reset(),
    get openConnections() {
      return connections.size;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const addressOf = (target: ProxyTarget): Exclude<ProxyTarget, number> =>
  typeof target === "number" ? { host: "127.0.0.1", port: target } : target;

function blocked(direction: Direction | "both", how: "swallow" | "stall"): Faults["blocked"] {
  return direction === "both" ? { toServer: how, toClient: how } : { [direction]: how };
}

/** Takes over `port` of 127.0.0.1. Does not keep the process alive. */
function listen(port: number, accept: (client: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, accept);
    server.unref();
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1" }, () => resolve(server));
  });
}

/** Only the listener: waiting for `close` would wait for the connections it has accepted. */
function stopListening(server: Server): Promise<void> {
  server.close();
  return new Promise((resolve) => setImmediate(resolve));
}
