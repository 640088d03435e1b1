import { createHook } from "node:async_hooks";
import { startOwnRedis } from "@hotset/test-servers";
import { createCache, memory, redis } from "hotset";
import { afterAll, expect, it } from "vitest";
import { open, type Held } from "../src/held.ts";
import { judge } from "../src/tags.ts";

const server = await startOwnRedis();
const opened: Held[] = [];
afterAll(async () => {
  await Promise.all(opened.map(({ cache }) => cache.close()));
  await server.stop();
});

async function newProcess(): Promise<Held> {
  const backend = redis(server.url).responseTimeout("20s").maxStaleness("1h").build();
  const held = open(() => createCache({ name: "next" }).tier(memory()).tier(backend).build());
  opened.push(held);
  await held.cache.connect();
  return held;
}

/** Scripts and reads that Redis ran, and promises. */
async function costsOf(run: () => Promise<unknown>): Promise<{ readonly commands: number; readonly promises: number }> {
  await server.command("CONFIG", "RESETSTAT");
  let promises = 0;
  const hook = createHook({ init: (_id, type) => void (promises += type === "PROMISE" ? 1 : 0) }).enable();
  await run();
  hook.disable();
  const stats = String(await server.command("INFO", "commandstats"));
  const calls = (name: string): number => Number(new RegExp(`_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  return { commands: calls("evalsha") + calls("hmget"), promises };
}

it.each([
  { expireS: 0, commands: 1.2, promises: 15 },
  { expireS: 300, commands: 4.2, promises: 45 },
])("C583: 3,000 tags of one call that end in $expireS s cost $commands commands each", async (most) => {
  const { tags } = await newProcess();
  const names = Array.from({ length: 3_000 }, (_, i) => `${most.expireS}-${i}`);
  await tags.update(names.slice(0, 100), most.expireS);
  const { commands, promises } = await costsOf(() => tags.update(names, most.expireS));
  expect(commands / names.length).toBeLessThan(most.commands);
  expect(promises / names.length).toBeLessThan(most.promises);
});

it("C583: 20 concurrent profiles of one tag, over four processes, leave one stale answer", async () => {
  const all = await Promise.all(Array.from({ length: 4 }, newProcess));
  for (const { tags } of all) await tags.changes(["x"]);
  await all[0]!.cache.set("own", 1, { tags: ["x"], ttl: "1h", staleIfError: "1h" });
  const begunAt = Date.now();
  const each = Array.from({ length: 20 }, (_, i) => all[i % 4]!.tags);
  const { commands } = await costsOf(() => Promise.all(each.map((tags) => tags.update(["x"], 300))));
  for (const { cache, tags } of all) {
    expect(judge(await tags.changes(["x"]), { at: begunAt })).toBe("stale");
    expect([await cache.get("own", { allowStale: true }), await cache.get("own")]).toEqual([1, undefined]);
  }
  expect(commands).toBeLessThan(20 * 10);
});
