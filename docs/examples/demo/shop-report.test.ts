import { describe, expect, it } from "vitest";
import { judgeShops, shopTable, type ShopRun } from "./shop-report.ts";
import { Till } from "./till.ts";

const NEW = { product: "p", cents: 1, version: 2 };
const OLD = { product: "p", cents: 1, version: 1 };

/**
 * Two processes that answered 50 requests each; one change and one removal with Redis, one change without it; two
 * products.
 */
function run(change: Partial<ShopRun> = {}, spoil: (till: Till) => void = () => undefined): ShopRun {
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
    loads: [5, 4],
    overtaken: 0,
    unanswered: 0,
    restarts: [{ runIds: ["one", "other"], keysSince: 1 }],
    ...change,
  };
}

const failedIn = (of: ShopRun): readonly string[] =>
  judgeShops(of)
    .filter(({ passed }) => !passed)
    .map(({ what }) => what);
const [told, removed, pending] = run().seen as [ShopRun["seen"][0], ShopRun["seen"][0], ShopRun["seen"][0]];

describe("the checks of several processes", () => {
  it("all pass in a good run", () => {
    expect(failedIn(run())).toEqual([]);
    expect(judgeShops(run())).toHaveLength(9);
    expect(failedIn(run({ loads: [5, 5], unanswered: 1 }))).toEqual([]);
    expect(failedIn(run({ loads: [5, 5], overtaken: 1 }))).toEqual([]);
    expect(judgeShops(run({ restarts: undefined, loads: [2, 2] }))).toHaveLength(6);
  });

  it.each<[what: string, of: ShopRun]>([
    ["no failed request", run({}, (till) => till.failedWith("p: status 500"))],
    ["at least 101 requests, and each process its share", run({ leastRequests: 101 })],
    [
      "at least 100 requests, and each process its share",
      run({}, (till) => {
        for (let i = 0; i < 200; i += 1) till.answered(0, "p", OLD, performance.now());
      }),
    ],
    ["each change seen by all processes within 2 s", run({ seen: [{ ...told, slowestMs: 2_001 }, removed, pending] })],
    [
      "each change seen by all processes within 2 s",
      run({ seen: [{ ...told, slowestMs: Infinity }, removed, pending] }),
    ],
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
    ["each price loaded once in all processes, once more for each change", run({ loads: [5, 5] })],
    ["Redis was restarted: another run_id", run({ restarts: [{ runIds: ["one", "one"], keysSince: 1 }] })],
    [
      "changes during the outage seen by all processes after it",
      run({ seen: [told, removed, { ...pending, slowestMs: 7_001 }] }),
    ],
    ["Redis is in use again", run({ restarts: [{ runIds: ["one", "other"], keysSince: 0 }] })],
  ])("%s: fails if that is not so", (what, of) => {
    expect(failedIn(of)).toEqual([what]);
  });

  it("show the figures of a run", () => {
    const lines = shopTable(run());
    expect(lines[0]).toMatch(/^ {2}requests {17}100 {3}p50 \d/);
    expect(lines.slice(1)).toEqual([
      "  loads                      9   in all processes: 9.0 % of requests",
      "  changes                    3   seen by every process after p50 3.0 ms, at most 2000.0 ms, while Redis was up",
      "  took                   1.0 s",
    ]);
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
