/** In the async context of which call the functions of a user run, where a connection to Redis serves many calls. */
import { AsyncLocalStorage } from "node:async_hooks";
import { json, systemClock, type Cache } from "@hotset/core";
import { redis, type RedisBackendBuilder } from "@hotset/redis";
import { startOwnRedis, startProxy } from "@hotset/test-servers";
import { createTestCache } from "@hotset/testing";
import { afterAll, expect, it, onTestFinished } from "vitest";

const request = new AsyncLocalStorage<string>();

const server = await startOwnRedis();
afterAll(() => server.stop());

function open(settings: (builder: RedisBackendBuilder) => RedisBackendBuilder, url = server.url): Cache {
  const backend = settings(redis(url).valueFormat(json()).responseTimeout("10s")).build();
  const cache = createTestCache({ name: "shop", clock: systemClock, backend, localTtl: "1m" });
  onTestFinished(() => cache.close());
  return cache;
}

const MODES = ["tracking", "pubsub"] as const;

it.for(MODES)("a change elsewhere is reported in the async context of no call: %s", async (mode) => {
  const [here, elsewhere] = [open((one) => one.coherence(mode)), open((one) => one.coherence(mode))];
  const changedIn: unknown[] = [];
  here.on("invalidate", ({ origin }) => changedIn.push([origin, request.getStore()]));
  // Opens the connections.
  await request.run("first", () => here.getOrSet("k", () => 1));
  await here.connect();
  await expect.poll(async () => [await here.get("k"), here.peek("k")]).toEqual([1, 1]);
  await request.run("elsewhere", () => elsewhere.delete("k"));
  await expect.poll(() => changedIn).toEqual([["elsewhere", undefined]]);
});

it.for(MODES)("a connection that is back is reported in the async context of no call: %s", async (mode) => {
  const here = open((one) => one.coherence(mode));
  const states: unknown[] = [];
  await request.run("first", () => here.getOrSet("k", () => 1));
  await here.connect();
  here.on("backend:state", ({ state }) => states.push([state, request.getStore()]));
  await server.command("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES");
  await server.command("CLIENT", "KILL", "TYPE", "PUBSUB", "SKIPME", "YES");
  await expect.poll(() => states.length).toBeGreaterThan(1);
  await expect.poll(() => states.at(-1)).toEqual(["up", undefined]);
  expect(states.filter((each) => (each as unknown[])[1] !== undefined)).toEqual([]);
});

it("a server that is there at last is reported in the async context of no call", async () => {
  const proxy = await startProxy(server);
  await proxy.refuse();
  // Without a subscription the first call opens the connection.
  const here = open((one) => one.coherence("none"), proxy.url);
  const states: unknown[] = [];
  here.on("backend:state", ({ state }) => states.push([state, request.getStore()]));
  // Opens the breaker.
  await request.run("first", async () => {
    while (states.length === 0) await here.set("k", 1);
  });
  expect(states).toEqual([["down", "first"]]);
  await proxy.pass();
  await expect.poll(() => states.slice(1)).toEqual([["up", undefined]]);
  await proxy.close();
});
