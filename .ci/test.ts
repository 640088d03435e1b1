// The command behind `npm test`: runs steps and ends with one line, `N passed, N failed`.
//
//   npm test                    what each change needs: units, stories, servers, types, lint, promises
//   npm run test:all            what takes longer: clusters, examples, the packed packages, a brief torture
//   npm run test:nightly        all tests in their long form (isNightly of @hotset/test-servers)
//   npm test -- short all       the first two, with one sum
//   npm test -- units lint      these steps alone
//
// A failure is printed with its reason when it happens, and again at the end. No run is too long: a step is stopped
// if nothing happens in it for a while. However a run ends, its last ten lines name what failed, what was running, and
// the log, which has all that was printed, and all that steps without tests said.

import { spawn, type ChildProcess } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { stripVTControlCharacters } from "node:util";
import { lastLines } from "./last-lines.ts";
import type { Report } from "./reporter.ts";

/** Lines of steps that run side by side: tests over servers wait for most of their time. */
type Phase = readonly (readonly string[])[];

const RUNS: Readonly<Record<string, readonly Phase[]>> = {
  quick: [[["units", "types"]]],
  short: [[["units", "stories"]], [["servers"], ["types", "lint", "promises"]]],
  all: [
    [["all"], ["build", "public-types", "packages", "newcomer", "strings"]],
    // What bounds times, one after another.
    [["torture", "alone"]],
  ],
  nightly: [[["units", "stories", "servers", "all", "alone", "nightly"]]],
};

const STORIES_OVER_STRINGS = ["processes/fleet", "redis/keys", "redis/stories", "redis/touch"];
/** Arguments of vitest: the projects of its configuration, and a part of one over `layout("string")`. */
const TESTS: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(RUNS["nightly"]!.flat(2).map((project) => [project, [`--project=${project}`]])),
  strings: ["--project=servers", ...STORIES_OVER_STRINGS.map((name) => `packages/stories/test/${name}.integration`)],
};
const source = "node --conditions=@hotset/source";
const COMMANDS: Readonly<Record<string, string>> = {
  build: "turbo run build --output-logs=errors-only",
  promises: "node .ci/checks/promises.ts",
  torture: `${source} packages/torture/src/run.ts --brief`,
  newcomer: `${source} .ci/newcomer/run.ts --brief`,
  ...scripts("types", "lint", "public-types", "packages"),
};

const top = dirname(import.meta.dirname);
/** Longer than the time limit of a test. */
const SILENT_MS = 10 * 60_000;
const KILLED_AFTER_MS = 5_000;
const SLOWEST_FILES = 10;
const LINES_OF_A_REASON = 25;
const LOGS_KEPT = 20;
const isWindows = process.platform === "win32";
const inSeconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

interface Step {
  readonly name: string;
  readonly child: ChildProcess;
  readonly output: string[];
  /** Test files that began and did not end. */
  readonly files: Set<string>;
  progressAt: number;
  failures: number;
}

interface Failure {
  /** A test, a file or a step. */
  readonly name: string;
  readonly reason: string;
}

const log = newLog();
const running = new Set<Step>();
const failures: Failure[] = [];
const files: { readonly file: string; readonly ms: number }[] = [];
const steps: string[] = [];
/** Tests, and steps that are no tests. */
let passed = 0;
let skipped = 0;
let isOver = false;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    for (const step of running) fail(step, { name: step.name, reason: `stopped by ${signal}${whereOf(step)}` });
    finish();
    for (const { child } of running) stop(child);
  });
}
setInterval(() => {
  for (const step of running) {
    if (performance.now() - step.progressAt < SILENT_MS) continue;
    fail(step, { name: step.name, reason: `nothing happened for ${SILENT_MS / 60_000} minutes${whereOf(step)}` });
    stop(step.child);
    step.progressAt = Infinity;
  }
}, 1_000).unref();

const names = process.argv.slice(2);
for (const phase of phasesOf(names.length === 0 ? ["short"] : names)) {
  await Promise.all(
    phase.map(async (line) => {
      for (const name of line) await runStep(name);
    }),
  );
}
if (!isOver) finish();

/** The path of this run's log, from the top of the repository. Those of the last runs are kept. */
function newLog(): string {
  const folder = ".reports/tests";
  mkdirSync(join(top, folder), { recursive: true });
  const older = readdirSync(join(top, folder))
    .toSorted()
    .slice(0, 1 - LOGS_KEPT);
  for (const name of older) rmSync(join(top, folder, name));
  const begun = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  return `${folder}/${begun}-${process.pid}.log`;
}

function print(text: string): void {
  console.log(text);
  note(text);
}

/** In the log alone. */
function note(text: string): void {
  appendFileSync(join(top, log), `${text}\n`);
}

function scripts(...of: readonly string[]): Readonly<Record<string, string>> {
  const text = readFileSync(join(import.meta.dirname, "../package.json"), "utf8");
  const { scripts: all } = JSON.parse(text) as { scripts: Readonly<Record<string, string>> };
  return Object.fromEntries(of.map((name) => [name, all[name] ?? ""]));
}

