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

it("the contract suites name the rule that a subject breaks, and no other", async () => {
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
  expect(failed).toEqual({
    "no mistake keeps the contract of Backend": [],
    "no lost keeps the contract of Backend": ["says that it lost its link, and works again once it is attached again"],
    "format whose decode takes any amount of memory": [
      "takes at most eight times maxBytes: refuses 100,000 empty objects that would take more",
      "takes at most eight times maxBytes: refuses 100,000 empty arrays that would take more",
    ],
  });
});
