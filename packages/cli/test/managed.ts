import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import {
  encodeCommand,
  freePort,
  isSubscription,
  PushFrame,
  RespDecoder,
  startOwnRedis,
  testCertificates,
  until,
  type OwnRedis,
} from "@hotset/test-servers";

/** A managed service as its pages describe it. Nothing else is imitated; `notes` says if something was not found. */
export interface Service {
  readonly service: string;
  /** `cluster`: one address for a whole cluster. */
  readonly connect: "single" | "cluster";
  readonly tls?: "only";
  /** Commands, as ACL rules have them: `config`, `client|tracking`. */
  readonly refused: readonly string[];
  /** @default "ERR unknown command" */
  readonly refusesBy?: "NOPERM";
  /** `redis_version` of INFO. @default that of the server of the tests */
  readonly version?: string;
  /** Fields that INFO leaves out. */
  readonly hidden?: readonly string[];
  /** `maxmemory-policy`, where it cannot be changed. */
  readonly policy?: string;
  /** Connections that are idle for so long are ended. */
  readonly idleMs?: number;
  /** A failover changes what its name leads to. */
  readonly failover?: "name";
  /** How hotset works there with its default settings. */
  readonly hotset: "tracking" | "confirms" | "caches nothing" | "refused";
  readonly notes: string;
  readonly sources: readonly string[];
}

/** With the day on which all sources were read. */
export const SERVICES = JSON.parse(
  readFileSync(new URL("../../../docs/operations/services.json", import.meta.url), "utf8"),
) as { readonly readOn: string; readonly services: readonly Service[] };

/** Imitates a service by a proxy in front of a server of this machine. */
export async function startManaged(service: Service): Promise<ManagedServer> {
  const managed = new ManagedServer(service, await startServer(service), await freePort());
  await managed.listening;
  return managed;
}

async function startServer({ connect: how, policy = "noeviction" }: Service): Promise<OwnRedis> {
  const config = ["maxmemory 100mb", `maxmemory-policy ${policy}`];
  if (how === "single") return startOwnRedis({ config });
  const server = await startOwnRedis({ config: [...config, "cluster-enabled yes"] });
  await server.command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383);
  await until("its slots", async () => String(await server.command("CLUSTER", "INFO")).includes("cluster_state:ok"));
  return server;
}

/** A reply to come: one of the server, which may be changed on its way, or one of the proxy. */
type Reply = { readonly own: Buffer } | { readonly edit: ((text: string) => string) | undefined };

export class ManagedServer implements AsyncDisposable {
  readonly url: string;
  /** The authority of its certificate, PEM. `undefined`: without TLS. */
  readonly ca: string | undefined;
  readonly service: Service;
  /** The server behind the proxy, where everything is allowed. */
  server: OwnRedis;
  readonly #port: number;
  /** Clients, with the time of their last command. */
  readonly #clients = new Map<Socket, number>();
  readonly #listener: Server;
  readonly listening: Promise<unknown>;
  #now = 0;

  constructor(service: Service, server: OwnRedis, port: number) {
    const { ca, server: certificates } = testCertificates();
    this.service = service;
    this.server = server;
    this.#port = port;
    this.ca = service.tls === "only" ? ca : undefined;
    this.url = `${service.tls === "only" ? "rediss" : "redis"}://localhost:${port}`;
    const accept = (client: Socket): void => this.#accept(client);
    this.#listener = service.tls === "only" ? createTlsServer(certificates.valid, accept) : createServer(accept);
    this.listening = once(this.#listener.listen(port, "localhost"), "listening");
  }

  /** Moves its time. @returns how many connections were idle for too long, once they are closed */
  async passTime(ms: number): Promise<number> {
    this.#now += ms;
    const idle = [...this.#clients].filter(([, lastAt]) => this.#now - lastAt >= (this.service.idleMs ?? Infinity));
    await Promise.all(idle.map(([client]) => new Promise((resolve) => client.once("close", resolve).end())));
    return idle.length;
  }

  /** Ends all connections. */
  cut(): void {
    for (const client of this.#clients.keys()) client.destroy();
  }

  /** The name leads to another server, without the data of the former, which is gone. */
  async failOver(): Promise<void> {
    const former = this.server;
    this.server = await startServer(this.service);
    this.cut();
    await former.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await this.server.stop();
  }

  #accept(client: Socket): void {
    const upstream = connect({ port: this.server.port, host: "127.0.0.1", noDelay: true });
    const replies: Reply[] = [];
    const requests = new RespDecoder();
    this.#clients.set(client, this.#now);
    client.on("data", (chunk) => {
      this.#clients.set(client, this.#now);
      for (const { frame } of requests.push(chunk)) {
        const words = frame as readonly Buffer[];
        const [name = "", sub = ""] = words.map((word) => String(word).toLowerCase());
        const own = this.#answerTo(name, sub);
        if (own === undefined) upstream.write(encodeCommand(words));
        if (own !== undefined) replies.push({ own: Buffer.from(`${own}\r\n`) });
        else if (!isSubscription([name])) replies.push({ edit: name === "info" ? this.#info : undefined });
      }
      writeOwn(client, replies);
    });
    passReplies(upstream, client, replies);
    client.on("error", () => undefined).on("close", () => void (this.#clients.delete(client), upstream.destroy()));
    upstream.on("error", () => undefined).on("close", () => client.destroy());
  }

  /** The reply to a command that the service refuses, or whose answer names addresses. */
  #answerTo(name: string, sub: string): string | undefined {
    const { refused, refusesBy, connect: how } = this.service;
    if (how === "cluster" && name === "cluster" && sub === "slots")
      return `*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\nlocalhost\r\n:${this.#port}\r\n$40\r\n${"0".repeat(40)}`;
    const rule = refused.find((one) => one === name || one === `${name}|${sub}`);
    if (rule === undefined) return undefined;
    if (refusesBy === "NOPERM") return `-NOPERM User default has no permissions to run the '${rule}' command`;
    if (rule === name) return `-ERR unknown command '${name}', with args beginning with: '${sub}' `;
    return `-ERR unknown subcommand '${sub}'. Try ${name.toUpperCase()} HELP.`;
  }

  readonly #info = (text: string): string => {
    const { version, hidden = [] } = this.service;
    const fields = text.split("\r\n").filter((line) => !hidden.includes(line.split(":")[0]!));
    if (version === undefined) return fields.join("\r\n");
    return fields
      .filter((line) => !/^(?:valkey_version|server_name):/.test(line))
      .map((line) => line.replace(/^redis_version:.*/, `redis_version:${version}`))
      .join("\r\n");
  };
}

/** In the order of their commands, and pushes between them. */
function passReplies(upstream: Socket, client: Socket, replies: Reply[]): void {
  const decoder = new RespDecoder();
  let bytes = Buffer.alloc(0);
  let offset = 0;
  upstream.on("data", (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    for (const { frame, endOffset } of decoder.push(chunk)) {
      const reply = frame instanceof PushFrame ? undefined : replies.shift();
      const text = reply !== undefined && "edit" in reply ? reply.edit?.(String(frame)) : undefined;
      const raw = bytes.subarray(0, endOffset - offset);
      client.write(text === undefined ? raw : `$${Buffer.byteLength(text)}\r\n${text}\r\n`);
      bytes = bytes.subarray(endOffset - offset);
      offset = endOffset;
      writeOwn(client, replies);
    }
  });
}

function writeOwn(client: Socket, replies: Reply[]): void {
  for (let next = replies[0]; next !== undefined && "own" in next; next = replies[0]) {
    client.write(next.own);
    replies.shift();
  }
}
