import { setTimeout as sleep } from "node:timers/promises";
import type { OwnRedis } from "@hotset/test-servers";
import { processorMs } from "../server-figures.ts";

/** Processor time of servers: it holds on a busy machine, where time on the clock does not. */
export class Meter {
  readonly #servers: readonly OwnRedis[];
  #idleMsPerMs: readonly number[];

  constructor(...servers: readonly OwnRedis[]) {
    this.#servers = servers;
    this.#idleMsPerMs = servers.map(() => 0);
  }

  /** Measures what is used while nothing is called: {@link us} leaves as much out. @returns in cores, of all servers */
  async rest(forMs: number): Promise<number> {
    const { usedMs, tookMs } = await this.#measured(() => sleep(forMs));
    this.#idleMsPerMs = usedMs.map((ms) => ms / tookMs);
    return sum(this.#idleMsPerMs);
  }

  /** For what `run` does, in microseconds of all servers. All that follows within 200 ms belongs to it. */
  async us(run: () => Promise<unknown>): Promise<number> {
    return sum(await this.usOfEach(run));
  }

  async usOfEach(run: () => Promise<unknown>): Promise<readonly number[]> {
    const { usedMs, tookMs } = await this.#measured(async () => {
      await run();
      await sleep(200);
    });
    return usedMs.map((ms, i) => (ms - this.#idleMsPerMs[i]! * tookMs) * 1_000);
  }

  async #measured(
    run: () => Promise<unknown>,
  ): Promise<{ readonly usedMs: readonly number[]; readonly tookMs: number }> {
    const before = await Promise.all(this.#servers.map(processorMs));
    const startedAt = performance.now();
    await run();
    const tookMs = performance.now() - startedAt;
    const after = await Promise.all(this.#servers.map(processorMs));
    return { usedMs: after.map((ms, i) => ms - before[i]!), tookMs };
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** A field of INFO as a number. */
export async function infoOf(server: OwnRedis, section: string, field: string): Promise<number> {
  return Number((await server.info(section))[field]);
}
