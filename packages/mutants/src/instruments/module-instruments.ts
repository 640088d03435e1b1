import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "metrics: a queue that cannot be asked fails the scrape",
    promises: ["C264"],
    rule: "await Promise.allSettled(",
    broken: 'await (async (calls) => (await Promise.all(calls)).map((value) => ({ status: "fulfilled", value })))(',
  },
  {
    name: "metrics: the lag of a group is what it holds",
    promises: ["C288"],
    rule: "[[{ consumer }, lag] as const]",
    broken: "[[{ consumer }, lag - 1] as const]",
  },
];
