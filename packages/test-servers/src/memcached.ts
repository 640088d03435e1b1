import { rm } from "node:fs/promises";
import { connect } from "node:net";
import { Child } from "./child.ts";
import { memcachedExecutable } from "./executable.ts";
import { freePort } from "./port.ts";
import { temporaryDirectory } from "./server-process.ts";
import { PATIENCE_MS } from "./until.ts";

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
 * @throws {Error} if a given `MEMCACHED_URL` does not answer as memcached does.
 */
export async function startMemcached(env: NodeJS.ProcessEnv = process.env): Promise<TestMemcached> {
  const url = env["MEMCACHED_URL"];
  if (url === undefined || url === "") return startOwnMemcached();
  const { hostname: host, port: given } = new URL(url);
  const port = given === "" ? 11_211 : Number(given);
  const answer = await send(host, port, "mn");
  if (answer !== "MN") throw new Error(`The server at ${host}:${port} is not memcached: it answers "${answer}"`);
  const stop = async (): Promise<void> => undefined;
  return { host, port, command: (line) => send(host, port, line), stop, [Symbol.asyncDispose]: stop };
}

/**
 * A memcached for this caller only, as a local process.
 *
 * @param args more words of its command line: `-C`
 * @throws {Error} with the end of its log if it does not start.
 */
export async function startOwnMemcached(args: readonly string[] = []): Promise<OwnMemcached> {
  const server = new OwnServer(await temporaryDirectory("memcached"), await freePort(), args);
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

class OwnServer implements OwnMemcached {
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly #directory: string;
  readonly #args: readonly string[];
  #child: Child | undefined;

  constructor(directory: string, port: number, args: readonly string[]) {
    this.port = port;
    this.#directory = directory;
    this.#args = args;
  }

  async start(): Promise<void> {
    if (this.#child?.pid !== undefined) return;
    const { command, args } = await memcachedExecutable();
    // It refuses to run as root without the name of another user.
    const own = ["-l", this.host, "-p", String(this.port), "-u", "nobody", ...this.#args];
    const child = new Child(command, [...args, ...own], { directory: this.#directory });
    this.#child = child;
    // Another server on this port has another number.
    const isAnswer = async (): Promise<boolean> => (await this.command("stats")) === `STAT pid ${child.pid}`;
    await child.answers("memcached", isAnswer);
  }

  command(line: string): Promise<string> {
    return send(this.host, this.port, line);
  }

  async kill(): Promise<void> {
    this.#child?.signal("SIGKILL");
    await this.#child?.ended();
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
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
    socket.setTimeout(PATIENCE_MS, fail);
    socket
      .once("error", fail)
      .once("close", fail)
      .once("data", (answer) => {
        socket.destroy();
        resolve(answer.toString("latin1").split("\r\n", 1)[0]!);
      });
  });
}
