import { globSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { MUTANTS } from "./all.ts";
import { findBrokenMutants } from "./check.ts";
import type { Mutant } from "./mutant.ts";
import { failuresOf, TestRuns, TOP, type Outcome } from "./test-runs.ts";

const WITH_REDIS: ReadonlySet<string> = new Set(["packages/redis", "packages/redis-toolkit"]);
/**
 * Random histories would catch mutants that no story names. Integration tests need servers or processes, in which no
 * rule is broken.
 */
const UNSUITABLE = /stories\/test\/.*(?:random-histories.*|\.integration|\.all|\.nightly)\.test\.ts$/;
/** Over a real Redis. */
const REAL = /\.(?:integration|all|nightly)\.test\.ts$/;
/** Their tests hold what is measured and traced in other packages. */
const EXPORTERS = /^packages\/(?:otel|prometheus)\//;
const AT_ONCE = Math.min(2, availableParallelism());
/** For one mutant; a longer run hangs. Three times that over a real Redis. */
const LIMIT_MS = 60_000;

/**
 * Breaks one named rule at a time: a test that names a promise of the rule must fail.
 *
 * Before that, each must compile as far as names go, and the same tests run over
 * unbroken rules: a test that fails there catches nothing.
 *
 * @param wanted promises, or parts of the places of files: `C438`, `core/engine/flight`. None for all.
 * @returns whether all were caught.
 */
export async function runNamed(wanted: readonly string[]): Promise<boolean> {
  const chosen = wanted.length === 0 ? MUTANTS : MUTANTS.filter((mutant) => wanted.some(isIn(mutant)));
  if (chosen.length === 0) {
    console.error(`no mutant has the promise, or is in a file or room, named ${wanted.join(", ")}`);
    return false;
  }
  const unfit = findBrokenMutants(TOP, chosen);
  if (unfit.length > 0) {
    console.error(
      `these mutants do not compile, so a test would catch them for the wrong reason:\n${unfit.join("\n")}`,
    );
    return false;
  }
  const judge = await Judge.open(chosen);
  let survived = 0;
  const queue = [...chosen];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const startedAt = performance.now();
        const verdict = await judge.judge(mutant);
        if (verdict.survived) survived += 1;
        const label = `${verdict.survived ? "SURVIVED" : "caught  "}  ${mutant.name}`;
        console.log(`${label}  (${Math.round(performance.now() - startedAt)} ms)\n            ${verdict.by}`);
      }
    }),
  );
  judge.end();
  console.log(`${chosen.length - survived} passed, ${survived} failed`);
  return survived === 0;
}

/** `C43` is a promise, and not the beginning of C438. */
const isIn =
  ({ name, promises }: Mutant) =>
  (word: string): boolean =>
    /^[A-Z]\d/.test(word) ? promises.includes(word) : name.includes(word);

interface Verdict {
  readonly survived: boolean;
  readonly by: string;
}

