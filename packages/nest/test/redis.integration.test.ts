import { createCache, type Cache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { memory } from "@hotset/memory";
import { CacheTags, HotsetModule } from "@hotset/nest";
import { redis } from "@hotset/redis";
import { randomPrefix } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { expect, inject, it } from "vitest";
import { handler, start } from "./apps.ts";

it("C575 C586: 40 requests over two applications run a slow handler once; a tag ends its answer in both, and what runs", async () => {
  const prefix = randomPrefix();
  let leave = gate();
  let runs = 0;
  const slow = async (_: number, response: { header(name: string, value: string): unknown }) => {
    runs += 1;
    const run = runs;
    await leave.pass();
    response.header("X-Run", String(run));
    return { runs: run };
  };
  const caches: Cache[] = [];
  const build = () => {
    const backend = redis(inject("redisUrl")).keyPrefix(prefix).valueFormat(v8()).responseTimeout("15s").build();
    caches.push(createCache({ name: "shop" }).tier(memory()).tier(backend).defaults({ ttl: "1m" }).build());
    return caches.at(-1)!;
  };
  const application = () =>
    start({ imports: [HotsetModule.forRoot({ build })], controllers: [handler("slow", slow, [CacheTags("slow")])] });
  const apps = [await application(), await application()];
  const asked = Array.from({ length: 40 }, (_, i) => apps[i % 2]!.get("/slow/1"));
  await expect.poll(() => caches.every((cache) => cache.stats().waiting === 20)).toBe(true);
  leave.open();
  const got = await Promise.all(asked);
  expect(new Set(got.map(({ text, headers }) => `${text} ${headers.get("x-run")}`))).toEqual(new Set(['{"runs":1} 1']));

  await caches[0]!.invalidateTags("slow");
  await expect.poll(() => apps[1]!.get("/slow/1")).toMatchObject({ text: '{"runs":2}' });
  expect((await apps[0]!.get("/slow/1")).text).toBe('{"runs":2}');

  leave = gate();
  const crossed = apps[0]!.get("/slow/2");
  await leave.arrived();
  await caches[1]!.invalidateTags("slow");
  leave.open();
  expect((await crossed).text).toBe('{"runs":3}');
  expect((await apps[1]!.get("/slow/2")).text).toBe('{"runs":4}');
});
