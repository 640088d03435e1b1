import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { RespClient } from "./resp-client.ts";
import { encodeCommand, ReplyError, RespDecoder, type Frame } from "./resp.ts";

/** Redis over HTTP, as hosted services offer it, in front of a real Redis: what tests of that see and break. */
export interface RestProxy extends AsyncDisposable {
  readonly url: string;
  readonly token: string;
  /** Since the last {@link RestProxy.reset}. */
  readonly counts: RestCounts;
  reset(): void;
  /**
   * What becomes of the requests that come from now on: they are answered; kept until {@link RestProxy.release}, and
   * executed then, even if the client has left; executed, with half of the answer; executed, and the connection cut; or
   * not executed and answered by a page of HTML with a status.
   */
  fault: RestFault;
  /** Executes the requests that were kept. Resolves once they are. */
  release(): Promise<void>;
  /** What becomes of the requests for events that come from now on: as {@link RestProxy.fault} says of the others. */
  streamFault: StreamFault;
  /** The event streams that are open now. */
  readonly streams: EventStreams;
  /** How long each request waits before it is executed. */
  delayMs: number;
  close(): Promise<void>;
}

export type RestFault = "passes" | "keeps" | "cuts body" | "cuts answer" | 404 | 413 | 429 | 500 | 502 | 503;

/** `keeps`: nothing is answered. `stays silent`: the answer begins, and no subscription is confirmed. */
export type StreamFault = "passes" | "keeps" | "stays silent" | 200 | 301 | 401 | 404 | 429 | 500 | 503;

/** The streams of events that clients have open. */
export interface EventStreams {
  readonly size: number;
  /** How many were asked for, since the proxy was started. */
  readonly asked: number;
  /** Cuts their connections. */
  cut(): void;
  /** Ends them properly. */
  end(): void;
  /** Holds back what is written to them, until they are thawed. */
  freeze(): void;
  thaw(): void;
  /** Loses the messages that come from now on, while comments show that the proxy lives. */
  loseMessages(): void;
  /** Writes text as it is. */
  write(text: string): Promise<void>;
  /** Takes each event apart into so many pieces, which arrive one after the other. @default 1 */
  pieces: number;
}

export interface RestCounts {
  requests: number;
  /** Redis commands as a service counts them: a script is one. */
  commands: number;
  /** By name. */
  readonly names: Record<string, number>;
  /** The most bytes of one request. */
  largestBytes: number;
}

export interface RestProxyOptions {
  /** The port of Redis on this machine. */
  readonly redisPort: number;
  /** As whom it connects there. @default the default user */
  readonly username?: string;
  readonly password?: string;
  /** Answers reads, and gets each write `lagMs` later, as in a database of several regions. */
  readonly replica?: { readonly port: number; readonly lagMs: number };
  /** Ignores the wish for replies in base64. @default false */
  readonly answersAsText?: boolean;
  /** Answers 413 to larger requests. @default any number */
  readonly maxRequestBytes?: number;
}

const READS = /^(?:GET|MGET|HGET|HMGET|HGETALL|HLEN|HSTRLEN|PTTL|TTL|TYPE|EXISTS|GETRANGE|STRLEN|EVAL_RO|EVALSHA_RO)$/i;
const REFUSED = /^(?:SUBSCRIBE|PSUBSCRIBE|MONITOR|CLIENT|HELLO|AUTH|CONFIG|SHUTDOWN|B[LRZ]\w+)$/i;

/** Starts one, with the token `secret`. */
export async function startRestProxy(options: RestProxyOptions): Promise<RestProxy> {
  const proxy = new Proxy(options);
  await proxy.listen();
  return proxy;
}

