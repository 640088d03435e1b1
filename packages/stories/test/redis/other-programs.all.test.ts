/**
 * Entries of other programs, set up as docs/guide/redis.md says: hitbox writes hashes of `d` and `s`, with a TTL in
 * seconds.
 */
import { passthrough, type Cache } from "@hotset/core";
import { gzip } from "@hotset/formats";
import { zstd } from "@hotset/formats/zstd";
import type { RedisBackendBuilder } from "@hotset/redis";
import { startOwnRedis } from "@hotset/test-servers";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { over, patient, type OverRedisOptions } from "../support/over-redis.ts";
import { never } from "../support/stacks.ts";

const server = await startOwnRedis();
afterAll(() => server.stop());
afterEach(() => server.command("FLUSHALL"));

/** The key in the form of hitbox: a prefix, a version and parts, URL-encoded. */
const KEY = "_prefix=user&_version=1&id=42";
const USER = { id: 42, name: "Ada" };
const BYTES = '{"id":42,"name":"Ada"}';
const LAYOUTS = ["plain", "full"] as const;

/** Keys are those of callers. */
const bare = (layout: (typeof LAYOUTS)[number]): RedisBackendBuilder =>
  patient(server.url).layout(layout).keyPrefix("").coherence("none");
const open = (layout: (typeof LAYOUTS)[number], options?: OverRedisOptions): Cache =>
  over(bare(layout).build(), { name: "", ...options });

/** Writes as hitbox does: HSET of the fields it has, then EXPIRE. */
async function hitboxWrites(
  fields: Readonly<Record<string, string | number | Uint8Array>>,
  seconds?: number,
): Promise<void> {
  await server.command("HSET", KEY, ...Object.entries(fields).flat());
  if (seconds !== undefined) await server.command("EXPIRE", KEY, seconds);
}

/** Reads as hitbox does: HMGET d s, then PTTL. */
async function hitboxReads(): Promise<{ readonly d: unknown; readonly s: unknown; readonly pttl: number }> {
  const [[d, s], pttl] = await Promise.all([
    server.command("HMGET", KEY, "d", "s") as Promise<readonly [unknown, unknown]>,
    server.command("PTTL", KEY),
  ]);
  return { d, s, pttl: Number(pttl) };
}

describe.each(LAYOUTS)("A40 A41 in the %s layout an entry of hitbox", (layout) => {
  it("is a hit, fresh until s, and lives as long as its TTL", async () => {
    await hitboxWrites({ d: BYTES, s: Date.now() + 30_000 }, 60);
    const cache = open(layout);
    expect(await cache.get(KEY)).toEqual(USER);
    expect(await cache.getOrSet(KEY, never)).toEqual(USER);
    const info = await cache.inspect(KEY);
    expect(info).toMatchObject({ state: "fresh", tags: [] });
    expect(info!.freshForMs).toBeGreaterThan(25_000);
    expect(info!.freshForMs).toBeLessThanOrEqual(30_005);
    expect(info!.expiresInMs).toBeGreaterThan(55_000);
    expect(info!.expiresInMs).toBeLessThanOrEqual(60_000);
  });

  it.for([gzip(), zstd(), passthrough()])(
    "is read when compressed with $id where that is the compressor of the backend",
    async (compressor) => {
      await hitboxWrites({ d: await compressor.compress(Buffer.from(BYTES)), s: Date.now() + 30_000 }, 60);
      const cache = over(bare(layout).compressor(compressor).build(), { name: "" });
      expect(await cache.get(KEY)).toEqual(USER);
    },
  );

  it("A39: leaves nothing behind where it is overwritten: no staleness, no tags, no creation, no TTL", async () => {
    const cache = open(layout);
    await hitboxWrites({ d: "old", s: 1, c: 1, t: "tags" }, 10);
    await cache.set(KEY, USER, { ttl: Infinity });
    const fields = (await server.command("HKEYS", KEY)) as readonly string[];
    expect(fields.toSorted()).toEqual(layout === "plain" ? ["d"] : ["d", "s"]);
    expect(await hitboxReads()).toEqual({ d: BYTES, s: layout === "plain" ? null : expect.any(String), pttl: -1 });
  });

  it("is served past its s only within a window that this cache was given, by get as by getOrSet", async () => {
    const write = async (): Promise<void> => {
      await server.command("DEL", KEY);
      await hitboxWrites({ d: BYTES, s: Date.now() - 1_000 }, 60);
    };
    const failing = (): Promise<never> => Promise.reject(new Error("down"));
    const allowed = { allowStale: true };
    for (const [defaults, isServed, isFallback] of [
      [{}, false, false],
      [{ staleWhileRevalidate: 500 }, false, false],
      [{ staleWhileRevalidate: "1m" }, true, true],
      [{ staleIfError: "1m" }, false, true],
    ] as const) {
      await write();
      const cache = open(layout, { ttl: "1m", ...defaults });
      expect(await cache.get(KEY)).toBe(undefined);
      expect(await cache.get(KEY, allowed)).toEqual(isFallback ? USER : undefined);
      const failed = cache.getOrSet(KEY, failing);
      if (isFallback) expect(await failed).toEqual(USER);
      else await expect(failed).rejects.toThrow("down");
      await cache.close();
      await write();
      const another = open(layout, { ttl: "1m", ...defaults });
      expect(await another.getOrSet(KEY, () => "loaded")).toEqual(isServed ? USER : "loaded");
      await another.drain();
    }
  });

  it("may be read and written while it is loaded, and the load stores nothing over it unless versions are missing", async () => {
    const cache = open(layout);
    const value = await cache.getOrSet(KEY, async () => {
      expect(await hitboxReads()).toEqual({ d: null, s: null, pttl: -2 });
      await hitboxWrites({ d: BYTES }, 60);
      return { ...USER, name: "Grace" };
    });
    expect(value).toEqual({ ...USER, name: "Grace" });
    expect(await cache.get(KEY)).toEqual(layout === "full" ? USER : value);
  });
});

