/** Bytes that move are a sign of life: large values over slow links, and servers that stand still for a moment. */
import { createServer, connect, type AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createCache, json } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { startOwnRedis, startProxy } from "@hotset/test-servers";
import { afterAll, expect, it, onTestFinished } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());

/** A link on which as many bytes move each 10 ms, in both directions. */
async function slowLink(bytesEach10Ms: number): Promise<{ readonly url: string; readonly connections: () => number }> {
  let connections = 0;
  const pipe = async (from: NodeJS.ReadableStream, to: NodeJS.WritableStream): Promise<void> => {
    for await (const chunk of from as AsyncIterable<Buffer>)
      for (let at = 0; at < chunk.length; at += bytesEach10Ms) {
        to.write(chunk.subarray(at, at + bytesEach10Ms));
        if (chunk.length >= bytesEach10Ms) await sleep(10);
      }
  };
  const link = createServer((client) => {
    connections += 1;
    const upstream = connect(server.port);
    for (const socket of [client, upstream])
      socket.on("error", () => undefined).on("close", () => void (client.destroy(), upstream.destroy()));
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const)
      pipe(from, to).catch(() => undefined);
  });
  await new Promise<void>((resolve) => link.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void link.close());
  return { url: `redis://127.0.0.1:${(link.address() as AddressInfo).port}`, connections: () => connections };
}

it("a large value arrives over a slow link, and the small reads beside it", async () => {
  const direct = createCache({ name: "shop" })
    .tier(redis(server.url).valueFormat(json()).responseTimeout("30s").build())
    .defaults({ ttl: "10m" })
    .build();
  const large = "x".repeat(6_000_000);
  await direct.set("large", large);
  await direct.set("small", "value");
  const link = await slowLink(20_000);
  const cache = createCache({ name: "shop" })
    .tier(memory())
    .tier(redis(link.url).valueFormat(json()).responseTimeout("30s").build())
    .defaults({ ttl: "10m" })
    .build();
  onTestFinished(() => Promise.all([cache.close({ timeout: 0 }), direct.close({ timeout: 0 })]).then(() => undefined));
  const errors: unknown[] = [];
  cache.on("backend:error", ({ error }) => errors.push(error));
  await cache.connect();
  await cache.get("other");
  const before = link.connections();
  const reads = [cache.get("large"), cache.get("small")];
  expect((await reads[0]) === large).toBe(true);
  expect(await reads[1]).toBe("value");
  expect(await cache.set("written", large)).toMatchObject({ status: "stored" });
  expect([link.connections() - before, errors]).toEqual([0, []]);
});

it("a value that takes longer than two deadlines fails by itself, and the connection stays", async () => {
  const large = "x".repeat(6_000_000);
  const direct = redis(server.url).valueFormat(json()).responseTimeout("30s").build();
  const entry = { data: Buffer.from(JSON.stringify(large)), staleInMs: 600_000, expiresInMs: 600_000, meta: "" };
  await direct.write("shop::huge", entry);
  const link = await slowLink(20_000);
  const slow = redis(link.url).valueFormat(json()).responseTimeout("1s").coherence("none").build();
  onTestFinished(() => Promise.all([direct.close(), slow.close()]).then(() => undefined));
  await slow.connect!();
  await expect(slow.read("shop::huge")).rejects.toMatchObject({
    message: expect.stringContaining("was not answered within 1000 ms") as string,
  });
  await expect.poll(() => slow.read("shop::absent").catch((error: Error) => error.message)).toBe(undefined);
  expect(link.connections()).toBe(1);
});

it("a server that stands still for less than two deadlines keeps its connections", async () => {
  await using path = await startProxy(server.port);
  const cache = createCache({ name: "shop" })
    .tier(memory())
    .tier(redis(path.url).valueFormat(json()).responseTimeout("3s").build())
    .defaults({ ttl: "10m" })
    .build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  await cache.set("k", "value");
  await sleep(600);
  const before = path.counts.connections;
  server.pause();
  // Ends at its deadline.
  expect(await cache.get("other")).toBe(undefined);
  server.resume();
  await sleep(300);
  expect(path.counts.connections - before).toBe(0);
  await expect.poll(() => cache.get("k")).toBe("value");
});
