/**
 * Runs the tests that need a server once per kind of server, one kind after the other, and ends
 * with a table and `N passed, N failed, N skipped`.
 *
 *   node src/matrix.ts                     all kinds, all of packages/*\/test/**\/*.integration.test.ts
 *   node src/matrix.ts redis8 packages/redis   one kind, and files whose path contains this
 */
import { spawn } from "node:child_process";
import { glob, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SERVER_TARGETS, serverExecutable, type ServerTarget } from "./executable.ts";

interface TargetResult {
  readonly target: ServerTarget;
  readonly version: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  /** Titles of the failed tests. */
  readonly failures: readonly string[];
}

const root = fileURLToPath(new URL("../../..", import.meta.url));
const given = process.argv.slice(2);
const isTarget = (name: string): name is ServerTarget => SERVER_TARGETS.some((target) => target === name);
const targets = given.some(isTarget) ? given.filter(isTarget) : SERVER_TARGETS;
const filters = given.filter((name) => !isTarget(name));

const files = await testFiles();
const results: TargetResult[] = [];
for (const target of targets) results.push(await runTarget(target));
report(results);
process.exitCode = results.some(({ failed }) => failed > 0) ? 1 : 0;

async function runTarget(target: ServerTarget): Promise<TargetResult> {
  const startedAt = performance.now();
  const seconds = (): number => (performance.now() - startedAt) / 1_000;
  let version: string;
  try {
    version = /v=(\S+)/.exec((await serverExecutable(target)).version)?.[1] ?? "?";
  } catch (error) {
    return { target, version: "none", passed: 0, failed: 1, skipped: 0, seconds: seconds(), failures: [String(error)] };
  }
  console.log(`\n${target} (${version})`);
  const file = join(tmpdir(), `hotset-matrix-${process.pid}-${target}.json`);
  const { REDIS_URL: _, ...env } = process.env;
  const code = await run(["run", "--reporter=default", "--reporter=json", `--outputFile.json=${file}`, ...files], {
    ...env,
    HOTSET_TEST_SERVER: target,
  });
  const outcome = outcomeOf(await readFile(file, "utf8").catch(() => "{}"), code);
  await rm(file, { force: true });
  return { target, version, ...outcome, seconds: seconds() };
}

async function testFiles(): Promise<readonly string[]> {
  const chosen: string[] = [];
  for await (const file of glob("packages/*/test/**/*.integration.test.ts", { cwd: root })) {
    if (filters.length === 0 || filters.some((filter) => file.includes(filter))) chosen.push(file);
  }
  if (chosen.length === 0) throw new Error(`No integration test has a path that contains ${filters.join(" or ")}`);
  return chosen.sort();
}

function run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  const child = spawn(process.execPath, [vitest, ...args], { cwd: root, env, stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

/** Output of Vitest's JSON reporter, as far as it is read here. */
interface VitestReport {
  readonly testResults?: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

function outcomeOf(json: string, exitCode: number): Omit<TargetResult, "target" | "version" | "seconds"> {
  const ran = (JSON.parse(json) as VitestReport).testResults ?? [];
  const tests = ran.flatMap(({ assertionResults }) => assertionResults);
  const count = (which: string): number => tests.filter(({ status }) => status === which).length;
  const failures = tests
    .filter(({ status }) => status !== "passed" && status !== "skipped")
    .map(({ fullName, status }) => `${fullName} (${status})`);
  // A file that cannot be imported, or whose hooks fail, has no failed test.
  for (const { name, status, message, assertionResults } of ran) {
    if (status === "failed" && assertionResults.every((test) => test.status === "passed"))
      failures.push(`${name}: ${message}`);
  }
  if (exitCode !== 0 && failures.length === 0) failures.push(`vitest ended with code ${exitCode}`);
  return { passed: count("passed"), failed: failures.length, skipped: count("skipped"), failures };
}

function report(all: readonly TargetResult[]): void {
  const rows = [
    ["target", "version", "passed", "failed", "skipped", "seconds"],
    ...all.map(({ target, version, passed, failed, skipped, seconds }) => [
      ...[target, version],
      ...[passed, failed, skipped].map(String),
      seconds.toFixed(1),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  console.log("");
  for (const { target, failures } of all) for (const failure of failures) console.log(`${target}: ${failure}`);
  for (const row of rows) console.log(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  const sum = (field: "passed" | "failed" | "skipped"): number =>
    all.reduce((total, result) => total + result[field], 0);
  console.log(`${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
}
