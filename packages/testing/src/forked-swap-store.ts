import { fork, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BackendUnavailableError } from "@hotset/core";
import type { SwapStore } from "@hotset/core/stores";

/** Options of {@link forkSwapStore}. */
export interface ForkSwapStoreOptions {
  /** The arguments of the script: the file of the store, say. @default none */
  readonly args?: readonly string[] | undefined;
  /** Further options of Node. @default none */
  readonly execArgv?: readonly string[] | undefined;
}

/**
 * A client of a store in a separate process, for `openElsewhere` of `describeSwapStore`: clients of one process never
 * meet at a record if the driver is synchronous, as those of SQLite are. `close` ends the process.
 *
 * @param script a module that calls {@link answerForSwapStore}. Versions must be values that can be cloned.
 * @throws nothing: calls reject with what the store rejects there, and with a sentence if the script does not exist, has
 *   ended, or has not called {@link answerForSwapStore} within 20 seconds. A process that has ended is closed.
 */
export function forkSwapStore<V>(script: URL, { args = [], execArgv = [] }: ForkSwapStoreOptions = {}): SwapStore<V> {
  const child = new StoreProcess(fileURLToPath(script), args, execArgv);
  return {
    get: (name) => child.ask("get", name),
    swap: (name, bytes, expected, ttlMs) => child.ask("swap", name, bytes, expected, ttlMs),
    delete: (name, expected) => child.ask("delete", name, expected),
    close: () => child.close(),
  };
}

class StoreProcess {
  readonly #path: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<never>>();
  readonly #silence: NodeJS.Timeout;
  #last = 0;
  #closed: Promise<void> | undefined;
  /** Why no call is answered any more. */
  #failure: Error | undefined;

  constructor(path: string, args: readonly string[], execArgv: readonly string[]) {
    this.#path = path;
    this.#child = fork(path, args, { execArgv: [...execArgv], serialization: "advanced" });
    this.#child.on("message", (message) => this.#answered(message as Answer));
    this.#child.on("error", (error) => this.#fail(`could not be run: ${error.message}`));
    this.#child.on("exit", (code, signal) => this.#fail(this.#ending(code ?? signal)));
    this.#silence = setTimeout(() => {
      this.#fail(`has not called answerForSwapStore(store) within ${FIRST_ANSWER_MS / 1_000} s`);
      this.#child.kill();
    }, FIRST_ANSWER_MS);
  }

  ask(method: Call["method"], ...given: readonly unknown[]): Promise<never> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const call = Promise.withResolvers<never>();
    this.#last += 1;
    this.#waiting.set(this.#last, call);
    // Where it cannot be sent, the end of the process follows, and says why.
    this.#child.send({ id: this.#last, method, args: given } satisfies Call, () => undefined);
    return call.promise;
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    if (this.#failure !== undefined) return;
    await this.ask("close");
    this.#fail("was closed");
    this.#child.disconnect();
  }

  #answered({ id, value, error }: Answer): void {
    clearTimeout(this.#silence);
    const call = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) call?.resolve(value as never);
    else call?.reject(new Error(error));
  }

  #ending(how: number | string | null): string {
    if (!existsSync(this.#path)) return "does not exist";
    const advice = how === 0 ? "does it call answerForSwapStore(store)?" : "its own error is on stderr";
    return `ended with ${how}; ${advice}`;
  }

  #fail(reason: string): void {
    clearTimeout(this.#silence);
    this.#failure ??= new BackendUnavailableError(`forkSwapStore: ${this.#path} ${reason}`);
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}

/** Less than a hook or a test of the suite may take. */
const FIRST_ANSWER_MS = 20_000;

/**
 * The other side of {@link forkSwapStore}: the script calls it with the store that it opened, and stays alive until the
 * client is closed. Throws nothing.
 */
export function answerForSwapStore<V>(store: SwapStore<V>): void {
  const methods = store as unknown as Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;
  const answer = async ({ id, method, args }: Call): Promise<void> => {
    try {
      process.send!({ id, value: await methods[method]!(...args) } satisfies Answer);
    } catch (error) {
      process.send!({ id, error: String(error) } satisfies Answer);
    }
  };
  process.on("message", (message) => void answer(message as Call));
  process.send?.({ id: READY } satisfies Answer);
}

/** The number of the answer to no call: the store is there. */
const READY = 0;

interface Call {
  readonly id: number;
  readonly method: "get" | "swap" | "delete" | "close";
  readonly args: readonly unknown[];
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}
