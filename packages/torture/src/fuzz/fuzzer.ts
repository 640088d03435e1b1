import { spawn } from "node:child_process";

export interface Failure {
  readonly seed: number;
  readonly reason: string;
}

/** How long the process may take until its first round: the machine may be busy. */
const START_MS = 30_000;

/** Rounds in separate processes: a decoder that takes too much memory or time ends that process, and is found. */
export class Fuzzer {
  readonly #script: string;
  readonly #silenceMs: number;

  /** @param silenceMs how long a round may take. */
  constructor(script: string, silenceMs = 30_000) {
    this.#script = script;
    this.#silenceMs = silenceMs;
  }

  /** The first round that failed. */
  run(target: string, seed: number, rounds: number): Promise<Failure | undefined> {
    const flags = ["--conditions=@hotset/source", "--no-warnings", "--expose-gc", "--max-old-space-size=256"];
    const child = spawn(process.execPath, [...flags, this.#script, target, String(seed), String(rounds)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [last, errors, reason] = [String(seed), "", ""];
    let rest = "";
    const giveUpAfter = (ms: number): NodeJS.Timeout =>
      setTimeout(() => {
        reason = `it took more than ${ms} ms`;
        child.kill("SIGKILL");
      }, ms);
    let silence = giveUpAfter(Math.max(this.#silenceMs, START_MS));
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      clearTimeout(silence);
      silence = giveUpAfter(this.#silenceMs);
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      last = lines.at(-1) ?? last;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors = (errors + text).slice(-4_000)));
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => {
        clearTimeout(silence);
        if (code === 0) resolve(undefined);
        else
          resolve({ seed: Number(last), reason: reason || errors.trim() || `the process ended by ${signal ?? code}` });
      });
    });
  }
}
