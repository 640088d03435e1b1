import type { ModuleName } from "@hotset/redis-toolkit/inspect";
import { groupsOf, type Group, type Sample, type SampledKey } from "../keys/sample.ts";
import { bytesText, cut } from "../output/text.ts";
import type { Facts } from "./facts.ts";
import type { Finding } from "./finding.ts";
import { configs, infos, onWhich } from "./primaries.ts";

/** The keys of other modules are not a copy of anything: an eviction loses them. */
const isCache = (module: ModuleName): boolean => module === "cache";
const isKept = (key: SampledKey): boolean => key.known !== undefined && !isCache(key.known.module);
/** A restart must lose no key of these. Locks, limits and presence are short lives. */
const SURVIVORS: readonly (ModuleName | undefined)[] = ["queue", "streams", "sessions", "leaderboard", "counters"];

const keysOf = ({ sample }: Facts): readonly SampledKey[] => ("value" in sample ? sample.value.keys : []);
const modulesOf = (keys: readonly SampledKey[]): readonly ModuleName[] => [
  ...new Set(keys.flatMap(({ known }) => known?.module ?? [])),
];

const FULL = 0.95;

export function checkMemory(facts: Facts): readonly Finding[] {
  const all = infos(facts);
  const unbounded = all.filter((info) => info.number("maxmemory") === 0);
  const findings: Finding[] = [];
  if (unbounded.length > 0)
    findings.push({
      check: "memory",
      severity: "warning",
      found: `maxmemory is not set${onWhich(unbounded, all.length)}: Redis grows until the operating system kills it`,
      evidence: { maxmemory: 0, usedBytes: unbounded[0]!.number("used_memory") },
      fix: "CONFIG SET maxmemory to half of the memory of the machine or container; if it holds caches alone, also maxmemory-policy allkeys-lfu",
    });
  for (const info of all) {
    const [used, limit] = [info.number("used_memory"), info.number("maxmemory")];
    if (limit > 0 && used / limit > FULL && info.text("maxmemory_policy") === "noeviction")
      findings.push({
        check: "memory",
        severity: "error",
        found:
          `${Math.round((100 * used) / limit)} % of maxmemory is used, and nothing is evicted: writes are about to ` +
          "be refused",
        evidence: { server: info.address, usedBytes: used, maxmemory: limit },
        fix: "raise maxmemory, or give keys an end",
      });
  }
  return findings;
}

/** Whose keys fill a server that makes room for others. */
export function checkEvicted(facts: Facts): readonly Finding[] {
  const sample = "value" in facts.sample ? facts.sample.value : undefined;
  return infos(facts).flatMap((info): readonly Finding[] => {
    const [used, limit] = [info.number("used_memory"), info.number("maxmemory")];
    const [policy, evicted] = [info.text("maxmemory_policy"), info.number("evicted_keys")];
    if (!(limit > 0 && used / limit > FULL && evicted > 0) || policy === "noeviction") return [];
    const groups = sample?.hasSizes === true ? groupsOf(sample) : [];
    const all = groups.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
    const [most] = groups.toSorted((one, other) => (other.bytes ?? 0) - (one.bytes ?? 0));
    const owner = most === undefined || all === 0 ? "" : ownerText(most);
    const share = most === undefined || all === 0 ? 0 : Math.round((100 * (most.bytes ?? 0)) / all);
    const isForeign = most !== undefined && most.module === undefined;
    return [
      {
        check: "memory",
        severity: "warning",
        found:
          `memory is full, and Redis has evicted ${evicted} keys since it started, by ${policy}` +
          `${owner === "" ? "" : `; ${share} % of it are ${owner}, by a sample`}`,
        evidence: {
          ...{ server: info.address, usedBytes: used, maxmemory: limit, evictedKeys: evicted },
          ...(owner !== "" && { most: owner, share }),
        },
        fix: isForeign
          ? "move that program to a separate server, or give its keys an end; entries of caches are pushed out meanwhile"
          : "raise maxmemory, or set shorter ttls; a hit ratio that is well needs nothing",
      },
    ];
  });
}

/** `entries of hotset:shop`, or keys of another program by their prefix. */
const ownerText = ({ module, part, owner }: Group): string =>
  module === undefined
    ? `keys of other programs${owner === "" ? "" : `, ${cut(owner, 60)}:...`}`
    : `${part === "entry" ? "entries" : "keys"} of ${module === "cache" ? "" : `${module} `}${cut(owner, 60)}`.trimEnd();

