import type { Exemption, Verdict } from "./checker.ts";
import type { History } from "./history.ts";

/** The outcome of one round. */
export interface Outcome {
  readonly history?: History;
  readonly verdict?: Verdict;
  /** The round itself could not be run: no server, say. */
  readonly trouble?: string;
}

/** The sum of all rounds. */
export class Tally {
  failed = 0;
  #rounds = 0;
  #lags: number[] = [];
  #heals: number[] = [];
  #longestStallMs = 0;
  readonly #exemptions = new Map<Exemption, number>();
  readonly #faults = new Map<string, number>();
  readonly #checked = { reads: 0, changes: 0, loads: 0, received: 0, asked: 0 };

  /** @returns a line about it */
  add(seed: number, { history, verdict, trouble }: Outcome): string {
    this.#rounds += 1;
    if (trouble !== undefined || verdict === undefined || history === undefined) {
      this.failed += 1;
      return `seed ${seed} could not be run: ${trouble}`;
    }
    if (verdict.violations.length > 0) this.failed += 1;
    this.#lags.push(...verdict.lagsMs);
    const isFrozen = (process: string, at: number): boolean =>
      history.faults.some(
        ({ freezes, processes, from, to }) =>
          freezes === true && processes?.includes(process) === true && from <= at && at <= to,
      );
    for (const { process, from, to } of history.stalls)
      if (!isFrozen(process, from)) this.#longestStallMs = Math.max(this.#longestStallMs, to - from);
    this.#heals.push(...verdict.healsMs);
    for (const [exemption, times] of Object.entries(verdict.exemptions))
      this.#exemptions.set(exemption as Exemption, (this.#exemptions.get(exemption as Exemption) ?? 0) + times);
    for (const { kind } of history.faults) this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + 1);
    for (const what of ["reads", "changes", "loads", "received", "asked"] as const)
      this.#checked[what] += verdict.checked[what];
    const { reads, changes, loads } = verdict.checked;
    return `seed ${seed}: ${reads} reads, ${changes} changes, ${loads} loads, ${history.faults.length} faults: ${verdict.violations.length === 0 ? "all promises hold" : `${verdict.violations.length} violations`}`;
  }

  text(): string {
    const list = (counts: ReadonlyMap<string, number>): string =>
      [...counts]
        .sort((a, b) => b[1] - a[1])
        .map(([what, times]) => `${times} ${what}`)
        .join(", ") || "none";
    return [
      "",
      percentiles("another process answers correctly, after the acknowledgement", this.#lags),
      percentiles("all processes are in step again, after the end of a fault", this.#heals),
      `faults: ${list(this.#faults)}`,
      `answers that only an exemption explains: ${list(this.#exemptions)}`,
      `the longest time that a process did not run: ${this.#longestStallMs.toFixed(0)} ms`,
      `${this.#checked.reads} reads, ${this.#checked.changes} changes and ${this.#checked.loads} loads in ${this.#rounds} rounds`,
      `reads in an outage that had to obey a change: ${this.#checked.received} received before it, ${this.#checked.asked} told by versions whose primary answered`,
      `${this.#rounds - this.failed} passed, ${this.failed} failed`,
    ].join("\n");
  }
}

function percentiles(title: string, values: readonly number[]): string {
  if (values.length === 0) return `${title}: nothing was measured`;
  const sorted = values.toSorted((a, b) => a - b);
  const [p50, p90, p99, most] = [0.5, 0.9, 0.99, 1].map((share) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(2),
  );
  return `${title}, ${sorted.length} times: p50 ${p50} ms, p90 ${p90} ms, p99 ${p99} ms, max ${most} ms`;
}
