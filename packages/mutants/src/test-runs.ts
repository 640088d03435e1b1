import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { BrokenRule } from "./mutant.ts";
import { planted } from "./planted.ts";

export const TOP = resolve(import.meta.dirname, "../../..");

export interface Report {
  readonly testResults: readonly {
    /** The absolute path of the test file. */
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly title: string;
      readonly status: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

export interface Run {
  /** From the top of the repository. */
  readonly files: readonly string[];
  readonly broken: BrokenRule | undefined;
  /** Further arguments of vitest. */
  readonly more: readonly string[];
  readonly needsServers: boolean;
  readonly limitMs: number;
}

export interface Outcome {
  /** Absent if no test ran, or the run was stopped. */
  readonly report: Report | undefined;
  readonly log: string;
  readonly isStopped: boolean;
}

/** Runs of vitest over the sources with at most one broken rule. Each is a process of its own. */
export class TestRuns {
  readonly #folder = mkdtempSync(join(tmpdir(), "hotset-mutants-"));
  readonly #running = new Set<ChildProcess>();

  constructor() {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.once(signal, () => {
        for (const child of this.#running) stop(child);
        process.exit(1);
      });
  }

  async run({ files, broken, more, needsServers, limitMs }: Run): Promise<Outcome> {
    const output = join(this.#folder, `${randomUUID()}.json`);
    const config = join(import.meta.dirname, "vitest.config.ts");
    const vitest = [join(TOP, "node_modules/vitest/vitest.mjs"), "run", "--config", config, "--maxWorkers=1"];
    const report = ["--reporter=json", `--outputFile=${output}`, "--pool=threads"];
    const child = spawn(process.execPath, [...vitest, ...report, ...more, ...files], {
      cwd: TOP,
      env: {
        ...process.env,
        ...(broken !== undefined && planted(broken)),
        HOTSET_NEEDS_SERVERS: needsServers ? "1" : "",
      },
      stdio: ["ignore", "pipe", "pipe"],
      // A process group of its own, so that what it started ends with it.
      detached: true,
    });
    this.#running.add(child);
    let log = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (log += chunk.toString()));
    let isStopped = false;
    const limit = setTimeout(() => {
      isStopped = true;
      stop(child);
    }, limitMs);
    await new Promise((done) => child.on("close", done));
    clearTimeout(limit);
    this.#running.delete(child);
    try {
      return { report: JSON.parse(await readFile(output, "utf8")) as Report, log, isStopped };
    } catch {
      return { report: undefined, log: log.trim().split("\n").slice(-5).join(" | "), isStopped };
    }
  }

  end(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

function stop({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, "SIGKILL");
}
