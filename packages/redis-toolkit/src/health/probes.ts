import type { ServerInfo } from "./info.ts";

/** `degraded`: of several primaries some are not as they should be; keys of the others are served. */
export type HealthStatus = "ready" | "degraded" | "unready";

/** One thing that was looked at. */
export interface Check {
  /** Whether the thing that was looked at is as it should be. */
  readonly isPassed: boolean;
  /** The finding, without keys, values, addresses and passwords. */
  readonly found: string;
}

/** The result of a probe. */
export interface Readiness {
  /** `ready` only where every primary passes every check. */
  readonly status: HealthStatus;
  /** By name: `ping`, `role`, `loading`, `memory`. The worst of all primaries. */
  readonly checks: Readonly<Record<"ping" | "role" | "loading" | "memory", Check>>;
  /** Primaries that pass every check, and all that are known. */
  readonly primaries: { readonly ready: number; readonly known: number };
  /** Milliseconds, with the connection that had to be made. */
  readonly tookMs: number;
}

/** One primary: its INFO, or the code of the error. */
export type Probed = ServerInfo | { readonly error: string };

/** Above this share of its limit, memory of a server that evicts nothing is short. */
const MEMORY_LIMIT = 0.95;

export function judge(servers: readonly Probed[], tookMs: number): Readiness {
  const each = servers.map(checksOf);
  const ready = each.filter((checks) => NAMES.every((name) => checks[name].isPassed)).length;
  const worst = (name: Name): Check =>
    each.map((checks) => checks[name]).find(({ isPassed }) => !isPassed) ?? each[0]?.[name] ?? NOTHING;
  const status = ready === 0 ? "unready" : ready === servers.length ? "ready" : "degraded";
  return {
    status,
    checks: { ping: worst("ping"), role: worst("role"), loading: worst("loading"), memory: worst("memory") },
    primaries: { ready, known: servers.length },
    tookMs,
  };
}

type Name = keyof Readiness["checks"];
const NAMES: readonly Name[] = ["ping", "role", "loading", "memory"];

const DISABLED = "REDIS_DISABLED";
const OFF: Check = { isPassed: true, found: "Redis is disabled" };
const NOTHING: Check = { isPassed: false, found: "no primary is known" };
const passed = (found: string): Check => ({ isPassed: true, found });
const failed = (found: string): Check => ({ isPassed: false, found });

function checksOf(server: Probed): Readiness["checks"] {
  if ("error" in server) {
    // Configured so: the service does without Redis.
    if (server.error === DISABLED) return { ping: OFF, role: OFF, loading: OFF, memory: OFF };
    const unknown = failed("unknown");
    return { ping: failed(server.error), role: unknown, loading: unknown, memory: unknown };
  }
  const { role, isLoading } = server;
  return {
    ping: passed("PONG"),
    role: role === "replica" ? failed("a replica, which takes no writes") : passed(role ?? "unknown"),
    loading: isLoading ? failed("it loads its data") : passed("no"),
    memory: memoryOf(server),
  };
}

/** A server that evicts has room for each write. */
function memoryOf({ usedMemory, maxMemory, maxMemoryPolicy }: ServerInfo): Check {
  if (usedMemory === undefined || maxMemory === undefined) return passed("unknown");
  if (maxMemory === 0) return passed("no limit");
  const share = `${Math.round((100 * usedMemory) / maxMemory)} % of its limit`;
  const isShort = maxMemoryPolicy === "noeviction" && usedMemory / maxMemory > MEMORY_LIMIT;
  return isShort ? failed(share) : passed(share);
}
