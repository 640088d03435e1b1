import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Answer, Call, Handlers } from "./answer-calls.ts";
import { PATIENCE_MS } from "./until.ts";
import { watchdog } from "./watchdog.ts";

export interface ForkScriptOptions {
  /** Added to the environment of this process; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly args?: readonly string[];
  /** Added to Node's own arguments: `--expose-gc`. */
  readonly execArgv?: readonly string[];
  /** Bounds each call. @default 120000 */
  readonly callTimeoutMs?: number;
}

export interface ScriptExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** An error thrown by a handler in the other process. */
export class RemoteError extends Error {
  override readonly name: string;
  readonly code: string | undefined;

  constructor(name: string, message: string, code: string | undefined, options: ErrorOptions) {
    super(message, options);
    this.name = name;
    this.code = code;
  }
}

/**
 * A separate Node process that runs a script of the workspace. Ends with this process at the latest. Calls may be sent
 * immediately: they wait until the script answers them.
 */
export interface ScriptProcess<H extends Handlers> extends AsyncDisposable {
  readonly pid: number;
  /**
   * Runs a handler that the script passed to `answerCalls`. Arguments and results are copied by structured clone:
   * bytes, maps and `undefined` survive, functions do not.
   *
   * @throws {RemoteError} with name, message and code of the handler's error.
   * @throws {Error} with the end of its error output, when the process ends or the deadline passes.
   */
  call<K extends keyof H & string>(name: K, ...args: Parameters<H[K]>): Promise<Awaited<ReturnType<H[K]>>>;
  /** @param signal @default "SIGKILL" */
  kill(signal?: NodeJS.Signals): Promise<ScriptExit>;
  /** SIGSTOP. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /**
   * Closes the channel and waits until the process ends on its own, which it does when nothing keeps it alive.
   *
   * @param timeoutMs @default 120000
   * @throws {Error} if it does not end; then it is killed.
   */
  end(timeoutMs?: number): Promise<ScriptExit>;
  /** Resolves when it has ended in any way. */
  readonly exited: Promise<ScriptExit>;
  /** Output so far. */
  readonly stdout: string;
  readonly stderr: string;
}

/** Arguments of Node with which a program finds the packages of this workspace: as sources. */
export const ofWorkspace = (): readonly string[] => ["--conditions=@hotset/source"];

/**
 * Starts `script` over the packages of this workspace.
 *
 * @param script path or `file:` URL; with `typeof handlers` as `H` calls are typed.
 */
export function forkScript<H extends Handlers>(
  script: string | URL,
  options: ForkScriptOptions = {},
): ScriptProcess<H> {
  const { env = {}, args = [], execArgv = [], callTimeoutMs = PATIENCE_MS } = options;
  const child = fork(typeof script === "string" ? script : fileURLToPath(script), args, {
    env: withoutUndefined({ ...process.env, ...env }),
    // Not those of this process: arguments of a test runner would not fit.
    execArgv: [...ofWorkspace(), ...execArgv],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    serialization: "advanced",
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`Node could not be started for ${String(script)}`);
  watchdog.guard(pid);

  const output = { stdout: "", stderr: "" };
  child.stdout?.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  child.once("exit", () => watchdog.release(pid));
  const exited = exitOf(child);
  const calls = new PendingCalls(child, exited, callTimeoutMs, () =>
    output.stderr.trimEnd().split("\n").slice(-20).join("\n"),
  );

  const kill = (signal: NodeJS.Signals = "SIGKILL"): Promise<ScriptExit> => {
    child.kill(signal);
    return exited;
  };
  return {
    pid,
    call: async (name, ...given) => (await calls.send(name, given)) as never,
    kill,
    pause: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    end: async (timeoutMs = PATIENCE_MS) => {
      if (child.connected) child.disconnect();
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        child.kill("SIGKILL");
      }, timeoutMs);
      const exit = await exited;
      clearTimeout(timer);
      if (isLate) throw new Error(`${String(script)} did not end within ${timeoutMs} ms`);
      return exit;
    },
    exited,
    get stdout() {
      return output.stdout;
    },
    get stderr() {
      return output.stderr;
    },
    [Symbol.asyncDispose]: async () => {
      await kill();
    },
  };
}

/**
 * Resolves when the process and its output have ended. The "close" event would report both, but is not emitted after
 * this side has closed the channel.
 */
async function exitOf(child: ChildProcess): Promise<ScriptExit> {
  const ended = [child.stdout, child.stderr].map((stream) => new Promise((resolve) => stream?.once("close", resolve)));
  const exit = await new Promise<ScriptExit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  await Promise.all(ended);
  return exit;
}

class PendingCalls {
  readonly #child: ChildProcess;
  readonly #timeoutMs: number;
  readonly #errorOutput: () => string;
  readonly #pending = new Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }
  >();
  #lastId = 0;
  #exit: string | undefined;

  constructor(child: ChildProcess, exited: Promise<ScriptExit>, timeoutMs: number, errorOutput: () => string) {
    this.#child = child;
    this.#timeoutMs = timeoutMs;
    this.#errorOutput = errorOutput;
    child.on("message", (answer) => this.#settle(answer as Answer));
    child.on("error", (error) => this.#rejectAll(`The process could not be reached: ${error.message}`));
    void exited.then(({ code, signal }) => {
      this.#exit = `The process ended with ${signal ?? `code ${String(code)}`}`;
      this.#rejectAll(this.#exit);
    });
  }

  send(name: string, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#exit !== undefined) {
        reject(this.#failure(this.#exit));
        return;
      }
      const id = ++this.#lastId;
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(this.#failure(`No answer to ${name} within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      this.#pending.set(id, {
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      // If the channel is closed already, the process is about to end, and its exit rejects the call.
      if (this.#child.connected) this.#child.send({ id, name, args } satisfies Call, () => undefined);
    });
  }

  #settle(answer: Answer): void {
    const call = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if (answer.error === undefined) {
      call?.resolve(answer.value);
    } else {
      const { name, message, code, stack } = answer.error;
      call?.reject(new RemoteError(name, message, code, { cause: stack }));
    }
  }

  #rejectAll(message: string): void {
    for (const { reject } of this.#pending.values()) reject(this.#failure(message));
    this.#pending.clear();
  }

  #failure(message: string): Error {
    const output = this.#errorOutput();
    return new Error(output === "" ? message : `${message}. End of its error output:\n${output}`);
  }
}

function withoutUndefined(env: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
}
