import { execFile } from "node:child_process";
import { join } from "node:path";
import { ofWorkspace } from "@hotset/test-servers";
import { run } from "../src/run.ts";

export const BIN = join(import.meta.dirname, "../src/bin.ts");

/** How a run of the program ended. */
export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** All that any run has printed: no secret of a test may be in it. */
export const printed: string[] = [];

const { PATH, NODE_COMPILE_CACHE } = process.env;

/** Runs the program, in a folder without a `.env`, with these variables alone. */
export function hotset(words: readonly string[], variables: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...ofWorkspace(), BIN, ...words],
      {
        cwd: import.meta.dirname,
        env: { PATH, NODE_COMPILE_CACHE, ...variables },
        timeout: 60_000,
        maxBuffer: 2 ** 26,
      },
      (error, stdout, stderr) => {
        printed.push(stdout, stderr);
        resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr });
      },
    );
  });
}

/** A run in this process: many starts of Node would be most of the time of these tests. */
export async function inProcess(
  words: readonly string[],
  variables: NodeJS.ProcessEnv = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<Ended> {
  const output = { stdout: "", stderr: "" };
  const exitCode = await run(words, {
    variables,
    isTerminal: false,
    print: (text) => void (output.stdout += text),
    complain: (text) => void (output.stderr += text),
    signal,
  });
  printed.push(output.stdout, output.stderr);
  return { exitCode, ...output };
}

/** The JSON that a run in this process prints. */
export async function json<T>(
  words: readonly string[],
  variables: NodeJS.ProcessEnv,
): Promise<T & Pick<Ended, "exitCode">> {
  const { stdout, stderr, exitCode } = await inProcess([...words, "--json"], variables);
  if (stderr !== "") throw new Error(stderr);
  return { ...(JSON.parse(stdout) as T), exitCode };
}

/** Lines of a table, with the cells of each apart by ` | `. */
export const table = (text: string): readonly string[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => line.trim().replace(/ {2,}/g, " | "));
