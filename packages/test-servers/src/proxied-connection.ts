import type { Socket } from "node:net";
import { isSubscription, type ConnectionTraffic, type Located, type ReadonlyCommand } from "./traffic.ts";

export type Direction = "toServer" | "toClient";

/** The current faults of the link. One object per proxy, read again for every chunk. */
export interface Faults {
  delayMs: Readonly<Record<Direction, number>>;
  blocked: Readonly<Partial<Record<Direction, "swallow" | "stall">>>;
  limit: { readonly bytes: number; readonly direction: Direction; readonly once: boolean } | undefined;
  /** Holds not yet reached by a command. */
  readonly holds: Set<Hold>;
}

/**
 * A gate for one command on its way to the server, or for its reply on the way back.
 *
 *   waiting ─command arrives─▶ held ─release─▶ open
 *                                  └─cut────▶ open, connection gone
 */
export class Hold {
  readonly matches: (command: ReadonlyCommand) => boolean;
  readonly point: "request" | "reply";
  /** Resolves with the command when it, or its reply, has arrived and is held. */
  readonly reached: Promise<ReadonlyCommand>;
  readonly #setReached: (command: ReadonlyCommand) => void;
  #isOpen = false;
  #connection: ProxiedConnection | undefined;

  constructor(matches: (command: ReadonlyCommand) => boolean, point: "request" | "reply") {
    this.matches = matches;
    this.point = point;
    const { promise, resolve } = Promise.withResolvers<ReadonlyCommand>();
    this.reached = promise;
    this.#setReached = resolve;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Lets the command, or its reply, and everything after it continue. Before a command has reached it: cancels the
   * hold.
   */
  release(): void {
    this.#isOpen = true;
    this.#connection?.goOn();
  }

  /** Resets the connection on both sides; the held bytes are lost. */
  cut(): void {
    this.#isOpen = true;
    this.#connection?.cut();
  }

  arrive(connection: ProxiedConnection, command: ReadonlyCommand): void {
    this.#connection = connection;
    this.#setReached(command);
  }
}

/** One client with its connection to the server: two pipes, whose resets and closed ends are passed on. */
export class ProxiedConnection {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #toServer: Pipe;
  readonly #toClient: Pipe;
  readonly #faults: Faults;
  readonly #traffic: ConnectionTraffic;
  /** Numbers of sent commands that get a reply, and of received replies: the n-th reply answers the n-th command. */
  #sentCommands = 0;
  #receivedReplies = 0;
  readonly #heldReplies = new Map<number, { readonly hold: Hold; readonly command: ReadonlyCommand }>();
  /** Called once, when both sockets are closed. */
  onEnd: () => void = () => undefined;

