import { globSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative, sep } from "node:path";
import { EQUIVALENT } from "./equivalent.ts";
import { ruleAt, sitesOf, type Site } from "./sites.ts";
import { stagesOf, type ChangedPackage, type Stage } from "./stages.ts";
import { failuresOf, TestRuns, TOP, type Outcome } from "./test-runs.ts";
import { Random } from "@hotset/test-servers";

export interface RandomOptions {
  readonly count: number;
  /** The same seed chooses the same changes of the same sources. */
  readonly seed: number;
  readonly packages: readonly ChangedPackage[];
  /** Only files whose path contains it. */
  readonly part: string;
}

type Changed = ReturnType<typeof ruleAt>;

interface Verdict {
  readonly rule: Changed;
  readonly fate: "killed" | "SURVIVED" | "equivalent";
  readonly by: string;
}

const AT_ONCE = Math.min(2, availableParallelism());
/** A changed run that takes longer than this, and than so many times a run without any change, hangs. */
const LEAST_LIMIT_MS = 60_000;
const PATIENCE = 5;

interface Unbroken {
  /** Full names of the tests that fail without any change. */
  readonly failing: ReadonlySet<string>;
  readonly tookMs: number;
}

/**
 * Breaks random places of the sources, one at a time, and runs first the tests beside the file, then those of its
 * package, then the stories, then what takes long, until a test fails or a run hangs.
 *
 * @returns whether only changes survived that are known to be equivalent.
 */
export async function runRandom(options: RandomOptions): Promise<boolean> {
  console.log(`seed ${options.seed}`);
  const queue = chosen(options);
  const judge = new Judge();
  const verdicts: Verdict[] = [];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let rule = queue.shift(); rule !== undefined; rule = queue.shift()) {
        const startedAt = performance.now();
        const verdict = await judge.judge(rule);
        verdicts.push(verdict);
        const took = Math.round((performance.now() - startedAt) / 1_000);
        console.log(`${verdict.fate.padEnd(10)}  ${rule.name}  (${took} s)\n            ${verdict.by}`);
      }
    }),
  );
  judge.end();
  return report(verdicts);
}

/** Each site of all sources is chosen with the same chance. */
function chosen({ count, seed, packages, part }: RandomOptions): Changed[] {
  const places = packages
    .flatMap((name) => globSync(`packages/${name}/src/**/*.ts`, { cwd: TOP }))
    .map((file) => file.split(sep).join("/"))
    .filter((file) => !/\.test(?:-d)?\.ts$|^packages\/core\/src\/testing\//.test(file) && file.includes(part))
    .toSorted()
    .flatMap((file) => {
      const text = readFileSync(join(TOP, file), "utf8");
      return sitesOf(file, text).map((site): readonly [string, string, Site] => [file, text, site]);
    });
  const random = new Random(seed);
  const rules: Changed[] = [];
  while (rules.length < count && places.length > 0)
    rules.push(ruleAt(...places.splice(random.below(places.length), 1)[0]!));
  return rules;
}

class Judge {
  readonly #runs = new TestRuns();
  /** By the files of a stage. */
  readonly #unbrokenRuns = new Map<string, Promise<Unbroken>>();

  async judge(rule: Changed): Promise<Verdict> {
    const known = EQUIVALENT.find(
      ({ file, before, after }) => file === rule.file && before === rule.before && after === rule.after,
    );
    if (known !== undefined) return { rule, fate: "equivalent", by: known.reason };
    for (const stage of stagesOf(rule.file)) {
      const by = await this.#killer(rule, stage);
      if (by !== undefined) return { rule, fate: "killed", by: `${stage.name}: ${by}` };
    }
    return { rule, fate: "SURVIVED", by: `${rule.before}\n            ${rule.after}` };
  }

  end(): void {
    this.#runs.end();
  }

  async #killer(
    rule: Changed,
    stage: Stage,
    extent: "until one fails" | "all" = "until one fails",
  ): Promise<string | undefined> {
    const { failing, tookMs } = await this.#unbroken(stage);
    const limitMs = Math.max(LEAST_LIMIT_MS, PATIENCE * tookMs);
    // A run ends with its first failure, unless that may be one that is there anyway.
    const bail = failing.size === 0 && extent !== "all" ? ["--bail=1"] : [];
    const { report, isStopped, log } = await this.#run(stage, rule, bail, limitMs);
    if (isStopped) return `the run did not end within ${Math.round(limitMs / 1_000)} s`;
    if (report === undefined) return `no test ran: ${log}`;
    for (const { name: file, message, assertionResults } of report.testResults) {
      if (assertionResults.length === 0 && message !== "") return message;
      const killer = assertionResults.find(({ status, fullName }) => status === "failed" && !failing.has(fullName));
      if (killer === undefined) continue;
      // On a busy machine tests fail now and then without any change. Vitest joins the titles of suites in its own way.
      const pattern = `${killer.title.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`;
      const alone = { ...stage, files: [relative(TOP, file)] };
      const again = await this.#run(alone, rule, ["--testNamePattern", pattern], limitMs);
      if (again.report === undefined || failuresOf(again.report).length > 0) return killer.fullName;
    }
    // The run ended with a failure that had another cause.
    return bail.length !== 0 && failuresOf(report).length > 0 ? this.#killer(rule, stage, "all") : undefined;
  }

  #unbroken(stage: Stage): Promise<Unbroken> {
    const key = stage.files.join(" ");
    let unbroken = this.#unbrokenRuns.get(key);
    if (unbroken === undefined) this.#unbrokenRuns.set(key, (unbroken = this.#runUnbroken(stage)));
    return unbroken;
  }

  async #runUnbroken(stage: Stage): Promise<Unbroken> {
    const startedAt = performance.now();
    const { report, log } = await this.#run(stage, undefined, [], Infinity);
    if (report === undefined) throw new Error(`no test ran over unbroken rules: ${log}`);
    for (const name of failuresOf(report)) console.log(`fails without any change: ${name}`);
    return { failing: new Set(failuresOf(report)), tookMs: performance.now() - startedAt };
  }

  #run(stage: Stage, broken: Changed | undefined, more: readonly string[], limitMs: number): Promise<Outcome> {
    return this.#runs.run({
      files: stage.files,
      broken,
      more: ["--maxWorkers=1", "--testTimeout=20000", ...more],
      needsRedis: stage.needsRedis,
      limitMs,
    });
  }
}

/** A table by file, the survivors, and the rate as the last line. */
function report(verdicts: readonly Verdict[]): boolean {
  const byFile = Map.groupBy(verdicts, ({ rule }) => rule.file);
  console.log("\nfile: killed of changes that are not equivalent");
  for (const [file, group] of [...byFile].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    console.log(`${file}: ${count(group, "killed")} of ${group.length - count(group, "equivalent")}`);
  const survivors = verdicts.filter(({ fate }) => fate === "SURVIVED");
  console.log(`\n${survivors.length} survivors`);
  for (const { rule } of survivors) console.log(`${rule.name}\n  - ${rule.before}\n  + ${rule.after}`);
  const [killed, judged] = [count(verdicts, "killed"), verdicts.length - count(verdicts, "equivalent")];
  const rate = judged === 0 ? "" : ` (${((100 * killed) / judged).toFixed(1)} %)`;
  console.log(`${killed} killed, ${survivors.length} survived${rate}, ${verdicts.length - judged} equivalent`);
  return survivors.length === 0;
}

const count = (verdicts: readonly Verdict[], fate: Verdict["fate"]): number =>
  verdicts.filter((verdict) => verdict.fate === fate).length;
