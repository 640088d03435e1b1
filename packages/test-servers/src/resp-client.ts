import { connect as connectTcp, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { encodeCommand, PushFrame, ReplyError, RespDecoder, type Frame } from "./resp.ts";
import { PATIENCE_MS } from "./until.ts";

/** A reply with its bulk strings as UTF-8. */
export type Reply = string | number | bigint | boolean | null | ReplyError | readonly Reply[];

export interface RespClientOptions {
  /** The address: TCP, or `path` for a unix socket. */
  readonly connect: NetConnectOpts;
  /** If given, the connection uses TLS. */
  readonly tls?: ConnectionOptions;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly database?: number | undefined;
  /** Bounds connecting and each command. @default 120000 */
  readonly timeoutMs?: number;
}

/**
 * A client for tests, independent of the client library under test: one RESP2 connection, opened by the first command,
 * and again by the first command after it was lost. Does not keep the process alive.
 */
export class RespClient {
  readonly #options: RespClientOptions;
  readonly #timeoutMs: number;
  #connection: Connection | undefined;

  constructor(options: RespClientOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? PATIENCE_MS;
  }

  /** A client for `redis://`, `rediss://` or `unix://` URLs, with credentials and database. */
  static fromUrl(url: string, options: Omit<RespClientOptions, "connect"> = {}): RespClient {
    return new RespClient({ ...optionsOfUrl(url), ...options });
  }

  /**
   * Sends one command; several sent in one tick share a write.
   *
   * @throws {ReplyError} for an error reply; a plain `Error` when the connection fails or the
   *   deadline passes, after which the command may still have been executed.
   */
  async command(...args: readonly (string | number | Uint8Array)[]): Promise<Reply> {
    return toText(await this.commandBytes(...args));
  }

  /** Sends a command like `command`, and gives bulk strings as bytes. */
  commandBytes(...args: readonly (string | number | Uint8Array)[]): Promise<Frame> {
    if (this.#connection === undefined || this.#connection.isClosed) {
      this.#connection = new Connection(this.#options, this.#timeoutMs);
    }
    return this.#connection.send(args);
  }

  /** Drops the connection. The next command opens another. */
  close(): void {
    this.#connection?.close(new Error("The connection was closed"));
    this.#connection = undefined;
  }
}

/** Name and value alternate in the replies of CONFIG GET, SENTINEL MASTER and HGETALL. */
export function pairs(reply: Reply): Readonly<Record<string, string>> {
  const items = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
  const record: Record<string, string> = {};
  for (let i = 0; i + 1 < items.length; i += 2) record[String(items[i])] = String(items[i + 1]);
  return record;
}

/** The `name:value` lines of INFO and CLUSTER INFO. */
export function infoFields(reply: Reply): Readonly<Record<string, string>> {
  const record: Record<string, string> = {};
  for (const line of String(reply).split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) record[line.slice(0, colon)] = line.slice(colon + 1);
  }
  return record;
}

class Connection {
  readonly #socket: Socket;
  readonly #decoder = new RespDecoder();
  readonly #waiting: Waiting[] = [];
  readonly #timeoutMs: number;
  #unsent: Buffer[] = [];
  isClosed = false;

  constructor(options: RespClientOptions, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#socket =
      options.tls === undefined
        ? connectTcp(options.connect)
        : connectTls({ ...(options.connect as ConnectionOptions), ...options.tls });
    // Each write arrives immediately: the kernel does not keep it until the one before is acknowledged.
    this.#socket.setNoDelay(true).unref();
    this.#socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on("error", (error) => this.close(error));
    const ended = (): void => this.close(new Error("The server closed the connection"));
    this.#socket.on("end", ended);
    this.#socket.on("close", ended);
    for (const command of greeting(options)) {
      // Its failure closes the connection, and so reaches the commands after it.
      this.#write(command, "greeting").catch(() => undefined);
    }
  }

  send(args: readonly (string | number | Uint8Array)[]): Promise<Frame> {
    return this.#write(args, "command");
  }

  #write(args: readonly (string | number | Uint8Array)[], kind: "greeting" | "command"): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.close(new Error(`No reply to ${String(args[0])} within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      this.#waiting.push({ resolve, reject, timer, isGreeting: kind === "greeting" });
      this.#unsent.push(encodeCommand(args));
      if (this.#unsent.length === 1) queueMicrotask(() => this.#flush());
    });
  }

  close(cause: Error): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#socket.destroy();
    for (const { reject, timer } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      reject(cause);
    }
  }

  #flush(): void {
    this.#socket.write(Buffer.concat(this.#unsent));
    this.#unsent = [];
  }

  #onData(chunk: Buffer): void {
    for (const { frame } of this.#decoder.push(chunk)) {
      if (frame instanceof PushFrame) continue;
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return;
      clearTimeout(waiting.timer);
      if (frame instanceof ReplyError) waiting.reject(frame);
      else waiting.resolve(frame);
      if (frame instanceof ReplyError && waiting.isGreeting) this.close(frame);
    }
  }
}

interface Waiting {
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
  /** If it fails, the connection is closed. */
  readonly isGreeting: boolean;
}

function greeting(options: RespClientOptions): readonly (readonly (string | number)[])[] {
  const commands: (readonly (string | number)[])[] = [];
  if (options.password !== undefined) {
    commands.push(
      options.username === undefined ? ["AUTH", options.password] : ["AUTH", options.username, options.password],
    );
  }
  if (options.database !== undefined && options.database !== 0) commands.push(["SELECT", options.database]);
  return commands;
}

function optionsOfUrl(url: string): RespClientOptions {
  const parsed = new URL(url);
  const credentials = {
    username: parsed.username === "" ? undefined : decodeURIComponent(parsed.username),
    password: parsed.password === "" ? undefined : decodeURIComponent(parsed.password),
  };
  if (parsed.protocol === "unix:") {
    return {
      connect: { path: decodeURIComponent(parsed.pathname) },
      database: Number(parsed.searchParams.get("db") ?? 0),
      ...credentials,
    };
  }
  const host = parsed.hostname === "" ? "localhost" : parsed.hostname.replace(/^\[|\]$/g, "");
  return {
    connect: { host, port: parsed.port === "" ? 6379 : Number(parsed.port) },
    database: Number(parsed.pathname.slice(1)),
    ...(parsed.protocol === "rediss:" ? { tls: { servername: host } } : {}),
    ...credentials,
  };
}

function toText(frame: Frame): Reply {
  if (Buffer.isBuffer(frame)) return frame.toString();
  if (frame instanceof PushFrame) return frame.items.map(toText);
  if (Array.isArray(frame)) return (frame as readonly Frame[]).map(toText);
  return frame as Reply;
}
