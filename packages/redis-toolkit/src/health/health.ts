import type { IncomingMessage, ServerResponse } from "node:http";
import { CacheError, type Duration } from "@hotset/core";
import { within } from "@hotset/core/internal";
import type { RedisView } from "../commands/view.ts";
import { checkOptions, checkTcpView, durationMs, type Module, moduleOf } from "../module/module.ts";
import { bigKeys, ttlAudit, type BigKey, type BigKeysOptions, type TtlAudit, type TtlAuditOptions } from "./audits.ts";
import { readInfo, together, type RedisStats, type ServerInfo } from "./info.ts";
import { monitor, type MonitorOptions } from "./monitor.ts";
import { judge, type Check, type HealthStatus, type Probed, type Readiness } from "./probes.ts";
import { latencyOf, slowlogOf, type LatencyReport, type SlowCommand } from "./timings.ts";

export type {
  BigKey,
  BigKeysOptions,
  Check,
  HealthStatus,
  LatencyReport,
  MonitorOptions,
  Readiness,
  RedisStats,
  ServerInfo,
  SlowCommand,
  TtlAudit,
  TtlAuditOptions,
};

/** Options of {@link health}. */
export interface HealthOptions {
  /** Upper bound on each probe. @default '500ms' */
  readonly deadline?: Duration | undefined;
}

/**
 * Whether Redis can be used, and how it is. Probes ask all primaries in parallel. Calls that ask Redis reject with
 * `BackendUnavailableError` where it is not reached, `CommandError` where it refuses, as for a user without a right,
 * and `InvalidArgumentError` for options out of range.
 */
export interface Health {
  /** About this process alone: never asks Redis, whose loss must not restart it. */
  liveness(): { readonly status: "alive"; readonly uptimeSeconds: number };
  /**
   * Never rejects. Calls at the same time are one probe. Where Redis is disabled nothing is asked, and it is `ready`.
   */
  readiness(): Promise<Readiness>;
  /**
   * Answers a path that ends with `/live` by 200, and any other by readiness: 200, or 503 while it is `unready`. The
   * body is JSON, without addresses.
   */
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void;
  /** @throws {BackendUnavailableError} where no primary answers. */
  stats(): Promise<RedisStats>;
  /** The last commands of all primaries that took long, newest first. They contain keys and values. @param count 10 */
  slowlog(count?: number): Promise<readonly SlowCommand[]>;
  /** Round trips to the slowest primary, one after another, and what its own monitor noted. @param samples 100 */
  latency(samples?: number): Promise<LatencyReport>;
  /** Bytes of one key with all that belongs to it; `undefined` for an absent one. */
  memoryUsage(key: string): Promise<number | undefined>;
  /** The largest keys of a sample. */
  bigKeys(options?: BigKeysOptions): Promise<readonly BigKey[]>;
  /** Keys without an end; with `fix` they get one, unless they have got one meanwhile. */
  ttlAudit(options?: TtlAuditOptions): Promise<TtlAudit>;
  /**
   * Calls `listener` with each command that one server runs, as the line of `MONITOR`. Resolves at its end.
   *
   * @throws {InvalidArgumentError} without `iKnowItHalvesThroughput: true`.
   * @throws {BackendUnavailableError} when the connection is lost.
   */
  monitor(listener: (line: string) => void, options: MonitorOptions): Promise<void>;
}

/** @throws {InvalidArgumentError} for a deadline that is not above 0, and unknown options. */
export function health(redis: RedisView, options: HealthOptions = {}): Health {
  checkOptions("health(redis, options)", options, ["deadline"]);
  checkTcpView("health(redis, options)", redis);
  const { deadline = 500 } = options;
  const deadlineMs = durationMs("health: deadline", deadline);
  const module = moduleOf(redis);
  let probing: Promise<Readiness> | undefined;
  const readiness = (): Promise<Readiness> =>
    (probing ??= probe(module, deadlineMs).finally(() => {
      probing = undefined;
    }));
  /** Servers are asked one by one, or over a separate connection: next to the commands of the view. */
  const asked = async <T>(operation: string, ask: () => Promise<T>): Promise<T> => {
    try {
      return await ask();
    } catch (error) {
      throw module.errorOf(operation, error);
    }
  };
  return {
    liveness,
    readiness,
    handler: (request, response) => void answer(request, response, readiness),
    stats: () => asked("INFO", () => statsOf(module)),
    slowlog: (count) => asked("SLOWLOG", () => slowlogOf(module.connection, count)),
    latency: (samples) => asked("LATENCY", () => latencyOf(module.connection, module.clock, samples)),
    memoryUsage: async (key) => (await redis.commands.memoryUsage(key)) ?? undefined,
    bigKeys: (given) => bigKeys(redis, given),
    ttlAudit: (given) => ttlAudit(redis, given),
    monitor: (listener, given) => asked("MONITOR", () => monitor(module, listener, given)),
  };
}

const liveness = (): ReturnType<Health["liveness"]> => ({ status: "alive", uptimeSeconds: process.uptime() });

async function probe(module: Module, deadlineMs: number): Promise<Readiness> {
  const startedAt = module.clock.now();
  let servers: readonly Asked[];
  try {
    // Before a primary is asked, a connection may have to be made.
    servers = await within(module.clock, deadlineMs, askEach(module, deadlineMs), () => {
      throw new Error("TIMEOUT");
    });
  } catch (error) {
    servers = [{ address: "", error }];
  }
  const tookMs = Math.round(module.clock.now() - startedAt);
  return judge(servers.map(probed), tookMs);
}

async function statsOf(module: Module): Promise<RedisStats> {
  const servers = await askEach(module, undefined);
  const lost = servers.find((server): server is Lost => "error" in server);
  if (lost !== undefined && servers.every((server) => "error" in server)) throw lost.error;
  return together(new Map(servers.map((server) => [server.address, probed(server)])));
}

interface Lost {
  readonly address: string;
  readonly error: unknown;
}

/** One primary, and what it answered. */
type Asked = { readonly address: string; readonly info: ServerInfo } | Lost;

const probed = (server: Asked): Probed => ("error" in server ? { error: codeOf(server.error) } : server.info);

const askEach = async ({ connection }: Module, deadlineMs: number | undefined): Promise<readonly Asked[]> =>
  connection.each(async ({ address, call }): Promise<Asked> => {
    try {
      return { address, info: readInfo(String(await call(["INFO"], { deadlineMs }))) };
    } catch (error) {
      return { address, error };
    }
  });

/** Error replies and the network have a code; a message could hold more than it should. */
function codeOf(error: unknown): string {
  if (error instanceof CacheError) return error.code;
  const kind = error instanceof Error ? /^-?([A-Z]{2,})\b/.exec(error.message)?.[1] : undefined;
  return kind ?? "UNKNOWN";
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  readiness: () => Promise<Readiness>,
): Promise<void> {
  const path = (request.url ?? "/").split("?")[0]!;
  const body = path.endsWith("/live") ? liveness() : await readiness();
  // A middleware that bounds requests has answered meanwhile.
  if (response.headersSent) return;
  response.writeHead(body.status === "unready" ? 503 : 200, {
    "content-type": "application/json",
    "cache-control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : JSON.stringify(body));
}
