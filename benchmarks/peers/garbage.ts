import { createHook } from "node:async_hooks";
import { setImmediate as turn } from "node:timers/promises";
import type { Workload } from "./workloads.ts";

/** For one operation. Other processes on the machine do not change them. */
export interface Garbage {
  readonly bytes: number;
  readonly promises: number;
}

/** Runs before the one that is counted. */
const WARM = 5;

/**
 * The bytes that an operation allocates, and the promises that it makes. The young generation must hold all that is
 * allocated meanwhile: what a collection frees would not be counted.
 */
export async function garbageOf({ some }: Workload): Promise<Garbage> {
  if (some === undefined) throw new Error("this workload has no operations to count");
  const { times, run } = some;
  // Compiled code allocates less: numbers and short-lived objects stay in registers.
  for (let i = 0; i < WARM; i += 1) await run(times);
  await turn();
  globalThis.gc!();
  const before = process.memoryUsage().heapUsed;
  await run(times);
  const bytes = (process.memoryUsage().heapUsed - before) / times;
  let promises = 0;
  const counter = createHook({
    init(_, type) {
      if (type === "PROMISE") promises += 1;
    },
  });
  counter.enable();
  await run(times);
  counter.disable();
  return { bytes: Math.round(bytes), promises: Math.round((promises / times) * 10) / 10 };
}
