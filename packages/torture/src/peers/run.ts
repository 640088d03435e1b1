/**
 * The same faults, and the same checker, over other caches with memory in front of Redis.
 *
 *     npm run torture -- peers
 *     npm run torture -- peers --only bentocache --seeds 5
 *
 * The operations are those that all of them have: getOrSet, get, set and delete, of keys without tags. Answers of
 * another
 * process are checked against the default of hotset's `maxStaleness`, 2 s; while a link or a server is broken, any
 * answer counts as a fallback. hotset runs the same plans.
 */
import { parseArgs } from "node:util";
import { arenas } from "../arena.ts";
import { check, type Rule } from "../checker.ts";
import type { History, Sighting } from "../history.ts";
import { planOf, type Focus, type Operation, type Plan } from "../plan.ts";
import { run } from "../round.ts";
import { CONTENDERS } from "./contenders.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    seeds: { type: "string", default: "2" },
    first: { type: "string", default: "1" },
  },
});
const FOCUSES: readonly Focus[] = ["calm", "links", "freezes", "servers", "snapshots", "deaths"];
const COLUMNS: readonly (readonly [title: string, rules: readonly Rule[]])[] = [
  ["older, same process", ["own", "forged"]],
  ["older, other process", ["elsewhere", "reappeared"]],
  ["two loads at once", ["two loads"]],
  ["call not bounded", ["unbounded", "slept"]],
  ["rejected", ["unexpected error"]],
  ["not tidy", ["untidy"]],
];

const servers = arenas();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
for (const name of ["hotset", ...CONTENDERS]) {
  if (values.only !== undefined && values.only !== name) continue;
  console.log(
    `\n${name}: violations of ${values.seeds} rounds each\n\n| faults | ${COLUMNS.map(([title]) => title).join(" | ")} | reads | loads |\n|---|${COLUMNS.map(() => "---|").join("")}---|---|`,
  );
  for (const focus of FOCUSES) console.log(await row(name, focus));
}
await servers[Symbol.asyncDispose]();
process.exit();

async function row(name: string, focus: Focus): Promise<string> {
  const counts = COLUMNS.map(() => 0);
  let reads = 0;
  let loads = 0;
  const troubles: string[] = [];
  for (let i = 0; i < Number(values.seeds); i += 1) {
    const plan = sharedBy(planOf(Number(values.first) + i, { topology: "single", focus }));
    try {
      await using arena = await servers.enter(plan);
      const history = await run(plan, arena, name === "hotset" ? {} : { env: { HOTSET_CONTENDER: name } });
      const verdict = check(name === "hotset" ? history : withSightings(history));
      reads += verdict.checked.reads;
      loads += verdict.checked.loads;
      // A cache that finds or keeps less than hotset breaks none of its promises.
      for (const [i, [, rules]] of COLUMNS.entries())
        counts[i]! += verdict.violations.filter(({ rule }) => rules.includes(rule)).length;
    } catch (error) {
      troubles.push(error instanceof Error ? error.message.split("\n")[0]! : String(error));
    }
  }
  return `| ${focus} | ${counts.join(" | ")} | ${reads} | ${loads} |${troubles.map((trouble) => `\n  could not be run: ${trouble}`).join("")}`;
}

/** The operations that every contender has, with the same life of a minute for all. */
function sharedBy(plan: Plan): Plan {
  const keys = plan.keys.filter(({ isForeign }) => !isForeign).map((key) => ({ ...key, tags: [], lateTags: [] }));
  const wanted = new Set(keys.map(({ id }) => id));
  const only = (operations: readonly Operation[]): readonly Operation[] =>
    operations.flatMap((operation): readonly Operation[] => {
      if (!("key" in operation) || !wanted.has(operation.key) || operation.worker < 0) return [];
      switch (operation.kind) {
        case "getOrSet": {
          const { id, at, worker, kind, key, load } = operation;
          const outcome = load.outcome === "fail" ? "fail" : "value";
          return [{ id, at, worker, kind, key, load: { ...load, outcome }, forced: false, isCurrent: false }];
        }
        case "get":
        case "set":
        case "delete":
          return [operation];
        default:
          return [];
      }
    });
  return {
    ...plan,
    keys,
    settings: {
      ...plan.settings,
      ttl: 60_000,
      staleWhileRevalidate: 0,
      staleIfError: 0,
      maxStaleness: 2_000,
      responseTimeout: 1_000,
      maxEntries: 1_000,
    },
    operations: only(plan.operations),
    tail: only(plan.tail),
  };
}

/** They do not report when they cannot reach Redis: it counts as unreachable during each fault that concerns them. */
function withSightings(history: History): History {
  const sightings = history.processes.flatMap(({ name }): readonly Sighting[] =>
    history.faults
      .filter(({ processes }) => processes === undefined || processes.includes(name))
      .flatMap(({ from, to }) => [
        { process: name, at: from, state: "down", pending: 0 },
        { process: name, at: to, state: "up", pending: 0 },
      ]),
  );
  return {
    ...history,
    sightings: [...history.sightings.filter(({ process, at }) => !isDown(process, at)), ...sightings].sort(
      (a, b) => a.at - b.at,
    ),
  };

  function isDown(process: string, at: number): boolean {
    return history.faults.some(
      ({ processes, from, to }) => (processes === undefined || processes.includes(process)) && from <= at && at <= to,
    );
  }
}
