import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { RespClient } from "./resp-client.ts";
import { ReplyError, type Frame } from "./resp.ts";

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
  /** How long each request waits before it is executed. */
  delayMs: number;
  close(): Promise<void>;
}

export type RestFault = "passes" | "keeps" | "cuts body" | "cuts answer" | 404 | 413 | 429 | 500 | 502 | 503;

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
  readonly #server = createServer(
    (request, response) => void this.#serve(request, response).catch(() => response.destroy()),
  );
  readonly #kept: PromiseWithResolvers<void>[] = [];
  readonly #serving = new Set<Promise<void>>();
  fault: RestFault = "passes";

  constructor(options: RestProxyOptions) {
    this.#options = options;
    this.#primary = clientOf(options.redisPort);
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

const clientOf = (port: number): RespClient => new RespClient({ connect: { host: "127.0.0.1", port } });

const none = (): RestCounts => ({ requests: 0, commands: 0, names: {}, largestBytes: 0 });

const isCommands = (given: unknown): boolean => Array.isArray(given) && given.length > 0;

/** As services do: `OK` as it is. */
function shown(frame: Frame, isBase64: boolean): unknown {
  if (Array.isArray(frame)) return (frame as readonly Frame[]).map((one) => shown(one, isBase64));
  if (Buffer.isBuffer(frame)) return isBase64 ? frame.toString("base64") : frame.toString();
  return typeof frame === "string" && frame !== "OK" && isBase64 ? Buffer.from(frame).toString("base64") : frame;
}
