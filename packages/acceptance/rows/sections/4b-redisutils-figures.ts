import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Row, Section } from "../row.ts";

/** The committed results of `npm run bench:toolkit`. */
const RESULTS = "benchmarks/results/toolkit.json";

/** Of them, what decides these rows. */
export interface Judged {
  readonly isQuiet: boolean;
  readonly rows: readonly {
    readonly id: string;
    readonly target: string;
    readonly value: string;
    readonly yardstick: string;
    readonly isMet: boolean;
  }[];
}

const { isQuiet, rows } = JSON.parse(readFileSync(join(import.meta.dirname, "../../../..", RESULTS), "utf8")) as Judged;

/** Held where a run on a quiet machine has met its target. */
function measured(id: string, what: string): Row {
  const judged = rows.find((row) => row.id === id);
  if (judged === undefined) return { id, what, open: "not measured" };
  const { target, value, yardstick, isMet } = judged;
  if (!isQuiet) return { id, what, open: `not measured on a quiet machine; on a busy one ${value}` };
  if (!isMet) return { id, what, open: `${target} was not met: ${value}; ${yardstick}` };
  const test = ["benchmarks/toolkit/verdicts.test.ts", `${id}:`] as const;
  return { id, what, here: `measured: ${value}; ${yardstick}`, module: RESULTS, test };
}

export const SECTION: Section = {
  title: "RedisUtils: figures",
  rows: [
    measured("R3-31", "100,000 and more operations a second"),
    measured("R3-32", "p99 below 1 ms"),
    measured("R3-33", "less than 50 MB"),
    measured("R3-34", "10 to 500 connections"),
    {
      id: "R3-35",
      what: "automatic failover",
      here: "`sentinels` or `cluster`: the successor of a primary that dies is found",
      module: "@hotset/redis",
      test: ["packages/redis/test/sentinel.integration.test.ts", "finds the successor of a primary that dies"],
    },
    measured("R3-36", "a yardstick of the same machine beside each figure"),
  ],
};
