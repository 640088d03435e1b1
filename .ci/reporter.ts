// Sends the result of each test to test.ts over IPC as soon as the test ends, so that a run that is stopped has said
// all that it knew.

import { relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { Reporter, TestCase, TestModule, TestResult, TestSuite } from "vitest/node";

/** Paths are from the top of the repository. */
export type Report =
  | { readonly kind: "began"; readonly file: string }
  | { readonly kind: "tested"; readonly state: TestResult["state"] }
  | { readonly kind: "failed"; readonly name: string; readonly reason: string }
  | { readonly kind: "ended"; readonly file: string; readonly ms: number; readonly isRed: boolean };

type Failed = NonNullable<ReturnType<TestModule["errors"]>[number]>;

const FRAMES = 4;
const top = process.cwd();

const send = (report: Report): void => void process.send?.(report);
const fileOf = ({ moduleId }: TestModule): string => relative(top, moduleId).replaceAll("\\", "/");

/** The message, what differs, and where. */
function reasonOf(errors: readonly Failed[]): string {
  return errors.map((error) => stripVTControlCharacters(textOf(error))).join("\n");
}

function textOf({ name, message, diff, stack, stacks, cause }: Failed): string {
  const frames =
    stacks?.map(({ file, line, column }) => `at ${relative(top, file)}:${line}:${column}`) ??
    stack?.split("\n").filter((line) => /^\s*at /.test(line)) ??
    [];
  const own = frames.filter((frame) => !/node_modules|node:|<anonymous>/.test(frame)).map((frame) => frame.trim());
  return [
    `${name ?? "Error"}: ${message}`,
    ...(typeof diff === "string" ? [diff] : []),
    ...own.slice(0, FRAMES).map((frame) => frame.replace(`${top}/`, "")),
    ...(cause === undefined ? [] : [`cause: ${cause.name ?? "Error"}: ${cause.message}`]),
  ].join("\n");
}

function sendErrorsOf(of: TestModule | TestSuite, name: string): void {
  const errors = of.errors();
  if (errors.length > 0) send({ kind: "failed", name, reason: reasonOf(errors) });
}

export default class SendingReporter implements Reporter {
  readonly #beganAt = new Map<string, number>();

  onTestModuleQueued(module: TestModule): void {
    this.#beganAt.set(module.moduleId, performance.now());
    send({ kind: "began", file: fileOf(module) });
  }

  onTestCaseResult(test: TestCase): void {
    const { state, errors } = test.result();
    send({ kind: "tested", state });
    if (errors === undefined || state !== "failed") return;
    send({ kind: "failed", name: `${fileOf(test.module)} > ${test.fullName}`, reason: reasonOf(errors) });
  }

  onTestSuiteResult(suite: TestSuite): void {
    // Errors of hooks around several tests.
    sendErrorsOf(suite, `${fileOf(suite.module)} > ${suite.fullName}`);
  }

  onTestModuleEnd(module: TestModule): void {
    const file = fileOf(module);
    sendErrorsOf(module, file);
    const now = performance.now();
    const ms = now - (this.#beganAt.get(module.moduleId) ?? now);
    send({ kind: "ended", file, ms, isRed: module.state() === "failed" });
  }

  onTestRunEnd(_modules: readonly TestModule[], unhandled: readonly Failed[]): void {
    if (unhandled.length > 0) send({ kind: "failed", name: "outside of any test", reason: reasonOf(unhandled) });
  }
}
