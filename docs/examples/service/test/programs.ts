import { execFile, spawn, type ChildProcess } from "node:child_process";
import { promisify } from "node:util";

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
