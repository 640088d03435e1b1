/** Bytes that released versions stored, which every later one reads. `write.ts` has written them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { startOwnRedis, startPostgres, temporaryDirectory, type OwnRedis } from "@hotset/test-servers";
import type { Cache } from "hotset";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { cacheOver, FORMS, VALUE, type Open } from "./content.ts";
import { LAYOUTS, postgresIn, redisAt, schemaOf, sqliteIn, type Command } from "./stores.ts";

const VERSIONS = ["0.1"];

const read = (name: string): Buffer => readFileSync(join(import.meta.dirname, name));

async function loadRedis(version: string): Promise<OwnRedis> {
  const server = await startOwnRedis();
  const isText = (command: string, at: number): boolean =>
    command === "PEXPIREAT" || (command === "HSET" && at % 2 === 0);
  for (const [name, key, ...rest] of JSON.parse(read(`redis-${version}.json`).toString()) as readonly Command[]) {
    const given = rest.map((text, at) => (isText(name, at) ? text : Buffer.from(text, "base64")));
    await server.commandBytes(name, key, ...given);
  }
  return server;
}

describe.each(VERSIONS)("C572: entries that version %s stored", (version) => {
  const stores = new Map<string, Open>();
  const ends: (() => Promise<unknown>)[] = [];
  const names = [...LAYOUTS.map((layout) => `Redis, ${layout}`), "SQLite", "PostgreSQL"];

  beforeAll(async () => {
    const redis = await loadRedis(version);
    ends.push(() => redis.stop());
    for (const layout of LAYOUTS) stores.set(`Redis, ${layout}`, redisAt(redis.url, layout));

    const path = join(await temporaryDirectory("stored"), "cache.db");
    writeFileSync(path, gunzipSync(read(`sqlite-${version}.db.gz`)));
    stores.set("SQLite", sqliteIn(path));

    const database = await startPostgres();
    const schema = schemaOf(version);
    await database.query(`drop schema if exists ${schema} cascade`);
    await database.query(read(`postgres-${version}.sql`).toString());
    ends.push(async () => {
      await database.query(`drop schema ${schema} cascade`);
      await database.stop();
    });
    stores.set("PostgreSQL", postgresIn(database.url, schema));
  });
  afterAll(() => Promise.all(ends.map((end) => end())));

  describe.each(names)("in %s", (name) => {
    function open(...more: Parameters<typeof cacheOver> extends [unknown, ...infer Rest] ? Rest : never): Cache {
      const cache = cacheOver(stores.get(name)!, ...more);
      onTestFinished(() => cache.close({ timeout: 0 }));
      return cache;
    }

    it.each(Object.keys(FORMS))("are read: %s", async (form) => {
      expect(await open().get(`of ${form}`)).toEqual(VALUE);
    });

    it("are read under any key, and with a seal", async () => {
      const cache = open();
      expect([await cache.get("null"), await cache.get("{user}:1:é%{")]).toEqual([null, "of a strange key"]);
      expect(await open(undefined, { isSealed: true }).get("sealed")).toBe("of a seal");
    });

    it("have their lifetimes", async () => {
      const [cache, day] = [open(), 86_400_000];
      const { freshForMs, expiresInMs } = (await cache.inspect("stale"))!;
      // PostgreSQL reads its clock for each of the two.
      expect(Math.round((expiresInMs - freshForMs) / 1_000)).toBe(20 * day);
      expect(freshForMs).toBeGreaterThan(9_000 * day - (Date.now() - Date.UTC(2026, 10, 28)));
      expect(freshForMs).toBeLessThanOrEqual(10_000 * day);
      expect(await cache.inspect("endless")).toMatchObject({ state: "fresh", freshForMs: Infinity });
    });

    it("have their tags and validators, and end with a tag, in each namespace", async () => {
      const cache = open();
      expect(await cache.inspect("tagged")).toMatchObject({ tags: ["users"], etag: '"1"' });
      expect([await cache.get("tagged"), await cache.namespace("eu").get("k")]).toEqual(["by a tag", "in a namespace"]);
      await cache.invalidateTags("users");
      expect([await cache.get("tagged"), await cache.namespace("eu").get("k")]).toEqual([undefined, undefined]);
      expect(await cache.get("null")).toBe(null);
      expect(await cache.getOrSet("tagged", () => "loaded")).toBe("loaded");
      expect(await open().get("tagged")).toBe("loaded");
      expect(await cache.delete("tagged")).toMatchObject({ status: "deleted" });
      expect(await open().get("tagged")).toBe(undefined);
    });

    it("stay deleted, ended, cleared and marked; later ones stay", async () => {
      const [cache, old] = [open(), open().namespace("old")];
      const ended = [await cache.get("deleted"), await cache.get("ended"), await old.get("cleared")];
      expect(ended).toEqual([undefined, undefined, undefined]);
      for (const key of ["marked", "marked by a tag"])
        expect(await cache.inspect(key)).toMatchObject({ state: "stale" });
      expect(await cache.inspect("kept")).toMatchObject({ state: "fresh" });
      expect([await cache.get("kept"), await old.get("kept")]).toEqual(["after the end of its tag", "after the clear"]);
    });
  });

  it("C572: an entry of a form that is not known is a miss, which the next load overwrites: Redis", async () => {
    await using server = await loadRedis(version);
    await server.commandBytes("HSET", "full:shop::later", "d", "1", "s", '0 AAAABBBBCCCCDDDD:["json"]');
    const next = (await server.commandBytes("GET", "string:shop::of json")) as Buffer;
    next[1] = 2;
    await server.commandBytes("SET", "string:shop::later", next);
    for (const layout of LAYOUTS) {
      const cache = cacheOver(redisAt(server.url, layout));
      expect(await cache.get("later")).toBe(undefined);
      expect(await cache.getOrSet("later", () => "loaded")).toBe("loaded");
      expect(await cache.get("later")).toBe("loaded");
      await cache.close();
    }
  });
});
