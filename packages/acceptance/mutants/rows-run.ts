import { availableParallelism } from "node:os";
import { ROWS } from "../rows/all.ts";
import { isHeld, type Held, type Row } from "../rows/row.ts";
import { findBrokenMutants } from "./check.ts";
import type { BrokenRule } from "./mutant.ts";
import { mutantOf } from "./rows.ts";
import { failuresOf, TestRuns, TOP } from "./test-runs.ts";

const AT_ONCE = Math.min(2, availableParallelism());
/** For one mutant; a longer run hangs. */
const LIMIT_MS = 180_000;

/** Rows of one test and one mutant: one run decides for all of them. */
interface Trial {
  readonly rows: readonly string[];
  readonly file: string;
  readonly title: string;
  readonly mutant: BrokenRule;
}

/**
 * Removes the function of one row at a time: the very test that the row names must fail.
 *
 * Before that, the tests run with all functions in place.
 *
 * @param wanted how the ids of rows begin; none for all.
 * @returns whether all were caught.
 */
export async function runRows(wanted: readonly string[]): Promise<boolean> {
  const rows = ROWS.filter(isHeld).filter(
    ({ id }) => wanted.length === 0 || wanted.some((begin) => id.startsWith(begin)),
  );
  const trials = trialsOf(rows);
  const unfit = findBrokenMutants(
    TOP,
    trials.map(({ mutant }) => mutant),
  );
  if (rows.length === 0 || unfit.length > 0) {
    console.error(unfit.length > 0 ? unfit.join("\n") : `no row that is held begins with ${wanted.join(" or ")}`);
    return false;
  }
  const runs = new TestRuns();
  let survived = 0;
  const queue = [...trials];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let trial = queue.shift(); trial !== undefined; trial = queue.shift()) {
        const startedAt = performance.now();
        const complaint = (await complaintOf(runs, trial)) ?? "";
        if (complaint !== "") survived += 1;
        const label = `${complaint === "" ? "caught  " : "SURVIVED"}  ${trial.mutant.name}`;
        const took = `(${Math.round(performance.now() - startedAt)} ms)`;
        console.log(`${label}  ${took}\n            ${trial.rows.join(", ")}: ${trial.title}${complaint}`);
      }
    }),
  );
  runs.end();
  console.log(`${trials.length - survived} passed, ${survived} failed; ${rows.length} rows`);
  return survived === 0;
}

/** @throws {Error} for a row whose mutant does not exist. */
function trialsOf(rows: readonly (Row & Held)[]): readonly Trial[] {
  const trials = new Map<string, Trial>();
  for (const row of rows) {
    const mutant = mutantOf(row);
    if (typeof mutant === "string") throw new Error(mutant);
    const [file, title] = row.test;
    const key = [file, title, mutant.name].join("\n");
    trials.set(key, { file, title, mutant, rows: [...(trials.get(key)?.rows ?? []), row.id] });
  }
  return [...trials.values()];
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

/** The reason why the mutant was not caught, if it was not. */
async function complaintOf(runs: TestRuns, { file, title, mutant }: Trial): Promise<string | undefined> {
  const run = async (broken: BrokenRule | undefined) =>
    runs.run({
      files: [file],
      broken,
      everywhere: true,
      more: [`--testNamePattern=${escaped(title)}`, "--maxWorkers=1", "--testTimeout=20000", "--bail=1"],
      // Pages and examples ask for one, too.
      needsRedis: file.includes(".integration.") || file.startsWith("docs/"),
      limitMs: LIMIT_MS,
    });
  const { report, log } = await run(mutant);
  if (report === undefined) return `: no test ran: ${log}`;
  const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  const unloaded = report.testResults.find(({ assertionResults }) => assertionResults.length === 0);
  if (unloaded !== undefined) return `: the file did not load: ${unloaded.message}`;
  if (!tests.some(({ fullName }) => fullName.includes(title))) return ": no test has this title";
  const caught = failuresOf(report).filter((fullName) => fullName.includes(title));
  if (caught.length === 0) return ": all passed";
  // A test that fails with all functions in place catches nothing.
  const sound = await run(undefined);
  const failed = sound.report === undefined ? [sound.log] : failuresOf(sound.report);
  return failed.length === 0 ? undefined : `: fails without any mutant: ${failed.join(", ")}`;
}
