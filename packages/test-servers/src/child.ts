import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { until } from "./until.ts";
import { watchdog } from "./watchdog.ts";

export interface ChildOptions {
  /** Where it runs, and writes `server.log`. */
  readonly directory: string;
  /** Added to its environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

/**
 * One run of a server program.
 *
 * It does not keep this process alive, and ends at the latest when this process ends in any way.
 */
export class Child {
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #exited: Promise<void>;
  #pid: number | undefined;

  constructor(command: string, args: readonly string[], { directory, env, uid, gid }: ChildOptions) {
    const log = openSync(logFile(directory), "a");
    // In a separate process group: Ctrl-C reaches only the tests, which then end the server.
    const child = spawn(command, args, {
      cwd: directory,
      stdio: ["ignore", log, log],
      detached: true,
      ...(env !== undefined && { env: { ...process.env, ...env } }),
      ...(uid !== undefined && { uid }),
      ...(gid !== undefined && { gid }),
    });
    closeSync(log);
    child.unref();
    const { pid } = child;
    if (pid !== undefined) watchdog.guard(pid);
    this.#child = child;
    this.#directory = directory;
    this.#pid = pid;
    this.#exited = new Promise((resolve) => {
      const ended = (): void => {
        if (this.#pid !== undefined) watchdog.release(this.#pid);
        this.#pid = undefined;
        resolve();
      };
      child.once("exit", ended);
      child.once("error", ended);
    });
  }

  /** Process id while it runs. */
  get pid(): number | undefined {
    return this.#pid;
  }

  /**
   * Waits until `ask` returns true.
   *
   * @throws {Error} with the end of its log once it has ended; when it does not answer, as `until` does.
   */
  async answers(name: string, ask: () => Promise<boolean>): Promise<void> {
    await until(`${name} to answer`, async () => this.#pid === undefined || ask());
    if (this.#pid === undefined)
      throw new Error(`${name} has ended. End of its log:\n${await logTail(this.#directory)}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Settles when it has ended. */
  async ended(): Promise<void> {
    // Only an unref'd child is pending: without a timer this process could end before the exit event.
    const keepAlive = setInterval(() => undefined, 1_000);
    await this.#exited;
    clearInterval(keepAlive);
  }
}

/** The last lines of the log of all runs in this folder. */
export async function logTail(directory: string, lines = 20): Promise<string> {
  const text = await readFile(logFile(directory), "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}

const logFile = (directory: string): string => join(directory, "server.log");
