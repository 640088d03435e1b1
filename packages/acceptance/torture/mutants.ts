import type { BrokenRule } from "../mutants/mutant.ts";
import type { Rule } from "./checker.ts";
import type { Focus, Topology } from "./plan.ts";

/** One rule between processes, and what the code looks like without it. Found by `npm run torture -- --mutants`. */
export interface Mutant extends BrokenRule {
  /** Which violations show it. */
  readonly shows: readonly Rule[];
  /** The faults it takes. */
  readonly focus: Focus;
  /** @default "single" */
  readonly topology?: Topology;
  /** Found by one of the first seeds: part of the brief run. */
  readonly isFoundSoon?: true;
}

const CORE = "packages/core/src";
const REDIS = "packages/redis/src";
const OLDER: readonly Rule[] = ["own", "elsewhere", "token", "reappeared"];

export const MUTANTS: readonly Mutant[] = [
  // ---- fences

  {
    name: "fence: a load is joined though its key was changed",
    isFoundSoon: true,
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/engine/flights.ts`,
    rule: "guard.isJoinable = false;\n  woken(guard);",
    broken: "woken(guard);",
  },
  {
    name: "fence: tag calls hide no copies here before they are heard of",
    shows: OLDER,
    focus: "links",
    file: `${CORE}/tags/tag-events.ts`,
    rule: 'for (const key of keys) remember(mode === "hard" ? this.#hard : this.#soft, key, this.sequence);',
    broken: "",
  },
  {
    name: "fence: writes of one key overtake each other",
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/primitives/keyed-queue.ts`,
    rule: "const result = before === undefined ? write() : before.write.then(write, write);",
    broken: "const result = write();",
  },

  // ---- leases

  {
    name: "lease: everybody gets it",
    isFoundSoon: true,
    shows: ["two loads"],
    focus: "calm",
    file: `${REDIS}/store/leases.ts`,
    rule: "if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {1, was} end",
    broken: "if redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2]) then return {1, was} end",
  },
  {
    name: "lease: a store needs none",
    shows: OLDER,
    focus: "calm",
    file: `${REDIS}/store/leases.ts`,
    rule: "if redis.pcall('GET', KEYS[2]) ~= ARGV[1] then return 0 end\nif ARGV[2] ~= '?' then",
    broken: "if ARGV[2] ~= '?' then",
  },
  {
    name: "lease: a delete leaves it",
    shows: OLDER,
    focus: "calm",
    file: `${REDIS}/lua/script.ts`,
    rule: "redis.call('DEL', KEYS[2])\nlocal n = redis.call('DEL', KEYS[1])",
    broken: "local n = redis.call('DEL', KEYS[1])",
  },
  {
    name: "lease: a forced load does not take it over",
    shows: ["forced"],
    focus: "calm",
    file: `${CORE}/engine/loaded-store.ts`,
    rule: "isForced ? TAKE_OVER : flight.seen",
    broken: "flight.seen",
  },
  {
    name: "lease: it is kept when the load fails",
    shows: ["slept"],
    focus: "calm",
    file: `${CORE}/engine/read-through.ts`,
    rule: "        // Whatever happened, others may load.\n        flight.lease?.release();",
    broken: "",
  },

  // ---- promotion

  {
    name: "promotion: what was overtaken on its way is kept",
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/engine/read-through.ts`,
    rule: "if (now < entry.staleAt && !flight.isTainted)\n        local?.put(key.local, entry, policy.localTtlMs ?? Infinity, flights.copyEpoch(flight));",
    broken:
      "if (now < entry.staleAt) local?.put(key.local, entry, policy.localTtlMs ?? Infinity, this.#context.trust.epoch);",
  },
  {
    name: "promotion: a change elsewhere does not drop the copy",
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/engine/remote-changes.ts`,
    rule: "if (local?.tier.delete(localKey) !== true ||",
    broken: "if (local?.tier.get(localKey) === undefined ||",
  },

  // ---- tags

  {
    name: "tags: late ones are not compared with where the issuer stood",
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/tags/tag-versions.ts`,
    rule: "await store.unchangedSince(pinned.at, late)",
    broken: "(await store.pin(late)).versions",
  },
  {
    name: "tags: a missing version hides nothing",
    shows: OLDER,
    focus: "memory",
    file: `${CORE}/tags/tag-versions.ts`,
    rule: 'if (now === undefined || now.hard !== stored[i]!.hard) return "gone";',
    broken: 'if (now === undefined) continue;\n    if (now.hard !== stored[i]!.hard) return "gone";',
  },
  {
    name: "tags: an issuer that was lost issues the same versions again",
    shows: OLDER,
    focus: "memory",
    file: `${REDIS}/store/tag-versions.ts`,
    rule: "redis.call('HSET', KEYS[1], 'id', ARGV[1], 'n', '0')\n  g = {ARGV[1], '0'}",
    broken: "redis.call('HSET', KEYS[1], 'id', 'x', 'n', '0')\n  g = {'x', '0'}",
  },

  // ---- trust

  {
    name: "trust: it has no deadline",
    shows: OLDER,
    focus: "deaths",
    file: `${CORE}/tiers/local-copies.ts`,
    rule: "if ((entry.epoch !== this.#trust.epoch || now >= this.#trust.until) && entry.epoch !== EPOCH_ALWAYS)\n      return undefined;",
    broken: "if (entry.epoch !== this.#trust.epoch && entry.epoch !== EPOCH_ALWAYS) return undefined;",
  },
  {
    name: "trust: a token asks nobody",
    isFoundSoon: true,
    shows: ["token"],
    focus: "calm",
    file: `${CORE}/cache/namespace-view.ts`,
    rule: "isAfter: options?.after !== undefined && namespace.remote !== undefined,",
    broken: "isAfter: false,",
  },

  // ---- recovery

  {
    name: "recovery: a change with unknown outcome is forgotten",
    shows: OLDER,
    focus: "links",
    file: `${CORE}/tiers/recovery.ts`,
    rule: 'recovery?.addKey(key);\n    return "pending";',
    broken: 'return "pending";',
  },
  {
    name: "recovery: a tag call with unknown outcome is forgotten",
    shows: OLDER,
    focus: "links",
    file: `${CORE}/engine/mutations.ts`,
    rule: 'recovery?.addTags(keySpace, keys, mode, callSequence);\n      return { status: "pending" };',
    broken: 'return { status: "pending" };',
  },
  {
    name: "recovery: what is pending hides nothing",
    shows: OLDER,
    focus: "links",
    file: `${CORE}/tiers/recovery.ts`,
    rule: "return this.size !== 0 && (this.#keys.has(key.backend) || dependsOn.some((each) => this.#tags.has(each)));",
    broken: "return false;",
  },
  {
    name: "recovery: what a restart lost is not issued again",
    shows: OLDER,
    focus: "snapshots",
    file: `${CORE}/tiers/recovery.ts`,
    rule: "if (this.#issued === undefined) return;\n    const { keys",
    broken: "if (this.#issued !== undefined) return;\n    const { keys",
  },

  // ---- other servers

  {
    name: "servers: nobody is told that another one answers",
    shows: OLDER,
    focus: "servers",
    topology: "sentinel",
    file: `${REDIS}/changes/server-identity.ts`,
    rule: "if (mayHaveMoved || isNews || follows) this.#replaced();",
    broken: "",
  },
];
