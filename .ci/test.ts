// The command behind `npm test`: runs every check of the workspace and ends with one line, `N passed, N failed`.
//
//   npm test                        everything
//   npm test -- quick               types, words and the unit tests, without a server, in less than 90 seconds
//   npm test -- lint words          these steps only, and the build if one needs it
//   npm run test:nightly   everything in its long form (isNightly of @hotset/test-servers)
//
// Each step counts once, and each vitest test counts once. Steps after one that fails or hangs still run.
//
// Most tests wait for servers and for other processes, so two lanes run side by side: vitest, and all else in turn.
// That begins with the tasks of turbo.json, which depend on files alone, so that turbo may answer from its cache
// (decision 0053). The steps that read its report come at the end.

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, globSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { slowestFiles, type TimedReport } from "./slowest-files.ts";

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** Whether its output is printed if it passes, too. */
  readonly isShown?: true;
}

/** Suites that run over `layout("string")` too; `npm run tool -- strings` runs all. Together under a minute. */
const OVER_STRINGS = [
  "outage/refusals.all",
  "processes/fleet.integration",
  "processes/lease-holders.nightly",
  "redis/keys.integration",
  "redis/stories.integration",
  "redis/touch.integration",
].map((name) => `packages/stories/test/${name}.test.ts`);

const QUICK = { name: "quick", steps: ["types", "words", "vitest"] };

/** Unit tests that count to a million, or repeat their histories for long: `quick` leaves them out. Each is a file. */
const LONG_UNITS = [
  "core/src/engine/flights",
  "core/src/primitives/key-table",
  "formats/src/v8-wire",
  "formats/src/zlib-compressor",
  "memory/src/adaptive-entries",
  "memory/src/duel",
  "memory/src/frequency-sketch",
  "formats/src/zstd/zstd",
].map((name) => `packages/${name}.test.ts`);

const isQuick = process.argv.includes(QUICK.name);
/** A part of the tests has a report apart: `promises` reads that of all. */
const REPORT = isQuick ? ".reports/vitest-quick.json" : ".reports/vitest.json";

const VITEST: Step = {
  name: "vitest",
  command: [
    ...["vitest", "run", "--reporter=default", "--reporter=json", `--outputFile.json=${REPORT}`],
    ...(process.env["HOTSET_NIGHTLY"] === "1" ? [] : ["--project=!nightly"]),
    ...(isQuick ? ["--project=units", ...LONG_UNITS.map((file) => `--exclude=${file}`)] : []),
  ],
};

/** One after the other, at the same time as vitest and after the tasks of turbo.json: some need what these built. */
const BESIDE: readonly Step[] = [
  {
    name: "strings",
    command: ["env", "HOTSET_LAYOUT=string", "vitest", "run", "--maxWorkers=2", ...OVER_STRINGS],
  },
  {
    name: "torture",
    command: ["node", "--conditions=@hotset/source", "packages/torture/src/run.ts", "--brief"],
  },
  {
    name: "newcomer",
    command: ["node", "--conditions=@hotset/source", ".ci/newcomer/run.ts", "--brief"],
    isShown: true,
  },
];

/** After vitest, whose report they read. */
const AFTER: readonly Step[] = [{ name: "promises", command: ["node", ".ci/checks/promises.ts"] }];

const STEPS = [VITEST, ...BESIDE, ...AFTER];

const top = dirname(dirname(fileURLToPath(import.meta.url)));
const TASKS = readTasks();
const reportFile = join(top, REPORT);
const summaries = join(top, ".turbo/runs");
const COMMAND_LIMIT_MS = 30 * 60_000;
const SLOWEST_FILES = 40;
const KILLED_AFTER_MS = 10_000;
const environment = {
  ...process.env,
  // The tests start thousands of processes: with it most take a third of the time to begin.
  NODE_COMPILE_CACHE: join(top, "node_modules/.cache/node"),
  TURBO_TELEMETRY_DISABLED: "1",
  TURBO_NO_UPDATE_NOTIFIER: "1",
};

