// The script behind `npm test`: runs every check of the workspace and ends with one line, `N passed, N failed`.
//
//   npm test                        everything
//   npm test -- lint "import rules" these steps only
//
// Each step counts once, and each vitest test counts once. A failing step hides no later one, and neither does one that hangs.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";

interface Step {
  readonly name: string;
  readonly command: readonly string[];
}

/** Steps of one phase run two at a time; a phase begins when the one before it has ended. */
const PHASES: readonly (readonly Step[])[] = [
  [
    { name: "build", command: ["turbo", "run", "build", "--output-logs=errors-only"] },
    { name: "types", command: ["tsc", "-p", "tsconfig.json"] },
    { name: "lint", command: ["oxlint", "--type-aware", "--deny-warnings"] },
    { name: "format", command: ["oxfmt", "--check", "."] },
    { name: "import rules", command: ["node", ".ci/checks/imports.ts"] },
  ],
  [
    { name: "public types, TypeScript 7", command: ["tsc", "-p", "packages/acceptance/contract"] },
    {
      name: "public types, TypeScript 5.9",
      command: ["packages/acceptance/node_modules/.bin/tsc", "-p", "packages/acceptance/contract"],
    },
    { name: "packages", command: ["node", ".ci/checks/packages.ts"] },
    { name: "code blocks", command: ["node", ".ci/checks/code-blocks.ts"] },
    { name: "size", command: ["size-limit"] },
  ],
  // Alone: these tests measure time against real servers, and there may be only two cores.
  [
    {
      name: "vitest",
      command: ["vitest", "run", "--reporter=default", "--reporter=json", "--outputFile.json=.reports/vitest.json"],
    },
  ],
  [
    {
      name: "torture",
      command: ["node", "--conditions=@hotset/source", "packages/acceptance/torture/run.ts", "--brief"],
    },
  ],
  [{ name: "promises", command: ["node", ".ci/checks/promises.ts"] }],
];

const top = dirname(dirname(fileURLToPath(import.meta.url)));
const reportFile = join(top, ".reports/vitest.json");
const AT_ONCE = 2;
const STEP_LIMIT_MS = 12 * 60_000;
const environment = { ...process.env, TURBO_TELEMETRY_DISABLED: "1", TURBO_NO_UPDATE_NOTIFIER: "1" };

interface Result {
  readonly step: Step;
  readonly passed: boolean;
}

interface VitestReport {
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

const results: Result[] = [];
const phases = selectedPhases(process.argv.slice(2));
const runsTests = phases.flat().some((step) => step.name === "vitest");
if (runsTests) rmSync(reportFile, { force: true });
mkdirSync(dirname(reportFile), { recursive: true });

for (const phase of phases) {
  const waiting = [...phase];
  const work = async (): Promise<void> => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) results.push(await runStep(step));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

summarise();

function selectedPhases(names: readonly string[]): readonly (readonly Step[])[] {
  if (names.length === 0) return PHASES;
  const known = PHASES.flat().map((step) => step.name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`No such step: ${unknown.join(", ")}. There are: ${known.join(", ")}.`);
    process.exit(1);
  }
  return PHASES.map((phase) => phase.filter((step) => names.includes(step.name)));
}

async function runStep(step: Step): Promise<Result> {
  const began = performance.now();
  const { output, exit } = await runCommand(step.command);
  const passed = exit === "0" && !(step.name === "vitest" && readReport().numTotalTests === 0);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);

  console.log(`${passed ? "✓" : "✗"} ${step.name} (${seconds} s)`);
  if (!passed)
    console.log(
      `${indent(process.stdout.isTTY ? output : stripVTControlCharacters(output))}\n  ${step.command.join(" ")} ended with ${exit}\n`,
    );
  return { step, passed };
}

function runCommand([command = "", ...rest]: readonly string[]): Promise<{ output: string; exit: string }> {
  return new Promise((resolve) => {
    // A process group of its own, so that what the step started ends with it.
    const child = spawn(command, rest, {
      cwd: top,
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    running.add(child);
    let limit = "";
    const patience = setTimeout(() => {
      limit = `, stopped after ${STEP_LIMIT_MS / 60_000} minutes`;
      stop(child, "SIGKILL");
    }, STEP_LIMIT_MS);

    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    const end = (output: string, exit: string): void => {
      clearTimeout(patience);
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
  if (pid !== undefined) process.kill(-pid, signal);
}

/** Zeros where vitest wrote none: it was not among the steps, or could not start. */
function readReport(): VitestReport {
  const none = { numTotalTests: 0, numPassedTests: 0, numFailedTests: 0 };
  if (!runsTests) return none;
  try {
    return JSON.parse(readFileSync(reportFile, "utf8")) as VitestReport;
  } catch {
    return none;
  }
}

function summarise(): void {
  const { numPassedTests, numFailedTests, numTotalTests } = readReport();
  const failedSteps = results.filter((result) => !result.passed).map((result) => result.step.name);
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