describe("A39 A41 an entry of hotset as hitbox reads it", () => {
  it("golden: has in the plain layout exactly d and s, under the key that hitbox knows, with the lifetime as the TTL", async () => {
    const cache = open("plain");
    const before = Date.now();
    await cache.set(KEY, USER, { ttl: "30s", staleIfError: "30s" });
    const after = Date.now();
    expect(await server.command("KEYS", "*")).toEqual([KEY]);
    expect(await server.command("HGETALL", KEY)).toEqual(["d", BYTES, "s", expect.stringMatching(/^\d{13}$/)]);
    const { s, pttl } = await hitboxReads();
    expect(Number(s)).toBeGreaterThanOrEqual(before + 30_000 - 5);
    expect(Number(s)).toBeLessThanOrEqual(after + 30_000 + 5);
    expect(pttl).toBeGreaterThan(55_000);
    expect(pttl).toBeLessThanOrEqual(60_000);
  });

  it("golden: has in the full layout the same two fields; s begins with the stale window, and is no instant", async () => {
    await open("full").set(KEY, USER, { ttl: "30s", staleIfError: "30s" });
    expect(await hitboxReads()).toMatchObject({ d: BYTES, s: expect.stringMatching(/^30000 [\w-]{16},30000,0,30000/) });
  });

  it("in the plain layout has the windows of the cache that reads it: staleIfError alone serves nothing at once", async () => {
    const policy = { ttl: "1m", staleIfError: "1m" } as const;
    const cache = open("plain", policy);
    await cache.set(KEY, USER);
    await server.command("HSET", KEY, "s", Date.now() - 1);
    expect(await cache.getOrSet(KEY, () => Promise.reject(new Error("down")))).toEqual(USER);
    expect(await open("plain", policy).getOrSet(KEY, () => "new")).toBe("new");
  });

  it("ends also with a lifetime of less than a second, which hitbox itself would make endless", async () => {
    expect(await open("plain").set(KEY, USER, { ttl: 950 })).toMatchObject({ status: "stored" });
    const { pttl } = await hitboxReads();
    expect(pttl).not.toBe(-1);
    expect(pttl).toBeLessThanOrEqual(950);
    await expect.poll(() => server.command("EXISTS", KEY)).toBe(0);
  });
});

describe.each(LAYOUTS)("C146 in the %s layout, keys without a prefix that hold no entry", (layout) => {
  it.each([
    ["a string", ["SET", "foreign", "theirs"]],
    ["a list", ["RPUSH", "foreign", "theirs"]],
    ["a hash of other fields", ["HSET", "foreign", "cart", "theirs"]],
  ] as const)("%s is a miss, and is neither replaced nor removed", async (_, command) => {
    await server.command(...command);
    const before = await server.commandBytes("DUMP", "foreign");
    const cache = open(layout);
    const errors: string[] = [];
    cache.on("backend:error", ({ operation, error }) => errors.push(`${operation}: ${String(error.cause)}`));
    expect(await cache.get("foreign")).toBe(undefined);
    expect(await cache.set("foreign", 1)).toMatchObject({ status: "pending" });
    expect(await cache.delete("foreign")).toMatchObject({ status: "pending" });
    expect(await cache.getOrSet("foreign", () => 2)).toBe(2);
    expect(await cache.markStale("foreign")).toMatchObject({ status: expect.stringMatching(/missing|pending/) });
    await cache.drain();
    expect(await server.commandBytes("DUMP", "foreign")).toEqual(before);
    expect(errors.find((error) => error.startsWith("write"))).toMatch(/write: \w*Error: WRONGTYPE /);
    expect(errors.find((error) => error.startsWith("remove"))).toMatch(/remove: \w*Error: WRONGTYPE /);

    const another = open(layout);
    expect(await another.getOrSet("foreign", () => 3)).toBe(3);
    await another.drain();
    expect(await server.commandBytes("DUMP", "foreign")).toEqual(before);
    expect(await server.command("PTTL", "foreign")).toBe(-1);
  });
});

it.each([[{ name: "users" }], [{ name: "", version: 2 }], [{ name: "hotset" }]])(
  "C146 keyPrefix(''): is refused for %j: keys of the cache without a name would be its keys",
  (options) => {
    expect(() => open("plain", options)).toThrow(
      /^name must be "", and version absent, over redis, which stores keys as they are; got name "/,
    );
  },
);
