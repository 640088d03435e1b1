import { describe, expect, it } from "vitest";
import { COSTS } from "../src/capacity/costs.ts";
import { inProcess, json, table } from "./hotset.ts";

const SERVICE = ["capacity", "--processes", "2000", "--keys", "50M", "--reads", "500k"];
/** There is none: a command that connected would end with 3. */
const NO_REDIS = { REDIS_URL: "redis://127.0.0.1:1" };

describe("hotset capacity", () => {
  it("needs no Redis, and prints what was given, the limits and the costs as JSON", async () => {
    const words = [...SERVICE, "--writes", "5k", "--holders", "20", "--primaries", "6", "--max-staleness", "4s"];
    const found = await json<Record<string, unknown>>(words, NO_REDIS);
    expect(found).toMatchObject({ version: 1, exitCode: 0, costs: COSTS, firstLimit: "core" });
    expect(found["given"]).toEqual({
      processes: 2_000,
      keys: 50_000_000,
      readsPerSecond: 500_000,
      writesPerSecond: 5_000,
      holders: 20,
      tagCallsPerSecond: 0,
      tagUsers: 2_000,
      primaries: 6,
      valueBytes: 200,
      copies: 10_000,
      memoryShare: 0.95,
      loadShare: 0.01,
      maxStalenessMs: 4_000,
    });
    expect(Object.keys(found).toSorted()).toEqual(
      ["version", "given", "firstLimit", "used", "cores", "coresOf", "memoryShare", "node", "primariesNeeded"]
        .concat("costs", "exitCode")
        .toSorted(),
    );
  });

  it("says for people what comes first, where the core goes, and what more primaries would bring", async () => {
    const { exitCode, stdout } = await inProcess([...SERVICE, "--tag-calls", "200", "--primaries", "6"], NO_REDIS);
    expect(exitCode).toBe(0);
    const lines = table(stdout);
    expect(lines[0]).toBe("first limit | 0.7 of the busiest node's core, by tags: versions");
    expect(lines[1]).toMatch(/^used \| core [\d,.]+ %, connections 20 %, memory tier 84.2 %$/);
    expect(lines).toContain("primaries | no number is enough: heartbeats and versions of tags don't divide");
    expect(lines).toContain("memory tier | answers 15 % of the reads");
    expect(stdout).toMatch(/\nbusiest node +cores\ntags: versions +\d+\.\d\d\n/);
    expect(stdout).toMatch(/\ntracking table +[\d.]+ MB, of 3,333,333 keys at most\n/);
    expect(stdout).toMatch(/\nconnections +[\d.]+ MB, of 2,000\n$/);
    for (const line of stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it.each([
    ["connections", ["--reads", "100k", "--processes", "9k"], "10,000 connections, the default of maxclients"],
    ["copies", ["--writes", "20k", "--holders", "20"], "the memory tier: changes end the copies that would be read"],
  ])("names %s where they are the first limit", async (_, words, sentence) => {
    const { stdout } = await inProcess([...SERVICE, "--primaries", "100", ...words], NO_REDIS);
    expect(table(stdout)[0]).toBe(`first limit | ${sentence}`);
  });

  it.each([
    [["--processes", "0"], '--processes must be a whole number from 1 to 1,000,000, such as 500 or 20k, got "0"'],
    [["--processes", "1.5"], "--processes must be a whole number from 1 to"],
    [["--keys", "5G"], '--keys must be a whole number from 1 to 1,000,000,000,000, such as 500 or 20k, got "5G"'],
    [
      ["--holders", "3k"],
      '--holders must be a whole number from 0 to 2,000 (--processes), such as 500 or 20k, got "3k"',
    ],
    [["--loads", "6"], '--loads must be a number from 0 to 5 (100 - --in-memory), such as 2.5, got "6"'],
    [["--max-staleness", "2 parsecs"], '--max-staleness must be from 1 ms to 1 h, such as 2s, got "2 parsecs"'],
    [["6"], 'capacity takes options alone, got "6"'],
    [["--writers", "6"], 'unknown option "--writers"; did you mean --writes?'],
  ])("%j ends with 2 and names the option, what was given and what is accepted", async (words, sentence) => {
    const { exitCode, stdout, stderr } = await inProcess([...SERVICE, ...words], NO_REDIS);
    expect([exitCode, stdout, stderr]).toEqual([2, "", expect.stringContaining(`hotset: ${sentence}`)]);
    expect(stderr).toMatch(/; see hotset capacity --help\n$/);
  });

  it("says which option is missing", async () => {
    const { exitCode, stderr } = await inProcess(["capacity", "--processes", "20"], NO_REDIS);
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining("--keys must be a whole number from 1 to")]);
    expect(stderr).toContain(", such as 500 or 20k, and is missing");
  });
});
