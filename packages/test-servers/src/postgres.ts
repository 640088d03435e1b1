import { execFile } from "node:child_process";
import { appendFile, chown, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { Child, logTail } from "./child.ts";
import { freePort } from "./port.ts";
import { postgresPrograms } from "./postgres-programs.ts";
import { temporaryDirectory } from "./server-process.ts";
import { PATIENCE_MS } from "./until.ts";

const run = promisify(execFile);

/** A running PostgreSQL. */
export interface TestPostgres extends AsyncDisposable {
  /** `postgres://` URL of a role that may create roles, schemas and functions. */
  readonly url: string;
  /** Sends statements on a separate connection, as the role of `url`. */
  query(text: string, values?: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Kills an own server and removes its data; of a shared one does nothing. */
  stop(): Promise<void>;
}

/** A PostgreSQL used only by the test: local processes that the test may break. */
export interface OwnPostgres extends TestPostgres {
  readonly port: number;
  /** The folder of the server, with `data` and `server.log`. */
  readonly directory: string;
  /** SIGKILL to all of its processes; returns when they have ended. */
  kill(): Promise<void>;
  /** Starts it on the same port and data, and waits until it answers. */
  start(): Promise<void>;
  /** SIGINT: it ends its connections and writes its data, then it is started again. */
  restart(): Promise<void>;
  /** SIGSTOP to all of its processes: connections stay open, but the server does not answer. */
  pause(): Promise<void>;
  /** SIGCONT. */
  resume(): Promise<void>;
  /** The last lines of its log. @param lines @default 20 */
  logTail(lines?: number): Promise<string>;
}

export interface OwnPostgresOptions {
  /** Lines as in postgresql.conf, after those of this package. */
  readonly config?: readonly string[];
  /** Fills its folder of data, which does not exist yet. @default initdb */
  readonly fill?: (data: string) => Promise<unknown>;
}

/**
 * A PostgreSQL to store entries in: `POSTGRES_URL`, else a container, else a local process, whose program is fetched if
 * necessary.
 *
 * @throws {Error} if a given `POSTGRES_URL` does not answer.
 */
export async function startPostgres(env: NodeJS.ProcessEnv = process.env): Promise<TestPostgres> {
  const url = env["POSTGRES_URL"];
  if (url !== undefined && url !== "") return shared(url, async () => undefined);
  return (await startContainer()) ?? startOwnPostgres();
}

/** A PostgreSQL for this caller only, as local processes. Takes about 1.5 s. */
export async function startOwnPostgres(options: OwnPostgresOptions = {}): Promise<OwnPostgres> {
  const programs = await postgresPrograms();
  const directory = await temporaryDirectory("pg");
  const port = await freePort();
  // PostgreSQL refuses to run as root: then it runs as the user 65534.
  const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  if (user.uid !== undefined) await chown(directory, user.uid, user.gid);
  const server = new OwnServer({ programs, directory, port, user });
  try {
    await server.create(options);
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

interface Place {
  readonly programs: string;
  readonly directory: string;
  readonly port: number;
  readonly user: { readonly uid?: number; readonly gid?: number };
}

class OwnServer implements OwnPostgres {
  readonly url: string;
  readonly port: number;
  readonly directory: string;
  readonly #place: Place;
  #child: Child | undefined;

  constructor(place: Place) {
    this.#place = place;
    this.port = place.port;
    this.directory = place.directory;
    this.url = `postgres://hotset@127.0.0.1:${place.port}/postgres`;
  }

  get #data(): string {
    return join(this.directory, "data");
  }

  async create({ config = [], fill }: OwnPostgresOptions): Promise<void> {
    const { programs, user } = this.#place;
    const words = ["-D", this.#data, "-U", "hotset", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"];
    await (fill?.(this.#data) ?? run(join(programs, "initdb"), words, { ...user, cwd: this.directory }));
    const lines = [
      "listen_addresses = '127.0.0.1'",
      `port = ${this.port}`,
      "unix_socket_directories = ''",
      // A test kills the program, never the machine.
      "fsync = off",
      "shared_buffers = 32MB",
      "logging_collector = off",
      ...config,
    ];
    await appendFile(join(this.#data, "postgresql.conf"), `${lines.join("\n")}\n`);
  }

  async start(): Promise<void> {
    if (this.#child?.pid !== undefined) return;
    const { directory, user } = this.#place;
    const child = new Child(join(this.#place.programs, "postgres"), ["-D", this.#data], { directory, ...user });
    this.#child = child;
    try {
      await child.answers("PostgreSQL", async () => (await this.query("select 1 as one")).length === 1);
    } catch (error) {
      // Children of one that was killed may take a moment to end.
      if (!(await this.logTail(2)).includes("shared memory block")) throw error;
      await this.start();
    }
  }

  async kill(): Promise<void> {
    // Its children last: they would see that it has ended, and write to the log.
    const children = await this.#children();
    this.#signal("SIGKILL", [this.#child?.pid, ...children]);
    await this.#child?.ended();
  }

  async restart(): Promise<void> {
    this.#child?.signal("SIGINT");
    await this.#child?.ended();
    await this.start();
  }

  async pause(): Promise<void> {
    this.#signal("SIGSTOP", [this.#child?.pid]); // begins no further child from here on
    this.#signal("SIGSTOP", await this.#children());
  }

  async resume(): Promise<void> {
    this.#signal("SIGCONT", [...(await this.#children()), this.#child?.pid]);
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }

  query(text: string, values: readonly unknown[] = []): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return queryOnce(this.url, text, values);
  }

  logTail(lines = 20): Promise<string> {
    return logTail(this.directory, lines);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Each backend leads its own process group. */
  async #children(): Promise<readonly number[]> {
    const pid = this.#child?.pid;
    if (pid === undefined) return [];
    const { stdout } = await run("pgrep", ["-P", String(pid)]).catch(() => ({ stdout: "" }));
    return stdout.split("\n").filter(Boolean).map(Number);
  }

  #signal(signal: NodeJS.Signals, pids: readonly (number | undefined)[]): void {
    for (const pid of pids) {
      try {
        if (pid !== undefined) process.kill(pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it has ended meanwhile
      }
    }
  }
}

async function shared(url: string, release: () => Promise<unknown>): Promise<TestPostgres> {
  const stop = async (): Promise<void> => void (await release());
  try {
    await queryOnce(url, "select 1", []);
  } catch (error) {
    await release();
    throw new Error(`The PostgreSQL at ${new URL(url).host} does not answer: ${String(error)}`, { cause: error });
  }
  return { url, query: (text, values = []) => queryOnce(url, text, values), stop, [Symbol.asyncDispose]: stop };
}

async function queryOnce(
  url: string,
  text: string,
  values: readonly unknown[],
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: PATIENCE_MS });
  client.on("error", () => undefined);
  await client.connect();
  try {
    const answer = await client.query<Readonly<Record<string, unknown>>>(text, [...values]);
    return answer.rows;
  } finally {
    await client.end();
  }
}

/** `undefined` if no container engine works. */
async function startContainer(): Promise<TestPostgres | undefined> {
  const { GenericContainer, Wait } = await import("testcontainers");
  const container = await new GenericContainer("postgres:17-alpine")
    .withEnvironment({ POSTGRES_PASSWORD: "hotset" })
    .withExposedPorts(5432)
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
    .start()
    .catch(() => undefined);
  if (container === undefined) return undefined;
  const address = `${container.getHost()}:${container.getMappedPort(5432)}`;
  return shared(`postgres://postgres:hotset@${address}/postgres`, () => container.stop());
}
