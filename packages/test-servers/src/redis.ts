import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { requestedTarget } from "./executable.ts";
import { freePort } from "./port.ts";
import { infoFields, RespClient, type Reply } from "./resp-client.ts";
import type { Frame } from "./resp.ts";
import { AddressInUseError, ServerProcess, temporaryDirectory, type ServerState } from "./server-process.ts";
import { WallClock } from "./wall-clock.ts";

/** A running Redis. */
export interface TestRedis extends AsyncDisposable {
  /** `redis://` URL with credentials, for the client under test. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /**
   * A random prefix, `t<10 hex digits>`, used only by this handle. On a shared server keys of other users are separated
   * by nothing else.
   */
  readonly keyPrefix: string;
  /** Whether only this handle uses the server, and may freeze, kill, flush and configure it. */
  readonly isOwn: boolean;
  /** Sends one command on a connection of the tests' own, with text replies. @throws {ReplyError} */
  command(...args: readonly (string | number | Uint8Array)[]): Promise<Reply>;
  /** Sends a command like `command`, and gives bulk strings as bytes. */
  commandBytes(...args: readonly (string | number | Uint8Array)[]): Promise<Frame>;
  /** `run_id` of INFO: a new one after every start. */
  runId(): Promise<string>;
  /** All fields of INFO, or of one section. */
  info(section?: string): Promise<Readonly<Record<string, string>>>;
  /** Kills an own server and removes its data; of a shared one only closes the connection. */
  stop(): Promise<void>;
}

/** A Redis with other users: it cannot be stopped here, and must not get FLUSHALL or CONFIG SET. */
export interface SharedRedis extends TestRedis {
  readonly isOwn: false;
}

/** A Redis used only by the test: a local process that the test may break. */
export interface OwnRedis extends TestRedis {
  readonly isOwn: true;
  /** Unix socket of the same server. */
  readonly socketPath: string;
  /** The folder of the server, with `appendonlydir`, `dump.rdb` and `server.log`. */
  readonly directory: string;
  readonly pid: number | undefined;
  readonly state: ServerState;
  /** SIGKILL; returns when it has ended. */
  kill(): Promise<void>;
  /** Starts it on the same port and data; does nothing while it runs. @see ServerProcess.start */
  start(until?: "ready" | "listening"): Promise<void>;
  /** `kill`, then `start`. */
  restart(): Promise<void>;
  /** SIGSTOP: connections stay open, but the server does not answer. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /**
   * Sets its wall clock ahead, or back, from where it is, by whole milliseconds.
   *
   * @throws {Error} without `hasOwnClock`, and where the server does not show it within 10 s.
   */
  jumpClock(byMs: number): Promise<void>;
  /** The last lines of its log. @param lines @default 20 */
  logTail(lines?: number): Promise<string>;
}

export interface OwnRedisOptions {
  /**
   * Lines as in redis.conf, after those of this package (no snapshots, no append-only file, DEBUG allowed):
   * `["maxmemory 20mb", "appendonly yes", "save 60 1", "notify-keyspace-events KEA"]`. No comments after a value: Redis
   * takes them for arguments.
   */
  readonly config?: readonly string[];
  /** Sets `requirepass`; `url` carries it. */
  readonly password?: string;
  /** @default a free one, below 55536 */
  readonly port?: number;
  /** Allows `jumpClock`. Needs libfaketime, on Linux. @default false */
  readonly hasOwnClock?: boolean;
}

/** A unique key prefix. */
export function randomPrefix(): string {
  return `t${randomBytes(5).toString("hex")}`;
}

/**
 * A Redis for this caller only, as a local process: for faults, and for settings that other tests must not share. Takes
 * about 50 ms. `HOTSET_TEST_SERVER` chooses the program.
 *
 * @throws {Error} with the end of the log if it does not start.
 */
export function startOwnRedis(options: OwnRedisOptions = {}): Promise<OwnRedis> {
  return launchRedis(options, {
    name: "redis",
    config: (_directory, port) => [`port ${port}`],
    url: (credentials, port) => `redis://${credentials}127.0.0.1:${port}`,
  });
}

/** The settings of one kind of server. */
export interface ServerKind {
  /** Part of the name of its folder. */
  readonly name: string;
  /** Returns its lines of configuration, and writes the files that they name. */
  config(directory: string, port: number): Awaitable<readonly string[]>;
  /** @param credentials `user:password@`, encoded, or empty */
  url(credentials: string, port: number): string;
  /** The user of the tests' own client. @default the default user with `options.password` */
  readonly administrator?: { readonly username: string; readonly password: string };
}

type Awaitable<T> = T | Promise<T>;

/** Starts a server; tries another port if another process takes the chosen one first. */
export async function launchRedis(options: OwnRedisOptions, kind: ServerKind): Promise<OwnRedis> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await launchOn(options.port ?? (await freePort()), options, kind);
    } catch (error) {
      if (!(error instanceof AddressInUseError) || options.port !== undefined || attempt === 5) throw error;
    }
  }
}

