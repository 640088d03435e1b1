/** The recipes of docs/guide/threat-model.md, run as they are written there. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createCache, json, type Cache } from "@hotset/core";
import { redis, type RedisBackend } from "@hotset/redis";
import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RecordingListener } from "./recording-listener.ts";

const page = readFileSync(new URL("../../../docs/guide/threat-model.md", import.meta.url), "utf8");
const block = (language: string, word: string): readonly string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, "g"))]
    .map(([, text]) => text!)
    .find((text) => text.includes(word))!
    .trim()
    .split("\n");

describe("C146: one user and one prefix for each tenant", () => {
  let server: OwnRedis;
  beforeAll(async () => {
    server = await startOwnRedis();
    for (const line of block("text", "tenant-a").filter((each) => !each.startsWith("user default")))
      await server.command("ACL", "SETUSER", ...line.split(" ").slice(1));
  });
  afterAll(() => server.stop());

  const backends: RedisBackend[] = [];
  const ofTenant = (name: string, user = name): RedisBackend => {
    const url = `redis://${user}:${user.replace("tenant", "secret")}@127.0.0.1:${server.port}`;
    const backend = redis(url).keyPrefix(name).coherence("pubsub").valueFormat(json()).responseTimeout("10s").build();
    backends.push(backend);
    return backend;
  };
  const over = (backend: RedisBackend): Cache => createCache({ name: "shop" }).tier(backend).build();
  afterAll(() => Promise.all(backends.map((backend) => backend.close())));

  it("a tenant does everything below its prefix", async () => {
    const cache = over(ofTenant("tenant-a"));
    const errors: unknown[] = [];
    cache.on("backend:error", (event) => errors.push(event));
    const users = cache.namespace("users");
    expect(await users.set("1", "Ada", { tags: ["vip"] })).toMatchObject({ status: "stored" });
    expect(await users.get("1")).toBe("Ada");
    expect(await users.getOrSet("2", () => "Grace", { tags: ["vip"] })).toBe("Grace");
    await users.invalidateTags("vip");
    expect([await users.get("1"), await users.get("2")]).toEqual([undefined, undefined]);
    await users.set("3", "Edsger");
    expect(await users.delete("3")).toMatchObject({ status: "deleted" });
    expect(await cache.clear()).toMatchObject({ status: "done" });
    await cache.drain();
    expect(errors).toEqual([]);
  });

  it("a tenant receives the changes of its own processes", async () => {
    const listener = new RecordingListener();
    await ofTenant("tenant-a").coherence!.attach(listener);
    await over(ofTenant("tenant-a")).set("received", 1);
    await expect.poll(() => listener.received).toContain("changed shop::received");
  });

  it("no call of a tenant reaches another: not reads, writes, removals, leases, tags, messages or names of keys", async () => {
    await over(ofTenant("tenant-b")).set("k", "secret of b");
    const before = await server.command("KEYS", "tenant-b*");
    const intruder = ofTenant("tenant-b", "tenant-a");
    const entry = { data: Buffer.from("x"), staleInMs: 1_000, expiresInMs: 1_000, meta: "" };
    const calls = [
      () => intruder.read("shop::k"),
      () => intruder.write("shop::k", entry),
      () => intruder.remove("shop::k"),
      () => intruder.markStale!("shop::k"),
      () => intruder.leases!.acquire({ key: "shop::k", token: "token", leaseMs: 1_000, seen: "" }),
      () => intruder.tagVersions!.renew(["{~shop}::"], "hard"),
      () => intruder.coherence!.attach(new RecordingListener()),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow(/NOPERM|no permission/i);
    const direct = await import("@hotset/test-servers").then(({ RespClient }) =>
      RespClient.fromUrl(`redis://tenant-a:secret-a@127.0.0.1:${server.port}`),
    );
    for (const command of [
      ["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "tenant-b:"],
      ["KEYS", "*"],
      ["SCAN", "0"],
      ["INFO"],
      ["EVAL", "return redis.call('GET', 'tenant-b:shop::k')", "0"],
      ["PUBLISH", "tenant-b~changes", "1 x tenant-b:shop::k"],
    ])
      await expect(direct.command(...command)).rejects.toThrow(
        /NOPERM|ermission|can't access at least one of the keys/,
      );
    direct.close();
    expect(await over(ofTenant("tenant-b")).get("k")).toBe("secret of b");
    expect(await server.command("KEYS", "tenant-b*")).toEqual(before);
  });
});

describe("erasing data", () => {
  const hasCli = spawnSync("redis-cli", ["--version"]).status === 0;

  it.runIf(hasCli)("clear leaves the bytes; the commands of the page remove them, and nothing else", async () => {
    await using server = await startOwnRedis();
    const cache = createCache({ name: "shop" })
      .tier(redis(server.url).valueFormat(json()).responseTimeout("10s").build())
      .build();
    const tenants = cache.namespace("tenant");
    const [acme, acme2] = [tenants.namespace("acme"), tenants.namespace("acme2")];
    await acme.set("user 'Ada' \"x\"", "Ada", { ttl: "1h", tags: ["user=42"] });
    await acme.namespace("orders").set("1", "of Ada", { ttl: "1h", tags: ["user=42"] });
    await acme2.set("user", "Grace", { ttl: "1h", tags: ["grace"] });
    await acme.clear();
    expect(await acme.get("user 'Ada' \"x\"")).toBe(undefined);
    const keys = async (): Promise<string> => ((await server.command("KEYS", "*")) as readonly string[]).join("\n");
    expect(await keys()).toContain("hotset:shop:tenant:acme::user 'Ada'");
    expect(await keys()).toContain("user=42");

    for (const line of block("sh example", "unlink"))
      execFileSync("sh", ["-c", line.replaceAll("redis-cli", `redis-cli -p ${server.port}`)]);
    expect(await keys()).not.toMatch(/Ada|user=42|shop:tenant:acme:/);
    expect(await acme2.get("user")).toBe("Grace");
    expect(await acme.get("user 'Ada' \"x\"")).toBe(undefined);
    await acme.set("again", 1, { tags: ["user=42"] });
    expect(await acme.get("again")).toBe(1);
    await cache.close();
  });
});