  constructor(client: Socket, server: Socket, faults: Faults, traffic: ConnectionTraffic) {
    this.#client = client;
    this.#server = server;
    this.#faults = faults;
    this.#traffic = traffic;
    const cut = (): void => this.cut();
    this.#toServer = new Pipe("toServer", { from: client, to: server }, faults, {
      cut,
      inspect: (chunk) => this.#request(chunk),
    });
    this.#toClient = new Pipe("toClient", { from: server, to: client }, faults, {
      cut,
      inspect: (chunk) => this.#reply(chunk),
    });
    for (const socket of [client, server]) {
      socket.unref();
      socket.once("close", () => {
        if (client.closed && server.closed) this.onEnd();
      });
    }
  }

  /** Resets both sides (RST) immediately. */
  cut(): void {
    this.#toServer.close();
    this.#toClient.close();
    reset(this.#client);
    reset(this.#server);
  }

  /** The faults of the proxy have ended. */
  heal(): void {
    // One side closed while the link was swallowing: the other side learns it now.
    if (this.#toServer.hasLostEnd || this.#toClient.hasLostEnd) this.cut();
    else this.goOn();
  }

  /** Passes on all bytes that no fault or hold keeps back. */
  goOn(): void {
    this.#toServer.move();
    this.#toClient.move();
  }

  limitAnew(): void {
    this.#toServer.limitAnew();
    this.#toClient.limitAnew();
  }

  #request(chunk: Buffer): readonly Located<Hold>[] {
    const gates: Located<Hold>[] = [];
    for (const { what: command, offset } of this.#traffic.sent(chunk)) {
      if (!isSubscription(command)) this.#sentCommands++;
      const hold = [...this.#faults.holds].find((candidate) => !candidate.isOpen && candidate.matches(command));
      if (hold === undefined) continue;
      this.#faults.holds.delete(hold);
      if (hold.point === "reply") {
        this.#heldReplies.set(this.#sentCommands, { hold, command });
      } else {
        hold.arrive(this, command);
        gates.push({ what: hold, offset });
      }
    }
    return gates;
  }

  #reply(chunk: Buffer): readonly Located<Hold>[] {
    const gates: Located<Hold>[] = [];
    for (const { offset } of this.#traffic.answered(chunk)) {
      const held = this.#heldReplies.get(++this.#receivedReplies);
      if (held === undefined) continue;
      this.#heldReplies.delete(this.#receivedReplies);
      held.hold.arrive(this, held.command);
      gates.push({ what: held.hold, offset });
    }
    return gates;
  }
}

/** The connection of a pipe. */
interface PipeOwner {
  /** Resets the connection. */
  cut(): void;
  /** Gets each chunk as it arrives; returns the holds in it, each with the offset of the bytes that must wait. */
  inspect(chunk: Buffer): readonly Located<Hold>[];
}

/** One direction of a connection. All faults of the link take effect in `move`. */
class Pipe {
  hasLostEnd = false;
  /** Whether bytes were swallowed: a stream with a hole cannot continue. */
  #hasLost = false;
  readonly #direction: Direction;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #faults: Faults;
  readonly #cut: () => void;
  readonly #queue: Item[] = [];
  #queuedBytes = 0;
  #isFull = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #limit: Faults["limit"];
  #remainingBytes = 0;

  constructor(
    direction: Direction,
    { from, to }: { readonly from: Socket; readonly to: Socket },
    faults: Faults,
    { cut, inspect }: PipeOwner,
  ) {
    this.#direction = direction;
    this.#from = from;
    this.#to = to;
    this.#faults = faults;
    this.#cut = cut;
    this.limitAnew();
    from.on("data", (chunk: Buffer) => {
      let start = 0;
      let gate: Hold | undefined;
      for (const { what, offset } of inspect(chunk)) {
        this.#enqueue({ bytes: chunk.subarray(start, offset), gate });
        start = offset;
        gate = what;
      }
      this.#enqueue({ bytes: chunk.subarray(start), gate });
      this.move();
    });
    from.on("end", () => this.#enqueueEnd("end"));
    from.on("error", () => this.#enqueueEnd("reset"));
    to.on("drain", () => {
      this.#isFull = false;
      this.move();
    });
  }

  limitAnew(): void {
    this.#limit = this.#faults.limit?.direction === this.#direction ? this.#faults.limit : undefined;
    this.#remainingBytes = this.#limit?.bytes ?? 0;
  }

  close(): void {
    this.#isClosed = true;
    this.#queue.length = 0;
    clearTimeout(this.#timer);
  }

  move(): void {
    clearTimeout(this.#timer);
    for (;;) {
      const item = this.#queue[0];
      if (item === undefined || this.#isFull || this.#isClosed) break;
      if (item.gate?.isOpen === false) break;
      if (this.#faults.blocked[this.#direction] === "stall") break;
      const waitMs = item.dueAt - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.move(), waitMs);
        break;
      }
      this.#queue.shift();
      this.#queuedBytes -= item.bytes.length;
      if (this.#faults.blocked[this.#direction] === "swallow") this.#hasLost = true;
      if (!this.#hasLost) this.#pass(item);
      else if (item.end !== undefined) this.hasLostEnd = true;
    }
    if (this.#queuedBytes > MAX_QUEUED_BYTES) this.#from.pause();
    else if (this.#from.isPaused()) this.#from.resume();
  }

  #enqueue(item: { readonly bytes: Buffer; readonly gate?: Hold | undefined; readonly end?: "end" | "reset" }): void {
    if (this.#isClosed) return;
    this.#queue.push({ ...item, dueAt: performance.now() + this.#faults.delayMs[this.#direction] });
    this.#queuedBytes += item.bytes.length;
  }

  #enqueueEnd(end: "end" | "reset"): void {
    this.#enqueue({ bytes: Buffer.alloc(0), end });
    this.move();
  }

  #pass(item: Item): void {
    if (item.end === "reset") {
      this.#cut();
    } else if (item.end === "end") {
      this.#to.end();
    } else if (
      this.#limit !== undefined &&
      this.#limit === this.#faults.limit &&
      item.bytes.length >= this.#remainingBytes
    ) {
      if (this.#limit.once) this.#faults.limit = undefined;
      this.#isClosed = true;
      // An RST overtakes bytes in the sender's own buffer: let the last bytes leave first.
      this.#to.write(item.bytes.subarray(0, this.#remainingBytes), () => setImmediate(this.#cut));
    } else {
      this.#remainingBytes -= item.bytes.length;
      if (item.bytes.length > 0) this.#isFull = !this.#to.write(item.bytes);
    }
  }
}

interface Item {
  readonly bytes: Buffer;
  /** The hold in front of these bytes. */
  readonly gate?: Hold | undefined;
  /** The end of the stream, instead of bytes. */
  readonly end?: "end" | "reset";
  readonly dueAt: number;
}

const MAX_QUEUED_BYTES = 16 * 1024 * 1024;

/** Closes with an RST. Unix sockets have no RST, and a socket that is still connecting has no peer to reset. */
export function reset(socket: Socket): void {
  const isTcp = socket.remoteFamily !== undefined;
  if (isTcp && !socket.connecting && !socket.destroyed) socket.resetAndDestroy();
  else socket.destroy();
}
