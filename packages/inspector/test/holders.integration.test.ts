import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { startOwnRedis, until } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { Toolkit } from "../src/data/toolkit.ts";

it.each(["", "acme"])("a holder whose lease has ended is not counted, in the view of tenant %j", async (tenant) => {
  await using server = await startOwnRedis();
  await using root = createRedis({ url: server.url });
  const redis = tenant === "" ? root : root.tenant(tenant);
  const slots = locks(redis).semaphore("exports", 3);
  await slots.acquire({ ttl: "100ms" });
  await slots.acquire({ ttl: "10m" });
  const toolkit = new Toolkit(redis, false);
  const holders = async () => (await toolkit.locks.answer()).find(({ name }) => name === "exports")?.holder;
  await until("the end of the first lease", async () => (await holders()) === "1 holders");
  // It is still there: nobody has acquired since.
  const sets = await Promise.allSettled((await root.commands.keys("*exports*")).map((key) => root.commands.zCard(key)));
  expect(sets.flatMap((set) => (set.status === "fulfilled" ? [set.value] : []))).toEqual([2]);
});
