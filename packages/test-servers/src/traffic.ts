import { PushFrame, RespDecoder, type Frame } from "./resp.ts";

/**
 * A command of a client: name in upper case, then arguments as UTF-8. Arguments of more than 256 bytes are cut there
 * and end in `…`.
 */
export type ReadonlyCommand = readonly string[];

/**
 * The traffic through a proxy, summed over all connections except those of replicas, which follow their server with
 * their own commands.
 */
export interface TrafficCounts {
  /** Connections accepted. */
  readonly connections: number;
  /** Chunks read from clients and from the server, as the system delivered them. */
  readonly clientChunks: number;
  readonly serverChunks: number;
  readonly clientBytes: number;
  readonly serverBytes: number;
  readonly commands: number;
  readonly commandsByName: Readonly<Record<string, number>>;
  /**
   * How often a client had to wait for the server: bursts that were followed by a reply.
   *
   * A burst is all that a client sends on one connection until a reply arrives. So any number of commands written in
   * one tick are one burst, also in several chunks: a chunk that continues a command belongs to the burst of that
   * command. A reply is any complete frame of the server except a push (invalidation, published message); confirmations
   * of subscriptions and messages published in RESP2 are replies. Bursts of several callers that overlap on one
   * connection count as one. If the stream is not RESP (TLS), any bytes of the server are a reply.
   */
  readonly roundTrips: number;
}

/** Counts over all connections of a proxy. Bounded: keeps the last 10,000 commands. */
export class TrafficLog {
  #commands: ReadonlyCommand[] = [];
  #counts = zero();

  counts(): TrafficCounts {
    return { ...this.#counts, commandsByName: { ...this.#counts.commandsByName } };
  }

  commands(): readonly ReadonlyCommand[] {
    return [...this.#commands];
  }

  reset(): void {
    this.#counts = zero();
    this.#commands = [];
  }

  connected(): ConnectionTraffic {
    this.#counts.connections++;
    return new ConnectionTraffic(this);
  }

  sent(bytes: number, commands: readonly ReadonlyCommand[]): void {
    this.#counts.clientChunks++;
    this.#counts.clientBytes += bytes;
    this.#counts.commands += commands.length;
    for (const command of commands) {
      const name = command[0] ?? "";
      this.#counts.commandsByName[name] = (this.#counts.commandsByName[name] ?? 0) + 1;
    }
    this.#commands.push(...commands);
    if (this.#commands.length > MAX_COMMANDS) this.#commands = this.#commands.slice(-MAX_COMMANDS);
  }

  answered(bytes: number, roundTrips: number): void {
    this.#counts.serverChunks++;
    this.#counts.serverBytes += bytes;
    this.#counts.roundTrips += roundTrips;
  }
}

const MAX_COMMANDS = 10_000;

const zero = (): { -readonly [K in keyof TrafficCounts]: TrafficCounts[K] } & {
  commandsByName: Record<string, number>;
} => ({
  connections: 0,
  clientChunks: 0,
  serverChunks: 0,
  clientBytes: 0,
  serverBytes: 0,
  commands: 0,
  commandsByName: {},
  roundTrips: 0,
});

/** A command or a reply in a chunk. */
export interface Located<T> {
  readonly what: T;
  /** Offset of its first byte in the chunk; 0 if it began in an earlier chunk. */
  readonly offset: number;
}

/** The traffic of one connection: decodes both streams. */
export class ConnectionTraffic {
  readonly #log: TrafficLog;
  readonly #requests = new RespDecoder();
  readonly #replies = new RespDecoder();
  #isOpaque = false;
  #isReplica = false;
  #isAwaitingReply = false;

  constructor(log: TrafficLog) {
    this.#log = log;
  }

  /** @returns the commands that `chunk` completes. */
  sent(chunk: Buffer): readonly Located<ReadonlyCommand>[] {
    const continuesBurst = this.#requests.isInsideFrame && !this.#isOpaque;
    if (!continuesBurst) this.#isAwaitingReply = true;
    const commands = this.#decode(this.#requests, chunk).flatMap(({ what, offset }) => {
      const command = commandOf(what);
      return command.length === 0 ? [] : [{ what: command, offset }];
    });
    if (commands.some(({ what: [name] }) => name === "REPLCONF")) this.#isReplica = true;
    if (this.#isReplica) return [];
    this.#log.sent(
      chunk.length,
      commands.map(({ what }) => what),
    );
    return commands;
  }

  /** @returns the replies that `chunk` completes, one for each command except subscriptions, in their order. */
  answered(chunk: Buffer): readonly Located<Frame>[] {
    // The answer to PSYNC is followed by a snapshot, which is not RESP.
    if (this.#isReplica) return [];
    const frames = this.#decode(this.#replies, chunk).filter(({ what }) => !isPush(what));
    const isAnswer = this.#isAwaitingReply && (this.#isOpaque || frames.length > 0);
    if (isAnswer) this.#isAwaitingReply = false;
    this.#log.answered(chunk.length, isAnswer ? 1 : 0);
    return frames.filter(({ what }) => !confirmsSubscription(what));
  }

  #decode(decoder: RespDecoder, chunk: Buffer): readonly Located<Frame>[] {
    if (this.#isOpaque) return [];
    const chunkOffset = decoder.receivedBytes;
    try {
      return decoder
        .push(chunk)
        .map(({ frame, startOffset }) => ({ what: frame, offset: Math.max(0, startOffset - chunkOffset) }));
    } catch {
      this.#isOpaque = true;
      return [];
    }
  }
}

/** True for commands that get one confirmation per channel instead of a reply. */
export function isSubscription(command: ReadonlyCommand): boolean {
  return SUBSCRIPTION.test(command[0] ?? "");
}

const SUBSCRIPTION = /^[ps]?(un)?subscribe$/i;

function commandOf(frame: Frame): ReadonlyCommand {
  if (!Array.isArray(frame)) return [];
  return (frame as readonly Frame[]).map((arg, index) => {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));
    const text = bytes.length > 256 ? `${bytes.toString("utf8", 0, 256)}…` : bytes.toString();
    return index === 0 ? text.toUpperCase() : text;
  });
}

function isPush(frame: Frame): boolean {
  return frame instanceof PushFrame && !confirmsSubscription(frame);
}

function confirmsSubscription(frame: Frame): boolean {
  const items = frame instanceof PushFrame ? frame.items : frame;
  if (!Array.isArray(items)) return false;
  const [kind] = items as readonly Frame[];
  return Buffer.isBuffer(kind) && SUBSCRIPTION.test(kind.toString());
}
