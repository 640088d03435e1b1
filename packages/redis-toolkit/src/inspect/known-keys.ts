import { KEY_NAMES } from "../queue/keys.ts";
import { nameInTag } from "./name-in-tag.ts";

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

/** A part of hotset that keeps keys in Redis. */
export type ModuleName = (typeof MODULES)[number];

/** A key of hotset in Redis, by its name. */
export interface KnownKey {
  /** The part of hotset that keeps it. */
  readonly module: ModuleName;
  /** The prefix of its tenant in Redis, such as `acme:`; empty outside of any. Empty for caches and streams, too. */
  readonly tenant: string;
  /** The object that the key belongs to: the name of a cache, a queue or a limit. `""` for locks and sessions. */
  readonly owner: string;
  /** For a key of a cache: an entry, the record of a process, or another key next to entries. */
  readonly part?: "entry" | "record" | "version" | "lease" | "staged" | "issuer";
  /** Whether it must have an end, may have one, or has none. */
  readonly ends: "always" | "either" | "never";
  /** Whether it is an entry in one string, of `layout("string")`, or the placeholder of one that is being loaded. */
  readonly isStringEntry?: true;
}

interface Row {
  readonly module: ModuleName;
  /** Below a tenant, or not. The group `owner` names the object that the key belongs to. */
  readonly pattern: RegExp;
  readonly ends: KnownKey["ends"];
}

/** Tenants within tenants, up to four. Without a bound, some long keys of other programs would take seconds. */
export const TENANT = "^(?<tenant>(?:[\\w.%-]+:){0,4})";
const WINDOW = "\\d{4}-(?:W\\d\\d|\\d\\d(?:-\\d\\d(?:T\\d\\d)?)?)";
const OWNER = "\\{\\k<tenant>(?<owner>[^}]*)\\}";
const row = (module: ModuleName, ends: Row["ends"], pattern: string): Row => ({
  module,
  ends,
  pattern: new RegExp(`${TENANT}${pattern}$`, "s"),
});

/** docs/reference/toolkit-keys.md in patterns, with the default names. A test compares the two. */
const ROWS: readonly Row[] = [
  row("queue", "never", `queue:${OWNER}:(?:${KEY_NAMES.join("|")})`),
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

/** Quickly false for nearly all keys of a cache. */
const OF_TOOLKIT = /(?:queue|lock|rate_limit|session|leaderboard|presence|active|uniques):/;

/** docs/reference/redis-layout.md: leases, large values on their way, issuers. */
const BESIDE_ENTRIES = /^(?<prefix>[^:~]*)~(?<part>lease|staged|issuer):\{?(?:~(?<owner>[^}]*)\}|(?<entry>.*))/s;
/** The version of a tag or of a namespace. */
const VERSION = /^(?<prefix>[^:~]*):\{~(?<owner>[^}]*)\}(?::[^:]+)*::/;
/** What a process with a heartbeat writes about itself. */
const RECORD = /^(?<prefix>[^:~]+):(?<owner>[^:{}]+):~processes::/;
/** An entry: prefix, name with its version, namespaces. */
const ENTRY = /^(?<prefix>[^:~]+)(?::(?<owner>[^:{}]+)(?::[^:]+)*)?::./;

/**
 * The part of hotset that has a key, by its name: with the default names of all modules, outside of tenants and in any.
 *
 * @param key as Redis has it.
 * @param type as Redis names it, `""` where it must not be read. Left out, streams are not known, and a key is taken
 *   for one of a cache by its name alone.
 * @returns `undefined` for a key of another program. One that only looks like an entry is taken for one.
 */
export function knownKey(key: string, type?: string): KnownKey | undefined {
  for (const { module, ends, pattern } of OF_TOOLKIT.test(key) ? ROWS : []) {
    const groups = pattern.exec(key)?.groups;
    if (groups === undefined) continue;
    return { module, ends, tenant: groups["tenant"] ?? "", owner: nameInTag(groups["owner"] ?? "") };
  }
  // Streams are under the name that they were given, and so are letters of theirs that died.
  if (type === "stream") return { module: "streams", tenant: "", owner: key, ends: "never" };
  return keyOfCache(key, type);
}

function keyOfCache(key: string, type: string | undefined): KnownKey | undefined {
  const of = { module: "cache", tenant: "" } as const;
  const beside = BESIDE_ENTRIES.exec(key)?.groups;
  if (beside !== undefined) {
    const part = beside["part"] as "lease" | "staged" | "issuer";
    const owner = part === "issuer" ? beside : (ENTRY.exec(beside["entry"] ?? "")?.groups ?? beside);
    return { ...of, owner: ownerOf(owner), part, ends: part === "issuer" ? "either" : "always" };
  }
  const isString = type === "string";
  const version = isString || type === undefined ? VERSION.exec(key)?.groups : undefined;
  if (version !== undefined) return { ...of, owner: ownerOf(version), part: "version", ends: "either" };
  if (!isString && type !== "hash" && type !== undefined) return undefined;
  const record = RECORD.exec(key)?.groups;
  const entry = record ?? ENTRY.exec(key)?.groups;
  if (entry === undefined) return undefined;
  const part = record === undefined ? "entry" : "record";
  return { ...of, owner: ownerOf(entry), part, ends: "either", ...(isString && { isStringEntry: true }) };
}

/** `hotset:shop` for the cache `shop` under the prefix `hotset`. */
const ownerOf = ({ prefix = "", owner = "" }: Record<string, string | undefined>): string => `${prefix}:${owner}`;
