import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createRedis } from "@hotset/redis-toolkit";
import { RIGHTS } from "@hotset/redis-toolkit/inspect";
import { locks } from "@hotset/redis-toolkit/lock";
import { queue } from "@hotset/redis-toolkit/queue";
import { fixedWindow, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { streams } from "@hotset/redis-toolkit/streams";
import {
  startAclRedis,
  startCluster,
  startOwnRedis,
  startProxy,
  startSentinel,
  startTlsRedis,
  type ClusterNode,
} from "@hotset/test-servers";
import { createCache, redis as backend } from "hotset";
import { describe, expect, it, vi } from "vitest";
import type { Finding } from "../src/doctor/finding.ts";
import { run } from "../src/run.ts";
import { inProcess, json, printed, type Ended } from "./hotset.ts";

interface Report {
  readonly version: number;
  readonly servers: readonly { readonly name: string; readonly version: string; readonly support: string }[];
  readonly user?: string;
  readonly protocol: number;
  readonly isCluster: boolean;
  readonly sampledKeys: number;
  readonly isSampleComplete: boolean;
  readonly modules: readonly string[];
  readonly counts: { readonly errors: number; readonly warnings: number; readonly infos: number };
  readonly findings: readonly Finding[];
}

/** A busy machine has a latency of its own. */
const doctor = (variables: NodeJS.ProcessEnv, ...words: string[]) =>
  json<Report>(["doctor", "--ignore", "latency", ...words], variables);

/** Severity and check of each finding, in order. */
const listed = ({ findings }: Report): readonly string[] =>
  findings.map(({ severity, check }) => `${severity} ${check}`);

/** Without the comments: a server with everything that a durable one needs. */
const DURABLE = readFileSync(join(import.meta.dirname, "../../../docs/operations/redis-durable.conf"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"));

/** Something of each durable module, with the lives that they give. */
async function fill(url: string): Promise<void> {
  await using redis = createRedis({ url, env: false });
  await queue(redis, "emails").add({ secret: "of-a-job" });
  await streams(redis).stream("events:payments").append({ secret: "of-a-stream" });
  await locks(redis).acquire("report");
  const rules = [fixedWindow({ limit: 9, window: "1m" })];
  await rateLimit(redis, { name: "api", rules, deadline: "1m" }).consume("user");
  await sessions(redis).create({ userId: "1", data: { secret: "of-a-session" } });
}

describe("hotset doctor", () => {
  it("finds nothing on a durable server that is set as its configuration says", async () => {
    await using server = await startOwnRedis({ config: DURABLE, password: "hunter2" });
    await fill(server.url);
    const report = await doctor({ REDIS_URL: server.url });
    expect(report).toMatchObject({
      version: 1,
      exitCode: 0,
      user: "default",
      protocol: 3,
      isCluster: false,
      isSampleComplete: true,
      counts: { errors: 0, warnings: 0, infos: 0 },
      findings: [],
    });
    expect(report.modules.toSorted()).toEqual(["lock", "queue", "rate-limit", "sessions", "streams"]);
    const { stdout, exitCode } = await inProcess(["doctor", "--ignore", "latency", "--fail-on", "warning"], {
      REDIS_URL: server.url,
    });
    expect([exitCode, stdout.split("\n").at(-2)]).toEqual([0, "errors: 0, warnings: 0, not looked at: 0"]);
  });

  it("finds allkeys-lru under a queue", async () => {
    await using server = await startOwnRedis({ config: [...DURABLE, "maxmemory-policy allkeys-lru"] });
    await fill(server.url);
    const report = await doctor({ REDIS_URL: server.url });
    expect([report.exitCode, listed(report)]).toEqual([1, ["error eviction"]]);
    expect(report.findings[0]).toMatchObject({
      evidence: { maxmemoryPolicy: "allkeys-lru", maxmemory: 1_073_741_824 },
      fix: "CONFIG SET maxmemory-policy noeviction, and give caches a separate server",
    });
    expect((report.findings[0]!.evidence["modules"] as string[]).toSorted()).toEqual([
      "lock",
      "queue",
      "rate-limit",
      "sessions",
      "streams",
    ]);
  });

  it("recommends compact entries with what they save, and nothing once they are", async () => {
    const config = DURABLE.filter((line) => !line.startsWith("maxmemory-policy"));
    await using server = await startOwnRedis({ config: [...config, "maxmemory-policy allkeys-lfu"] });
    await using cache = createCache({ name: "shop" }).tier(backend(server.url).build()).defaults({ ttl: "1h" }).build();
    const keys = Array.from({ length: 120 }, (_, i) => `user:${i}`);
    const store = () => cache.setMany(keys.map((key) => [key, { name: "x".repeat(160) }] as const));
    const bytes = async () => Number(await server.command("MEMORY", "USAGE", "hotset:shop::user:7"));
    await store();
    const [loose, report] = [await bytes(), await doctor({ REDIS_URL: server.url })];
    expect([report.exitCode, listed(report)]).toEqual([0, ["warning memory"]]);
    expect(report.findings[0]).toMatchObject({
      found: "120 of 121 hashes of caches are hash tables; as list packs each would take some 230 bytes less",
      evidence: { hashMaxListpackValue: 64, entries: 120, otherHashes: 0 },
    });

    await server.command("CONFIG", "SET", "hash-max-listpack-value", "512");
    // A hash table stays one while its fields are overwritten.
    await cache.deleteMany(keys);
    await store();

    expect(loose - (await bytes())).toBeGreaterThan(150);
    expect(listed(await doctor({ REDIS_URL: server.url }))).toEqual([]);
  });

  it("finds a program whose commands hold the server up", async () => {
    await using server = await startOwnRedis({ config: DURABLE });
    await server.command("EVAL", "local sum = 0 for i = 1, 5e7 do sum = sum + i end return sum", 0);
    const { findings } = await json<Report>(["doctor"], { REDIS_URL: server.url });
    expect(findings.map(({ found }) => found)).toContainEqual(
      expect.stringMatching(/^commands held the server up for 100 ms or more once .*: EVAL, by \S+:\d+$/),
    );
  });

  it("finds that volatile-lru removes sessions and locks, and leaves a queue", async () => {
    await using server = await startOwnRedis({ config: [...DURABLE, "maxmemory-policy volatile-lru"] });
    await fill(server.url);
    const { findings } = await doctor({ REDIS_URL: server.url });
    expect(findings.map(({ evidence }) => (evidence["modules"] as string[]).toSorted())).toEqual([
      ["lock", "rate-limit", "sessions"],
    ]);
  });

  it("finds a missing right, by asking the server and carrying out nothing", async () => {
    const rules = "~queue:* +@all -@admin -@dangerous +info +config|get +client|list +slowlog|get";
    await using server = await startAclRedis({
      config: DURABLE,
      users: [`user whole on >hunter2 ${rules} &queue:*`, `user part on >hunter2 ${rules} -evalsha -zpopmin`],
    });
    await fill(server.url);
    const before = await server.command("DBSIZE");
    const whole = await doctor({ REDIS_URL: server.urlOf("whole", "hunter2") });
    expect([whole.exitCode, listed(whole)]).toEqual([0, ["info access"]]);
    const part = await doctor({ REDIS_URL: server.urlOf("part", "hunter2") });
    expect([part.exitCode, listed(part)]).toEqual([1, ["error rights", "info access"]]);
    expect(part.findings[0]).toMatchObject({
      evidence: { module: "queue", user: "part", missing: ["+evalsha", "+zpopmin", "&queue:{emails}:events"] },
    });
    expect(await server.command("DBSIZE")).toBe(before);
  });

  it("asks for the rights of the layout whose entries it finds", async () => {
    const rights = `~hotset:* ~hotset~* ${RIGHTS.cache.commands.map((name) => `+${name}`).join(" ")}`;
    const looking = "+multi +discard +info +scan +type +memory|usage";
    await using server = await startAclRedis({ users: [`user shop on >hunter2 ${rights} ${looking}`] });
    const write = async (layout: "full" | "string"): Promise<void> => {
      const cache = createCache({ name: layout })
        .tier(backend(server.url).layout(layout).coherence("none").responseTimeout("15s").build())
        .build();
      await cache.set("cup", 12, { ttl: "1h" });
      await cache.close();
    };
    const rightsOf = async (): Promise<readonly unknown[]> =>
      (await doctor({ REDIS_URL: server.urlOf("shop", "hunter2") })).findings
        .filter(({ check }) => check === "rights")
        .map(({ evidence }) => [evidence["module"], evidence["missing"]]);
    await write("full");
    await server.command("SET", "hotset:full::loading", "placeholder", "PX", 60_000);
    expect(await rightsOf()).toEqual([]);
    await write("string");
    expect(await rightsOf()).toEqual([["cache", ["+exists", "+getrange", "+setrange"]]]);
  });

  it("judges an empty server for what will be kept there", async () => {
    await using server = await startOwnRedis({ config: [...DURABLE, "appendonly no", "maxmemory-policy allkeys-lru"] });
    const variables = { REDIS_URL: server.url };
    expect(listed(await doctor(variables, "--for", "cache"))).toEqual([]);
    const report = await doctor(variables, "--for", "cache,queue,lock");
    expect([report.exitCode, listed(report)]).toEqual([1, ["error eviction", "error persistence"]]);
    expect(report.findings.map(({ evidence }) => evidence["modules"])).toEqual([["queue", "lock"], ["queue"]]);
  });

  it("finds that there is no append-only file", async () => {
    await using server = await startOwnRedis({ config: [...DURABLE, "appendonly no"] });
    await fill(server.url);
    const report = await doctor({ REDIS_URL: server.url });
    expect([report.exitCode, listed(report)]).toEqual([1, ["error persistence"]]);
    expect(report.findings[0]).toMatchObject({
      evidence: { aofEnabled: 0 },
      fix: expect.stringMatching(
        /; see https:\/\/github\.com\/hotset\/hotset\/blob\/main\/docs\/operations\/redis-durable\.conf$/,
      ),
    });
    expect(report.findings[0]!.evidence["modules"]).not.toContain("lock");
  });

  it("finds keys without an end: those of others by a warning, sessions and locks by an error", async () => {
    await using server = await startOwnRedis({ config: DURABLE });
    await fill(server.url);
    for (let i = 0; i < 20; i += 1) await server.command("SET", `report:${i}`, "v");
    const foreign = await doctor({ REDIS_URL: server.url });
    expect([foreign.exitCode, listed(foreign)]).toEqual([0, ["warning ttl"]]);
    expect(foreign.findings[0]).toMatchObject({ evidence: { keys: 20, sampledKeys: foreign.sampledKeys } });
    expect((await doctor({ REDIS_URL: server.url }, "--fail-on", "warning")).exitCode).toBe(1);
    await server.command("SET", "lock:{report}", "token");
    const broken = await doctor({ REDIS_URL: server.url });
    expect([broken.exitCode, listed(broken)]).toEqual([1, ["error ttl", "warning ttl"]]);
    expect(broken.findings[0]!.evidence).toMatchObject({ keys: 1, examples: ["lock:{report}"] });
    const ignored = await doctor({ REDIS_URL: server.url }, "--ignore", "ttl,size");
    expect([ignored.exitCode, listed(ignored)]).toEqual([0, []]);
  });

  it("finds a value of 50 MB", async () => {
    await using server = await startOwnRedis({ config: DURABLE });
    await fill(server.url);
    await server.command("SETRANGE", "report", 50_000_000, "end");
    await server.command("EXPIRE", "report", 60);
    const report = await doctor({ REDIS_URL: server.url });
    expect([report.exitCode, listed(report)]).toEqual([1, ["error size"]]);
    expect(report.findings[0]).toMatchObject({ evidence: { keys: 1, largestType: "string", examples: ["report"] } });
    expect(report.findings[0]!.evidence["largestBytes"]).toBeGreaterThan(50_000_000);
  });

  it("finds RESP2 where the server refuses RESP3, and goes on over it", async () => {
    await using server = await startOwnRedis({
      config: [...DURABLE, "rename-command HELLO HOLA"],
      password: "hunter2",
    });
    const report = await doctor({ REDIS_URL: server.url });
    expect([report.exitCode, report.protocol, listed(report)]).toEqual([1, 2, ["error protocol"]]);
  });

  it("finds a process that speaks RESP2 where RESP3 is possible", async () => {
    await using server = await startOwnRedis({ config: DURABLE });
    await using older = createRedis({ url: server.url, env: false, protocol: 2 });
    await older.initialize();
    const report = await doctor({ REDIS_URL: server.url });
    expect([report.exitCode, report.protocol, listed(report)]).toEqual([1, 3, ["error protocol"]]);
    expect(report.findings[0]!.evidence).toMatchObject({ connections: 1, resp2: 1 });
  });

  it("finds a server without bounds: of memory, and for subscribers that do not read", async () => {
    await using server = await startOwnRedis({ config: ['client-output-buffer-limit "pubsub" 0 0 0'] });
    const report = await doctor({ REDIS_URL: server.url });
    expect([report.exitCode, listed(report)]).toEqual([0, ["warning memory", "warning pubsub"]]);
  });

  it("finds refused tracking under a cache", async () => {
    await using server = await startAclRedis({
      config: ["maxmemory 100mb", "maxmemory-policy allkeys-lfu"],
      users: ["user cache on >hunter2 ~hotset* &* +@all -client|tracking"],
    });
    const cache = createCache({ name: "shop" })
      .tier(backend(server.url).coherence("none").responseTimeout("15s").build())
      .build();
    await cache.set("kettle", { price: 12 }, { ttl: "1h" });
    await cache.close();
    const report = await doctor({ REDIS_URL: server.urlOf("cache", "hunter2") });
    expect([report.exitCode, listed(report), report.modules]).toEqual([1, ["error tracking"], ["cache"]]);
  });
});

describe("a server that shows little", () => {
  it("is findings about that, each with the right that is missing, and no crash", async () => {
    await using server = await startAclRedis({ users: ["user blind on >hunter2 +ping"] });
    const report = await doctor({ REDIS_URL: server.urlOf("blind", "hunter2") });
    expect(report.exitCode).toBe(0);
    expect(report.findings.map(({ severity, evidence }) => [severity, evidence["needs"]])).toEqual([
      ["info", "+info"],
      ["info", "+config|get"],
      ["info", "+client|list"],
      ["info", "+slowlog|get"],
      ["info", "+scan +type +pttl ~*"],
    ]);
  });

  it("says which of the wanted modules its user may not use", async () => {
    await using server = await startAclRedis({ config: DURABLE });
    const report = await doctor({ REDIS_URL: server.appUrl }, "--for", "queue,lock", "--ignore", "access");
    expect([report.exitCode, listed(report)]).toEqual([1, ["error rights", "error rights"]]);
    expect(report.findings.map(({ evidence }) => evidence["module"])).toEqual(["queue", "lock"]);
  });

  it("is looked at for a bounded time, and a sample is bounded in keys", async () => {
    await using server = await startOwnRedis({ config: DURABLE });
    await server.command("EVAL", "for i = 1, 5000 do redis.call('SET', 'k:' .. i, i, 'EX', 60) end", 0);
    const sampled = await doctor({ REDIS_URL: server.url }, "--sample", "600");
    expect([sampled.sampledKeys, sampled.isSampleComplete]).toEqual([600, false]);
    server.pause();
    const unreachable = await inProcess(["doctor", "--timeout", "1500ms"], { REDIS_URL: server.url });
    server.resume();
    expect([unreachable.exitCode, unreachable.stdout]).toEqual([3, ""]);
    expect(unreachable.stderr).toMatch(/^hotset: Redis at 127\.0\.0\.1:\d+ cannot be used: .*\n$/);
  });

  it("is looked at for a minute at most, however long one answer may take", async () => {
    await using server = await startOwnRedis({ config: DURABLE });
    await using proxy = await startProxy(server.port);
    const held = proxy.hold("SCAN");
    const report = Promise.withResolvers<string>();
    const { signal } = new AbortController();
    const io = { variables: { REDIS_URL: proxy.url }, isTerminal: false, complain: report.reject, signal };
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const ended = run(["doctor", "--timeout", "10m"], { ...io, print: report.resolve });
      await held.reached;
      await vi.advanceTimersByTimeAsync(60_000);
      expect((await report.promise).split("\n").filter((line) => line.startsWith("info"))).toEqual([
        "info     access: the keys could not be looked at: BACKEND_UNAVAILABLE",
        "info     access: the rights of its user could not be looked at: BACKEND_UNAVAILABLE",
        "info     access: tracking could not be looked at: BACKEND_UNAVAILABLE",
      ]);
      held.release();
      expect(await ended).toBe(1);
    } finally {
      vi.useRealTimers();
    }
  }, 60_000);
});

describe("hotset doctor, wherever Redis is", () => {
  it("in a cluster: every primary, its slots and its replicas", async () => {
    await using cluster = await startCluster({ replicas: 0, config: DURABLE });
    const REDIS_CLUSTER_URLS = cluster.urls.join(",");
    await using redis = createRedis({ cluster: cluster.urls, env: false });
    for (const name of ["a", "b", "c", "d", "e"]) await queue(redis, name).add(1);
    const report = await doctor({ REDIS_CLUSTER_URLS });
    expect([report.exitCode, listed(report), report.isCluster]).toEqual([0, ["warning cluster"], true]);
    expect([report.servers.length, report.modules]).toEqual([3, ["queue"]]);
    // data, jobs, state, waiting, wake, and the calls of `add`.
    expect(report.sampledKeys).toBe(5 * 6);
    const alone = await doctor({ REDIS_URL: cluster.urls[0]! });
    expect([alone.exitCode, listed(alone)]).toEqual([1, ["error cluster"]]);
  });

  it("a primary of a cluster that does not answer is an error, and no question of rights", async () => {
    await using cluster = await startCluster({ replicas: 0, nodeTimeoutMs: 60_000, config: DURABLE });
    const [first, silent] = cluster.nodes as unknown as readonly [ClusterNode, ClusterNode];
    const variables = { REDIS_CLUSTER_URLS: first.url };
    silent.pause();
    const report = await doctor(variables, "--timeout", "4s");
    const others: Ended[] = [];
    for (const name of ["stats", "keys", "queue", "locks"])
      others.push(await inProcess([name, "--timeout", "3s"], variables));
    silent.resume();
    expect(report.exitCode).toBe(1);
    const errors = report.findings.filter(({ severity }) => severity === "error");
    expect(errors.map(({ check, found, evidence }) => [check, found, evidence["server"]])).toEqual([
      ["server", "a server does not answer: every call for its keys fails", `127.0.0.1:${silent.port}`],
    ]);
    expect(report.findings.filter(({ fix }) => fix.includes("grant"))).toEqual([]);
    for (const { exitCode, stdout, stderr } of others) {
      expect([exitCode, stdout]).toEqual([3, ""]);
      // On a busy machine the deadline of the first command may be over before that of the connection.
      const at = `127\\.0\\.0\\.1:${silent.port}`;
      expect(stderr).toMatch(
        new RegExp(
          `^hotset: .*(?:${at} cannot be used: no answer .*|was not sent within \\d+ ms to ${at}; .*)\\nhttps://.*/errors\\.md#backend_unavailable\\n$`,
        ),
      );
    }
  });

  it("behind sentinels, and over TLS with a password", async () => {
    await using group = await startSentinel();
    const found = await doctor({
      REDIS_SENTINELS: group.sentinels.map(({ url }) => url).join(","),
      REDIS_SENTINEL_NAME: group.name,
    });
    expect([found.exitCode, listed(found)]).toEqual([0, ["warning memory"]]);
    await using tls = await startTlsRedis({ config: DURABLE, clientCertificates: "required", password: "hunter2" });
    const secure = await doctor({
      REDIS_HOST: "localhost",
      REDIS_PORT: String(tls.port),
      REDIS_PASSWORD: "hunter2",
      REDIS_TLS_ENABLED: "true",
      REDIS_TLS_CA_PATH: tls.files.ca,
      REDIS_TLS_CERT_PATH: tls.files.clientCert,
      REDIS_TLS_KEY_PATH: tls.files.clientKey,
    });
    expect([secure.exitCode, listed(secure)]).toEqual([0, []]);
  });
});

describe("secrets", () => {
  it("are in no output: passwords, values of keys, data of jobs and sessions", () => {
    const all = printed.join("\n");
    expect(all.length).toBeGreaterThan(1_000);
    expect(all).not.toMatch(/hunter2|of-a-job|of-a-session|of-a-stream|"price"/);
  });
});
