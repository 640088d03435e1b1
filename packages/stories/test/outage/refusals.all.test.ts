/** A Redis that is well, and refuses writes: an answer, and no reason to load a value time and again. */
import { rm } from "node:fs/promises";
import type { Cache } from "@hotset/core";
import { startAclRedis, startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { impatient, over } from "../support/over-redis.ts";
import { counted } from "../support/stacks.ts";
import { READ_RIGHTS, readRights } from "../support/stored-entries.ts";

const PATIENCE = { interval: 10 };
const WITH_MEMORY = { stack: "memory over backend" } as const;

interface Refusal {
  readonly code: string;
  readonly config?: readonly string[];
  begin(server: OwnRedis): Promise<void>;
  end(server: OwnRedis): Promise<void>;
}

const refusals: readonly Refusal[] = [
  {
    code: "OOM",
    begin: async (server) =>
      void (await server.command("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", 1)),
    end: async (server) => void (await server.command("CONFIG", "SET", "maxmemory", 0)),
  },
  {
    code: "NOREPLICAS",
    begin: async (server) => void (await server.command("CONFIG", "SET", "min-replicas-to-write", 1)),
    end: async (server) => void (await server.command("CONFIG", "SET", "min-replicas-to-write", 0)),
  },
  {
    code: "MISCONF",
    config: ["save 3600 1"],
    async begin(server) {
      // The disk is gone.
      await rm(server.directory, { recursive: true });
      await server.command("BGSAVE");
      await expect.poll(async () => (await server.info("persistence"))["rdb_last_bgsave_status"], PATIENCE).toBe("err");
    },
    end: async (server) => void (await server.command("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")),
  },
];

async function loadsOf(cache: Cache, key: string, times: number, tags?: readonly string[]): Promise<number> {
  const source = counted("loaded");
  for (let i = 0; i < times; i += 1)
    expect(await cache.getOrSet(key, source.load, tags === undefined ? {} : { tags })).toBe("loaded");
  return source.runs;
}

describe.each(refusals)("while Redis answers $code to writes", ({ code, config = [], begin, end }) => {
  it("a value is loaded once in a process, and again after an invalidation elsewhere", async () => {
    await using server = await startOwnRedis({ config });
    const [one, other] = [over(impatient(server.url).build(), WITH_MEMORY), over(impatient(server.url).build())];
    await Promise.all([one.connect(), other.connect()]);
    await one.set("before", "stored");
    await begin(server);
    const codes = new Set<string>();
    one.on("backend:error", ({ error }) =>
      codes.add(String((error.cause as Error | undefined)?.message).split(" ")[0]!),
    );

    expect([await loadsOf(one, "k", 200), await loadsOf(one, "tagged", 50, ["t"])]).toEqual([1, 1]);
    expect([[...codes], one.stats().tiers.at(-1)!.state]).toEqual([[code], "up"]);

    // Memory is short for entries only: invalidations pass. The others are pending until Redis writes again.
    const deleted = await other.delete("k");
    const invalidated = await other.invalidateTags("t");
    expect([deleted.status, invalidated.status]).toEqual(code === "OOM" ? ["missing", "done"] : ["pending", "pending"]);
    if (code !== "OOM") await end(server);
    await expect.poll(() => other.stats().pending, PATIENCE).toBe(0);
    await expect.poll(() => [one.peek("k"), one.peek("tagged")], PATIENCE).toEqual([undefined, undefined]);
    expect([await loadsOf(one, "k", 50), await loadsOf(one, "tagged", 50, ["t"])]).toEqual([1, 1]);
    expect(await one.get("before")).toBe("stored");
  });
});

it("a user that may only read loads a value once", async () => {
  await using users = await startAclRedis({
    users: [`user reader on >readerpass ~hotset:* ~hotset~* ${READ_RIGHTS} +client|tracking`],
  });
  const cache = over(impatient(users.urlOf("reader", "readerpass")).build(), WITH_MEMORY);
  const writer = over(impatient(users.urlOf("admin", "adminpass")).build());
  await Promise.all([cache.connect(), writer.connect()]);
  expect(await loadsOf(cache, "k", 200)).toBe(1);
  await writer.set("k", "loaded");
  await expect.poll(() => cache.peek("k"), PATIENCE).toBe(undefined);
  expect(await loadsOf(cache, "k", 50)).toBe(0);
});

it.each([
  ["full", "+hmget"],
  ["full", "+mget"],
  ["string", "+get"],
  ["string", "+mget"],
  ["string", "+evalsha"],
] as const)(
  "a user who may not read (%s, without %s) is detached, and up once that is granted",
  async (layout, right) => {
    const rights = `${readRights(layout)} +client|tracking`.replace(`${right} `, "");
    await using users = await startAclRedis({ users: [`user reader on >readerpass ~hotset:* ~hotset~* ${rights}`] });
    const backend = (user: string) =>
      impatient(users.urlOf(user, `${user}pass`))
        .layout(layout)
        .build();
    const [cache, writer] = [over(backend("reader"), WITH_MEMORY), over(backend("admin"))];
    await Promise.all([cache.connect(), writer.connect()]);
    await writer.set("k", "v1", { tags: ["t"] });
    const state = (): string | undefined => cache.stats().tiers.at(-1)!.state;
    expect(await cache.getOrSet("k", () => "loaded", { tags: ["t"] })).toBe("loaded");
    expect(state()).toBe("detached");
    await users.command("ACL", "SETUSER", "reader", right);
    await expect.poll(state, PATIENCE).toBe("up");
    await writer.set("k", "v2", { tags: ["t"] });
    await expect.poll(() => cache.get("k"), PATIENCE).toBe("v2");
  },
);

it("a forced load whose lease is refused is not served again without asking Redis", async () => {
  await using users = await startAclRedis({
    users: [`user reader on >readerpass ~hotset:* ~hotset~* ${READ_RIGHTS} +client|tracking`],
  });
  const cache = over(impatient(users.urlOf("reader", "readerpass")).build(), WITH_MEMORY);
  const writer = over(impatient(users.urlOf("admin", "adminpass")).build());
  await Promise.all([cache.connect(), writer.connect()]);
  expect(await cache.getOrSet("k", () => "forced", { forceRefresh: true })).toBe("forced");
  await writer.set("k", "written later");
  expect(await cache.getOrSet("k", () => "loaded")).toBe("written later");
});
