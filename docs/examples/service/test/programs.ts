import { execFile, spawn, type ChildProcess } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { serverExecutable } from "@hotset/test-servers";

export interface Result {
  readonly code: number;
  readonly output: string;
}

/** Runs it to its end, for a minute at most. */
export async function runToEnd(
  command: readonly [string, ...string[]],
  env: Readonly<Record<string, string>> = {},
): Promise<Result> {
  const [program, ...parameters] = command;
  const { PATH = "" } = process.env;
  return promisify(execFile)(program, parameters, { env: { PATH, ...env }, timeout: 60_000 }).then(
    ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
    (error: { code?: number; stdout?: string; stderr?: string }) => ({
      code: error.code ?? -1,
      output: `${error.stdout}${error.stderr}`,
    }),
  );
}

/** A folder with `redis-server`, `redis-cli` and `redis-check-rdb`, those of the server that the tests run on. */
export async function redisPrograms(folder: string): Promise<string> {
  const { command, args } = await serverExecutable();
  const [server, ...before] = [command, ...args].toReversed();
  const family = server!.endsWith("valkey-server") ? "valkey" : "redis";
  await mkdir(folder, { recursive: true });
  for (const name of ["server", "cli", "check-rdb"]) {
    const words = [...before.toReversed(), join(dirname(server!), `${family}-${name}`)];
    const path = join(folder, `redis-${name}`);
    await writeFile(path, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(" ")} "$@"\n`);
    await chmod(path, 0o755);
  }
  return folder;
}

export interface Running extends AsyncDisposable {
  readonly child: ChildProcess;
}

/** In the folder `cwd`, until it is disposed of. */
export function start(command: readonly string[], cwd: string): Running {
  const [program, ...parameters] = command;
  const child = spawn(program!, parameters, { cwd, stdio: "ignore" });
  const ended = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  return {
    child,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