interface Result {
  readonly name: string;
  readonly passed: boolean;
  readonly took: string;
}

/** The part of turbo's run summary that is read here. */
interface TurboSummary {
  readonly tasks: readonly TurboTask[];
}

interface TurboTask {
  /** `hotset#build`, `//#lint`. */
  readonly taskId: string;
  readonly cache: { readonly status: string };
  /** Absent if the task was never started. */
  readonly execution?: { readonly startTime: number; readonly endTime: number; readonly exitCode: number | null };
}

interface VitestReport extends TimedReport {
  readonly numTotalTests: number;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
}

const running = new Set<ChildProcess>();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    for (const child of running) stop(child, "SIGTERM");
    process.exit(1);
  });
}

const selected = selectedNames(process.argv.slice(2));
const results: Result[] = [];
if (selected.includes("vitest")) rmSync(reportFile, { force: true });
mkdirSync(dirname(reportFile), { recursive: true });

await Promise.all([runSteps([VITEST]), runBeside()]);
await runSteps(AFTER);
summarise();

async function runBeside(): Promise<void> {
  const tasks = TASKS.filter((name) => selected.includes(name));
  if (tasks.length > 0) results.push(...(await runTasks(tasks)));
  await runSteps(BESIDE);
}

async function runSteps(steps: readonly Step[]): Promise<void> {
  for (const step of steps.filter(({ name }) => selected.includes(name))) results.push(await runStep(step));
}

function readTasks(): readonly string[] {
  const { tasks: known } = JSON.parse(readFileSync(join(top, "turbo.json"), "utf8")) as { tasks: object };
  return Object.keys(known).map(taskName);
}

