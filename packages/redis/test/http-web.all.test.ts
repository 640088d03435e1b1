import { json } from "@hotset/core";
import { randomPrefix, startRestProxy } from "@hotset/test-servers";
import { describeBackend } from "@hotset/testing/contract-suites";
import { afterAll, describe, expect, inject, it, vi } from "vitest";

/** Modules of Node are asked for by this, and by no import. */
const getBuiltinModule = vi.spyOn(process, "getBuiltinModule").mockReturnValue(undefined);
vi.stubGlobal("Buffer", undefined);
const { http, redis } = await import("@hotset/redis/http");
const { RedisKeys } = await import("../src/store/redis-keys.ts");
vi.unstubAllGlobals();

const proxy = await startRestProxy({ redisPort: Number(new URL(inject("redisUrl")).port) });
afterAll(async () => {
  getBuiltinModule.mockRestore();
  await proxy.close();
});

const prefixes = new WeakMap<object, string>();
type Way = readonly [layout: "full" | "string", coherence: "none" | "pubsub"];
const open = ([layout, coherence]: Way, prefix: string) => {
  const connection = http({ url: proxy.url, token: proxy.token, maxRequestBytes: 3_000_000 });
  const backend = redis(connection)
    .keyPrefix(prefix)
    .layout(layout)
    .coherence(coherence)
    .valueFormat(json())
    .responseTimeout("20s")
    .build();
  prefixes.set(backend, prefix);
  return backend;
};

it("nothing of Node was had: bytes of entries are those of the web, and hashed keys are refused with a sentence", async () => {
  const backend = open(["full", "none"], randomPrefix());
  await backend.write("shop::key", { data: Uint8Array.of(0xff), staleInMs: 9_000, expiresInMs: 9_000, meta: "é" });
  const found = await backend.read("shop::key");
  expect(found).toMatchObject({ meta: "é" });
  expect([found!.data.constructor.name, ...found!.data]).toEqual(["WebBuffer", 0xff]);
  await backend.close();
  const keys = new RedisKeys({ prefix: "p", format: "hashed" });
  expect(() => keys.entry("shop::key")).toThrow('keyFormat("hashed") needs node:crypto, which this runtime lacks');
  expect(getBuiltinModule).toHaveBeenCalledWith("node:crypto");
});

describe.each<Way>([
  ["full", "none"],
  ["string", "none"],
  ["full", "pubsub"],
])("C743 without modules of Node, layout %s, coherence %s", (...way) => {
  describeBackend("redis over HTTP", {
    open: () => open(way, randomPrefix()),
    openPeer: (backend) => open(way, prefixes.get(backend)!),
    ...(way[1] === "pubsub" && { cut: () => proxy.streams.cut() }),
    expiry: "server",
    promises: ["one load", "deletes hold", "tags hold", ...(way[1] === "pubsub" ? (["copies follow"] as const) : [])],
  });
});
