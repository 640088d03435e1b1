import type { BrokenRule } from "@hotset/mutants/mutant";
import type { Rule } from "./checker.ts";
import type { Focus, Topology } from "./plan-parts.ts";

/** One rule between processes, and the code without it. Found by `npm run torture -- --mutants`. */
export interface Mutant extends BrokenRule {
  /** The violations that show it. */
  readonly shows: readonly Rule[];
  /** The faults that are needed. */
  readonly focus: Focus;
  /** The servers that have such faults. @default "single" */
  readonly topology?: Topology;
  /** Found by one of the first seeds, on a busy machine too: part of the brief run. */
  readonly isFoundSoon?: true;
}

const CORE = "packages/core/src";
const REDIS = "packages/redis/src";
const OLDER: readonly Rule[] = ["own", "elsewhere", "current", "reappeared"];

export const MUTANTS: readonly Mutant[] = [
  {
    name: "fence: a load is joined though its key was changed",
    isFoundSoon: true,
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/engine/flight.ts`,
    rule: "return this.#isJoinable && !this.climb.isDoubted;",
    broken: "return !this.climb.isForOne;",
  },
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
    name: "lease: a forced load does not take it over",
    shows: ["forced"],
    focus: "calm",
    file: `${CORE}/engine/ladder.ts`,
    rule: "const seen = call.isForced ? TAKE_OVER : flight.seen;",
    broken: "const seen = flight.seen;",
  },
  {
    name: "lease: a failed load keeps the lease",
    shows: ["slept"],
    focus: "calm",
    file: `${CORE}/engine/ladder.ts`,
    rule: "flight.climb.lease?.release();\n        free();",
    broken: "free();",
  },
  {
    name: "promotion: a change elsewhere does not drop the copy",
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/engine/remote-changes.ts`,
    rule: "local?.drop(localKey);",
    broken: "",
  },
  {
    name: "callers: what is for one is handed to all",
    isFoundSoon: true,
    shows: ["shared"],
    focus: "calm",
    file: `${CORE}/engine/callers.ts`,
    rule: 'if (entry === undefined && isForOne && role !== "first") return false;',
    broken: "",
  },
  {
    name: "callers: a load is given up when one of its callers leaves",
    isFoundSoon: true,
    shows: ["abandoned"],
    focus: "calm",
    file: `${CORE}/engine/callers.ts`,
    rule: "if (flight.crowd.isAbandoned && flight.climb.loaded === undefined && !flights.isWaitedFor(flight))",
    broken: "if ((reason !== undefined || flight.crowd.isAbandoned) && flight.climb.loaded === undefined)",
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
  {
    name: "fence: a value counts as computed when it is set",
    shows: OLDER,
    focus: "calm",
    file: `${CORE}/engine/far-fences.ts`,
    rule: "await versionsFor(remote.versions!, { at, versions: NONE }, entry.terms.dependsOn);",
    broken: "(await remote.versions!.pin(entry.terms.dependsOn)).versions;",
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
    name: "storing: a loaded value is stored nowhere",
    shows: ["missed"],
    focus: "calm",
    file: `${CORE}/engine/store.ts`,
    rule: "if (fence !== undefined) return this.#answers.fenced(flight, fence);\n    const life",
    broken: 'if (!flight.climb.isForOne) return "refused";\n    const life',
  },
  {
    name: "storing: a value is fresh for ten times its ttl",
    shows: ["outlived"],
    focus: "calm",
    file: `${CORE}/entry/policy.ts`,
    rule: "ttlMs: Math.ceil(Math.max(0, ttlMs)),",
    broken: "ttlMs: Math.ceil(Math.max(0, ttlMs)) * 10,",
  },
  {
    name: "outages: what was received is forgotten when the link is cut",
    shows: ["elsewhere"],
    focus: "outages",
    file: `${CORE}/tags/known-changes.ts`,
    rule: "const verdict = changedElsewhere(entry, known);",
    broken: 'const verdict = "current" as string;',
  },
  {
    name: "apart: versions are not asked while the primary of an entry does not answer",
    shows: ["elsewhere"],
    focus: "apart",
    topology: "cluster",
    file: `${CORE}/engine/reads.ts`,
    rule: "if (remote!.knownVersions.knows(terms.dependsOn)) return versions && spare();",
    broken: "if (terms.dependsOn.length > 0) return versions && spare();",
  },
];
