import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";

const TOP = resolve(import.meta.dirname, "../../../..");

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
    }[];
  }[];
}

it("C744 the contract suites name the rule that a subject breaks, and no other", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hotset-planted-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const output = join(folder, "report.json");
  const planted = join(TOP, "packages/stories/planted/vitest.config.ts");
  const vitest = join(TOP, "node_modules/vitest/vitest.mjs");
  // The command fails, because tests do.
  await promisify(execFile)(
    process.execPath,
    [vitest, "run", "--config", planted, "--reporter=json", `--outputFile=${output}`],
    { cwd: TOP },
  ).catch(() => undefined);
  const report = JSON.parse(await readFile(output, "utf8")) as Report;

  const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  const failed: Record<string, string[]> = {};
  for (const { ancestorTitles, title, status } of tests) {
    const broken = (failed[ancestorTitles[0]!] ??= []);
    if (status === "failed") broken.push(title);
  }
  // Of a store or a log that lies, how many rules notice depends on the order of steps; each suite must notice.
  const unseen = Object.keys(failed).filter((suite) => LIES.test(suite) && failed[suite]!.length === 0);
  expect(unseen).toEqual([]);
  expect(Object.fromEntries(Object.entries(failed).filter(([suite]) => !LIES.test(suite)))).toEqual({
    "no mistake keeps the contract of Backend": [],
    "a right store keeps the contract of SwapStore": [],
    "a right store keeps the contract of Backend": [],
    "no lost keeps the contract of Backend": ["says that it lost its link, and works again once it is attached again"],
    "format whose decode takes any amount of memory": [
      "takes at most eight times maxBytes: refuses 100,000 empty objects that would take more",
      "takes at most eight times maxBytes: refuses 100,000 empty arrays that would take more",
    ],
  });
  expect(failed["a touch that is not reported keeps the contract of Backend"]).toEqual([
    "reports a life that another process prolonged: copies have the former one",
  ]);
  expect(failed["a pin that issues a version and is not reported keeps the contract of Backend"]).toEqual([
    "reports the version that a pin of another process issued, to a process that read it as missing",
  ]);
  expect(failed["a swap in two statements of a synchronous driver keeps the contract of SwapStore"]).toEqual([
    "counts to a thousand with clients in three other processes: no swap is lost",
  ]);
  expect(failed["a log whose order is not that of the changes keeps the contract of Backend"]).toEqual([
    "reports of two changes of one key at least one that a copy of the earlier one does not outlive",
  ]);
});

const LIES =
  /^a (?:swap that compares|getMany|delete without|refused swap|life rounded|read from a replica|swap in two|touch|pin|release|log)|^versions that come back/;