function phasesOf(words: readonly string[]): readonly Phase[] {
  const known = [...Object.keys(RUNS), ...Object.keys(TESTS), ...Object.keys(COMMANDS)];
  const unknown = words.filter((word) => !known.includes(word));
  if (unknown.length > 0) {
    console.error(`No such step: ${unknown.join(", ")}. There are: ${[...new Set(known)].join(", ")}.`);
    process.exit(1);
  }
  return words.flatMap((word) => RUNS[word] ?? [[[word]]]);
}

async function runStep(name: string): Promise<void> {
  if (isOver) return;
  if (isWindows && name === "servers") {
    steps.push("SERVERS NOT RUN: there is no Redis for Windows");
    return;
  }
  const began = performance.now();
  const step: Step = { name, child: start(name), output: [], files: new Set(), progressAt: began, failures: 0 };
  running.add(step);
  const exit = await endOf(step);
  running.delete(step);
  if (isOver) return;

  const isVitest = name in TESTS;
  if (exit === "0" && !isVitest) passed += 1;
  // If tests of it failed, they are the reason.
  if (exit !== "0" && step.failures === 0) {
    if (!isVitest) console.log(step.output.join("\n"));
    const end = [...step.output, `${name} ended with ${exit}`].slice(-LINES_OF_A_REASON);
    failures.push({ name, reason: end.join("\n") });
  }
  steps.push(`${exit === "0" ? "✓" : "✗"} ${name} (${inSeconds(performance.now() - began)})`);
  print(steps.at(-1)!);
}

/** In its own process group, so that what the step started ends with it. */
function start(name: string): ChildProcess {
  const options = {
    cwd: top,
    env: {
      ...process.env,
      // The tests start thousands of processes: with it most take a third of the time to begin.
      NODE_COMPILE_CACHE: join(top, "node_modules/.cache/node"),
      TURBO_TELEMETRY_DISABLED: "1",
      TURBO_NO_UPDATE_NOTIFIER: "1",
      ...(names.includes("nightly") ? { HOTSET_NIGHTLY: "1" } : {}),
      ...(name === "strings" ? { HOTSET_LAYOUT: "string" } : {}),
    },
    detached: !isWindows,
  };
  const given = TESTS[name];
  if (given === undefined) {
    return spawn(COMMANDS[name] ?? "", { ...options, shell: true, stdio: ["ignore", "pipe", "pipe"] });
  }
  const vitest = ["node_modules/vitest/vitest.mjs", "run", "--reporter=./.ci/reporter.ts", ...given];
  return spawn(process.execPath, vitest, { ...options, stdio: ["ignore", "pipe", "pipe", "ipc"] });
}

function endOf(step: Step): Promise<string> {
  const { child, name, output } = step;
  child.on("message", (report: Report) => {
    step.progressAt = performance.now();
    hear(step, report);
  });
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (text) => {
      step.progressAt = performance.now();
      const line = stripVTControlCharacters(text);
      output.push(line);
      if (name in TESTS && !isOver) print(line);
      else note(`${name}: ${line}`);
    });
  }
  return new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => resolve(String(code ?? signal)));
  });
}

function hear(step: Step, report: Report): void {
  if (isOver) return;
  switch (report.kind) {
    case "began":
      step.files.add(report.file);
      return;
    case "tested":
      if (report.state === "passed") passed += 1;
      if (report.state === "skipped") skipped += 1;
      return;
    case "failed":
      fail(step, report);
      return;
    case "ended":
      step.files.delete(report.file);
      files.push(report);
      print(`${report.isRed ? "✗" : "✓"} ${inSeconds(report.ms).padStart(7)}  ${report.file}`);
  }
}

function fail(step: Step, { name, reason }: Failure): void {
  step.failures += 1;
  failures.push({ name, reason });
  printFailure({ name, reason });
}

function printFailure({ name, reason }: Failure): void {
  const lines = reason.split("\n").slice(0, LINES_OF_A_REASON);
  print(`✗ ${name}\n${lines.map((line) => `    ${line}`).join("\n")}`);
}

function whereOf({ files: open }: Step): string {
  return open.size === 0 ? "" : `, while it ran ${[...open].join(", ")}`;
}

function stop({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  const send = (signal: NodeJS.Signals): void => {
    try {
      process.kill(isWindows ? pid : -pid, signal);
    } catch {
      // The whole group has ended.
    }
  };
  send("SIGTERM");
  setTimeout(() => send("SIGKILL"), KILLED_AFTER_MS).unref();
}

function finish(): void {
  isOver = true;
  const slowest = files.toSorted((one, other) => other.ms - one.ms).slice(0, SLOWEST_FILES);
  print(`\nthe slowest of ${files.length} files:`);
  for (const { file, ms } of slowest) print(`${inSeconds(ms).padStart(9)}  ${file}`);
  print(`\n${[...steps, ...(skipped > 0 ? [`${skipped} tests skipped`] : [])].join(", ")}\n`);
  for (const failure of failures) printFailure(failure);
  process.exitCode = failures.length > 0 ? 1 : 0;
  const names = failures.map(({ name }) => name);
  for (const line of lastLines(passed, names, log)) print(line);
}