function taskName(taskId: string): string {
  return taskId.replace(/^.*#/, "");
}

function selectedNames(names: readonly string[]): readonly string[] {
  const known = [...TASKS, ...STEPS.map(({ name }) => name)];
  const unknown = names.filter((name) => name !== QUICK.name && !known.includes(name));
  if (unknown.length > 0) {
    console.error(`No such step: ${unknown.join(", ")}. There are: ${[QUICK.name, ...known].join(", ")}.`);
    process.exit(1);
  }
  if (isQuick) return quickNames(names);
  return names.length === 0 ? known : names;
}

function quickNames(names: readonly string[]): readonly string[] {
  const unfit = names.filter((name) => AFTER.some((step) => step.name === name));
  const gone = LONG_UNITS.filter((file) => !existsSync(join(top, file)));
  for (const name of unfit) console.error(`${name} needs the report of all tests, which ${QUICK.name} does not run.`);
  for (const file of gone) console.error(`${file} is left out by ${QUICK.name}, but does not exist.`);
  if (unfit.length + gone.length > 0) process.exit(1);
  return [...QUICK.steps, ...names];
}

/** Each task counts once, also one that several packages have. */
async function runTasks(names: readonly string[]): Promise<readonly Result[]> {
  rmSync(summaries, { recursive: true, force: true });
  const options = ["--continue=always", "--concurrency=2", "--summarize"];
  const { output, exit } = await runCommand([
    ...["turbo", "run", ...names, ...options],
    ...["--output-logs=errors-only", "--log-order=grouped", "--log-prefix=none"],
  ]);
  const ran = readSummary();
  const all = [...new Set([...names, ...ran.map(({ taskId }) => taskName(taskId))])];
  const found = TASKS.filter((name) => all.includes(name)).map((name) =>
    taskResult(
      name,
      ran.filter(({ taskId }) => taskName(taskId) === name),
    ),
  );

  for (const result of found) print(result);
  const isAccountedFor = exit === "0" || found.some(({ passed }) => !passed);
  if (exit !== "0") printOutput(output, `turbo run ended with ${exit}`);
  return isAccountedFor ? found : [...found, { name: "turbo", passed: false, took: "" }];
}

/** Empty if turbo was stopped, or did not start. */
function readSummary(): readonly TurboTask[] {
  return globSync("*.json", { cwd: summaries }).flatMap(
    (file) => (JSON.parse(readFileSync(join(summaries, file), "utf8")) as TurboSummary).tasks,
  );
}

function taskResult(name: string, ran: readonly TurboTask[]): Result {
  const passed = ran.length > 0 && ran.every(({ execution }) => execution?.exitCode === 0);
  if (ran.every(({ cache }) => cache.status === "HIT")) return { name, passed, took: "cached" };
  const milliseconds = ran.map(({ execution }) => (execution?.endTime ?? 0) - (execution?.startTime ?? 0));
  return { name, passed, took: inSeconds(milliseconds.reduce((sum, each) => sum + each, 0)) };
}

async function runStep({ name, command, isShown }: Step): Promise<Result> {
  const began = performance.now();
  const { output, exit } = await runCommand(command);
  const passed = exit === "0" && !(name === "vitest" && readReport().numTotalTests === 0);
  const result = { name, passed, took: inSeconds(performance.now() - began) };
  print(result);
  if (!passed || isShown === true) printOutput(output, passed ? "" : `${command.join(" ")} ended with ${exit}`);
  if (name === "vitest") printOutput(slowestFiles(readReport(), top, SLOWEST_FILES).join("\n"), "");
  return result;
}

function print({ name, passed, took }: Result): void {
  console.log(`${passed ? "✓" : "✗"} ${name} (${took})`);
}

function printOutput(output: string, end: string): void {
  console.log(`${indent(process.stdout.isTTY ? output : stripVTControlCharacters(output))}\n  ${end}\n`);
}

function inSeconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function runCommand([command = "", ...rest]: readonly string[]): Promise<{ output: string; exit: string }> {
  return new Promise((resolve) => {
    // Its own process group, so that what the command started ends with it.
    const child = spawn(command, rest, {
      cwd: top,
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    running.add(child);
    let limit = "";
    const timers = [
      setTimeout(() => {
        limit = `, stopped after ${COMMAND_LIMIT_MS / 60_000} minutes`;
        stop(child, "SIGTERM");
      }, COMMAND_LIMIT_MS),
      setTimeout(() => stop(child, "SIGKILL"), COMMAND_LIMIT_MS + KILLED_AFTER_MS),
    ];

    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    const end = (output: string, exit: string): void => {
      for (const timer of timers) clearTimeout(timer);
      running.delete(child);
      resolve({ output, exit });
    };
    child.on("error", (error) => end(error.message, "no start"));
    child.on("close", (code, signal) =>
      end(Buffer.concat(chunks).toString("utf8").trimEnd(), `${code ?? signal}${limit}`),
    );
  });
}

function stop({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The whole group has ended.
  }
}

/** Zeros if vitest wrote none: it was not selected, or could not start. */
function readReport(): VitestReport {
  const none = { numTotalTests: 0, numPassedTests: 0, numFailedTests: 0, testResults: [] };
  if (!selected.includes("vitest")) return none;
  try {
    return JSON.parse(readFileSync(reportFile, "utf8")) as VitestReport;
  } catch {
    return none;
  }
}

function summarise(): void {
  const { numPassedTests, numFailedTests, numTotalTests } = readReport();
  const failedSteps = results.filter((result) => !result.passed).map((result) => result.name);
  const skipped = numTotalTests - numPassedTests - numFailedTests;
  if (skipped > 0) console.log(`${skipped} vitest tests were skipped`);
  if (failedSteps.length > 0) console.log(`failed: ${failedSteps.join(", ")}`);

  process.exitCode = failedSteps.length > 0 ? 1 : 0;
  console.log(
    `${numPassedTests + results.length - failedSteps.length} passed, ${numFailedTests + failedSteps.length} failed`,
  );
}

function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "  ");
}
