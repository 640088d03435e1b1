import { json } from "@hotset/core";
import { redis, type RedisBackend } from "@hotset/redis";
import { randomPrefix } from "@hotset/test-servers";
import { expect, inject, it, onTestFinished } from "vitest";

const KEY = "shop::user:1";
const LIFE = { staleInMs: 120_000, expiresInMs: 180_000, meta: "touched" };

async function written(layout: "full" | "string" | "plain"): Promise<RedisBackend> {
  const backend = redis(inject("redisUrl"))
    .valueFormat(json())
    .keyPrefix(randomPrefix())
    .coherence("none")
    .responseTimeout("10s")
    .layout(layout)
    .build();
  onTestFinished(() => backend.close());
  await backend.connect!();
  await backend.write(KEY, {
    data: Buffer.from("value"),
    staleInMs: 60_000,
    expiresInMs: 90_000,
    meta: "before",
    version: "V1",
  });
  return backend;
}

it.each(["full", "string"] as const)("a touch in the %s layout leaves an entry of another version", async (layout) => {
  const backend = await written(layout);
  expect(await backend.leases!.touch(KEY, "V2", LIFE)).toBe(false);
  const found = (await backend.read(KEY))!;
  expect(found).toMatchObject({ meta: "before", version: "V1" });
  expect([found.staleInMs <= 60_000, found.expiresInMs <= 90_000]).toEqual([true, true]);
});

it.each(["full", "string", "plain"] as const)(
  "a touch in the %s layout leaves nothing of the former life and meta, and the value as it is",
  async (layout) => {
    const backend = await written(layout);
    const endless = { staleInMs: Infinity, expiresInMs: Infinity, meta: "" };
    for (const life of [LIFE, endless]) {
      expect(await backend.leases!.touch(KEY, "V1", life)).toBe(true);
      const found = (await backend.read(KEY))!;
      expect(Buffer.from(found.data).toString()).toBe("value");
      if (layout !== "plain") expect([found.meta, found.version]).toEqual([life.meta, "V1"]);
      if (life === endless) expect([found.staleInMs, found.expiresInMs]).toEqual([Infinity, Infinity]);
      else {
        expect(found.staleInMs).toBeGreaterThan(100_000);
        expect(found.expiresInMs).toBeGreaterThan(160_000);
      }
    }
  },
);

it.each(["full", "string"] as const)(
  "a read in the %s layout of a version that is known has its life and meta, and no value",
  async (layout) => {
    const backend = await written(layout);
    await backend.leases!.touch(KEY, "V1", LIFE);
    const found = (await backend.read(KEY, "V1"))!;
    expect(found).toMatchObject({ data: new Uint8Array(), isSeen: true, meta: LIFE.meta, version: "V1" });
    expect([found.staleInMs > 100_000, found.expiresInMs > 160_000]).toEqual([true, true]);
    expect(await backend.read(KEY, "V2")).toMatchObject({ data: new Uint8Array(), isSeen: false });
  },
);
