import { join } from "node:path";
import { freePort } from "./port.ts";
import { credentialsOf, launchRedis, quoted, type OwnRedis } from "./redis.ts";
import { pairs } from "./resp-client.ts";
import { ServerProcess, temporaryDirectory } from "./server-process.ts";
import { until } from "./until.ts";

export interface TestSentinelOptions {
  /** @default 1 */
  readonly replicas?: number;
  /** How long a server may be silent before a sentinel considers it down. @default 1000 */
  readonly downAfterMs?: number;
  /** Password of the servers. */
  readonly password?: string;
  /** Password of the sentinels. */
  readonly sentinelPassword?: string;
  /** Lines as in redis.conf, for every server. */
  readonly config?: readonly string[];
}

/** One of the three sentinels. */
export interface SentinelNode {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  kill(): Promise<void>;
  /** Starts it again with its previous state. */
  start(): Promise<void>;
  pause(): void;
  resume(): void;
}

/** A primary with replicas, watched by three sentinels of which two must agree. */
export interface TestSentinel extends AsyncDisposable {
  /** Name of the primary in the sentinels: `mymaster`. */
  readonly name: string;
  readonly sentinels: readonly SentinelNode[];
  /** First the initial primary, then the replicas. */
  readonly servers: readonly OwnRedis[];
  /** The primary that the sentinels name now. It may be down before they notice. */
  primary(): Promise<OwnRedis>;
  /** The running servers that are not the primary. */
  replicas(): Promise<readonly OwnRedis[]>;
  /**
   * Waits until all running sentinels name the same primary, other than `previous`, and it runs and accepts writes.
   */
  waitForPrimary(previous: OwnRedis): Promise<OwnRedis>;
  /**
   * Waits until the primary that the sentinels name takes writes, and all other servers are in sync with it. A server
   * that is down, or closes connections because it changes its role, is asked again.
   */
  waitUntilSettled(): Promise<void>;
  /**
   * Starts a lost primary again and makes it a replica in sync with the current primary. The sentinels alone take about
   * 10 s for that, during which it still acts as a primary.
   */
  rejoin(server: OwnRedis): Promise<void>;
  /** SENTINEL FAILOVER: makes a replica the primary while the old one stays up. Resolves with the new primary. */
  failover(): Promise<OwnRedis>;
  /** Kills all and removes their data. */
  stop(): Promise<void>;
}

const NAME = "mymaster";

/** Starts it and waits until the sentinels know each other and the replicas: about 3 s. */
export async function startSentinel(options: TestSentinelOptions = {}): Promise<TestSentinel> {
  const group: SentinelGroup = { servers: [], sentinels: [] };
  const stop = async (): Promise<void> => {
    await Promise.all([...group.sentinels.map(({ process }) => process), ...group.servers].map((each) => each.stop()));
  };
  try {
    await startGroup(group, options);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    name: NAME,
    sentinels: group.sentinels.map(({ port, process }) => ({
      host: "127.0.0.1",
      port,
      url: `redis://${credentialsOf(undefined, options.sentinelPassword)}127.0.0.1:${port}`,
      kill: () => process.kill(),
      start: () => process.start(),
      pause: () => process.pause(),
      resume: () => process.resume(),
    })),
    servers: group.servers,
    primary: () => primaryOf(group),
    replicas: async () => {
      const current = await primaryOf(group);
      return group.servers.filter((server) => server !== current && server.state === "running");
    },
    waitForPrimary: (previous) => waitForPrimary(group, previous),
    waitUntilSettled: () => waitUntilSettled(group),
    rejoin: (server) => rejoin(group, server),
    failover: () => failover(group),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

interface SentinelGroup {
  /** First the initial primary, then the replicas. */
  readonly servers: OwnRedis[];
  readonly sentinels: { readonly port: number; readonly process: ServerProcess }[];
}

async function startGroup({ servers, sentinels }: SentinelGroup, options: TestSentinelOptions): Promise<void> {
  const primary = await startServer(options, undefined);
  servers.push(primary);
  for (let i = 0; i < (options.replicas ?? 1); i++) servers.push(await startServer(options, primary.port));
  for (let i = 0; i < 3; i++) {
    const { port, sentinel } = await startSentinelProcess(options, primary.port);
    sentinels.push({ port, process: sentinel });
  }
  await waitUntilWatched(
    sentinels.map(({ process }) => process),
    servers,
  );
}

function runningSentinels({ sentinels }: SentinelGroup): readonly ServerProcess[] {
  return sentinels.map(({ process }) => process).filter(({ state }) => state === "running");
}

/** The primary that `sentinel` names. */
async function primaryNamedBy({ servers }: SentinelGroup, sentinel: ServerProcess): Promise<OwnRedis | undefined> {
  const reply = (await sentinel.client.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)) as readonly string[];
  return servers.find(({ port }) => port === Number(reply[1]));
}

async function primaryOf(group: SentinelGroup): Promise<OwnRedis> {
  const [sentinel] = runningSentinels(group);
  const server = sentinel === undefined ? undefined : await primaryNamedBy(group, sentinel);
  if (server === undefined) throw new Error("No sentinel is running that names a primary");
  return server;
}

function waitForPrimary(group: SentinelGroup, previous: OwnRedis): Promise<OwnRedis> {
  return until("another primary", async () => {
    const named = runningSentinels(group).map((sentinel) => primaryNamedBy(group, sentinel));
    const [candidate, ...others] = await Promise.all(named);
    if (candidate === undefined || candidate === previous || candidate.state !== "running") return undefined;
    if (others.some((other) => other !== candidate)) return undefined;
    return (await candidate.info("replication"))["role"] === "master" ? candidate : undefined;
  });
}

async function waitUntilSettled(group: SentinelGroup): Promise<void> {
  await until("the servers behind the sentinels to settle", async () => {
    const primary = await primaryOf(group);
    const roles = await Promise.all(group.servers.map((server) => server.info("replication")));
    return group.servers.every((server, i) =>
      server === primary
        ? roles[i]!["role"] === "master"
        : roles[i]!["master_link_status"] === "up" && Number(roles[i]!["master_port"]) === primary.port,
    );
  });
}

async function rejoin(group: SentinelGroup, server: OwnRedis): Promise<void> {
  await server.start();
  await server.command("REPLICAOF", "127.0.0.1", (await primaryOf(group)).port);
  await until(
    "the replica to be in sync",
    async () => (await server.info("replication"))["master_link_status"] === "up",
  );
}

async function failover(group: SentinelGroup): Promise<OwnRedis> {
  const previous = await primaryOf(group);
  await until("a sentinel that begins a failover", async () => {
    // Refused with NOGOODSLAVE or INPROG until the last failover is complete.
    return (await runningSentinels(group)[0]?.client.command("SENTINEL", "FAILOVER", NAME)) === "OK";
  });
  return waitForPrimary(group, previous);
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
  await until("the sentinels to know each other and the replicas", async () => {
    for (const { client } of sentinels) {
      const seen = pairs(await client.command("SENTINEL", "MASTER", NAME));
      if (Number(seen["num-other-sentinels"]) !== sentinels.length - 1) return false;
      if (Number(seen["num-slaves"]) !== servers.length - 1) return false;
    }
    const states = await Promise.all(servers.slice(1).map((replica) => replica.info("replication")));
    return states.every(({ master_link_status: link }) => link === "up");
  });
}
