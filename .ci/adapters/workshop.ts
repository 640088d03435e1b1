import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { freePort, type OwnRedis } from "@hotset/test-servers";
import type { Project } from "../newcomer/project.ts";

/** One row of the table: what was run, and how much of it was right. */
export interface Row {
  readonly adapter: string;
  readonly suite: string;
  readonly ours: string;
  readonly today: string;
}

/** Scenarios by their names. One that rejects is wrong. They run in order, over the same processes. */
export type Scenarios = Readonly<Record<string, () => Promise<void>>>;

export interface Workshop {
  readonly top: string;
  readonly redis: OwnRedis;
  /** A project with the dependencies of `manifest`, installed. */
  project(name: string, manifest: object, installer?: "npm" | "pnpm"): Promise<Project>;
  /** Text of a public repository. @returns `undefined` where it cannot be read at night; then it is said so. */
  source(place: Source): Promise<string | undefined>;
  /** @returns `17 of 18`. */
  count(title: string, scenarios: Scenarios, isOurs: boolean): Promise<string>;
}

/** A file of a repository of GitHub. */
export interface Source {
  readonly repository: string;
  readonly commit: string;
  readonly path: string;
}

/** Reads a file from a clone below the folder `ADAPTERS_SOURCES`, else from GitHub. */
export async function read({ repository, commit, path }: Source): Promise<string> {
  const clones = process.env["ADAPTERS_SOURCES"];
  if (clones !== undefined) {
    const clone = join(clones, repository.replace("/", "+"));
    return execFileSync("git", ["-C", clone, "show", `${commit}:${path}`], { encoding: "utf8" });
  }
  const response = await fetch(`https://raw.githubusercontent.com/${repository}/${commit}/${path}`);
  if (!response.ok) throw new Error(`${repository} at ${commit}: ${response.status}`);
  return response.text();
}

/**
 * Runs the tests of `project`. @returns for each name of an outermost `describe`, `26 of 26`, and how many were skipped
 * as `skippedAs`.
 */
export async function passedOf(
  project: Project,
  names: readonly string[],
  environment: NodeJS.ProcessEnv,
  skippedAs = "skipped",
): Promise<Readonly<Record<string, string>>> {
  // Fails if a test of the others does.
  await project
    .run("npx", ["vitest", "run", "--reporter=json", "--outputFile=report.json"], environment)
    .catch(() => undefined);
  const { testResults } = JSON.parse(readFileSync(join(project.folder, "report.json"), "utf8")) as Report;
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  for (const {
    fullName,
    status,
    failureMessages: [message = ""],
  } of tests)
    if (status === "failed") console.log(`${fullName}: WRONG (${message.split("\n")[0]})`);
  return Object.fromEntries(
    names.map((name) => {
      const those = tests.filter(({ ancestorTitles: [title = ""] }) => title.startsWith(name));
      const [passed, skipped] = ["passed", "skipped"].map(
        (state) => those.filter(({ status }) => status === state).length,
      );
      return [name, `${passed} of ${those.length - skipped!}${skipped === 0 ? "" : `; ${skipped} ${skippedAs}`}`];
    }),
  );
}
interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

export interface Server extends AsyncDisposable {
  readonly url: string;
  /** All that it printed. */
  output(): string;
  /** Whether it is down `withinMs` after SIGTERM. */
  ends(withinMs: number): Promise<boolean>;
}

/** A process that serves on `PORT`. Rejects if it does not listen within half a minute. */
export async function serve(
  project: Project,
  parameters: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<Server> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const isShown = process.env["ADAPTERS_LOG"] !== undefined;
  let output = "";
  const child = spawn(process.execPath, parameters, {
    cwd: project.folder,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], HOST: "127.0.0.1", PORT: `${port}`, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    // A group, with the processes that it starts.
    detached: true,
  });
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (isShown) process.stdout.write(text);
    });
  const ended = new Promise<boolean>((resolve) => child.once("exit", () => resolve(true)));
  for (let attempt = 0; ; attempt += 1)
    try {
      await fetch(`${url}/up`, { signal: AbortSignal.timeout(1_000) });
      break;
    } catch (error) {
      if (attempt === 100 || child.exitCode !== null) throw error;
      await sleep(300);
    }
  return {
    url,
    output: () => output,
    ends: (withinMs) => {
      child.kill("SIGTERM");
      return Promise.race([ended, sleep(withinMs, false, { ref: false })]);
    },
    async [Symbol.asyncDispose]() {
      try {
        process.kill(-child.pid!, "SIGKILL");
      } catch {
        // It has ended.
      }
      await ended;
    },
  };
}

/** Parameters of `tsc` for one file. */
export const STRICTLY = [
  ...["--ignoreConfig", "--noEmit", "--strict", "--skipLibCheck"],
  ...["--module", "nodenext", "--types", "node"],
];

