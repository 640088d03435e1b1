/** Fields of one server's INFO. Managed services leave out sections: such fields are `undefined`. */
export interface ServerInfo {
  /** The version of Valkey, or of Redis. */
  readonly version: string | undefined;
  /** `undefined` where the server says neither. */
  readonly role: "primary" | "replica" | undefined;
  /** Whether the server is reading its data from disk, and answers no commands. */
  readonly isLoading: boolean;
  /** Seconds since its start. */
  readonly uptimeSeconds: number | undefined;
  /** Connections, this one included. */
  readonly connectedClients: number | undefined;
  /** Connections that wait in a blocking command. */
  readonly blockedClients: number | undefined;
  /** Connections beyond `maxclients`, since its start. */
  readonly rejectedConnections: number | undefined;
  /** Bytes. */
  readonly usedMemory: number | undefined;
  /** Bytes. */
  readonly peakMemory: number | undefined;
  /** Bytes; 0 for no limit. */
  readonly maxMemory: number | undefined;
  /** How it makes room when memory is short, such as `noeviction`: not at all. */
  readonly maxMemoryPolicy: string | undefined;
  /** Resident memory by used memory. */
  readonly fragmentation: number | undefined;
  /** Since its start. */
  readonly commandsProcessed: number | undefined;
  /** At present. */
  readonly commandsPerSecond: number | undefined;
  /** For the whole server, since its start. */
  readonly keyspaceHits: number | undefined;
  /** For the whole server, since its start. */
  readonly keyspaceMisses: number | undefined;
  /** Keys whose life has ended, since its start. */
  readonly expiredKeys: number | undefined;
  /** Keys that were removed for want of memory, since its start. */
  readonly evictedKeys: number | undefined;
  /** Bytes since its start. */
  readonly bytesIn: number | undefined;
  /** Bytes since its start. */
  readonly bytesOut: number | undefined;
  /** Over all databases. */
  readonly keys: number | undefined;
  /** Whether the last snapshot and the last write of the log succeeded. */
  readonly isPersistenceWell: boolean | undefined;
}

export function readInfo(text: string): ServerInfo {
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const at = line.indexOf(":");
    if (at > 0 && !line.startsWith("#")) fields.set(line.slice(0, at), line.slice(at + 1));
  }
  const number = (name: string): number | undefined => {
    const given = fields.get(name);
    return given === undefined || given === "" || Number.isNaN(Number(given)) ? undefined : Number(given);
  };
  const statuses = ["rdb_last_bgsave_status", "aof_last_write_status"].flatMap((name) => fields.get(name) ?? []);
  const role = fields.get("role");
  return {
    version: fields.get("valkey_version") ?? fields.get("redis_version"),
    role: role === "master" ? "primary" : role === "slave" ? "replica" : undefined,
    isLoading: fields.get("loading") === "1",
    uptimeSeconds: number("uptime_in_seconds"),
    connectedClients: number("connected_clients"),
    blockedClients: number("blocked_clients"),
    rejectedConnections: number("rejected_connections"),
    usedMemory: number("used_memory"),
    peakMemory: number("used_memory_peak"),
    maxMemory: number("maxmemory"),
    maxMemoryPolicy: fields.get("maxmemory_policy"),
    fragmentation: number("mem_fragmentation_ratio"),
    commandsProcessed: number("total_commands_processed"),
    commandsPerSecond: number("instantaneous_ops_per_sec"),
    keyspaceHits: number("keyspace_hits"),
    keyspaceMisses: number("keyspace_misses"),
    expiredKeys: number("expired_keys"),
    evictedKeys: number("evicted_keys"),
    bytesIn: number("total_net_input_bytes"),
    bytesOut: number("total_net_output_bytes"),
    keys: text.includes("# Keyspace") ? keysOf(fields) : undefined,
    isPersistenceWell: statuses.length === 0 ? undefined : statuses.every((status) => status === "ok"),
  };
}

/** `db0:keys=12,expires=3,avg_ttl=0`. A server without keys lists no database. */
function keysOf(fields: ReadonlyMap<string, string>): number {
  let keys = 0;
  for (const [name, text] of fields) if (/^db\d+$/.test(name)) keys += Number(/keys=(\d+)/.exec(text)?.[1] ?? 0);
  return keys;
}

/** Figures of all primaries: sums, and of ratios and limits what the whole has. */
export interface RedisStats {
  /** Bytes. */
  readonly usedMemory: number | undefined;
  /** Bytes; 0 where one of them has no limit. */
  readonly maxMemory: number | undefined;
  /** Connections. */
  readonly connectedClients: number | undefined;
  /** Since the start of each server. */
  readonly commandsProcessed: number | undefined;
  /** At present. */
  readonly commandsPerSecond: number | undefined;
  /** Since the start of each server. */
  readonly keyspaceHits: number | undefined;
  /** Since the start of each server. */
  readonly keyspaceMisses: number | undefined;
  /** Hits by hits and misses of the whole server, not of one cache; `null` before the first read. */
  readonly hitRatio: number | null;
  /** Keys whose life has ended, since the start of each server. */
  readonly expiredKeys: number | undefined;
  /** Keys that were removed for want of memory, since the start of each server. */
  readonly evictedKeys: number | undefined;
  /** Bytes since the start of each server. */
  readonly bytesIn: number | undefined;
  /** Bytes since the start of each server. */
  readonly bytesOut: number | undefined;
  /** Over all databases. */
  readonly keys: number | undefined;
  /** By address. One that could not be asked has the code of the error. */
  readonly servers: ReadonlyMap<string, ServerInfo | { readonly error: string }>;
}

export function together(servers: RedisStats["servers"]): RedisStats {
  const infos = [...servers.values()].filter((server): server is ServerInfo => !("error" in server));
  const sum = (name: keyof ServerInfo): number | undefined => {
    const values = infos.flatMap((info) => (info[name] as number | undefined) ?? []);
    return values.length === 0 ? undefined : values.reduce((total, value) => total + value, 0);
  };
  const [hits, misses] = [sum("keyspaceHits"), sum("keyspaceMisses")];
  const reads = (hits ?? 0) + (misses ?? 0);
  return {
    usedMemory: sum("usedMemory"),
    // Without a limit on one of them the whole has none.
    maxMemory: infos.some(({ maxMemory }) => maxMemory === 0) ? 0 : sum("maxMemory"),
    connectedClients: sum("connectedClients"),
    commandsProcessed: sum("commandsProcessed"),
    commandsPerSecond: sum("commandsPerSecond"),
    keyspaceHits: hits,
    keyspaceMisses: misses,
    hitRatio: hits === undefined || reads === 0 ? null : hits / reads,
    expiredKeys: sum("expiredKeys"),
    evictedKeys: sum("evictedKeys"),
    bytesIn: sum("bytesIn"),
    bytesOut: sum("bytesOut"),
    keys: sum("keys"),
    servers,
  };
}
