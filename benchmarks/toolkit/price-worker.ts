/** One side of a comparison of prices, and the CPU time that its process takes for the work. */
import { answerCalls } from "@hotset/test-servers";
import { inFlight } from "../measure.ts";
import { SIDES, type Side } from "./price-sides.ts";

let side: Side;

async function priced(operations: number, work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / operations;
}

const handlers = {
  async open(what: string, name: string, url: string): Promise<void> {
    side = await SIDES[what]![name]!(url);
  },
  /** @returns CPU time of one step, in microseconds */
  run: (operations: number, limit: number): Promise<number> =>
    priced(operations, () => inFlight(limit, operations, (i) => side.step(i))),
  consume: (entries: number, count: number): Promise<number> => priced(entries, () => side.consume!(entries, count)),
  /** Callers that take one lock and release it again, for so long. @returns how often */
  async loop(callers: number, ms: number): Promise<number> {
    const endsAt = performance.now() + ms;
    let holds = 0;
    const caller = async (): Promise<void> => {
      while (performance.now() < endsAt) {
        const release = await side.take!("wanted");
        holds += 1;
        await release();
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return holds;
  },
};

export type PriceWorker = typeof handlers;
answerCalls(handlers);
