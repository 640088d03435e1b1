/**
 * One contender in one workload, in a process of its own: no other code has been loaded, and none has been optimised
 * for another one.
 */
import { answerCalls } from "@hotset/test-servers";
import { garbageOf, type Garbage } from "./garbage.ts";
import { openWorkload, type Metrics, type Workload, type WorkloadCall } from "./workloads.ts";

let workload: Workload | undefined;

const handlers = {
  async open(call: WorkloadCall): Promise<void> {
    workload = await openWorkload(call);
  },
  /** @param ms about how long it takes */
  async round(ms: number): Promise<Metrics> {
    return opened().round(ms);
  },
  /** Needs `--expose-gc` and a large young generation. */
  async garbage(): Promise<Garbage> {
    return garbageOf(opened());
  },
  async close(): Promise<void> {
    await workload?.close();
  },
};

export type Worker = typeof handlers;
answerCalls(handlers);

function opened(): Workload {
  if (workload === undefined) throw new Error("open comes first");
  return workload;
}
