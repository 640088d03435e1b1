import type { BrokenRule } from "../mutant.ts";

const VERDICTS = "benchmarks/toolkit/verdicts.ts";

export const MUTANTS: readonly BrokenRule[] = [
  {
    name: "R3-31 a rate is what the caller counts alone",
    file: VERDICTS,
    rule: "gets.byCaller >= GETS_PER_SECOND && gets.byInfo >= GETS_PER_SECOND",
    broken: "gets.byCaller >= GETS_PER_SECOND",
  },
  {
    name: "R3-32 a p99 counts at a rate that was not reached",
    file: VERDICTS,
    rule: "p99Ms < P99_MS && reached >= perSecond * REACHED",
    broken: "p99Ms < P99_MS",
  },
  {
    name: "R3-33 any memory is little",
    file: VERDICTS,
    rule: "isMet: memory.residentMb < RESIDENT_MB",
    broken: "isMet: memory.residentMb >= 0",
  },
  {
    name: "R3-34 a sweep may end before 500 connections",
    file: VERDICTS,
    rule: "const CONNECTIONS = [10, 50, 100, 500];",
    broken: "const CONNECTIONS = [10];",
  },
  {
    name: "R3-36 one size has a yardstick",
    file: VERDICTS,
    rule: "const YARDSTICKS = [64, 1_024, 10_240];",
    broken: "const YARDSTICKS = [1_024];",
  },
];
