import { describe, expect, it } from "vitest";
import type { PackageFacts } from "./package-facts.ts";
import { Ledger } from "./ledger.ts";
import { checklist, judge, table, type Run } from "./report.ts";

/** 94 hits of memory, one of the store, 2 stale answers, 3 misses of which 2 loaded, 100 ms each. */
function run(change: Partial<Run> = {}, spoil: (ledger: Ledger) => void = () => undefined): Run {
  const ledger = new Ledger();
  const facts = { version: "1.0.0", sha256: "00" } as PackageFacts;
  for (let i = 0; i < 94; i += 1) ledger.answered("a", facts, "memory", 1);
  ledger.answered("a", facts, "store", 1);
  for (let i = 0; i < 2; i += 1) ledger.answered("b", facts, "stale", 2);
  for (let i = 0; i < 3; i += 1) ledger.answered("b", facts, "miss", 100);
  for (const name of ["a", "b"]) ledger.loaded(name, 100);
  ledger.closed({ hits: 95, staleHits: 2, misses: 3, loads: 2 } as Parameters<Ledger["closed"]>[0]);
  spoil(ledger);
  return {
    ledger,
    leastRequests: 100,
    tookMs: 1_000,
    changes: 1,
    slowestChangeMs: 1_500,
    store: "redis",
    restarts: [{ runIds: ["one", "other"], keysSince: 1 }],
    ...change,
  };
}

const failedIn = (of: Run): readonly string[] =>
  judge(of)
    .filter(({ passed }) => !passed)
    .map(({ what }) => what);
const restart = { runIds: ["one", "other"] as const, keysSince: 1 };

describe("the checks of the demo", () => {
  it("all pass in a good run", () => {
    expect(failedIn(run())).toEqual([]);
    expect(judge(run())).toHaveLength(9);
    expect(judge(run({ restarts: undefined }))).toHaveLength(7);
  });

  it.each<[what: string, of: Run]>([
    ["no failed request", run({}, (ledger) => ledger.failedWith("a: status 500"))],
    [
      "no failed request",
      run({}, (ledger) => ledger.answered("a", { version: "1.0.0", sha256: "ff" } as PackageFacts, "memory", 1)),
    ],
    ["at least 101 requests", run({ leastRequests: 101 })],
    [
      "loads at most keys + changes + restarts of Redis",
      run({}, (ledger) =>
        ledger.closed({ hits: 0, staleHits: 0, misses: 0, loads: 3 } as Parameters<Ledger["closed"]>[0]),
      ),
    ],
    ["each change visible within its ttl, 4 s", run({ slowestChangeMs: 4_001 })],
    ["each change visible within its ttl, 4 s", run({ slowestChangeMs: Infinity })],
    ["each change visible within its ttl, 4 s", run({ changes: 0, slowestChangeMs: NaN })],
    [
      "the cache counted what its clients saw",
      run({}, (ledger) =>
        ledger.closed({ hits: 1, staleHits: 0, misses: 0, loads: 0 } as Parameters<Ledger["closed"]>[0]),
      ),
    ],
    ["Redis was restarted: another run_id", run({ restarts: [] })],
    ["Redis was restarted: another run_id", run({ restarts: [{ ...restart, runIds: ["one", "one"] }] })],
    ["Redis is in use again", run({ restarts: [{ ...restart, keysSince: 0 }] })],
  ])("%s: fails if that is not so", (what, of) => {
    expect(failedIn(of)).toEqual([what]);
  });

  it("at least 90 % hits: stale answers and misses are not hits", () => {
    const of = run({}, (ledger) => {
      for (let i = 0; i < 6; i += 1)
        ledger.answered("b", { version: "1.0.0", sha256: "00" } as PackageFacts, "miss", 1);
      ledger.closed({ hits: 0, staleHits: 0, misses: 6, loads: 0 } as Parameters<Ledger["closed"]>[0]);
    });
    expect(failedIn(of)).toEqual(["at least 90 % hits"]);
  });

  it("are printed one per line", () => {
    expect(checklist(judge(run())).slice(0, 3)).toEqual([
      "  pass  no failed request                                 0 of 100",
      "  pass  at least 100 requests                             100",
      "  pass  loads at most keys + changes + restarts of Redis  2 <= 2 + 1 + 1",
    ]);
  });
});

describe("the table of the demo", () => {
  it("shows each outcome, and the time saved as hits times the mean load of their own key", () => {
    const of = run({}, (ledger) => ledger.loaded("a", 300));
    expect(table(of)).toEqual([
      "                requests     share         p50         p99",
      "  memory hit          94    94.0 %     1.00 ms     1.00 ms",
      "  redis hit            1     1.0 %     1.00 ms     1.00 ms",
      "  stale                2     2.0 %     2.00 ms     2.00 ms",
      "  miss                 3     3.0 %   100.00 ms   100.00 ms",
      "  all                100   100.0 %     1.00 ms   100.00 ms",
      "",
      "  took             1.0 s",
      "  loads                2   of 166.67 ms on average",
      "  time saved      19.0 s   of waiting for loads: each hit times the mean load of its package",
    ]);
  });
});
