import { Agent, request } from "node:http";
import { forkScript, until, type ScriptProcess } from "@hotset/test-servers";
import type { CacheStats } from "hotset";
import type { Price } from "./catalogue.ts";
import type { ShopHandlers } from "./shop-process.ts";
import type { ShopOptions } from "./shop.ts";

const ANSWER_WITHIN_MS = 10_000;

/** One process of the shop, as seen by its visitors and its owner. */
export class ShopProcess implements AsyncDisposable {
  #instance: Instance;
  /** Counts of the instances before. */
  readonly #before: CacheStats[] = [];

  private constructor(instance: Instance) {
    this.#instance = instance;
  }

  /** Starts `count` processes, which share one store. @param connections to each */
  static start(count: number, options: ShopOptions, connections: number): Promise<readonly ShopProcess[]> {
    return Promise.all(Array.from({ length: count }, async () => new ShopProcess(await started(options, connections))));
  }

  get pid(): number {
    return this.#instance.process.pid;
  }

  /** Replaces the process by a new one, as a rolling deploy does: the old one ends once its requests are answered. */
  async redeploy(options: ShopOptions, connections: number): Promise<void> {
    const old = this.#instance;
    this.#instance = await started(options, connections);
    await until("the answers of the old process", async () => old.underWay === 0);
    this.#before.push(await old.process.call("stats"));
    await ended(old);
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

  /** Calls since the first instance was started. */
  async counts(): Promise<Counts> {
    const all = [...this.#before, await this.#instance.process.call("stats")];
    const sum = (of: (stats: CacheStats) => number): number => all.reduce((total, stats) => total + of(stats), 0);
    return {
      loads: sum(({ loads }) => loads),
      overtaken: sum(({ fenced }) => fenced),
      unanswered: sum(({ tiers }) => tiers.at(-1)!.errors),
    };
  }

  /** The format in which the store holds each of these prices. */
  formats(products: readonly string[]): Promise<readonly (string | undefined)[]> {
    return this.#instance.process.call("formats", products);
  }

  /** Whether it receives changes, and has no pending invalidations. */
  async isInStep(): Promise<boolean> {
    const { tiers, pending } = await this.#instance.process.call("stats");
    return pending === 0 && tiers.at(-1)!.state === "up";
  }

  /** The process closes its cache and exits. */
  close(): Promise<void> {
    return ended(this.#instance);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#instance.agent.destroy();
    await this.#instance.process[Symbol.asyncDispose]();
  }

  async #ask(method: string, product: string, body?: string): Promise<Answer> {
    const instance = this.#instance;
    instance.underWay += 1;
    try {
      return await ask(instance, { method, path: `/prices/${product}`, body });
    } finally {
      instance.underWay -= 1;
    }
  }
}

/** Sums over the instances of a process. */
export interface Counts {
  readonly loads: number;
  /** Loads that a change overtook. */
  readonly overtaken: number;
  /** Calls that the store refused or did not answer in time. */
  readonly unanswered: number;
}

interface Instance {
  readonly process: ScriptProcess<ShopHandlers>;
  readonly url: URL;
  readonly agent: Agent;
  /** Requests without an answer yet. */
  underWay: number;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

async function started(options: ShopOptions, connections: number): Promise<Instance> {
  const process = forkScript<ShopHandlers>(new URL("shop-process.ts", import.meta.url));
  const url = new URL(await process.call("start", options));
  return { process, url, agent: new Agent({ keepAlive: true, maxSockets: connections }), underWay: 0 };
}

async function ended({ process, agent }: Instance): Promise<void> {
  agent.destroy();
  await process.call("close");
  await process.end();
}

function ask(
  { url: { hostname, port }, agent }: Instance,
  { method, path, body }: { readonly method: string; readonly path: string; readonly body: string | undefined },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, method, path, agent, timeout: ANSWER_WITHIN_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.once("error", reject);
      response.once("end", () => resolve({ status: response.statusCode!, body: text }));
    });
    asked.once("timeout", () => asked.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS} ms`)));
    asked.once("error", reject);
    asked.end(body);
  });
}
