import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
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
 * @throws nothing: if the process ends early, calls reject with an error, and so do those that the store rejects there.
 */
export function forkSwapStore<V>(script: URL, { args = [], execArgv = [] }: ForkSwapStoreOptions = {}): SwapStore<V> {
  const child = fork(fileURLToPath(script), args, { execArgv: [...execArgv], serialization: "advanced" });
  const waiting = new Map<number, PromiseWithResolvers<never>>();
  let last = 0;
  child.on("message", (message) => {
    const { id, value, error } = message as Answer;
    const call = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) call?.resolve(value as never);
    else call?.reject(new Error(error));
  });
  child.on("exit", (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`${script.pathname} ended with ${code}`));
  });
  const ask = (method: Call["method"], ...given: readonly unknown[]): Promise<never> => {
    const call = Promise.withResolvers<never>();
    last += 1;
    waiting.set(last, call);
    child.send({ id: last, method, args: given } satisfies Call, (error) => error && call.reject(error));
    return call.promise;
  };
  return {
    get: (name) => ask("get", name),
    swap: (name, bytes, expected, ttlMs) => ask("swap", name, bytes, expected, ttlMs),
    delete: (name, expected) => ask("delete", name, expected),
    async close() {
      await ask("close");
      child.disconnect();
    },
  };
}

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
}

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