/** Decides by the tests that name the promises of a mutant. */
class Judge {
  readonly #runs = new TestRuns();
  /** Test files and their texts. */
  readonly #texts: ReadonlyMap<string, string> = new Map(
    globSync("packages/*/{src,test}/**/*.test.ts", {
      cwd: TOP,
    })
      .filter((file) => !UNSUITABLE.test(file))
      .map((file) => [file, readFileSync(join(TOP, file), "utf8")]),
  );
  /** Full names of the tests that fail without any mutant. */
  #failsAnyway: ReadonlySet<string> = new Set();

  static async open(chosen: readonly Mutant[]): Promise<Judge> {
    const judge = new Judge();
    const files = [...new Set(chosen.flatMap((mutant) => judge.#testsOf(mutant)))];
    const promises = [...new Set(chosen.flatMap((mutant) => mutant.promises))];
    const more = [`--maxWorkers=${AT_ONCE}`];
    const { report, log, isStopped } = await judge.#run({ files, promises, more, mutant: undefined });
    if (report === undefined)
      throw new Error(`no test ran over unbroken rules: ${isStopped ? "it took too long" : log}`);
    judge.#failsAnyway = new Set(failuresOf(report));
    for (const fullName of judge.#failsAnyway) console.log(`fails without any mutant: ${fullName}`);
    return judge;
  }

  /** A test whose title names the promise must catch it; a crash of the whole run does not count. */
  async judge(mutant: Mutant): Promise<Verdict> {
    const files = this.#testsOf(mutant);
    if (files.length === 0) return { survived: true, by: `no test names ${mutant.promises.join(", ")}` };
    // Tests with servers take minutes, and most mutants are caught without them.
    const quick = files.filter((file) => !REAL.test(file));
    if (quick.length === 0 || quick.length === files.length) return this.#judgeBy(files, mutant);
    const verdict = await this.#judgeBy(quick, mutant);
    return verdict.survived
      ? this.#judgeBy(
          files.filter((file) => REAL.test(file)),
          mutant,
        )
      : verdict;
  }

  async #judgeBy(
    files: readonly string[],
    mutant: Mutant,
    extent: "until one fails" | "all" = "until one fails",
  ): Promise<Verdict> {
    const more = ["--maxWorkers=1", ...(extent === "all" ? [] : ["--bail=1"])];
    const { report, log } = await this.#run({ files, promises: mutant.promises, more, mutant });
    if (report === undefined) return { survived: true, by: `no test ran: ${log}` };
    const names = namesOf(mutant.promises);
    const failed = failuresOf(report).filter((fullName) => names.test(fullName));
    const caught = failed.find((fullName) => !this.#failsAnyway.has(fullName));
    if (caught !== undefined) return { survived: false, by: caught };
    // The run ended with a test that fails without the mutant too.
    if (extent !== "all" && failed.length > 0) return this.#judgeBy(files, mutant, "all");
    const unloaded = report.testResults.find(({ assertionResults }) => assertionResults.length === 0);
    const passed = report.testResults
      .flatMap(({ assertionResults }) => assertionResults)
      .filter(({ fullName, status }) => status === "passed" && names.test(fullName)).length;
    const by = unloaded?.message ?? `${passed} tests name ${mutant.promises.join(", ")}, and all passed`;
    return { survived: true, by };
  }

  end(): void {
    this.#runs.end();
  }

  #run(run: {
    readonly files: readonly string[];
    readonly promises: readonly string[];
    readonly more: readonly string[];
    readonly mutant: Mutant | undefined;
  }): Promise<Outcome> {
    const isReal = run.files.some((file) => REAL.test(file));
    const limitMs = isReal ? 3 * LIMIT_MS : LIMIT_MS;
    return this.#runs.run({
      files: run.files,
      broken: run.mutant,
      // Over real servers some tests wait for connections and heartbeats.
      more: [
        "--testNamePattern",
        namesOf(run.promises).source,
        `--testTimeout=${isReal ? 20_000 : 3_000}`,
        ...run.more,
      ],
      needsRedis: isReal,
      // Unbroken rules: the tests of all chosen mutants run at once.
      limitMs: run.mutant === undefined ? (5 + run.files.length) * LIMIT_MS : limitMs,
    });
  }

  /**
   * The files that name its promises: stories, and the tests of its own package. Mutants of the Redis packages run in
   * tests with a real Redis too.
   */
  #testsOf({ file, promises }: Mutant): readonly string[] {
    const own = file.split("/", 2).join("/");
    const names = namesOf(promises);
    return [...this.#texts].flatMap(([test, text]) =>
      names.test(text) &&
      (test.startsWith(`${own}/`) ||
        EXPORTERS.test(test) ||
        (test.startsWith("packages/stories/") && !WITH_REDIS.has(own)))
        ? [test]
        : [],
    );
  }
}

const namesOf = (promises: readonly string[]): RegExp => new RegExp(`\\b(?:${promises.join("|")})\\b`);
