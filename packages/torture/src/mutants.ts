import type { BrokenRule } from "@hotset/mutants/mutant";
import type { Rule } from "./checker.ts";
import type { Focus, Topology } from "./plan.ts";

/** One rule between processes, and the code without it. Found by `npm run torture -- --mutants`. */
export interface Mutant extends BrokenRule {
  /** The violations that show it. */
  readonly shows: readonly Rule[];
  /** The faults that are needed. */
  readonly focus: Focus;
  /** @default "single" */
  readonly topology?: Topology;
  /** Found by one of the first seeds: part of the brief run. */
  readonly isFoundSoon?: true;
}

const CORE = "packages/core/src";
const REDIS = "packages/redis/src";
const OLDER: readonly Rule[] = ["own", "elsewhere", "current", "reappeared"];

export const MUTANTS: readonly Mutant[] = [
  // ---- fences

  {
    name: "fence: a load is joined though its key was changed",
    isFoundSoon: true,
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/engine/flight.ts`,
    rule: "return this.#isJoinable && !this.#isDoubted;",
    broken: "return !this.#isForOne;",
  },
  {
    name: "fence: tag calls hide no copies here before their messages arrive",
    shows: OLDER,
    focus: "links",
    file: `${CORE}/tags/tag-events.ts`,
    rule: 'for (const key of keys) (mode === "hard" ? this.#hard : this.#soft).add(key, this.sequence);',
    broken: "",
  },
  {
    name: "fence: writes of one key overtake each other",
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/primitives/keyed-queue.ts`,
    rule: "const result = before === undefined ? begin() : before.write.then(begin, begin);",
    broken: "const result = begin();",
  },

  // ---- leases

  {
    name: "lease: every process gets it",
    isFoundSoon: true,
    shows: ["two loads"],
    focus: "calm",
    file: `${REDIS}/lua/lease-scripts.ts`,
    rule: "  if left >= 0 and left <= ${MAX_LEASE_MS} then\n",
    broken: "  if false then\n",
  },
  {
    name: "lease: a store needs no lease",
    shows: OLDER,
    focus: "calm",
    file: `${REDIS}/lua/lease-scripts.ts`,
    rule: "if lease ~= ARGV[1] then\n    ${DISCARD}",
    broken: "if false then\n    ${DISCARD}",
  },
  {
    name: "lease: a delete leaves the lease",
    shows: OLDER,
    focus: "calm",
    file: `${REDIS}/lua/entry-scripts.ts`,
    rule: "redis.call('DEL', KEYS[2])\nlocal held = ",
    broken: "local held = ",
  },
  {
    name: "lease: a forced load does not take it over",
    shows: ["forced"],
    focus: "calm",
    file: `${CORE}/engine/lease-acquisition.ts`,
    rule: "isForced ? TAKE_OVER : flight.seen",
    broken: "flight.seen",
  },
  {
    name: "lease: a failed load keeps the lease",
    shows: ["slept"],
    focus: "calm",
    file: `${CORE}/engine/load-through.ts`,
    rule: "      // In any case, other processes may load.\n      flight.lease?.release();",
    broken: "",
  },

  // ---- promotion

  {
    name: "promotion: a copy that was overtaken during the read is kept",
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/engine/reads.ts`,
    rule: "if (now < entry.deadAt && !guard.isTainted)\n    local?.keep(guard.tableKey, entry, localTtlMs ?? Infinity, flights.copyEpoch(guard));",
    broken: "if (now < entry.deadAt) local?.keep(guard.tableKey, entry, localTtlMs ?? Infinity, context.trust.epoch);",
  },
  {
    name: "promotion: a change elsewhere does not drop the copy",
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/engine/remote-changes.ts`,
    rule: "local?.drop(localKey);",
    broken: "",
  },

  // ---- tags

  {
    name: "tags: late tags are not compared with the position of the issuer",
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/tags/tag-versions.ts`,
    rule: "store.unchangedSince(at, late)",
    broken: "store.pin(late).then((pinned) => pinned.versions)",
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
    file: `${REDIS}/lua/tag-scripts.ts`,
    rule: "redis.call('HSET', KEYS[1], 'id', ARGV[1], 'n', '0')\n  g = {ARGV[1], '0'}",
    broken: "redis.call('HSET', KEYS[1], 'id', 'x', 'n', '0')\n  g = {'x', '0'}",
  },

  {
    name: "tags: a caller that came after the call of a tag gets what was loaded before",
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/engine/read-through.ts`,
    rule: "tags.hasEvents(key.space, tagSequence, changedSince);",
    broken: "tags.sequence < 0;",
  },

  // ---- callers of one load

  {
    name: "callers: what is for one is handed to all",
    isFoundSoon: true,
    shows: ["shared"],
    focus: "calm",
    file: `${CORE}/engine/waiters.ts`,
    rule: 'if (entry === undefined && flight.isForOne && role !== "first") return false;',
    broken: "",
  },
  {
    name: "callers: a load is given up when one of its callers leaves",
    isFoundSoon: true,
    shows: ["abandoned"],
    focus: "calm",
    file: `${CORE}/engine/waiters.ts`,
    rule: "if (flight.crowd.isAbandoned && flight.loaded === undefined)",
    broken: "if ((reason !== undefined || flight.crowd.isAbandoned) && flight.loaded === undefined)",
  },

  // ---- trust

  {
    name: "trust: trust has no deadline",
    shows: OLDER,
    focus: "deaths",
    file: `${CORE}/tiers/local-copies.ts`,
    rule: "if (!(now < entry.epoch!.until)) return undefined;",
    broken: "if (entry.epoch!.until === -Infinity) return undefined;",
  },
  {
    name: "trust: a current read does not ask the backend",
    isFoundSoon: true,
    shows: ["current"],
    focus: "calm",
    file: `${CORE}/cache/namespace-view.ts`,
    rule: "isCurrent: options?.current === true && namespace.remote !== undefined,",
    broken: "isCurrent: false,",
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
    rule: "recovery?.addTags(keySpace, part, mode, callSequence);",
    broken: "",
  },
  {
    name: "recovery: a pending change hides nothing",
    shows: OLDER,
    focus: "links",
    file: `${CORE}/tiers/recovery.ts`,
    rule: "return this.size !== 0 && (this.#keys.has(key.backend) || dependsOn.some((each) => this.#tags.has(each)));",
    broken: "return false;",
  },
  {
    name: "recovery: an invalidation that a restart lost is not issued again",
    shows: OLDER,
    focus: "snapshots",
    file: `${CORE}/tiers/recovery.ts`,
    rule: "if (this.#issued === undefined) return;\n    const isThere",
    broken: "if (this.#issued !== undefined) return;\n    const isThere",
  },

  // ---- storing

  {
    name: "storing: a loaded value is stored nowhere",
    shows: ["missed"],
    focus: "calm",
    file: `${CORE}/engine/loaded-store.ts`,
    rule: 'if (fencedBy(this.#context.tags, flight, draft.entry.terms.dependsOn) !== undefined) return "refused";',
    broken: 'return "refused";',
  },
  {
    name: "storing: a value is fresh for ten times its ttl",
    shows: ["outlived"],
    focus: "calm",
    file: `${CORE}/entry/policy.ts`,
    rule: "ttlMs: Math.ceil(Math.max(0, ttlMs)),",
    broken: "ttlMs: Math.ceil(Math.max(0, ttlMs)) * 10,",
  },

  // ---- pauses of seconds, and calls of thousands

  {
    name: "pauses: time in which the loop stood still counts for deadlines",
    shows: OLDER,
    focus: "pauses",
    file: `${CORE}/primitives/deadlines.ts`,
    rule: "    this.#moveBy(now - expectedAt, expectedAt);\n",
    broken: "",
  },
  {
    name: "bulk: a later change of a key whose turn has not come is replaced",
    shows: OLDER,
    focus: "bulk",
    file: `${CORE}/engine/bulk-writes.ts`,
    rule: "this.#overtake(localKey, Infinity, change);",
    broken: "",
  },

  // ---- a server whose clock jumps

  {
    name: "clocks: a lease that lasts for an hour is waited for",
    shows: ["slept"],
    focus: "clocks",
    file: `${REDIS}/lua/lease-scripts.ts`,
    rule: "if left >= 0 and left <= ${MAX_LEASE_MS} then",
    broken: "if left >= 0 then",
  },
  {
    name: "clocks: an entry is fresh for longer than it ever was",
    shows: ["outlived"],
    focus: "clocks",
    file: `${CORE}/entry/codec.ts`,
    rule: "return staleInMs > ttlMs + CLOCK_TOLERANCE_MS ? 0 : staleInMs;",
    broken: "return staleInMs;",
  },

  // ---- other servers

  {
    name: "servers: a change of the server is not reported",
    shows: OLDER,
    focus: "servers",
    topology: "sentinel",
    file: `${REDIS}/changes/server-identity-guard.ts`,
    rule: "if (mayHaveMoved || isAnotherServer || hasFollowed) this.#replaced();",
    broken: "",
  },
];
