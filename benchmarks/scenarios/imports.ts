import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { spread, type Spread } from "../measure.ts";

/** The cost of importing a built package in a new process, before any of it is used. */
export interface ImportCost {
  readonly name: string;
  readonly ms: Spread;
  /** Processor time: other processes on the machine change it less. */
  readonly processorMs: Spread;
  /** Importing a module that exports nothing, as often and interleaved with the others: noise, and Node's own cost. */
  readonly emptyMs: Spread;
  readonly maxMs: number;
}

const TARGETS = [
  { name: "hotset", maxMs: 20 },
  { name: "@hotset/core", maxMs: 5 },
] as const;
const EMPTY = "data:text/javascript,";

/** Resolved from this folder by name, as an application would; files come from the cache of the file system. */
export function importCosts(rounds: number): readonly ImportCost[] {
  const specifiers = [EMPTY, ...TARGETS.map(({ name }) => name)];
  for (const specifier of specifiers) importOnce(specifier);
  const taken = Array.from({ length: rounds * 3 }, () => specifiers.map(importOnce));
  const times = (at: number, of: keyof Taken): Spread => spread(taken.map((round) => round[at]![of]));
  return TARGETS.map(({ name, maxMs }, i) => ({
    name,
    ms: times(i + 1, "ms"),
    processorMs: times(i + 1, "processorMs"),
    emptyMs: times(0, "ms"),
    maxMs,
  }));
}

interface Taken {
  readonly ms: number;
  readonly processorMs: number;
}

function importOnce(specifier: string): Taken {
  // Not performance.now(), whose first use loads a module of Node that the package needs as well.
  const script = `
    const before = { usage: process.cpuUsage(), at: process.hrtime.bigint() };
    await import(${JSON.stringify(specifier)});
    const ms = Number(process.hrtime.bigint() - before.at) / 1e6;
    const { user, system } = process.cpuUsage(before.usage);
    console.log(JSON.stringify({ ms, processorMs: (user + system) / 1e3 }));`;
  const cwd = join(import.meta.dirname, "..");
  return JSON.parse(
    execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd, encoding: "utf8" }),
  ) as Taken;
}
