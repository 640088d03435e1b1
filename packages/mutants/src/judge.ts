import { availableParallelism } from "node:os";
import { relative } from "node:path";
import type { BrokenRule } from "./mutant.ts";
import { TestRuns, TOP, type Outcome } from "./test-runs.ts";

/** Tests that are run together against a change. */
export interface Stage {
  readonly name: string;
  readonly files: readonly string[];
  /** The tests that count. @default all */
  readonly titles?: RegExp;
  readonly needsServers: boolean;
}

/** Over real servers. */
export const REAL = /\.(?:integration|all|alone|nightly)\.test\.ts$/;
/** A longer run hangs. */
const LIMIT_MS = 180_000;
const LIMIT_WITH_SERVERS_MS = 1_200_000;
/** The test fails as the mutant does not compile, and says nothing about the rule. */
const MISSING_NAME = /\b(?:ReferenceError|SyntaxError)\b/;
const AT_ONCE = Math.min(2, availableParallelism());

export const stage = (name: string, files: readonly string[], titles?: RegExp): Stage => ({
  name,
  files,
  ...(titles !== undefined && { titles }),
  needsServers: files.some((file) => REAL.test(file)),
});

/** Does this for each, two at a time. */
export async function forEachOf<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await run(item);
    }),
  );
}

/**
 * Decides by tests that run over a broken rule. The first that fails is run alone, with the rule broken and then with
 * all rules: it counts if it fails and passes, so neither a busy machine nor a test that fails anyway catches anything.
 */
export class Judge {
  readonly #runs = new TestRuns();
  /** Full names of tests that fail without any change. */
  readonly #failing = new Set<string>();

  /** @returns what noticed the broken rule; `undefined` if nothing did */
  async killer(rule: BrokenRule, stages: readonly Stage[]): Promise<string | undefined> {
    for (const each of stages)
      // A run ends with its first failure; where that has another cause, all tests run.
      for (const more of [["--bail=1"], []]) {
        const outcome = await this.#run(each, rule, more);
        const by = await this.#killerIn(outcome, rule, each);
        if (by !== undefined) return `${each.name}: ${by}`;
        if (!fails(outcome)) break;
      }
    return undefined;
  }

  end(): void {
    this.#runs.end();
  }

  async #killerIn({ report, isStopped, log }: Outcome, rule: BrokenRule, of: Stage): Promise<string | undefined> {
    if (isStopped) return of.titles === undefined ? "the run did not end" : undefined;
    if (report === undefined) throw new Error(`${rule.name}: no test ran: ${log}`);
    for (const { name: path, message, assertionResults } of report.testResults) {
      const file = relative(TOP, path);
      if (assertionResults.length === 0 && message !== "") {
        if (of.titles === undefined) return message;
        console.log(`  ${rule.name}: ${file} could not be loaded: ${message}`);
      }
      for (const { title, fullName, status, failureMessages = [] } of assertionResults) {
        if (status !== "failed" || this.#failing.has(fullName) || of.titles?.test(fullName) === false) continue;
        if (failureMessages.some((text) => MISSING_NAME.test(text))) {
          console.log(`  ${rule.name}: does not compile: ${failureMessages[0]!.split("\n", 1)[0]}`);
          continue;
        }
        // Vitest joins the titles of suites in its own way.
        const alone = { ...of, files: [file], titles: new RegExp(`${escaped(title)}$`) };
        if (!fails(await this.#run(alone, rule, []))) continue;
        if (!fails(await this.#run(alone, undefined, []))) return fullName;
        this.#failing.add(fullName);
        console.log(`fails without any change: ${fullName}`);
      }
    }
    return undefined;
  }

  #run(
    { files, titles, needsServers }: Stage,
    broken: BrokenRule | undefined,
    more: readonly string[],
  ): Promise<Outcome> {
    return this.#runs.run({
      files,
      broken,
      more: [
        `--testTimeout=${needsServers ? 20_000 : 5_000}`,
        ...(titles === undefined ? [] : ["--testNamePattern", titles.source]),
        ...more,
      ],
      needsServers,
      limitMs: needsServers ? LIMIT_WITH_SERVERS_MS : LIMIT_MS,
    });
  }
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

const fails = ({ report, isStopped }: Outcome): boolean =>
  isStopped ||
  report?.testResults.some(
    ({ message, assertionResults }) =>
      (assertionResults.length === 0 && message !== "") || assertionResults.some(({ status }) => status === "failed"),
  ) === true;
