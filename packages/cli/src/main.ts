import { run } from "./run.ts";

/**
 * Runs `hotset` as this process: its arguments, its environment, its output. Sets `process.exitCode`. Never rejects.
 */
export async function main(): Promise<void> {
  const ctrlC = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ctrlC.abort());
  // `hotset keys | head`: the reader has had enough, and nothing is wrong.
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 4));
  // Not process.exit() with the code: what a pipe has not taken yet would be lost.
  process.exitCode = await run(process.argv.slice(2), {
    variables: process.env,
    isTerminal: process.stdout.isTTY,
    isErrorTerminal: process.stderr.isTTY,
    print: (text) => void process.stdout.write(text),
    complain: (text) => void process.stderr.write(text),
    signal: ctrlC.signal,
  });
}
