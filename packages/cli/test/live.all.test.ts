import { join } from "node:path";
import { startOwnRedis, temporaryDirectory } from "@hotset/test-servers";
import { createCache, redis as backend, sqlite } from "hotset";
import { afterAll, describe, expect, it } from "vitest";
import { readLine } from "../src/keys/monitored.ts";
import { inProcess, json, table } from "./hotset.ts";

const server = await startOwnRedis();
const variables = { REDIS_URL: server.url };
afterAll(() => server.stop());

/** Until the run has ended. */
async function repeated(run: Promise<unknown>, step: () => Promise<unknown>): Promise<void> {
  let hasEnded = false;
  void run.then(() => (hasEnded = true));
  while (!hasEnded) await step();
}

describe("hotset top", () => {
  it("shows the keys that are used most, which match", async () => {
    const asked = ["top", "hotset:shop::*", "--monitor", "--for", "2s", "--limit", "2"];
    const running = json<{ keys: { key: string; uses: number }[] }>(asked, variables);
    await repeated(running, async () => {
      for (const key of ["hot", "hot", "hot", "warm", "cold"]) await server.command("HGET", `hotset:shop::${key}`, "d");
      await server.command("MGET", "other", "hotset:shop::warm");
      await server.command("EVAL", "return redis.call('EXISTS', KEYS[1])", "1", "hotset:shop::hot");
    });
    const { keys, ...rest } = await running;
    expect(rest).toMatchObject({ exitCode: 0, version: 1 });
    expect(keys).toMatchObject([
      { key: "hotset:shop::hot", module: "cache" },
      { key: "hotset:shop::warm", module: "cache" },
    ]);
    expect(keys[0]!.uses / keys[1]!.uses).toBeCloseTo(2, 0);
    const text = inProcess(asked, variables);
    await repeated(text, async () => {
      for (const key of ["hot", "hot", "hot", "warm"]) await server.command("HGET", `hotset:shop::${key}`, "d");
    });
    const [head, ...rows] = table((await text).stdout);
    expect(head).toBe("key | uses | a second | module");
    expect(rows.slice(0, 2).map((row) => row.split(" | ")[0])).toEqual(["hotset:shop::hot", "hotset:shop::warm"]);
  });

  it("sends nothing without --monitor", async () => {
    const { exitCode, stderr } = await inProcess(["top"], variables);
    expect([exitCode, stderr]).toEqual([
      2,
      expect.stringContaining("halves the throughput of the server; add --monitor"),
    ]);
  });
});

it("hotset watch keys --monitor needs no setting, and shows the commands of scripts", async () => {
  const running = inProcess(["watch", "keys", "watched:*", "--monitor", "--limit", "2"], variables);
  await repeated(running, async () => {
    await server.command("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", "watched:a", "secret");
    await server.command("DEL", "other", "watched:b");
  });
  const { stdout, exitCode } = await running;
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {2,}/).slice(1, 3).join(" "));
  expect([exitCode, lines.toSorted()]).toEqual([0, ["del watched:b", "set watched:a"]]);
  expect(stdout).not.toContain("secret");
  expect((await inProcess(["watch", "changes", "--monitor"], variables)).exitCode).toBe(2);
});

it.each([
  [String.raw`1.5 [0 127.0.0.1:1] "GET" "a\"b\\c\xc3\xa9\n"`, ["get", ['a"b\\cé\n'], false, false]],
  [`1.5 [0 [::1]:1] "MSET" "a" "1" "b" "2"`, ["mset", ["a", "b"], false, false]],
  [`1.5 [0 unix:/tmp/s] "EVALSHA" "f00" "2" "a" "b" "1"`, ["evalsha", ["a", "b"], true, false]],
  [`1.5 [0 lua] "DEL" "a"`, ["del", ["a"], false, true]],
  [`1.5 [0 127.0.0.1:1] "OBJECT" "FREQ" "a"`, ["object", ["a"], false, false]],
  [`1.5 [0 127.0.0.1:1] "PING"`, undefined],
  ["OK", undefined],
])("a line of MONITOR: %s", (line, expected) => {
  const found = readLine(line);
  expect(found && [found.command, found.keys, found.isScript, found.isInScript]).toEqual(expected);
});

describe("hotset keys --sqlite", () => {
  const fileOf = async (): Promise<string> => join(await temporaryDirectory("cli"), "cache.db");

  it("lists entries of a file, without a Redis", async () => {
    const file = await fileOf();
    const cache = createCache({ name: "shop" }).tier(sqlite(file)).build();
    await cache.set("small", 1, { ttl: "1h" });
    await cache.namespace("n").set("large", "x".repeat(2_000), { ttl: Infinity });
    await cache.close();
    const nowhere = { REDIS_URL: "redis://127.0.0.1:1" };
    const found = await json<{ keys: object[] }>(["keys", "--sqlite", file, "--sort", "size"], nowhere);
    expect(found).toMatchObject({
      ...{ exitCode: 0, version: 1, isComplete: true, hidden: 0 },
      keys: [
        { key: "shop:n::large", type: "entry", lifeMs: null, module: "cache" },
        { key: "shop::small", type: "entry", lifeMs: expect.any(Number) as number },
      ],
    });
    const some = await json<{ keys: object[] }>(["keys", "shop::*", "--sqlite", file], nowhere);
    expect(some.keys.length).toBe(1);
    expect(await json(["keys", "--sqlite", file, "--limit", "1"], nowhere)).toMatchObject({ isComplete: false });
    expect((await inProcess(["keys", "none*", "--sqlite", file], nowhere)).exitCode).toBe(1);
  });

  it("makes no file", async () => {
    const file = await fileOf();
    const { exitCode, stderr } = await inProcess(["keys", "--sqlite", file], {});
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining("--sqlite: there is no file")]);
  });
});

it("hotset ui serves the inspector to this machine until Ctrl-C", async () => {
  const cache = createCache({ name: "shop" }).tier(backend(server.url).coherence("none").build()).build();
  await cache.set("k", 1, { ttl: "1h" });
  const ctrlC = new AbortController();
  const printed: string[] = [];
  const { promise, resolve } = Promise.withResolvers<string>();
  const { run } = await import("../src/run.ts");
  const io = {
    ...{ variables, isTerminal: false, signal: ctrlC.signal },
    ...{ print: (text: string) => void printed.push(text), complain: (text: string) => resolve(text) },
  };
  const running = run(["ui", "shop", "--port", "0"], io);
  expect(await promise).toBe(`hotset: the inspector shows the Redis at ${new URL(server.url).host}; Ctrl-C ends it\n`);
  const address = printed.join("").trim();
  expect(address).toMatch(/^http:\/\/localhost:\d+\/hotset\/$/);
  const page = await fetch(address);
  expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  ctrlC.abort();
  expect(await running).toBe(0);
  await expect(fetch(address)).rejects.toThrow();
  await cache.close();
});

it("hotset ui names --port where the port is taken", async () => {
  const { port } = new URL(server.url);
  const { exitCode, stderr } = await inProcess(["ui", "shop", "--port", port], variables);
  expect([exitCode, stderr]).toEqual([
    2,
    expect.stringMatching(/^hotset: --port: .*EADDRINUSE.*; see hotset ui --help/),
  ]);
});
