import { Agent, request, type IncomingHttpHeaders } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { outcomeOf } from "./cache-status.ts";
import type { Ledger } from "./ledger.ts";
import type { PackageFacts } from "./package-facts.ts";

export interface TrafficOptions {
  /** The most popular first. */
  readonly names: readonly string[];
  /** The same seed asks for the same names in the same order. */
  readonly seed: number;
  readonly perSecond: number;
  /** Concurrent requests, each on a connection that is kept open. */
  readonly connections: number;
  readonly ledger: Ledger;
  /** Called with each good answer. */
  readonly onAnswer: (name: string, facts: PackageFacts) => void;
}

/**
 * Visitors of the service, over real HTTP: most request a popular package (the r-th of them with a share in proportion
 * to 1/r, Zipf's law); each tenth is a crawler that requests one after another, and each tenth requests the package
 * that {@link askFor} named.
 */
export class Traffic {
  sent = 0;
  readonly #options: TrafficOptions;
  readonly #popular: () => string;
  readonly #covered = new Set<string>();
  #crawled = 0;
  #wanted: string | undefined;
  #origin: Origin;
  #underWay = 0;
  #gate: Promise<void> | undefined;
  #pace = { since: performance.now(), sent: 0 };

  constructor(url: string, options: TrafficOptions) {
    this.#options = options;
    this.#origin = originOf(url, options.connections);
    this.#popular = zipf(options.names, options.seed);
  }

  /** Whether each name was answered since the service last moved. */
  get hasCoveredAll(): boolean {
    return this.#covered.size === this.#options.names.length + (this.#wanted === undefined ? 0 : 1);
  }

  /** From now on each tenth visitor requests this package. */
  askFor(name: string): void {
    this.#wanted = name;
  }

  /** Sends at the given rate, or as fast as answers come, until `isOver` is true after an answer. */
  async run(isOver: () => boolean): Promise<void> {
    this.#pace = { since: performance.now(), sent: 0 };
    const visitor = async (): Promise<void> => {
      while (!isOver()) {
        await this.#turn();
        while (this.#gate !== undefined) await this.#gate;
        await this.#visit();
      }
    };
    await Promise.all(Array.from({ length: this.#options.connections }, visitor));
    this.#origin.agent.destroy();
  }

  /** Sends nothing while the service moves; requests under way are answered first. */
  async moveTo(move: () => Promise<string>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    while (this.#underWay > 0) await sleep(1);
    try {
      const url = await move();
      this.#origin.agent.destroy();
      this.#origin = originOf(url, this.#options.connections);
      this.#covered.clear();
      this.#pace = { since: performance.now(), sent: 0 };
    } finally {
      this.#gate = undefined;
      resolve();
    }
  }

  /** Waits until the next request is due. */
  async #turn(): Promise<void> {
    const dueAt = this.#pace.since + (this.#pace.sent / this.#options.perSecond) * 1_000;
    const aheadMs = dueAt - performance.now();
    // Missed requests are not made up for by a flood.
    if (aheadMs < -CATCH_UP_MS) this.#pace = { since: performance.now(), sent: 0 };
    this.#pace.sent += 1;
    if (aheadMs > 1) await sleep(aheadMs);
  }

  async #visit(): Promise<void> {
    const { ledger, onAnswer } = this.#options;
    const name = this.#nextName();
    this.sent += 1;
    this.#underWay += 1;
    const startedAt = performance.now();
    try {
      const { status, headers, body } = await get(this.#origin, `/packages/${encodeURIComponent(name)}`);
      const durationMs = performance.now() - startedAt;
      if (status !== 200) throw new Error(`status ${status}: ${body.trim()}`);
      const facts = JSON.parse(body) as PackageFacts;
      ledger.answered(name, facts, outcomeOf(headers["cache-status"] as string | undefined), durationMs);
      this.#covered.add(name);
      onAnswer(name, facts);
    } catch (error) {
      ledger.failedWith(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.#underWay -= 1;
    }
  }

  #nextName(): string {
    const { names } = this.#options;
    const turn = this.sent % 10;
    if (turn === 0) return names[this.#crawled++ % names.length]!;
    return turn === 5 && this.#wanted !== undefined ? this.#wanted : this.#popular();
  }
}

const CATCH_UP_MS = 20;
const ANSWER_WITHIN_MS = 10_000;

interface Origin {
  readonly hostname: string;
  readonly port: string;
  readonly agent: Agent;
}

function originOf(url: string, connections: number): Origin {
  const { hostname, port } = new URL(url);
  return { hostname, port, agent: new Agent({ keepAlive: true, maxSockets: connections }) };
}

interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function get({ hostname, port, agent }: Origin, path: string): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, agent, path, timeout: ANSWER_WITHIN_MS }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: Buffer.concat(chunks).toString("utf8"),
        }),
      );
    });
    asked.once("timeout", () => asked.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS} ms`)));
    asked.once("error", reject);
    asked.end();
  });
}

/** Draws names; the r-th has a share in proportion to 1/r (exponent 1). */
function zipf(names: readonly string[], seed: number): () => string {
  const uniform = uniformFrom(seed);
  let total = 0;
  const upTo = names.map((_name, rank) => (total += 1 / (rank + 1)));
  return () => {
    const point = uniform() * total;
    return names[upTo.findIndex((bound) => point < bound)]!;
  };
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function uniformFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
