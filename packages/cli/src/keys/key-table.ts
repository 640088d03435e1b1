/** The parts of hotset that keep keys in Redis. */
export const MODULES = [
  "cache",
  "queue",
  "streams",
  "lock",
  "rate-limit",
  "sessions",
  "leaderboard",
  "presence",
  "counters",
] as const;

export type Module = (typeof MODULES)[number];

/** A key of hotset. */
export interface KnownKey {
  readonly module: Module;
  /** The owner of the key, such as the name of a cache or a queue. `""` for locks, sessions and limits: too many. */
  readonly owner: string;
  /** For a key of a cache: an entry, or what stands beside entries. */
  readonly part?: "entry" | "version" | "lease" | "staged" | "issuer";
  /** Whether it must have an end, may have one, or has none. */
  readonly ends: "always" | "either" | "never";
  /** Whether it is an entry in one string, of `layout("string")`, or the placeholder of one that is being loaded. */
  readonly isStringEntry?: true;
}

interface Row {
  readonly module: Module;
  /** Below a tenant, or not. The group `owner` names what the key belongs to. */
  readonly pattern: RegExp;
  readonly ends: KnownKey["ends"];
}

const TENANT = "^(?<tenant>(?:[\\w.%-]+:)?)";
const WINDOW = "\\d{4}-(?:W\\d\\d|\\d\\d(?:-\\d\\d(?:T\\d\\d)?)?)";
const OWNER = "\\{\\k<tenant>(?<owner>[^}]*)\\}";
const row = (module: Module, ends: Row["ends"], pattern: string): Row => ({
  module,
  ends,
  pattern: new RegExp(`${TENANT}${pattern}$`, "s"),
});

/** docs/reference/toolkit-keys.md in patterns, with the default names. A test compares the two. */
const ROWS: readonly Row[] = [
  row(
    "queue",
    "never",
    `queue:${OWNER}:(?:state|waiting|delayed|active|completed|dead|jobs|data|dedup(?:-ends)?|repeats(?:-due)?|parked|added|wake)`,
  ),
  row("lock", "always", "lock:(?:fence:|permits:|permits-fence:|writer:|readers:|read-write-fence:)?\\{[^}]*\\}.*"),
  // Names of limits hold no braces. As `.+?`, a long key of another program would take minutes.
  row("rate-limit", "always", "rate_limit:(?<owner>[^{}]+):\\{[^}]*\\}(?::.+)?"),
  row("sessions", "always", "session:(?:~user:)?\\{[^}]*\\}:.+"),
  // As JSON text. Ids that cannot be guessed are long: `session:1` is of another program.
  row("sessions", "always", "session:(?:~of:\\{[^}]*\\}|[^{}:]{20,})"),
  row("sessions", "always", "\\{\\k<tenant>session:[^{}]+\\}:~moved"),
  row("leaderboard", "never", `leaderboard:${OWNER}:(?:scores|levels|stamps|reached)`),
  row("leaderboard", "always", `leaderboard:${OWNER}:${WINDOW}:.+`),
  row("presence", "always", `presence:${OWNER}:(?:until|of:.+)`),
  row("counters", "always", `active:${OWNER}:.+`),
  row("counters", "always", `uniques:${OWNER}:(?:of:.+:)?${WINDOW}:hll`),
  row("counters", "always", `uniques:${OWNER}:(?:of:.+:)?together:.+`),
  row("counters", "never", `uniques:${OWNER}:(?:of:.+:)?hll`),
];

/** docs/reference/redis-layout.md: leases, large values on their way, issuers. */
const BESIDE_ENTRIES = /^(?<prefix>[^:~]*)~(?<part>lease|staged|issuer):\{?(?:~(?<owner>[^}]*)\}|(?<entry>.*))/s;
/** The version of a tag or of a namespace. */
const VERSION = /^(?<prefix>[^:~]*):\{~(?<owner>[^}]*)\}(?::[^:]+)*::/;
/** An entry: prefix, name with its version, namespaces. */
const ENTRY = /^(?<prefix>[^:~]+)(?::(?<owner>[^:{}]+)(?::[^:]+)*)?::./;

/**
 * @param type as Redis names it.
 * @returns `undefined` for a key of another program. One that only looks like an entry is taken for one.
 */
export function knownKey(key: string, type: string): KnownKey | undefined {
  for (const { module, ends, pattern } of ROWS) {
    const match = pattern.exec(key);
    if (match !== null) return { module, ends, owner: match.groups?.["owner"] ?? "" };
  }
  // Streams are under the name that they were given, and so are letters of theirs that died.
  if (type === "stream") return { module: "streams", owner: key, ends: "never" };
  const beside = BESIDE_ENTRIES.exec(key)?.groups;
  if (beside !== undefined) {
    const part = beside["part"] as "lease" | "staged" | "issuer";
    const owner = part === "issuer" ? beside : (ENTRY.exec(beside["entry"] ?? "")?.groups ?? beside);
    return { module: "cache", owner: ownerOf(owner), part, ends: part === "issuer" ? "either" : "always" };
  }
  const version = type === "string" ? VERSION.exec(key)?.groups : undefined;
  if (version !== undefined) return { module: "cache", owner: ownerOf(version), part: "version", ends: "either" };
  const entry = type === "hash" || type === "string" ? ENTRY.exec(key)?.groups : undefined;
  if (entry === undefined) return undefined;
  return {
    module: "cache",
    owner: ownerOf(entry),
    part: "entry",
    ends: "either",
    ...(type === "string" && { isStringEntry: true }),
  };
}

/** `hotset:shop` for the cache `shop` under the prefix `hotset`. */
const ownerOf = ({ prefix = "", owner = "" }: Record<string, string | undefined>): string => `${prefix}:${owner}`;
