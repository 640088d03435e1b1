/** The program of a server, or the service that runs it. */
export interface ServerKind {
  readonly name: string;
  readonly version: string | undefined;
  /** `tested`: by the tests of hotset. `expected`: by its documentation. */
  readonly support: "tested" | "expected" | "untested" | "unsupported";
}

/** By the fields of `INFO`. docs/guide/which-server.md#services says what is known of each. */
export function serverKind(info: ReadonlyMap<string, string>): ServerKind {
  const redis = info.get("redis_version");
  const dragonfly = info.get("dragonfly_version");
  if (dragonfly !== undefined) return { name: "Dragonfly", version: dragonfly, support: "untested" };
  if (info.has("mvcc_depth") || /keydb/i.test(info.get("executable") ?? ""))
    return { name: "KeyDB", version: redis, support: "unsupported" };
  const program = info.has("valkey_version") || info.get("server_name") === "valkey" ? "Valkey" : "Redis";
  const version = info.get("valkey_version") ?? redis;
  const service = serviceOf(info);
  if (service !== undefined) return { name: `${service} (${program})`, version, support: "expected" };
  return { name: program, version, support: isTested(program, version) ? "tested" : "expected" };
}

/** Services name themselves in place of the operating system. */
function serviceOf(info: ReadonlyMap<string, string>): string | undefined {
  if (info.has("upstash_version")) return "Upstash";
  return /Amazon (?:ElastiCache|MemoryDB)/i.exec(info.get("os") ?? "")?.[0];
}

const isTested = (program: string, version?: string): boolean =>
  /^(Redis [78]\.0|Valkey (8\.[01]|9\.1))\./.test(`${program} ${version}`);
