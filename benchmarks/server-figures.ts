import type { OwnRedis } from "@hotset/test-servers";

/** Calls and microseconds of some commands. Commands that a script runs have rows of their own beside its row. */
export interface CommandFigures {
  readonly calls: number;
  readonly microseconds: number;
}

/** The named commands together, since CONFIG RESETSTAT. @param names in lower case */
export async function commandFigures(server: OwnRedis, names: readonly string[]): Promise<CommandFigures> {
  const stats = await server.info("commandstats");
  const sum = (field: string): number =>
    names.reduce(
      (all, name) => all + Number(new RegExp(`\\b${field}=(\\d+)`).exec(stats[`cmdstat_${name}`] ?? "")?.[1] ?? 0),
      0,
    );
  return { calls: sum("calls"), microseconds: sum("usec") };
}

/** Processor time of the server since its start. */
export async function processorMs(server: OwnRedis): Promise<number> {
  const cpu = await server.info("cpu");
  return (Number(cpu["used_cpu_user"]) + Number(cpu["used_cpu_sys"])) * 1_000;
}

/** Counts what is done, for a caller that waits. */
export class Tally {
  #count = 0;
  #wanted = Infinity;
  #resolve: () => void = () => undefined;

  add(): void {
    this.#count += 1;
    if (this.#count >= this.#wanted) this.#resolve();
  }

  /** Resolves when so many more are done. One caller at a time. */
  more(count: number): Promise<void> {
    this.#wanted = this.#count + count;
    return new Promise((resolve) => (this.#resolve = resolve));
  }
}
