import { forkScript } from "@hotset/test-servers";
import type { CacheProcess } from "../processes/cache-process.ts";
import { middle, type Conditions, type Trial } from "../trial.ts";

const CACHE_PROCESS = new URL("../processes/cache-process.ts", import.meta.url);
const CALLERS = 500;
const LOAD_MS = 50;

/** A thousand callers in two processes of an absent key: how often it is loaded, and how long the last one waits. */
export const coldKey = ({ url, rounds }: Conditions): Trial => ({
  name: "a cold key, 1,000 callers in two processes",
  async run() {
    await using one = forkScript<CacheProcess>(CACHE_PROCESS);
    await using two = forkScript<CacheProcess>(CACHE_PROCESS);
    const processes = [one, two];
    await Promise.all(processes.map((each) => each.call("open", { url, name: "cold-key" })));
    const loads: number[] = [];
    const beside: number[] = [];
    for (let round = -2; round < rounds * 5; round += 1) {
      const answers = await Promise.all(
        processes.map((each) => each.call("callers", `cold:${round}`, CALLERS, LOAD_MS)),
      );
      if (round < 0) continue;
      loads.push(answers.reduce((sum, answer) => sum + answer.loads, 0));
      beside.push(
        Math.max(...answers.map(({ endedAt }) => endedAt)) -
          Math.min(...answers.map(({ startedAt }) => startedAt)) -
          LOAD_MS,
      );
    }
    await Promise.all(processes.map((each) => each.call("close")));
    return [
      {
        what: "loads of a key, at most",
        unit: "",
        value: Math.max(...loads),
        atLeast: 1,
        atMost: 1,
        remark: `${loads.length} keys`,
      },
      { what: "until the last caller is answered, beside the load", unit: " ms", ...middle(beside) },
    ];
  },
});