/** Fields of up to so many bytes are worth it. */
const LISTPACK_BYTES = 512;
/** `MEMORY USAGE` of an entry that is a hash table, and would be a list pack if its fields might have 512 bytes. */
const LOOSE = { least: 400, most: 950 };
/** The saving of such an entry, measured in Redis 7.0 with values of 200 bytes. */
const SAVED_BYTES = 230;
const WORTH_ENTRIES = 100;

/** Entries that Redis keeps as hash tables, because of a default. */
export function checkCompactness(facts: Facts): readonly Finding[] {
  const limit = Math.min(...configs(facts).map((config) => config.number("hash-max-listpack-value")));
  if (!(limit < LISTPACK_BYTES)) return [];
  const hashes = keysOf(facts).filter(({ type }) => type === "hash");
  const entries = hashes.filter(({ known }) => known?.module === "cache");
  const loose = entries.filter(({ bytes = 0 }) => bytes >= LOOSE.least && bytes <= LOOSE.most);
  if (loose.length < WORTH_ENTRIES || 2 * loose.length < entries.length) return [];
  return [
    {
      check: "memory",
      severity: "warning",
      found:
        `${loose.length} of ${entries.length} hashes of caches are hash tables; as list packs each would take some ` +
        `${SAVED_BYTES} bytes less`,
      evidence: {
        hashMaxListpackValue: limit,
        entries: loose.length,
        otherHashes: hashes.length - entries.length,
        sampledKeys: keysOf(facts).length,
      },
      fix:
        `CONFIG SET hash-max-listpack-value ${LISTPACK_BYTES}, also in redis.conf; large hashes of other programs ` +
        "are then read more slowly: docs/guide/running-redis.md has the figures",
    },
  ];
}

/** The policy, against what is stored there. */
export function checkEviction(facts: Facts): readonly Finding[] {
  const keys = keysOf(facts);
  const expected = facts.expected.filter((module) => !isCache(module));
  const findings: Finding[] = [];
  for (const info of infos(facts)) {
    const policy = info.text("maxmemory_policy");
    // Policies with `volatile` remove keys with an end alone.
    const inDanger = keys.filter(
      (key) => isKept(key) && (policy.startsWith("allkeys") || (key.lifeMs ?? Infinity) !== Infinity),
    );
    const isEvicting = policy !== "" && policy !== "noeviction";
    const limit = info.number("maxmemory");
    const evidence = { server: info.address, maxmemoryPolicy: policy, maxmemory: limit, sampledKeys: keys.length };
    const modules = [...new Set([...modulesOf(inDanger), ...expected])];
    if (isEvicting && modules.length > 0)
      findings.push({
        check: "eviction",
        severity: "error",
        found:
          `maxmemory-policy is ${policy}: when memory is short, Redis removes keys of ` +
          `${modules.join(", ")}${limit === 0 ? ", as soon as there is a maxmemory" : ""}`,
        evidence: { ...evidence, keysInDanger: inDanger.length, modules },
        fix: "CONFIG SET maxmemory-policy noeviction, and give caches a separate server",
      });
    if (
      policy === "noeviction" &&
      limit > 0 &&
      expected.length === 0 &&
      keys.length > 0 &&
      keys.every((key) => key.known?.module === "cache")
    )
      findings.push({
        check: "eviction",
        severity: "warning",
        found: "every key belongs to a cache, and maxmemory-policy is noeviction: a full server refuses new entries",
        evidence,
        fix: "CONFIG SET maxmemory-policy allkeys-lfu",
      });
  }
  return findings;
}

export function checkPersistence(facts: Facts): readonly Finding[] {
  const keys = keysOf(facts).filter(({ known }) => SURVIVORS.includes(known?.module));
  const modules = [...new Set([...modulesOf(keys), ...facts.expected.filter((module) => SURVIVORS.includes(module))])];
  const findings: Finding[] = [];
  for (const info of infos(facts)) {
    const failed = ["rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"].filter(
      (name) => info.has(name) && info.text(name) !== "ok",
    );
    if (failed.length > 0)
      findings.push({
        check: "persistence",
        severity: "error",
        found: "the last write to the disk has failed",
        evidence: { server: info.address, failed },
        fix: "look into the log of the server: the disk is full, or its folder is not writable",
      });
  }
  const without = infos(facts).filter((info) => info.text("aof_enabled") === "0");
  if (modules.length > 0 && without.length > 0)
    findings.push({
      check: "persistence",
      severity: "error",
      found:
        `there is no append-only file${onWhich(without, facts.primaries.length)}: a crash loses keys of ` +
        `${modules.join(", ")}`,
      evidence: { aofEnabled: 0, keys: keys.length, modules, ...changesOf(without[0]!) },
      fix:
        "CONFIG SET appendonly yes, with appendfsync everysec; see " +
        "https://github.com/hotset/hotset/blob/main/docs/operations/redis-durable.conf",
    });
  const lazy = configs(facts).filter((config) => config.text("appendfsync") === "no");
  const isLogged = infos(facts).some((info) => info.text("aof_enabled") === "1");
  if (modules.length > 0 && isLogged && lazy.length > 0)
    findings.push({
      check: "persistence",
      severity: "warning",
      found: "appendfsync is no: a crash of the machine loses what the system has not written, some 30 seconds",
      evidence: { appendfsync: "no", keys: keys.length },
      fix: "CONFIG SET appendfsync everysec",
    });
  return findings;
}

