import { forkScript, type ScriptProcess } from "@hotset/test-servers";
import { Agent, request } from "node:http";
import type { CacheStats } from "hotset";
import type { Price } from "./catalogue.ts";
import type { ShopHandlers } from "./shop-process.ts";
import type { ShopOptions } from "./shop.ts";

const ANSWER_WITHIN_MS = 10_000;

/** One process of the shop, as seen by its visitors and its owner. */
export class ShopProcess implements AsyncDisposable {
  readonly #process: ScriptProcess<ShopHandlers>;
  readonly #agent: Agent;
  readonly #url: URL;

  private constructor(process: ScriptProcess<ShopHandlers>, url: string, connections: number) {
    this.#process = process;
    this.#url = new URL(url);
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** Starts `count` processes, which share the keys below one prefix. @param connections to each */
  static start(count: number, options: ShopOptions, connections: number): Promise<readonly ShopProcess[]> {
    return Promise.all(
      Array.from({ length: count }, async () => {
        const process = forkScript<ShopHandlers>(new URL("shop-process.ts", import.meta.url));
        return new ShopProcess(process, await process.call("start", options), connections);
      }),
    );
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** `undefined` for a product that is not sold. @throws {Error} for any other failure. */
  async price(product: string): Promise<Price | undefined> {
    const { status, body } = await this.#ask("GET", product);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`status ${status}: ${body.trim()}`);
    return JSON.parse(body) as Price;
  }

  /** @returns the new price; `isPending`: the invalidation has not reached Redis yet. */
  async change(product: string, cents: number): Promise<{ readonly version: number; readonly isPending: boolean }> {
    const { status, body } = await this.#ask("PUT", product, String(cents));
    if (status !== 200) throw new Error(`status ${status}: ${body.trim()}`);
    const answer = JSON.parse(body) as Price & { readonly status: string };
    return { version: answer.version, isPending: answer.status === "pending" };
  }

  async remove(product: string): Promise<{ readonly isPending: boolean }> {
    const { status, body } = await this.#ask("DELETE", product);
    if (status !== 200) throw new Error(`status ${status}: ${body.trim()}`);
    return { isPending: (JSON.parse(body) as { readonly status: string }).status === "pending" };
  }

  stats(): Promise<CacheStats> {
    return this.#process.call("stats");
  }

  /** Whether it receives changes, and has no pending invalidations. */
  async isInStep(): Promise<boolean> {
    const { tiers, pending } = await this.stats();
    return pending === 0 && tiers.at(-1)!.state === "up";
  }

  /** Ends it as a deploy does: the process closes its cache and exits. */
  async close(): Promise<void> {
    this.#agent.destroy();
    await this.#process.call("close");
    await this.#process.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    await this.#process[Symbol.asyncDispose]();
  }

  #ask(method: string, product: string, body?: string): Promise<{ readonly status: number; readonly body: string }> {
    const { hostname, port } = this.#url;
    return new Promise((resolve, reject) => {
      const asked = request(
        { hostname, port, method, path: `/prices/${product}`, agent: this.#agent, timeout: ANSWER_WITHIN_MS },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          response.once("error", reject);
          response.once("end", () => resolve({ status: response.statusCode!, body: text }));
        },
      );
      asked.once("timeout", () => asked.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS} ms`)));
      asked.once("error", reject);
      asked.end(body);
    });
  }
}
