import { once } from "node:events";
import { get as httpGet, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { createCache, type Cache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { memory } from "@hotset/memory";
import { CacheTags, HotsetModule } from "@hotset/nest";
import { redis } from "@hotset/redis";
import { randomPrefix } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { expect, inject, it } from "vitest";
import { handler, start, type Running } from "./apps.ts";

/** As a proxy in front of both asks them: by one name. The name is part of the key. */
async function visit({ app }: Running, path: string): Promise<{ readonly text: string; readonly run: string }> {
  const request = httpGet(`${await app.getUrl()}${path}`, { headers: { host: "shop.example" } });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { text: await text(response), run: String(response.headers["x-run"]) };
}

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
  const asked = Array.from({ length: 40 }, (_, i) => visit(apps[i % 2]!, "/slow/1"));
  await expect.poll(() => caches.every((cache) => cache.stats().waiting === 20)).toBe(true);
  leave.open();
  const got = await Promise.all(asked);
  expect(new Set(got.map((each) => `${each.text} ${each.run}`))).toEqual(new Set(['{"runs":1} 1']));

  await caches[0]!.invalidateTags("slow");
  await expect.poll(() => visit(apps[1]!, "/slow/1")).toMatchObject({ text: '{"runs":2}' });
  expect((await visit(apps[0]!, "/slow/1")).text).toBe('{"runs":2}');

  leave = gate();
  const crossed = visit(apps[0]!, "/slow/2");
  await leave.arrived();
  await caches[1]!.invalidateTags("slow");
  leave.open();
  expect((await crossed).text).toBe('{"runs":3}');
  expect((await visit(apps[1]!, "/slow/2")).text).toBe('{"runs":4}');
});
