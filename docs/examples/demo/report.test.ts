import { describe, expect, it } from "vitest";
import { checklist, judge, table, type Run } from "./report.ts";
import { Till } from "./till.ts";

const NEW = { product: "p", cents: 1, version: 2 };
const OLD = { product: "p", cents: 1, version: 1 };

/**
 * Two processes that answered 50 requests each; one change and one removal with Redis, one change without it; two
 * products.
 */
function run(change: Partial<Run> = {}, spoil: (till: Till) => void = () => undefined): Run {
  const till = new Till(2);
  for (let i = 0; i < 100; i += 1) till.answered(i % 2, "p", OLD, performance.now());
  spoil(till);
  return {
    till,
    processes: 2,
    products: 2,
    leastRequests: 100,
    tookMs: 1_000,
    seen: [
      { isRemoval: false, wasPending: false, slowestMs: 3 },
      { isRemoval: true, wasPending: false, slowestMs: 2_000 },
      { isRemoval: false, wasPending: true, slowestMs: 7_000 },
    ],
    crowd: { callers: 200, loads: 1 },
    swap: { before: { json: 2 }, after: { json: 1, msgpack: 1 } },
    loads: 9,
    overtaken: 0,
    unanswered: 0,
    restart: { runIds: ["one", "other"], answered: 20, keysSince: 1 },
    frozen: { answered: 30, longestMs: 1_000 },
    bySql: [3, 2_000],
    ...change,
  };
}

const failedIn = (of: Run): readonly string[] =>
  judge(of)
    .filter(({ passed }) => !passed)
    .map(({ what }) => what);
const [told, removed, pending] = run().seen as [Run["seen"][0], Run["seen"][0], Run["seen"][0]];

describe("the checks of several processes", () => {
  it("all pass in a good run", () => {
    expect(failedIn(run())).toEqual([]);
    expect(judge(run())).toHaveLength(11);
    expect(failedIn(run({ loads: 10, unanswered: 1 }))).toEqual([]);
    expect(failedIn(run({ loads: 10, overtaken: 1 }))).toEqual([]);
    const { restart: _restart, frozen: _frozen, bySql: _bySql, ...unharmed } = run({ loads: 7 });
    expect(judge(unharmed)).toHaveLength(8);
    expect(failedIn(unharmed)).toEqual([]);
    expect(failedIn({ ...unharmed, loads: 8 })).toEqual(["each price loaded once, and once for each change"]);
  });

  it.each<[what: string, of: Run]>([
    ["a price changed by SQL is right in all processes", run({ bySql: [3, 2_001] })],
    ["a price changed by SQL is right in all processes", run({ bySql: [] })],
    ["no failed request", run({}, (till) => till.failedWith("p: status 500"))],
    ["at least 101 requests, and each its share", run({ leastRequests: 101 })],
    [
      "at least 100 requests, and each its share",
      run({}, (till) => {
        for (let i = 0; i < 200; i += 1) till.answered(0, "p", OLD, performance.now());
      }),
    ],
    ["each change seen by all within 2 s", run({ seen: [{ ...told, slowestMs: 2_001 }, removed, pending] })],
    ["each change seen by all within 2 s", run({ seen: [{ ...told, slowestMs: Infinity }, removed, pending] })],
    [
      "no price served after it was deleted",
      run({}, (till) => {
        till.servedDeleted = 1;
      }),
    ],
    ["no price served after it was deleted", run({ seen: [told, told, pending] })],
    [
      "no price older than its process had to know",
      run({}, (till) => {
        till.servedOlder = 1;
      }),
    ],
    ["one load for all who miss a price together", run({ crowd: { callers: 200, loads: 2 } })],
    ["one load for all who miss a price together", run({ crowd: { callers: 200, loads: 0 } })],
    ["each price loaded once, and once for each change", run({ loads: 10 })],
    [
      "Redis was restarted, and is in use again",
      run({ restart: { runIds: ["one", "one"], answered: 20, keysSince: 1 } }),
    ],
    [
      "Redis was restarted, and is in use again",
      run({ restart: { runIds: ["one", "other"], answered: 20, keysSince: 0 } }),
    ],
    [
      "changes during the outage seen by all after it",
      run({ seen: [told, removed, { ...pending, slowestMs: 7_001 }] }),
    ],
    ["JSON is still read, msgpack is written", run({ swap: { before: { json: 2 }, after: { json: 2 } } })],
    ["JSON is still read, msgpack is written", run({ swap: { before: { json: 2 }, after: { msgpack: 2 } } })],
    [
      "JSON is still read, msgpack is written",
      run({ swap: { before: { json: 1, msgpack: 1 }, after: { json: 1, msgpack: 1 } } }),
    ],
  ])("%s: fails if that is not so", (what, of) => {
    expect(failedIn(of)).toEqual([what]);
  });

  it("show the figures of a run, and how many checks passed", () => {
    const [requests, ...lines] = table(run());
    expect(requests).toMatch(/^ {2}requests {11}100 {2}p50 \d/);
    expect(lines).toEqual([
      "  loads                9  9.0 % of requests, in all processes",
      "  changes              3  seen by all after p50 3.0 ms, at most 2000.0 ms",
      "  Redis killed        20  requests answered meanwhile",
      "  Redis frozen        30  answered meanwhile, the slowest in 1000.0 ms",
      "  took             1.0 s",
    ]);
    expect(checklist(judge(run({ loads: 10 }))).at(-1)).toBe("  10 of 11 checks passed");
  });
});

describe("the till", () => {
  const asked = (till: Till, process: number, price: typeof OLD | undefined, laterMs = 0) =>
    till.answered(process, "p", price, performance.now() + laterMs);
  const judged = ({ servedOlder, servedDeleted, failed }: Till) => [servedOlder, servedDeleted, failed];

  it("requires a process to show its own changes at once, and those of others after maxStaleness", () => {
    const till = new Till(2);
    till.done("p", 2, 0, false);
    asked(till, 0, NEW, 1);
    asked(till, 1, OLD, 500);
    expect(judged(till)).toEqual([0, 0, 0]);
    asked(till, 0, OLD, 1);
    expect(judged(till)).toEqual([1, 0, 0]);
    asked(till, 1, OLD, 2_100);
    expect(judged(till)).toEqual([2, 0, 0]);
  });

  it("requires other processes to show a pending change only once it has reached Redis", () => {
    const till = new Till(2);
    till.done("p", 2, 0, true);
    asked(till, 1, OLD, 60_000);
    expect(judged(till)).toEqual([0, 0, 0]);
    till.settled();
    asked(till, 1, OLD, 2_100);
    asked(till, 0, OLD, 1);
    expect(judged(till)).toEqual([2, 0, 0]);
  });

  it("knows the longest wait since it was last asked", () => {
    const till = new Till(1);
    till.answered(0, "p", OLD, performance.now() - 60_000);
    expect(till.watch()).toBeGreaterThanOrEqual(60_000);
    expect(till.watch()).toBe(0);
  });

  it("distinguishes a price served after its deletion from a missing price of a product that is sold", () => {
    const till = new Till(2);
    asked(till, 0, undefined);
    expect(judged(till)).toEqual([0, 0, 1]);
    till.leaves("p");
    asked(till, 1, undefined);
    till.done("p", undefined, 0, false);
    asked(till, 0, NEW, 1);
    asked(till, 1, NEW, 2_100);
    expect(judged(till)).toEqual([0, 2, 1]);
  });
});
