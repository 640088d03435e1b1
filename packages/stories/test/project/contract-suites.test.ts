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
    "a confirm that watches in a second step keeps the contract of Backend": [
      "answers confirm with what is there, or reports the change",
    ],
    "no coherence, which it promises keeps the contract of Backend": [
      "promises to several processes: one load, deletes hold, tags hold, copies follow",
    ],
    "a maxEntryBytes that it does not take keeps the contract of Backend": ["1 MB, or maxEntryBytes"],
    "format whose decode takes any amount of memory": [
      "takes at most eight times maxBytes: refuses 100,000 empty objects that would take more",
      "takes at most eight times maxBytes: refuses 100,000 empty arrays that would take more",
    ],
    "format of one type, without a mistake": [],
    "format of one type, which gives its bytes away": [
      "returns a value that shares no memory with the bytes: values[0]",
      "returns a value that shares no memory with the bytes: values[1]",
    ],
    "format of one type, which does not read what it wrote": [
      "reads with a maxBytes what it wrote with it: values[0]",
      "reads with a maxBytes what it wrote with it: values[1]",
    ],
  });
}, 120_000);