class Proxy implements RestProxy {
  readonly token = "secret";
  counts: RestCounts = none();
  delayMs = 0;
  readonly #options: RestProxyOptions;
  readonly #primary: RespClient;
  readonly #replica: RespClient | undefined;
  // A client that is busy with a large value for longer would send the next one over a connection that has ended.
  readonly #server = createServer(
    { keepAliveTimeout: 120_000 },
    (request, response) => void this.#serve(request, response).catch(() => response.destroy()),
  );
  readonly #kept: PromiseWithResolvers<void>[] = [];
  readonly #serving = new Set<Promise<void>>();
  fault: RestFault = "passes";
  streamFault: StreamFault = "passes";
  readonly streams = new Streams();

  constructor(options: RestProxyOptions) {
    this.#options = options;
    const { redisPort: port, username, password } = options;
    this.#primary = new RespClient({ connect: { host: "127.0.0.1", port }, username, password });
    this.#replica = options.replica && clientOf(options.replica.port);
  }

  async listen(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async release(): Promise<void> {
    for (const { resolve } of this.#kept.splice(0)) resolve();
    await Promise.all(this.#serving);
  }

  reset(): void {
    this.counts = none();
  }

  async close(): Promise<void> {
    this.fault = "passes";
    this.streams.cut();
    await this.release();
    this.#server.closeAllConnections();
    this.#server.close();
    this.#primary.close();
    this.#replica?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.url?.startsWith("/subscribe/") === true) return this.#subscribe(request, response);
    const body = Buffer.concat(chunks);
    this.counts.requests += 1;
    this.counts.largestBytes = Math.max(this.counts.largestBytes, body.length);
    const { fault } = this;
    if (fault === "keeps") {
      const kept = Promise.withResolvers<void>();
      this.#kept.push(kept);
      await kept.promise;
    }
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    if (typeof fault === "number")
      return void response.writeHead(fault, { "content-type": "text/html" }).end("<html>secret words</html>");
    const [status, answer] = await this.#answer(request, body);
    const text = JSON.stringify(answer);
    if (fault === "cuts answer") return void response.destroy();
    response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
    if (fault !== "cuts body") return void response.end(text);
    response.write(text.slice(0, Math.floor(text.length / 2)), () => response.destroy());
  }

  /** As such services do: each channel of the path, and each message as an event. */
  #subscribe(request: IncomingMessage, response: ServerResponse): void {
    const { streamFault: fault } = this;
    this.streams.asked += 1;
    if (fault === "keeps") return;
    if (typeof fault === "number")
      return void response.writeHead(fault, { "content-type": "text/html" }).end("<html>secret words</html>");
    if (request.headers.authorization !== `Bearer ${this.token}`)
      return void response.writeHead(401).end(JSON.stringify({ error: "WRONGPASS invalid or missing auth token" }));
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.flushHeaders();
    const [, ...channels] = request.url!.slice(1).split("/").map(decodeURIComponent);
    const port = (this.#replica && this.#options.replica?.port) ?? this.#options.redisPort;
    const { username, password } = this.#options;
    const login = password === undefined ? [] : [["AUTH", username ?? "default", password]];
    if (fault === "passes") this.streams.add(response, port, [...login, ["SUBSCRIBE", ...channels]]);
  }

  async #answer(request: IncomingMessage, body: Buffer): Promise<readonly [status: number, answer: unknown]> {
    if (body.length > (this.#options.maxRequestBytes ?? Infinity))
      return [413, { error: "ERR max request size exceeded" }];
    if (request.headers.authorization !== `Bearer ${this.token}`)
      return [401, { error: "WRONGPASS invalid or missing auth token" }];
    const isBase64 = request.headers["upstash-encoding"] === "base64" && this.#options.answersAsText !== true;
    const given: unknown = JSON.parse(body.toString());
    if (!isCommands(given)) return [400, { error: "ERR failed to parse command" }];
    if (request.url === "/pipeline") {
      const commands = given as readonly (readonly string[])[];
      return [200, await Promise.all(commands.map((command) => this.#run(command, isBase64)))];
    }
    const one = await this.#run(given as readonly string[], isBase64);
    return ["error" in one ? 400 : 200, one];
  }

  async #run(command: readonly string[], isBase64: boolean): Promise<{ result: unknown } | { error: string }> {
    const name = String(command[0]).toUpperCase();
    this.counts.commands += 1;
    this.counts.names[name] = (this.counts.names[name] ?? 0) + 1;
    if (REFUSED.test(name)) return { error: `ERR Command is not available: '${name}'` };
    try {
      const frame = await this.#clientFor(name, command).commandBytes(...command);
      return { result: shown(frame, isBase64) };
    } catch (error) {
      if (error instanceof ReplyError) return { error: error.message };
      throw error;
    }
  }

  #clientFor(name: string, command: readonly string[]): RespClient {
    const replica = this.#replica;
    if (replica === undefined) return this.#primary;
    if (READS.test(name)) return replica;
    setTimeout(() => void replica.command(...command).catch(() => undefined), this.#options.replica!.lagMs).unref();
    return this.#primary;
  }
}

class Streams implements EventStreams {
  asked = 0;
  pieces = 1;
  readonly #open = new Map<ServerResponse, { readonly kept: string[]; written: Promise<unknown> }>();
  #mode: "passes" | "frozen" | "loses messages" = "passes";

  get size(): number {
    return this.#open.size;
  }

  add(response: ServerResponse, port: number, commands: readonly (readonly string[])[]): void {
    this.#open.set(response, { kept: [], written: Promise.resolve() });
    const socket = connect({ host: "127.0.0.1", port });
    const decoder = new RespDecoder();
    for (const command of commands) socket.write(encodeCommand(command));
    socket.on("data", (chunk: Buffer) => {
      for (const { frame } of decoder.push(chunk)) {
        if (Array.isArray(frame)) this.#send(response, (frame as readonly Frame[]).map(String));
        else if (frame instanceof ReplyError) response.end();
      }
    });
    const end = (): void => {
      this.#open.delete(response);
      socket.destroy();
      response.destroy();
    };
    socket.on("error", end).on("close", end);
    response.on("close", end);
  }

  cut(): void {
    for (const response of [...this.#open.keys()]) response.destroy();
  }

  end(): void {
    for (const response of [...this.#open.keys()]) response.end();
  }

  freeze(): void {
    this.#mode = "frozen";
  }

  thaw(): void {
    this.#mode = "passes";
    for (const [response, { kept }] of this.#open) for (const text of kept.splice(0)) response.write(text);
  }

  loseMessages(): void {
    this.#mode = "loses messages";
  }

  async write(text: string): Promise<void> {
    await Promise.all(
      Array.from(this.#open.keys(), (response) => new Promise((resolve) => response.write(text, resolve))),
    );
  }

  #send(response: ServerResponse, [kind, channel, message]: readonly string[]): void {
    const text = `data: ${kind},${channel},${message!.replaceAll(/\r\n|\r|\n/g, "\ndata: ")}\n\n`;
    if (this.#mode === "frozen") return void this.#open.get(response)?.kept.push(text);
    if (this.#mode === "loses messages") return void response.write(": still here\n\n");
    const bytes = Buffer.from(text);
    const size = Math.ceil(bytes.length / this.pieces);
    const open = this.#open.get(response);
    for (let at = 0; open !== undefined && at < bytes.length; at += size)
      open.written = open.written.then(
        () => new Promise((resolve) => response.write(bytes.subarray(at, at + size), () => setImmediate(resolve))),
      );
  }
}

const clientOf = (port: number): RespClient => new RespClient({ connect: { host: "127.0.0.1", port } });

const none = (): RestCounts => ({ requests: 0, commands: 0, names: {}, largestBytes: 0 });

const isCommands = (given: unknown): boolean => Array.isArray(given) && given.length > 0;

/** As services do: `OK` as it is. */
function shown(frame: Frame, isBase64: boolean): unknown {
  if (Array.isArray(frame)) return (frame as readonly Frame[]).map((one) => shown(one, isBase64));
  if (Buffer.isBuffer(frame)) return isBase64 ? frame.toString("base64") : frame.toString();
  return typeof frame === "string" && frame !== "OK" && isBase64 ? Buffer.from(frame).toString("base64") : frame;
}
