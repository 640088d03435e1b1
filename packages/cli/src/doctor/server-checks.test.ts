import { describe, expect, it } from "vitest";
import type { Facts, Known, PrimaryFacts } from "./facts.ts";
import type { Finding } from "./finding.ts";
import { checkClients, checkCluster, checkLatency, checkServer } from "./server-checks.ts";
import { serverKind } from "./server-kind.ts";

const hidden: Known<never> = { refused: "NOPERM" };
const primary = (info: Readonly<Record<string, string>>, more: Partial<PrimaryFacts> = {}): PrimaryFacts => ({
  address: "10.0.0.1:6379",
  info: { value: new Map(Object.entries(info)) },
  config: hidden,
  clients: hidden,
  roundTripMs: { value: 1 },
  slow: { value: [] },
  ...more,
});
const facts = (primaries: readonly PrimaryFacts[], more: Partial<Facts> = {}): Facts => ({
  primaries,
  sample: hidden,
  user: hidden,
  rights: hidden,
  tracking: hidden,
  cluster: hidden,
  isCluster: false,
  isResp3Refused: false,
  expected: [],
  ...more,
});
const linesOf = (findings: readonly Finding[]): readonly string[] =>
  findings.map(({ severity, found }) => `${severity}: ${found}`);

describe("the kind of a server", () => {
  it.each([
    [{ redis_version: "7.0.15" }, "Redis", "7.0.15", "tested"],
    [{ redis_version: "8.0.1" }, "Redis", "8.0.1", "tested"],
    [{ redis_version: "7.4.2" }, "Redis", "7.4.2", "expected"],
    [{ redis_version: "7.2.4", valkey_version: "9.1.2", server_name: "valkey" }, "Valkey", "9.1.2", "tested"],
    [{ redis_version: "7.2.4", valkey_version: "9.0.1" }, "Valkey", "9.0.1", "expected"],
    [{ redis_version: "7.1.0", os: "Amazon ElastiCache" }, "Amazon ElastiCache (Redis)", "7.1.0", "expected"],
    [{ redis_version: "7.2.4", upstash_version: "1.18" }, "Upstash (Redis)", "7.2.4", "expected"],
    [{ redis_version: "6.3.4", mvcc_depth: "0" }, "KeyDB", "6.3.4", "unsupported"],
    [{ redis_version: "7.4.0", dragonfly_version: "df-v1.27" }, "Dragonfly", "df-v1.27", "untested"],
  ])("%j is %s %s", (info, name, version, support) => {
    expect(serverKind(new Map(Object.entries(info)))).toEqual({ name, version, support });
  });

  it("is a finding where it is not supported, or not tested", () => {
    expect(linesOf(checkServer(facts([primary({ redis_version: "6.3.4", mvcc_depth: "0" })])))).toEqual([
      "error: the server is KeyDB 6.3.4, which hotset does not support",
    ]);
    expect(linesOf(checkServer(facts([primary({ dragonfly_version: "df-v1.27" })])))).toEqual([
      "warning: the server is Dragonfly df-v1.27, which hotset is not tested on",
    ]);
    expect(checkServer(facts([primary({ redis_version: "7.0.15", role: "master", loading: "0" })]))).toEqual([]);
    expect(linesOf(checkServer(facts([primary({ role: "slave", loading: "1" })])))).toEqual([
      "error: the address leads to a replica, which takes no writes",
      expect.stringMatching(/^warning: the server still loads its data/),
    ]);
  });
});

describe("a cluster", () => {
  const cluster = (state: string, ok: number): Known<ReadonlyMap<string, string>> => ({
    value: new Map([
      ["cluster_state", state],
      ["cluster_slots_ok", String(ok)],
    ]),
  });
  const replicated = primary({ connected_slaves: "1" });

  it.each([
    ["that serves every slot", cluster("ok", 16_384), []],
    [
      "that lacks slots",
      cluster("fail", 16_000),
      ["error: 16,000 of 16,384 slots are served, and the state of the cluster is fail"],
    ],
    ["that was not shown", hidden, []],
  ])("%s", (_, known, expected) => {
    expect(linesOf(checkCluster(facts([replicated], { isCluster: true, cluster: known })))).toEqual(expected);
  });

  it("has primaries without a replica", () => {
    const found = checkCluster(facts([replicated, primary({ connected_slaves: "0" })], { isCluster: true }));
    expect(linesOf(found)).toEqual(["warning: 1 of 2 primaries have no replica: their keys are lost with them"]);
  });
});

describe("clients and latency", () => {
  it("are findings by their figures alone", () => {
    const busy = primary(
      { rejected_connections: "3", maxclients: "100", used_memory: "2000000000", used_memory_rss: "500000000" },
      { roundTripMs: { value: 250.4 }, config: { value: new Map([["timeout", "300"]]) } },
    );
    expect(checkClients(facts([busy])).map(({ evidence }) => evidence)).toEqual([
      { server: "10.0.0.1:6379", rejectedConnections: 3, maxclients: 100 },
      { timeout: 300 },
    ]);
    expect(linesOf(checkLatency(facts([busy])))).toEqual([
      "warning: a round trip takes 250 ms",
      "error: only 25 % of the server's memory is resident: the rest is swapped",
    ]);
    const idle = primary({ rejected_connections: "0", used_memory: "1000000", used_memory_rss: "100000" });
    expect([...checkClients(facts([idle])), ...checkLatency(facts([idle]))]).toEqual([]);
  });

  it("name the commands of the last ten minutes that held the server up, and who sent them", () => {
    const nowS = 1_700_000_000;
    const slow = [
      { command: "GET", at: nowS, ms: 99.9, client: "web-1 at 10.0.0.2:5" },
      { command: "EVAL", at: nowS - 30, ms: 449.6, client: "cron at 10.0.0.9:5" },
      { command: "KEYS", at: nowS - 600, ms: 120, client: "10.0.0.8:5" },
      { command: "KEYS", at: nowS - 601, ms: 9_000, client: "10.0.0.8:5" },
    ];
    const info = { server_time_usec: `${nowS}000000` };
    const findings = checkLatency(facts([primary(info, { slow: { value: slow } })]));
    expect(linesOf(findings)).toEqual([
      "warning: commands held the server up for 100 ms or more 2 times in the last 10 minutes, the longest for 450 ms: EVAL, by cron at 10.0.0.9:5",
    ]);
    expect(findings[0]!.evidence).toMatchObject({ times: 2, longestMs: 450, commands: ["EVAL", "KEYS"] });
    expect(checkLatency(facts([primary({}, { slow: { value: slow } })]))).toEqual([]);
    expect(checkLatency(facts([primary(info, { slow: hidden, roundTripMs: { value: 1 } })]))).toEqual([]);
  });

  it.each([
    ["400001", ["warning: at least 1 of 400001 items in the tracking table are of closed connections"]],
    ["400000", []],
  ])("is a finding where the tracking table has more items than its clients can have: %s", (items, lines) => {
    const info = { tracking_total_items: items, tracking_total_keys: "20000", tracking_clients: "20" };
    const findings = checkClients(facts([primary(info)]));
    expect(linesOf(findings)).toEqual(lines);
    const evidence = { server: "10.0.0.1:6379", items: Number(items), keys: 20_000, trackingClients: 20, left: 1 };
    expect(findings.map((each) => each.evidence)).toEqual(lines.map(() => evidence));
  });
});
