/** What waits for deadlines of several seconds, over a Redis that really fails. */
import { startOwnRedis } from "@hotset/test-servers";
import { outcome } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import {
  deleteDuring,
  failingRedis,
  PATIENCE,
  replayed,
  setDuring,
  NOTHING_OLDER,
  NOTHING_REAPPEARED,
  WITH_MEMORY,
  type Fault,
} from "../support/failing-redis.ts";
import { impatient, over } from "../support/over-redis.ts";
import { never, STACKS_WITH_BACKEND } from "../support/stacks.ts";
import { plant } from "../support/stored-entries.ts";

const redis = await failingRedis();
const { server, open } = redis;

describe.each(STACKS_WITH_BACKEND)("over %s", (stack) => {
  const faults: readonly Fault[] = [
    ["a frozen server", () => server.pause(), () => server.resume()],
    ["a network that swallows everything", () => redis.proxy.swallow(), () => redis.proxy.pass()],
  ];

  it.for(faults)("C93 a delete that meets %s is pending, and replayed: the value never reappears", async (fault) =>
    expect(await deleteDuring(redis, stack, fault)).toEqual(NOTHING_REAPPEARED),
  );

  it.for(faults)(
    "C94 after a set that meets %s the older value is never served here, and nowhere once the set is replayed",
    async (fault) => expect(await setDuring(redis, stack, fault)).toEqual(NOTHING_OLDER),
  );
});

it("A11 CLIENT PAUSE: makes reads misses or stale answers within the deadline, and reports no late write as done", async () => {
  const cache = open({ ...WITH_MEMORY, staleWhileRevalidate: "1h" });
  const reader = over(impatient(redis.proxy.url).build());
  await Promise.all([cache.connect(), reader.connect()]);
  await cache.set("k", "old");
  await cache.set("stale", "old", { ttl: 1 });
  await expect.poll(async () => (await cache.inspect("stale"))?.state).toBe("stale");
  await reader.get("anything");
  redis.proxy.resetCounts();

  await server.command("CLIENT", "PAUSE", 5_000, "ALL");
  const ended = Promise.all([
    reader.get("k"),
    reader.getOrSet("k", () => "loaded"),
    cache.set("k", "carried out late"),
  ]);
  expect(await outcome(cache.getOrSet("stale", never))).toEqual({ status: "fulfilled", value: "old" });
  expect(await ended).toEqual([undefined, "loaded", { status: "pending" }]);

  await replayed(cache);
  expect(
    redis.proxy.commands().filter((command) => command.some((text) => text.includes("carried out late"))),
  ).toHaveLength(1);
  expect([await reader.get("k"), await cache.get("k")]).toEqual([undefined, undefined]);
});

it("A95: the primary becomes a replica and a primary again, with the data of another one, before a heartbeat: recent removals are issued again", async () => {
  await using own = await startOwnRedis();
  await using copied = await startOwnRedis();
  await copied.command("CONFIG", "SET", "repl-diskless-sync-delay", 0);
  await plant(copied, "hotset:shop::k", { data: '"old"', meta: '["json"]' });
  // Heartbeats are 10 s apart.
  const cache = over(impatient(own.url).maxStaleness("40s").build(), WITH_MEMORY);
  await cache.connect();
  await cache.set("k", "older");
  expect(await cache.delete("k")).toMatchObject({ status: "deleted" });
  await own.command("REPLICAOF", "127.0.0.1", copied.port);
  await expect.poll(async () => (await own.info("replication"))["master_link_status"], PATIENCE).toBe("up");
  await own.command("REPLICAOF", "NO", "ONE");
  expect(await own.command("EXISTS", "hotset:shop::k")).toBe(1);
  await expect.poll(() => own.command("EXISTS", "hotset:shop::k"), PATIENCE).toBe(0);
  expect([await cache.get("k"), (await own.info("replication"))["role"]]).toEqual([undefined, "master"]);
});
