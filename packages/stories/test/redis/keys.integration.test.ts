/** Keys of callers as keys in Redis: on one server and in a cluster, readable and hashed. */
import { keyOf, type Cache } from "@hotset/core";
import { cluster } from "@hotset/redis";
import { randomPrefix, RespClient, startCluster } from "@hotset/test-servers";
import { afterAll, describe, expect, inject, it } from "vitest";
import { HOSTILE_KEYS } from "../support/hostile-keys.ts";
import { over, patient } from "../support/over-redis.ts";
import { never } from "../support/stacks.ts";

const nodes = await startCluster({ replicas: 0, nodeTimeoutMs: 15_000 });
afterAll(() => nodes.stop());

const deployments = [
  ["one server", () => patient(inject("redisUrl")), "readable"],
  ["one server", () => patient(inject("redisUrl")), "hashed"],
  ["a cluster", () => patient(cluster(nodes.urls)), "readable"],
  ["a cluster", () => patient(cluster(nodes.urls)), "hashed"],
] as const;

describe.each(deployments)("on %s", (_, start, keyFormat) => {
  // A value that is stored later than that is handed to its caller before, and this is not about time.
  const open = (keyPrefix = randomPrefix()): Cache =>
    over(start().keyPrefix(keyPrefix).keyFormat(keyFormat).responseTimeout("30s").build());

  it(`C108 R1-07: ${keyFormat} keys are kept apart, for all characters`, async () => {
    const cache = open();
    for (const space of [cache, cache.namespace("users"), cache.namespace("users").namespace("a:b{c}*")]) {
      for (const [i, key] of HOSTILE_KEYS.entries())
        await (i % 2 === 0 ? space.set(key, i) : space.getOrSet(key, () => i));
      for (const [i, key] of HOSTILE_KEYS.entries()) expect(await space.getOrSet(key, never)).toBe(i);
      expect([...(await space.getMany<number>(HOSTILE_KEYS)).entries()]).toEqual(
        HOSTILE_KEYS.map((key, i) => [key, i]),
      );
    }
    const users = cache.namespace("users");
    for (const [i, key] of HOSTILE_KEYS.entries()) {
      expect(await users.delete(key)).toMatchObject({ status: "deleted" });
      expect((await users.getMany(HOSTILE_KEYS)).size).toBe(HOSTILE_KEYS.length - i - 1);
    }
    expect((await cache.getMany(HOSTILE_KEYS)).size).toBe(HOSTILE_KEYS.length);
  });

  it("C108: an invalid key is refused in plain words", async () => {
    const cache = open();
    for (const key of ["", "a\ud83e", "k".repeat(100_000)]) {
      await expect(cache.set(key, 1)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringMatching(/^key must be .*, got /),
      });
      await expect(cache.get(key)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    }
  });

  it("C108: names of tags and namespaces may contain all characters, too", async () => {
    const cache = open();
    const names = HOSTILE_KEYS.filter((name) => name.length < 500);
    await Promise.all(names.map((name) => cache.namespace(name).set("k", name, { tags: [name] })));
    for (const [i, name] of names.entries()) {
      expect(await cache.namespace(name).get("k")).toBe(name);
      await (i % 2 === 0 ? cache.namespace(name).clear() : cache.invalidateTags(name));
      expect(await cache.namespace(name).get("k")).toBe(undefined);
    }
  });
});

describe("keys made of named parts", () => {
  const key = keyOf("user", { tenant: "acme:eu", id: 42 }, "de");
  const samePartsOtherwise = keyOf("user", { id: 42, tenant: "acme:eu" }, "de");
  const client = RespClient.fromUrl(inject("redisUrl"));
  afterAll(() => client.close());

  async function keysInRedis(
    keyFormat: "readable" | "hashed",
  ): Promise<{ readonly prefix: string; readonly keys: readonly string[] }> {
    const prefix = randomPrefix();
    const cache = over(patient(inject("redisUrl")).keyPrefix(prefix).keyFormat(keyFormat).build());
    await cache.set(key, "value");
    expect(await cache.get(samePartsOtherwise)).toBe("value");
    expect(await cache.get(keyOf("user", { tenant: "acme", id: 42 }, "de"))).toBe(undefined);
    const keys = (await client.command("KEYS", `${prefix}:shop::*`)) as readonly string[];
    return { prefix, keys };
  }

  it("R1-20: are written the same in any order of their names, and can be read in Redis", async () => {
    const { prefix, keys } = await keysInRedis("readable");
    expect(keys).toEqual([`${prefix}:shop::user:{id=42,tenant="acme%3Aeu"}:de`]);
  });

  it("R1-20: have one length in the compact form, for keys of any length", async () => {
    const { prefix, keys } = await keysInRedis("hashed");
    expect(keys).toEqual([expect.stringMatching(new RegExp(`^${prefix}:shop::#[\\w-]{43}$`))]);
  });
});
