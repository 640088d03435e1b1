import { join } from "node:path";
import { freePort } from "./port.ts";
import { credentialsOf, launchRedis, quoted, type OwnRedis } from "./redis.ts";
import { pairs } from "./resp-client.ts";
import { ServerProcess, temporaryDirectory } from "./server-process.ts";
import { until } from "./until.ts";

export interface TestSentinelOptions {
  /** @default 1 */
  readonly replicas?: number;
  /** How long a server may be silent before a sentinel takes it for down. @default 1000 */
  readonly downAfterMs?: number;
  /** Password of the servers. */
  readonly password?: string;
  /** Password of the sentinels. */
  readonly sentinelPassword?: string;
  /** Lines as in redis.conf, for every server. */
  readonly config?: readonly string[];
}

/** One of the three that watch. */
export interface SentinelNode {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  kill(): Promise<void>;
  /** With the state it had. */
  start(): Promise<void>;
  pause(): void;
  resume(): void;
}

/** A primary with replicas, watched by three sentinels of which two must agree. */
export interface TestSentinel extends AsyncDisposable {
  /** What the sentinels call it: `mymaster`. */
  readonly name: string;
  readonly sentinels: readonly SentinelNode[];
  /** First the primary it started with, then the replicas. */
  readonly servers: readonly OwnRedis[];
  /** The primary that the sentinels name now; it may be down, and they not know it yet. */
  primary(): Promise<OwnRedis>;
  /** The servers that run and are not the primary. */
  replicas(): Promise<readonly OwnRedis[]>;
  /**
   * Waits until all running sentinels name one primary other than `previous`, which runs and takes writes.
   *
   * @param timeoutMs @default 20000
   */
  waitForPrimary(previous: OwnRedis, timeoutMs?: number): Promise<OwnRedis>;
  /**
   * Starts a lost primary again and makes it a replica, in step with the primary of now. The
   * sentinels alone take about 10 s for that, in which it believes to be one still.
   */
  rejoin(server: OwnRedis): Promise<void>;
  /** SENTINEL FAILOVER: makes a replica the primary, the old one staying up. Resolves with the new one. */
  failover(): Promise<OwnRedis>;
  /** Kills all and removes their data. */
  stop(): Promise<void>;
}

const NAME = "mymaster";

