import type { DedicatedConnection } from "../client/contract.ts";
import type { Module } from "../module/module.ts";

/** How long a worker without jobs waits before it asks all the same: for a wake that was lost. */
export const POLL_MS = 10_000;
const REOPEN_BASE_MS = 100;
const REOPEN_MAX_MS = 5_000;

/**
 * Waits in Redis until there is work. `BZPOPMIN` takes the one member of the key: a job wakes one worker. If that one
 * leaves jobs behind, it puts the member back.
 */
export class WakeListener {
  readonly #module: Module;
  readonly #key: string;
  readonly #closing = new AbortController();
  #connection: DedicatedConnection | undefined;
  #failures = 0;

  constructor(module: Module, key: string) {
    this.#module = module;
    this.#key = module.space.inside(key);
  }

  /**
   * Resolves when woken, after {@link POLL_MS}, sooner where Redis is down, or when closed. Never rejects.
   *
   * @returns whether it has taken a wake
   */
  async wait(): Promise<boolean> {
    const { signal } = this.#closing;
    if (signal.aborted) return false;
    try {
      this.#connection ??= await this.#module.connection.open({ role: "blocking", key: this.#key, signal });
      const taken = await this.#connection.call(["BZPOPMIN", this.#key, String(POLL_MS / 1_000)], {
        blockMs: POLL_MS,
        signal,
      });
      this.#failures = 0;
      return taken !== null;
    } catch (error) {
      await this.#connection?.close();
      this.#connection = undefined;
      if (signal.aborted) return false;
      this.#failures += 1;
      this.#module.report("queue: waiting for jobs", error);
      await this.#pause(Math.min(REOPEN_MAX_MS, REOPEN_BASE_MS * 2 ** this.#failures) * this.#module.random());
      return false;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error("the worker stops"));
    await this.#connection?.close();
  }

  #pause(ms: number): Promise<void> {
    const { signal } = this.#closing;
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const cancel = this.#module.clock.schedule(end, ms);
      signal.addEventListener("abort", end);
    });
  }
}
