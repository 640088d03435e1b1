import { describe, expect, it } from "vitest";
import { readInfo, together } from "./info.ts";
import { judge, type Probed } from "./probes.ts";

/** An answer of Redis 7.0.15, in parts. */
const INFO = [
  "# Server",
  "redis_version:7.0.15",
  "uptime_in_seconds:60",
  "",
  "# Clients",
  "connected_clients:3",
  "blocked_clients:1",
  "# Memory",
  "used_memory:1000",
  "used_memory_human:1000B",
  "used_memory_peak:2000",
  "maxmemory:4000",
  "maxmemory_policy:noeviction",
  "mem_fragmentation_ratio:1.50",
  "# Persistence",
  "loading:0",
  "rdb_last_bgsave_status:ok",
  "aof_last_write_status:err",
  "# Stats",
  "total_commands_processed:100",
  "instantaneous_ops_per_sec:7",
  "total_net_input_bytes:11",
  "total_net_output_bytes:22",
  "rejected_connections:0",
  "expired_keys:5",
  "evicted_keys:6",
  "keyspace_hits:30",
  "keyspace_misses:10",
  "# Replication",
  "role:master",
  "# Keyspace",
  "db0:keys=12,expires=3,avg_ttl=0",
  "db3:keys=8,expires=0,avg_ttl=0",
].join("\r\n");

describe("A88: figures of a server", () => {
  it("are numbers, with their units as Redis counts them", () => {
    expect(readInfo(INFO)).toEqual({
      version: "7.0.15",
      role: "primary",
      isLoading: false,
      uptimeSeconds: 60,
      connectedClients: 3,
      blockedClients: 1,
      rejectedConnections: 0,
      usedMemory: 1_000,
      peakMemory: 2_000,
      maxMemory: 4_000,
      maxMemoryPolicy: "noeviction",
      fragmentation: 1.5,
      commandsProcessed: 100,
      commandsPerSecond: 7,
      keyspaceHits: 30,
      keyspaceMisses: 10,
      expiredKeys: 5,
      evictedKeys: 6,
      bytesIn: 11,
      bytesOut: 22,
      keys: 20,
      isPersistenceWell: false,
    });
  });

  it("are undefined where a section is missing, and a server that is another's replica says so", () => {
    const info = readInfo("valkey_version:8.1.0\r\nrole:slave\r\nloading:1\r\nused_memory:\r\n");
    expect(info).toMatchObject({ version: "8.1.0", role: "replica", isLoading: true, maxMemory: undefined });
    expect([info.usedMemory, info.keys, info.isPersistenceWell]).toEqual([undefined, undefined, undefined]);
  });

  it("of several are sums; the hit ratio is that of all, and null before the first read", () => {
    const server = readInfo(INFO);
    const stats = together(
      new Map<string, Probed>([
        ["a", server],
        ["b", { ...server, keyspaceHits: 0, keyspaceMisses: 60, maxMemory: 0 }],
        ["c", { error: "BACKEND_UNAVAILABLE" }],
      ]),
    );
    expect(stats).toMatchObject({ usedMemory: 2_000, keys: 40, maxMemory: 0, keyspaceHits: 30, hitRatio: 0.3 });
    expect(together(new Map([["a", readInfo("keyspace_hits:0\r\nkeyspace_misses:0")]])).hitRatio).toBe(null);
    expect(together(new Map([["a", readInfo("")]]))).toMatchObject({ hitRatio: null, usedMemory: undefined });
  });
});

describe("A87: readiness", () => {
  const well = readInfo(INFO);
  it.each([
    ["a server that is well", well, "ready", {}],
    ["one that is short of memory", { ...well, usedMemory: 3_900 }, "unready", { memory: "98 % of its limit" }],
    ["one that evicts", { ...well, usedMemory: 3_900, maxMemoryPolicy: "allkeys-lru" }, "ready", {}],
    ["a replica", { ...well, role: "replica" as const }, "unready", { role: "a replica, which takes no writes" }],
    ["one that loads its data", { ...well, isLoading: true }, "unready", { loading: "it loads its data" }],
    ["one that tells nothing", readInfo(""), "ready", {}],
    ["one that is away", { error: "BACKEND_UNAVAILABLE" }, "unready", { ping: "BACKEND_UNAVAILABLE" }],
  ] as const)("of %s", (_what, server, status, found) => {
    const readiness = judge([server], 3);
    expect(readiness).toMatchObject({ status, tookMs: 3 });
    for (const [name, text] of Object.entries(found))
      expect(readiness.checks[name as "ping"]).toEqual({ isPassed: false, found: text });
  });

  it("is degraded where some primaries of several fail a check, and shows the worst", () => {
    const readiness = judge([well, { error: "TIMEOUT" }, well], 1);
    expect(readiness).toMatchObject({ status: "degraded", primaries: { ready: 2, known: 3 } });
    expect(readiness.checks.ping).toEqual({ isPassed: false, found: "TIMEOUT" });
    expect(judge([], 1)).toMatchObject({ status: "unready", checks: { ping: { found: "no primary is known" } } });
  });
});