/** Starts it and waits until the sentinels know each other and the replicas: about 3 s. */
export async function startSentinel(options: TestSentinelOptions = {}): Promise<TestSentinel> {
  const servers: OwnRedis[] = [];
  const sentinels: ServerProcess[] = [];
  const ports: number[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all([...sentinels, ...servers].map((process) => process.stop()));
  };
  try {
    const primary = await startServer(options, undefined);
    servers.push(primary);
    for (let i = 0; i < (options.replicas ?? 1); i++) servers.push(await startServer(options, primary.port));
    for (let i = 0; i < 3; i++) {
      const { port, sentinel } = await startSentinelProcess(options, primary.port);
      sentinels.push(sentinel);
      ports.push(port);
    }
    await waitUntilWatched(sentinels, servers);
  } catch (error) {
    await stop();
    throw error;
  }

  const watching = (): readonly ServerProcess[] => sentinels.filter(({ state }) => state === "running");
  const named = async (sentinel: ServerProcess): Promise<OwnRedis | undefined> => {
    const reply = (await sentinel.client.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)) as readonly string[];
    return servers.find(({ port }) => port === Number(reply[1]));
  };
  const primary = async (): Promise<OwnRedis> => {
    const [sentinel] = watching();
    const server = sentinel === undefined ? undefined : await named(sentinel);
    if (server === undefined) throw new Error("No sentinel is running that names a primary");
    return server;
  };
  const waitForPrimary = (previous: OwnRedis, timeoutMs = 20_000): Promise<OwnRedis> =>
    until("another primary", timeoutMs, async () => {
      const [candidate, ...others] = await Promise.all(watching().map(named));
      if (candidate === undefined || candidate === previous || candidate.state !== "running") return undefined;
      if (others.some((other) => other !== candidate)) return undefined;
      return (await candidate.info("replication"))["role"] === "master" ? candidate : undefined;
    });

  return {
    name: NAME,
    sentinels: sentinels.map((sentinel, i) => ({
      host: "127.0.0.1",
      port: ports[i] ?? 0,
      url: `redis://${credentialsOf(undefined, options.sentinelPassword)}127.0.0.1:${ports[i] ?? 0}`,
      kill: () => sentinel.kill(),
      start: () => sentinel.start(),
      pause: () => sentinel.pause(),
      resume: () => sentinel.resume(),
    })),
    servers,
    primary,
    replicas: async () => {
      const current = await primary();
      return servers.filter((server) => server !== current && server.state === "running");
    },
    waitForPrimary,
    rejoin: async (server) => {
      await server.start();
      await server.command("REPLICAOF", "127.0.0.1", (await primary()).port);
      await until(
        "the replica to be in step",
        10_000,
        async () => (await server.info("replication"))["master_link_status"] === "up",
      );
    },
    failover: async () => {
      const previous = await primary();
      await until("a sentinel that begins a failover", 30_000, async () => {
        // Refused with NOGOODSLAVE or INPROG while the last failover is being settled.
        return (await watching()[0]?.client.command("SENTINEL", "FAILOVER", NAME)) === "OK";
      });
      return waitForPrimary(previous);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function startServer({ password, config }: TestSentinelOptions, primaryPort: number | undefined): Promise<OwnRedis> {
  return launchRedis(
    { ...(password === undefined ? {} : { password }), ...(config === undefined ? {} : { config }) },
    {
      name: "replicated",
      config: (_directory, port) => [
        `port ${port}`,
        ...(primaryPort === undefined ? [] : [`replicaof 127.0.0.1 ${primaryPort}`]),
        ...(password === undefined ? [] : [`masterauth ${quoted(password)}`]),
      ],
      url: (credentials, port) => `redis://${credentials}127.0.0.1:${port}`,
    },
  );
}

async function startSentinelProcess(
  { downAfterMs = 1_000, password, sentinelPassword }: TestSentinelOptions,
  primaryPort: number,
): Promise<{ readonly port: number; readonly sentinel: ServerProcess }> {
  const directory = await temporaryDirectory("sentinel");
  const port = await freePort();
  const socketPath = join(directory, "sentinel.sock");
  const sentinel = new ServerProcess({
    directory,
    args: ["--sentinel"],
    config: [
      "bind 127.0.0.1",
      `port ${port}`,
      `unixsocket ${socketPath}`,
      `dir ${directory}`,
      ...(sentinelPassword === undefined
        ? []
        : [`requirepass ${quoted(sentinelPassword)}`, `sentinel sentinel-pass ${quoted(sentinelPassword)}`]),
      `sentinel monitor ${NAME} 127.0.0.1 ${primaryPort} 2`,
      ...(password === undefined ? [] : [`sentinel auth-pass ${NAME} ${quoted(password)}`]),
      `sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
      `sentinel failover-timeout ${NAME} 3000`,
      `sentinel parallel-syncs ${NAME} 1`,
    ],
    connect: { connect: { path: socketPath }, password: sentinelPassword },
  });
  try {
    await sentinel.start();
  } catch (error) {
    await sentinel.stop();
    throw error;
  }
  return { port, sentinel };
}

async function waitUntilWatched(sentinels: readonly ServerProcess[], servers: readonly OwnRedis[]): Promise<void> {
  await until("the sentinels to know each other and the replicas", 20_000, async () => {
    for (const { client } of sentinels) {
      const seen = pairs(await client.command("SENTINEL", "MASTER", NAME));
      if (Number(seen["num-other-sentinels"]) !== sentinels.length - 1) return false;
      if (Number(seen["num-slaves"]) !== servers.length - 1) return false;
    }
    const states = await Promise.all(servers.slice(1).map((replica) => replica.info("replication")));
    return states.every(({ master_link_status: link }) => link === "up");
  });
}
