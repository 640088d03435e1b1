import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { memcachedExecutable } from "./executable.ts";
import { freePort } from "./port.ts";
import { watchdog } from "./watchdog.ts";

/** A running memcached. */
export interface TestMemcached extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Sends one line on a separate connection. @returns the first line of the answer. */
  command(line: string): Promise<string>;
  /** Ends an own server; of a shared one does nothing. */
  stop(): Promise<void>;
}

/** A memcached used only by the test. */
export interface OwnMemcached extends TestMemcached {
  /** SIGKILL: it forgets all records. */
  kill(): Promise<void>;
  /** Starts it on the same port, and waits until it answers. */
  start(): Promise<void>;
}

/**
 * A memcached to store entries in: `MEMCACHED_URL` (`memcached://host:port`), else a local process, whose program is
 * fetched if necessary. Tests empty it with flush_all.
 *
 * @throws {Error} if a given `MEMCACHED_URL` does not answer.
 */
export async function startMemcached(env: NodeJS.ProcessEnv = process.env): Promise<TestMemcached> {
  const url = env["MEMCACHED_URL"];
  if (url === undefined || url === "") return startOwnMemcached();
  const { hostname: host, port: given } = new URL(url);
  const port = given === "" ? 11_211 : Number(given);
  await send(host, port, "mn");
  const stop = async (): Promise<void> => undefined;
  return { host, port, command: (line) => send(host, port, line), stop, [Symbol.asyncDispose]: stop };
}

/** A memcached for this caller only, as a local process. @param args more words of its command line: `-C` */
export async function startOwnMemcached(args: readonly string[] = []): Promise<OwnMemcached> {
  const server = new OwnServer(await freePort(), args);
  await server.start();
  return server;
}

class OwnServer implements OwnMemcached {
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
  }

  async start(): Promise<void> {
    const { command, args } = await memcachedExecutable();
    // It refuses to run as root without the name of another user.
    const own = ["-l", this.host, "-p", String(this.port), "-u", "nobody", ...this.#args];
    const child = spawn(command, [...args, ...own], { stdio: "ignore", detached: true });
    this.#child = child;
    if (child.pid !== undefined) watchdog.guard(child.pid);
    for (let tries = 0; ; tries += 1) {
      try {
        await this.command("mn");
        return;
      } catch (error) {
        if (tries === 500 || child.exitCode !== null) throw error;
        await sleep(10);
      }
    }
  }

  command(line: string): Promise<string> {
    return send(this.host, this.port, line);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    watchdog.release(child.pid);
  }

  stop(): Promise<void> {
    return this.kill();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** @throws {Error} that says which server does not answer. */
function send(host: string, port: number, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host, () => socket.write(`${line}\r\n`));
    const fail = (cause?: unknown): void => {
      socket.destroy();
      reject(new Error(`The memcached at ${host}:${port} does not answer`, { cause }));
    };
    socket.setTimeout(1_000, fail);
    socket
      .once("error", fail)
      .once("close", fail)
      .once("data", (answer) => {
        socket.destroy();
        resolve(answer.toString("latin1").split("\r\n", 1)[0]!);
      });
  });
}
