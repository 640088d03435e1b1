import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { startOwnRedis } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { BUNDLES, CALLS, COUNTS, DOCSTRINGS, LINT, mostCost, mostSize, type CallCosts } from "../budgets/budgets.ts";
import { trackedFiles } from "./tracked-files.ts";

const top = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(top, path), "utf8");

it("there are at most twenty budgets", () => {
  const rows = [CALLS, BUNDLES, COUNTS, DOCSTRINGS, LINT].flatMap((each) => Object.keys(each));
  expect(rows.length).toBeLessThanOrEqual(20);
});

describe("a call costs at most a tenth more than its budget says", async () => {
  const runs = [await measured()];
  const above = (name: string): readonly (readonly [string, number])[] =>
    Object.entries(CALLS[name]!).flatMap(([what, reached]) => {
      const least = Math.min(...runs.map((run) => run[name]![what as keyof CallCosts]));
      return least > mostCost(reached as number) ? [[what, least] as const] : [];
    });
  // A busy machine adds garbage and cuts trips differently; it takes nothing away.
  while (runs.length < 3 && Object.keys(CALLS).some((name) => above(name).length > 0)) runs.push(await measured());

  it.each(Object.keys(CALLS))("%s", (name) => expect(above(name)).toEqual([]));
});

describe("the repository", () => {
  it.for([
    ["packages in the lockfile", packagesInLockfile],
    ["published packages", publishedPackages],
    ["public names", publicNames],
  ] as const)("%s", ([what, count]) => {
    const counted = count();
    expect(counted).toBeGreaterThan(0);
    expect(counted).toBeLessThanOrEqual(mostSize(COUNTS[what]));
  });

  it("lint has the limits of this page", () => {
    const rule = (name: string): unknown =>
      new RegExp(`"${name}": \\["error", \\{ "max": (\\d+)`).exec(read(".oxlintrc.json"))?.[1];
    expect([rule("max-lines"), rule("max-lines-per-function"), rule("max-params")].map(Number)).toEqual([
      LINT["lines of a file"],
      LINT["lines of a function"],
      LINT["parameters of a function"],
    ]);
  });
});

function packagesInLockfile(): number {
  const [, packages = ""] = /^packages:\n(.*?)^snapshots:\n/ms.exec(read("pnpm-lock.yaml")) ?? [];
  return packages.match(/^ {2}\S.*:$/gm)?.length ?? 0;
}

function publishedPackages(): number {
  const manifests = trackedFiles(top).filter((path) => /^packages\/[^/]+\/package\.json$/.test(path));
  return manifests.filter((path) => (JSON.parse(read(path)) as { private?: boolean }).private !== true).length;
}

/** Values that entries export, as the snapshot has them. Types are counted by nobody. */
function publicNames(): number {
  const snapshot = read("packages/stories/test/project/__snapshots__/public-names.test.ts.snap");
  return snapshot.match(/^ {2}"\w+",$/gm)?.length ?? 0;
}

/** In a process without the hooks of a test runner, in production: elsewhere a cache looks for mistakes too. */
async function measured(): Promise<Readonly<Record<string, CallCosts>>> {
  await using server = await startOwnRedis();
  const options = ["--expose-gc", "--no-warnings", "--conditions=@hotset/source", "calls.ts", server.url];
  const env = { ...process.env, NODE_ENV: "production" };
  const { stdout } = await promisify(execFile)(process.execPath, options, { cwd: join(top, ".ci/budgets"), env });
  return JSON.parse(stdout) as Record<string, CallCosts>;
}