async function launchOn(port: number, options: OwnRedisOptions, kind: ServerKind): Promise<OwnRedis> {
  const { password, config = [] } = options;
  const directory = await temporaryDirectory(kind.name);
  const wallClock = options.hasOwnClock === true ? await WallClock.in(directory) : undefined;
  const socketPath = join(directory, "redis.sock");
  const user = kind.administrator ?? { username: undefined, password };
  const server = new ServerProcess({
    directory,
    config: [
      "bind 127.0.0.1",
      `dir ${directory}`,
      `unixsocket ${socketPath}`,
      'save ""',
      "appendonly no",
      "enable-debug-command local",
      "repl-diskless-sync-delay 0",
      ...(password === undefined ? [] : [`requirepass ${quoted(password)}`]),
      ...(await kind.config(directory, port)),
      ...config,
    ],
    connect: { connect: { path: socketPath }, ...user },
    ...(wallClock !== undefined && { env: wallClock.env }),
  });
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  const url = kind.url(credentialsOf(user.username, user.password), port);
  return ownRedis(server, { url, port, socketPath, wallClock });
}

/** A word of redis.conf. */
export function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** The part of a URL before the host: empty, or `user:password@`. */
export function credentialsOf(username: string | undefined, password: string | undefined): string {
  return password === undefined ? "" : `${encodeURIComponent(username ?? "")}:${encodeURIComponent(password)}@`;
}

interface OwnAddress {
  readonly url: string;
  readonly port: number;
  readonly socketPath: string;
  readonly wallClock: WallClock | undefined;
}

function ownRedis(server: ServerProcess, { wallClock, ...address }: OwnAddress): OwnRedis {
  const { client } = server;
  const stop = (): Promise<void> => server.stop();
  return {
    ...address,
    ...questions(client),
    host: "127.0.0.1",
    keyPrefix: randomPrefix(),
    isOwn: true,
    directory: server.directory,
    get state() {
      return server.state;
    },
    get pid() {
      return server.pid;
    },
    kill: () => server.kill(),
    start: (until) => server.start(until),
    restart: async () => {
      await server.kill();
      await server.start();
    },
    pause: () => server.pause(),
    resume: () => server.resume(),
    jumpClock: async (byMs) => {
      if (wallClock === undefined) throw new Error("jumpClock() needs startOwnRedis({ hasOwnClock: true })");
      await wallClock.jump(byMs, () => timeOf(client));
    },
    logTail: (lines) => server.logTail(lines),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/**
 * A Redis to store entries in: `REDIS_URL`, else a container, else a local process, whose program is downloaded if
 * necessary.
 *
 * Tests that break or configure the server use `startOwnRedis` instead. With `HOTSET_TEST_SERVER` set it is always a
 * local process of that kind.
 *
 * @throws {Error} if a given `REDIS_URL` does not answer: a mistake in it is reported and never hidden by another
 * server.
 */
export async function startRedis(env: NodeJS.ProcessEnv = process.env): Promise<SharedRedis | OwnRedis> {
  const target = requestedTarget(env);
  if (target !== undefined) return startOwnRedis();
  const url = env["REDIS_URL"];
  if (url !== undefined && url !== "") return sharedRedis(url, "REDIS_URL", async () => undefined);
  return (await startContainer()) ?? startOwnRedis();
}

async function sharedRedis(url: string, origin: string, release: () => Promise<unknown>): Promise<SharedRedis> {
  const client = RespClient.fromUrl(url);
  const { hostname, port } = new URL(url);
  try {
    await client.command("PING");
  } catch (error) {
    client.close();
    await release();
    throw new Error(`The Redis of ${origin} at ${hostname}:${port} does not answer: ${String(error)}`, {
      cause: error,
    });
  }
  const stop = async (): Promise<void> => {
    client.close();
    await release();
  };
  return {
    ...questions(client),
    url,
    host: hostname,
    port: port === "" ? 6379 : Number(port),
    keyPrefix: randomPrefix(),
    isOwn: false,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** `undefined` if no container engine works; finding this out takes about 0.2 s. */
async function startContainer(): Promise<SharedRedis | undefined> {
  const { RedisContainer } = await import("@testcontainers/redis");
  const container = await new RedisContainer("redis:7-alpine").start().catch(() => undefined);
  return container === undefined
    ? undefined
    : sharedRedis(container.getConnectionUrl(), "the container", () => container.stop());
}

/** Epoch milliseconds. */
async function timeOf(client: RespClient): Promise<number> {
  const [seconds, microseconds] = (await client.command("TIME")) as readonly unknown[];
  return Number(seconds) * 1_000 + Number(microseconds) / 1_000;
}

function questions(client: RespClient): Pick<TestRedis, "command" | "commandBytes" | "runId" | "info"> {
  const info = async (section?: string): Promise<Readonly<Record<string, string>>> =>
    infoFields(await (section === undefined ? client.command("INFO") : client.command("INFO", section)));
  return {
    command: (...args) => client.command(...args),
    commandBytes: (...args) => client.commandBytes(...args),
    info,
    runId: async () => (await info("server"))["run_id"] ?? "",
  };
}
