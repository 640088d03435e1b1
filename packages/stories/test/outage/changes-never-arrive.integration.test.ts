import { connect, createServer, type AddressInfo } from "node:net";
import { randomPrefix } from "@hotset/test-servers";
import { createCache, memory, redis, type CacheEvents } from "hotset";
import { expect, inject, it, onTestFinished } from "vitest";

/** Redis behind a limit of connections: the first gets through, every other is closed. */
async function oneConnectionTo(url: string): Promise<string> {
  let connections = 0;
  const proxy = createServer((socket) => {
    socket.on("error", () => undefined);
    connections += 1;
    if (connections > 1) return void socket.destroy();
    const server = connect(Number(new URL(url).port), "127.0.0.1").on("error", () => undefined);
    socket.on("close", () => server.destroy());
    socket.pipe(server).pipe(socket);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => proxy.once("listening", resolve));
  onTestFinished(() => void proxy.close());
  return `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

it("a connection for changes that can never be made shows in the state from the first call on, and in an event", async () => {
  const url = await oneConnectionTo(inject("redisUrl"));
  const backend = redis(url).coherence("pubsub").keyPrefix(randomPrefix()).responseTimeout("10s").build();
  await using cache = createCache({ name: "shop" }).tier(memory()).tier(backend).build();
  const states: string[] = [];
  const errors: CacheEvents["backend:error"][] = [];
  cache.on("backend:state", ({ state }) => states.push(state));
  cache.on("backend:error", (event) => errors.push(event));
  await cache.set("key", 1);
  expect(cache.stats().tiers[1]).toMatchObject({ state: "detached" });
  await expect
    .poll(async () => [await cache.get("key"), errors.length], { timeout: 60_000, interval: 200 })
    .toEqual([1, 1]);
  expect(errors).toMatchObject([{ operation: "attach", error: { code: "BACKEND_UNAVAILABLE" } }]);
  expect(errors[0]!.error.message).toContain("changes by other processes do not arrive");
  expect([states, cache.stats().tiers[1]!.state]).toEqual([["detached"], "detached"]);
});