/** The end of a service in JavaScript: answers `/name/…` by `routes[name]`, with the further parts of the path. */
export const LISTEN = `
const { createServer } = await import("node:http");
createServer(async (request, response) => {
  const [, name, ...rest] = request.url.split("/");
  try {
    response.end(JSON.stringify((await routes[name](...rest)) ?? {}));
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error));
  }
}).listen(Number(process.env.PORT), "127.0.0.1");
`;

/** Two processes of one application over an empty Redis, `FROM` "a" and "b". */
export async function servePair(
  redis: OwnRedis,
  project: Project,
  parameters: readonly string[],
  environment: NodeJS.ProcessEnv = {},
  headers?: Readonly<Record<string, string>>,
): Promise<Pair> {
  await redis.command("FLUSHALL");
  const start = (FROM: string): Promise<Server> =>
    serve(project, parameters, { REDIS_URL: redis.url, FROM, ...environment });
  return new Pair(await start("a"), await start("b"), headers);
}

/** Two processes of one application. */
export class Pair implements AsyncDisposable {
  readonly servers: { readonly a: Server; readonly b: Server };
  readonly #headers: Readonly<Record<string, string>>;

  /** @param headers of each request, as a load balancer sends them. */
  constructor(a: Server, b: Server, headers: Readonly<Record<string, string>> = {}) {
    this.servers = { a, b };
    this.#headers = headers;
  }

  /** The answer of one process. @throws {Error} after five seconds. */
  a<T>(path: string): Promise<T> {
    return ask<T>(`${this.servers.a.url}/${path}`, this.#headers);
  }

  b<T>(path: string): Promise<T> {
    return ask<T>(`${this.servers.b.url}/${path}`, this.#headers);
  }

  /** Soon both answer the same, and not `old`. A connection may come back five seconds after its server. */
  async agree(path: string, old?: unknown): Promise<void> {
    for (const end = performance.now() + 15_000; ; await sleep(50))
      try {
        const first = await this.a(path);
        same(await this.b(path), first);
        if (old !== undefined && isDeepStrictEqual(first, old)) throw new Error("still the old answer");
        return;
      } catch (error) {
        if (performance.now() > end) throw error;
      }
  }

  /** What `change` on A ends is new on both. */
  async ends(path: string, change: string): Promise<void> {
    await this.agree(path);
    const old = await this.b(path);
    await this.a(change);
    await this.agree(path, old);
  }

  /** B serves the old answer of A, which is stale after `ms`, and refreshes it. */
  async refreshes(path: string, ms: number): Promise<void> {
    const old = await this.a(path);
    await sleep(ms);
    same(await this.b(path), old);
    await this.agree(path, old);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.servers.a[Symbol.asyncDispose](), this.servers.b[Symbol.asyncDispose]()]);
  }

  /** How many different answers 40 requests get, 20 of each process. */
  async answersOfForty(path: string): Promise<number> {
    const asked = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? this.a(path) : this.b(path)));
    return new Set((await Promise.all(asked)).map((answer) => JSON.stringify(answer))).size;
  }
}

async function ask<T>(url: string, headers: Readonly<Record<string, string>>): Promise<T> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5_000), headers });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
  return JSON.parse(text) as T;
}

export function same(found: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(found, expected))
    throw new Error(`${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
}

export const WARM = "50 warm answers take fewer than 10 commands of Redis";

/** In the background, a cache asks whether its connection lives: as often without answers. */
export async function warmCosts(redis: OwnRedis, get: () => Promise<unknown>): Promise<void> {
  const count = async (): Promise<number> => Number((await redis.info("stats"))["total_commands_processed"]);
  await get();
  const [before, begunAt] = [await count(), performance.now()];
  for (let i = 0; i < 50; i += 1) await get();
  const [after, tookMs] = [await count(), performance.now() - begunAt];
  await sleep(tookMs);
  const commands = after - before - ((await count()) - after);
  if (commands >= 10) throw new Error(`${commands} commands`);
}

/** Each `page/…` is answered. Both agree on a page that neither had once both have their connections to Redis again. */
export const outages = (pair: Pair, redis: OwnRedis): Scenarios => ({
  "Redis frozen: a warm page": async () => {
    await pair.agree("page/1");
    redis.pause();
    await pair.a("page/1");
  },
  "Redis frozen: a page that is not there": async () => void (await pair.a("page/2")),
  "Redis thawed: both agree": () => {
    redis.resume();
    return pair.agree("page/33");
  },
  "Redis killed: a warm page": async () => {
    await pair.agree("page/1");
    await redis.kill();
    await pair.b("page/1");
  },
  "Redis killed: a page that is not there": async () => void (await pair.b("page/4")),
  "Redis back and empty: both agree": async () => {
    await redis.start();
    await pair.agree("page/55");
  },
});
