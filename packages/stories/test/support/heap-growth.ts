import { setImmediate } from "node:timers/promises";
import v8 from "node:v8";
import vm from "node:vm";

const MAX_RUNS = 4;

/** The heap in bytes after full garbage collections. */
async function liveHeap(): Promise<number> {
  v8.setFlagsFromString("--expose-gc");
  const collectGarbage = vm.runInNewContext("gc") as () => void;
  for (let i = 0; i < 3; i += 1) {
    // Pending tasks of the test runner end here, so that their memory is collected too.
    await setImmediate();
    collectGarbage();
  }
  return process.memoryUsage().heapUsed;
}

/**
 * The growth of the live heap, in bytes, by one run of `work`: the smallest of up to four runs, which stop at the first
 * growth below `limitBytes`. A leak grows in every run, the test runner and compiled code only in some.
 */
export async function heapGrowth(limitBytes: number, work: (run: number) => Promise<void>): Promise<number> {
  let least = Infinity;
  let before = await liveHeap();
  for (let run = 0; run < MAX_RUNS && least >= limitBytes; run += 1) {
    await work(run);
    const after = await liveHeap();
    least = Math.min(least, after - before);
    before = after;
  }
  return least;
}
