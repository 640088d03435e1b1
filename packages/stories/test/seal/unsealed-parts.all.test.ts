/** Versions of tags and leases are not sealed: what a program that writes to Redis can do by them (decision 0114). */
import { createCache, type Cache, type Policy } from "@hotset/core";
import { aesGcm, sealed } from "@hotset/seal";
import { startOwnRedis } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { redis } from "hotset";
import { afterAll, afterEach, expect, it, onTestFinished } from "vitest";
import { counted } from "../support/stacks.ts";

const server = await startOwnRedis();
afterAll(() => server.stop());
afterEach(() => server.command("FLUSHALL"));

const VERSION = "hotset:{~shop}::t";
const ISSUER = "hotset~issuer:{~shop}";
const seal = aesGcm({ keys: [{ id: "k1", key: Buffer.alloc(32, 1) }] });

function open({ clock, ...policy }: Policy & { readonly clock?: TestClock } = {}): Cache {
  const builder = redis(server.url).responseTimeout("15s");
  const cache = createCache({ name: "shop", ...(clock && { clock }) })
    .tier(clock === undefined ? builder.seal(seal).build() : sealed(builder.build(), seal, { clock }))
    .defaults({ ttl: "10m", ...policy })
    .build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  return cache;
}

it("a version that is put back makes an older value current again, until its sealed end", async () => {
  const clock = new TestClock();
  const cache = open({ clock, ttl: "1m", staleIfError: "1m" });
  await cache.set("k", "of before", { tags: ["t"] });
  const version = await server.commandBytes("GET", VERSION);
  await cache.invalidateTags("t");
  expect(await cache.get("k")).toBe(undefined);
  await server.command("SET", VERSION, version as Uint8Array);
  expect(await open({ clock }).get("k")).toBe("of before");
  await server.command("PERSIST", "hotset:shop::k");
  clock.advance("2m");
  const source = counted("of now");
  expect(await open({ clock }).getOrSet("k", source.load)).toBe("of now");
});

it.each([
  ["removed", () => server.command("DEL", VERSION, ISSUER)],
  ["of nonsense", () => server.command("SET", VERSION, "x".repeat(100_000))],
  [
    "of another type",
    async () => void (await server.command("DEL", VERSION), await server.command("RPUSH", VERSION, "x")),
  ],
  ["with a counter at its end", () => server.command("HSET", ISSUER, "n", "9223372036854775807")],
  ["with an issuer of a long id", () => server.command("HSET", ISSUER, "id", "x".repeat(5_000))],
])("versions %s: keys stay cacheable, and invalidations work", async (_, spoil) => {
  const writer = open();
  await writer.set("k", "of before", { tags: ["t"] });
  await spoil();
  const cache = open();
  expect([undefined, "of before"]).toContain(await cache.get("k"));
  await cache.invalidateTags("t");
  expect(await cache.get("k")).toBe(undefined);
  const source = counted("of now");
  await cache.getOrSet("k", source.load, { tags: ["t"] });
  expect([await cache.getOrSet("k", source.load, { tags: ["t"] }), await open().get("k")]).toEqual([
    "of now",
    "of now",
  ]);
  expect(source.runs).toBe(1);
  expect(await cache.invalidateTags("t")).toMatchObject({ status: "done" });
  expect(await open().get("k")).toBe(undefined);
});

it("a token that is read from Redis stores nothing that is believed", async () => {
  const cache = open();
  await cache.set("alice", { role: "root" });
  let finish!: (value: string) => void;
  const loading = cache.getOrSet("mallory", () => new Promise<string>((resolve) => (finish = resolve)));
  await expect.poll(() => server.command("EXISTS", "hotset:shop::mallory")).toBe(1);
  await server.command("COPY", "hotset:shop::alice", "hotset:shop::mallory", "REPLACE");
  expect(await open().get("mallory")).toBe(undefined);
  finish("of mallory");
  expect(await loading).toBe("of mallory");
});
