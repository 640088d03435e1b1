import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { serverExecutable } from "./executable.ts";
import { ReplyError } from "./resp.ts";
import { RespClient, type RespClientOptions } from "./resp-client.ts";
import { watchdog } from "./watchdog.ts";

export interface ServerProcessOptions {
  /** Lines as in redis.conf, in order; later ones win. */
  readonly config: readonly string[];
  /** Address and credentials for the tests' own client. */
  readonly connect: RespClientOptions;
  /** Arguments after the configuration file: `--sentinel`. */
  readonly args?: readonly string[];
  /** Folder for data, log and configuration. Removed by `stop` and at the end of this process. */
  readonly directory: string;
  /** Bounds one start. @default 10000 */
  readonly startTimeoutMs?: number;
  /** Added to its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

export type ServerState = "running" | "paused" | "down";

/** Another process took the port or the socket between choosing and binding it. */
export class AddressInUseError extends Error {
  override readonly name = "AddressInUseError";
}

/** A private folder, removed at the end of this process. Its path is short enough for a unix socket. */
export async function temporaryDirectory(name: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `hotset-${name}-`));
  watchdog.sweep(directory);
  return directory;
}

/**
 * One server program as a child process, which can be killed, frozen and started again with the same address and data.
 *
 * It does not keep this process alive, and ends at the latest when this process ends in any way.
 */
export class ServerProcess {
  readonly directory: string;
  readonly client: RespClient;
  readonly #options: ServerProcessOptions;
  #child: ChildProcess | undefined;
  #isPaused = false;
  #exited: Promise<void> = Promise.resolve();

  constructor(options: ServerProcessOptions) {
    this.#options = options;
    this.directory = options.directory;
    this.client = new RespClient(options.connect);
  }

  get state(): ServerState {
    return this.#child === undefined ? "down" : this.#isPaused ? "paused" : "running";
  }

  /** Process id while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts the server and waits until it answers PING.
   *
   * @param until `"listening"` returns as soon as it accepts connections: it may still answer `LOADING`.
   * @throws {AddressInUseError}
   * @throws {Error} with the end of its log, when it ends or does not answer in time.
   */
  async start(until: "ready" | "listening" = "ready"): Promise<void> {
    if (this.#child !== undefined) return;
    const executable = await serverExecutable();
    const configFile = join(this.directory, "redis.conf");
    // A sentinel keeps its state in this file: it is written once.
    await writeFile(configFile, `${this.#options.config.join("\n")}\n`, { flag: "wx" }).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
      },
    );
    const log = openSync(this.#logFile, "a");
    // In a separate process group: Ctrl-C reaches only the tests, which then end the server.
    const child = spawn(executable.command, [...executable.args, configFile, ...(this.#options.args ?? [])], {
      cwd: this.directory,
      stdio: ["ignore", log, log],
      detached: true,
      ...(this.#options.env !== undefined && { env: { ...process.env, ...this.#options.env } }),
    });
    closeSync(log);
    child.unref();
    const { pid } = child;
    if (pid !== undefined) watchdog.guard(pid);
    this.#child = child;
    this.#isPaused = false;
    this.#exited = new Promise((resolve) => {
      const ended = (): void => {
        if (pid !== undefined) watchdog.release(pid);
        if (this.#child === child) this.#child = undefined;
        resolve();
      };
      child.once("exit", ended);
      child.once("error", ended);
    });
    await this.#answers(until);
  }

  /** Sends SIGKILL and waits for the end. Data not yet written to its files is lost. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    // Only an unref'd child is pending: without a timer this process could end before the exit event.
    const keepAlive = setInterval(() => undefined, 1_000);
    await this.#exited;
    clearInterval(keepAlive);
    this.client.close();
  }

  /** SIGSTOP: connections stay open, but the server does not answer. */
  pause(): void {
    this.#signal("SIGSTOP");
    this.#isPaused = true;
  }

  /** SIGCONT: it answers the commands that have arrived meanwhile. */
  resume(): void {
    this.#signal("SIGCONT");
    this.#isPaused = false;
  }

  /** Kills it and removes its folder. */
  async stop(): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** The last lines of its log. */
  async logTail(lines = 20): Promise<string> {
    const text = await readFile(this.#logFile, "utf8").catch(() => "");
    return text.trimEnd().split("\n").slice(-lines).join("\n");
  }

  get #logFile(): string {
    return join(this.directory, "server.log");
  }

  #signal(signal: "SIGSTOP" | "SIGCONT"): void {
    if (this.#child === undefined) throw new Error(`the server must be running to receive ${signal}`);
    this.#child.kill(signal);
  }

  async #answers(until: "ready" | "listening"): Promise<void> {
    const timeoutMs = this.#options.startTimeoutMs ?? 10_000;
    const deadline = performance.now() + timeoutMs;
    let last: unknown;
    while (this.#child !== undefined && performance.now() < deadline) {
      try {
        await this.client.command("PING");
        return;
      } catch (error) {
        if (until === "listening" && error instanceof ReplyError) return;
        last = error;
      }
      await sleep(10);
    }
    const hasEnded = this.#child === undefined;
    await this.kill();
    const log = await this.logTail();
    const problem = hasEnded ? "ended at once" : `did not answer within ${timeoutMs} ms (${String(last)})`;
    const message = `The server in ${this.directory} ${problem}. End of its log:\n${log}`;
    throw /Address already in use/i.test(log) && hasEnded ? new AddressInUseError(message) : new Error(message);
  }
}
