import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, logTail } from "./child.ts";
import { serverExecutable } from "./executable.ts";
import { RespClient, type RespClientOptions } from "./resp-client.ts";
import { ReplyError } from "./resp.ts";
import { PATIENCE_MS } from "./until.ts";
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
  #child: Child | undefined;
  #isPaused = false;

  constructor(options: ServerProcessOptions) {
    this.#options = options;
    this.directory = options.directory;
    this.client = new RespClient(options.connect);
  }

  get state(): ServerState {
    return this.pid === undefined ? "down" : this.#isPaused ? "paused" : "running";
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
    if (this.pid !== undefined) return;
    const executable = await serverExecutable();
    const configFile = join(this.directory, "redis.conf");
    // A sentinel keeps its state in this file: it is written once.
    await writeFile(configFile, `${this.#options.config.join("\n")}\n`, { flag: "wx" }).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
      },
    );
    const args = [...executable.args, configFile, ...(this.#options.args ?? [])];
    this.#child = new Child(executable.command, args, { directory: this.directory, env: this.#options.env });
    this.#isPaused = false;
    await this.#answers(until);
  }

  /** Sends SIGKILL and waits for the end. Data not yet written to its files is lost. */
  async kill(): Promise<void> {
    this.#child?.signal("SIGKILL");
    await this.#child?.ended();
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
  logTail(lines = 20): Promise<string> {
    return logTail(this.directory, lines);
  }

  #signal(signal: "SIGSTOP" | "SIGCONT"): void {
    if (this.pid === undefined) throw new Error(`the server must be running to receive ${signal}`);
    this.#child?.signal(signal);
  }

  async #answers(until: "ready" | "listening"): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    let last: unknown;
    while (this.pid !== undefined && performance.now() < deadline) {
      try {
        await this.client.command("PING");
        return;
      } catch (error) {
        if (until === "listening" && error instanceof ReplyError) return;
        last = error;
      }
      await sleep(10);
    }
    const hasEnded = this.pid === undefined;
    await this.kill();
    const log = await this.logTail();
    const problem = hasEnded ? "ended at once" : `did not answer within ${PATIENCE_MS} ms (${String(last)})`;
    const message = `The server in ${this.directory} ${problem}. End of its log:\n${log}`;
    throw /Address already in use/i.test(log) && hasEnded ? new AddressInUseError(message) : new Error(message);
  }
}