const changesOf = (info: { number(name: string): number }): { readonly changesSinceSave?: number } => {
  const changes = info.number("rdb_changes_since_last_save");
  return Number.isNaN(changes) ? {} : { changesSinceSave: changes };
};

const MAX_EXAMPLES = 5;
const counted = ({ length }: readonly unknown[]): string => (length === 1 ? "1 key" : `${length} keys`);
const examplesOf = (keys: readonly SampledKey[]): readonly string[] =>
  keys.slice(0, MAX_EXAMPLES).map(({ key }) => cut(key, 120));

/** Keys that have no end, and should. */
export function checkTtl(facts: Facts): readonly Finding[] {
  const immortal = keysOf(facts).filter(({ lifeMs }) => lifeMs === Infinity);
  const broken = immortal.filter(({ known }) => known?.ends === "always");
  const foreign = immortal.filter(({ known }) => known === undefined);
  const entries = immortal.filter(({ known }) => known?.module === "cache" && known.ends === "either");
  const findings: Finding[] = [];
  const of = (keys: readonly SampledKey[]): Finding["evidence"] => ({
    keys: keys.length,
    sampledKeys: keysOf(facts).length,
    examples: examplesOf(keys),
  });
  if (broken.length > 0)
    findings.push({
      check: "ttl",
      severity: "error",
      found:
        `${counted(broken)} of ${modulesOf(broken).join(", ")} without an end, which hotset always gives them: ` +
        "another program wrote them",
      evidence: of(broken),
      fix: 'health(redis).ttlAudit({ match, fix: "1h" }) gives them one',
    });
  if (foreign.length > 0)
    findings.push({
      check: "ttl",
      severity: "warning",
      found: `${counted(foreign)} of other programs without an end: nothing removes them`,
      evidence: of(foreign),
      fix: 'give them one where they are written, or by health(redis).ttlAudit({ match, fix: "1h" })',
    });
  if (entries.length > 0 && infos(facts).some((info) => !info.text("maxmemory_policy").startsWith("allkeys")))
    findings.push({
      check: "ttl",
      severity: "warning",
      found: `${counted(entries)} of caches without an end, and maxmemory-policy never evicts such keys`,
      evidence: of(entries),
      fix: "give them a ttl, or set maxmemory-policy allkeys-lfu on a server of caches",
    });
  return findings;
}

/** A value that is read as a whole holds the server up; a collection does not. */
const isOneValue = ({ type, known }: SampledKey): boolean => type === "string" || known?.module === "cache";
const LARGE = { value: { warning: 1_000_000, error: 10_000_000 }, collection: { warning: 100_000_000, error: 1e9 } };

export function checkSizes(facts: Facts): readonly Finding[] {
  const sample: Sample | undefined = "value" in facts.sample ? facts.sample.value : undefined;
  const limitOf = (key: SampledKey): typeof LARGE.value => (isOneValue(key) ? LARGE.value : LARGE.collection);
  const large = (sample?.keys ?? [])
    .filter((key) => (key.bytes ?? 0) >= limitOf(key).warning)
    .toSorted((one, other) => other.bytes! - one.bytes!);
  const [largest] = large;
  if (largest === undefined) return [];
  const isError = large.some((key) => key.bytes! >= limitOf(key).error);
  return [
    {
      check: "size",
      severity: isError ? "error" : "warning",
      found:
        `${counted(large)} too large; the largest has ${bytesText(largest.bytes)}: while it is read or written, all ` +
        "others wait",
      evidence: {
        keys: large.length,
        sampledKeys: sample!.keys.length,
        largestBytes: largest.bytes!,
        largestType: largest.type,
        examples: examplesOf(large),
      },
      fix: "split the value, compress it, or keep it elsewhere; maxEntryBytes() bounds those of a cache",
    },
  ];
}
