import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compose, createCache, gzip, json, memory, msgpack, packEntry, redis, unpackEntry, v8, zstd, type Backend, type ComposeOptions, type StoredEntry } from "hotset";
import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { never } from "./stacks.ts";

/** Entries as files of one folder, which this process alone writes. */
function files(folder: string): Backend {
  const pathOf = (key: string): string => join(folder, createHash("sha256").update(key).digest("hex"));
  const read = async (key: string): Promise<StoredEntry | undefined> => {
    const bytes = await readFile(pathOf(key)).catch(() => undefined);
    return bytes && unpackEntry(bytes, Date.now());
  };
  return {
    label: "files",
    format: json(),
    compressor: gzip(),
    coherence: "sole-writer",
    read,
    async write(key, entry) {
      const bytes = packEntry(entry, Date.now());
      const temporary = `${pathOf(key)}.${randomUUID()}`;
      await writeFile(temporary, bytes);
      await rename(temporary, pathOf(key));
    },
    async remove(key) {
      const wasThere = (await read(key)) !== undefined;
      await rm(pathOf(key), { force: true });
      return wasThere ? "deleted" : "missing";
    },
    close: () => Promise.resolve(),
  };
}

const big = (name: string) => ({ name, text: "abc ".repeat(1_000) });

describe("redis before files", () => {
  let server: OwnRedis;
  let folder: string;
  beforeEach(async () => {
    [server, folder] = await Promise.all([startOwnRedis(), mkdtemp(join(tmpdir(), "hotset-compose-"))]);
  });
  afterEach(() => Promise.all([server.stop(), rm(folder, { recursive: true })]));

  const near = () => redis(server.url).label("near").valueFormat(msgpack()).compressor(zstd()).responseTimeout("200ms").build();
  const open = (options: ComposeOptions = {}) =>
    createCache({ name: "shop" }).tier(compose(near(), files(folder), options)).defaults({ ttl: "10m", staleIfError: "1h" }).build();

  it("each keeps its own bytes; both are written, read, refilled and removed", async () => {
    await using cache = open();
    // The first connection of a process loads node-redis, which takes longer than the bound on a command.
    await cache.connect();
    await cache.set("k", big("Ada"), { tags: ["users"] });
    expect(await server.command("HEXISTS", "hotset:shop::k", "d")).toBe(1);
    expect((await readdir(folder)).length).toBe(1);
    expect((await cache.inspect("k"))?.encoding).toMatchObject({ format: "msgpack", compressor: "zstd" });

    await server.command("DEL", "hotset:shop::k");
    expect((await cache.inspect("k"))?.encoding).toMatchObject({ format: "json", compressor: "gzip" });
    expect(await cache.get("k")).toEqual(big("Ada"));
    await expect.poll(() => server.command("EXISTS", "hotset:shop::k")).toBe(1);
    expect((await cache.inspect("k"))?.encoding).toMatchObject({ format: "msgpack", compressor: "zstd" });
    expect(Number(await server.command("PTTL", "hotset:shop::k"))).toBeGreaterThan(4_190_000 - 10_000);

    expect(await cache.getMany(["k", "none"])).toEqual(new Map([["k", big("Ada")]]));
    await cache.invalidateTags("users");
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    await cache.set("k", "Grace");
    expect(await cache.markStale("k")).toEqual({ status: "stale" });
    expect([await cache.get("k"), await cache.get("k", { allowStale: true })]).toEqual([undefined, "Grace"]);
    expect(await cache.delete("k")).toMatchObject({ status: "deleted" });
    expect([await server.command("EXISTS", "hotset:shop::k"), await readdir(folder)]).toEqual([0, []]);
  });

  it.each(["parallel", "sequential", "race"] as const)("writing %s: while Redis hangs the files answer, and what it still holds is not served when it is back", async (write) => {
    await using cache = open({ write });
    await cache.set("k", "old");
    await cache.set("untouched", "same");
    expect(await cache.get("k")).toBe("old");
    server.pause();
    expect(await cache.set("k", "new")).toMatchObject({ status: "stored" });
    expect(await cache.get("k")).toBe("new");
    expect(await cache.getOrSet("k", never)).toBe("new");
    expect(await cache.getMany(["k", "untouched"])).toEqual(new Map([["k", "new"], ["untouched", "same"]]));
    await expect.poll(() => cache.stats().pending).toBe(1);

    server.resume();
    await expect.poll(() => cache.stats().pending, { timeout: 10_000 }).toBe(0);
    await expect.poll(() => cache.get("k"), { timeout: 5_000 }).toBe("new");
    expect(await cache.get("untouched")).toBe("same");
    const inRedis = async (): Promise<unknown> => {
      const stored = (await server.commandBytes("HGET", "hotset:shop::k", "d")) as Uint8Array | null;
      return stored && msgpack().decode(stored);
    };
    await expect.poll(inRedis).toBe("new");
  });

  it("what another process finds", async () => {
    await using writer = open();
    await writer.set("k", "v", { tags: ["t"] });
    await using reader = createCache({ name: "shop" }).tier(memory()).tier(compose(near(), files(folder))).defaults({ localTtl: "1m" }).build();
    await reader.connect();
    expect(await reader.get("k")).toBe("v");
    expect(reader.peek("k")).toBe("v");
    await writer.close();
    await server.command("DEL", "hotset:shop::k");
    await using later = open();
    expect(await later.get("k")).toBe("v");
  });
});

describe("redis before redis", () => {
  let nearServer: OwnRedis;
  let farServer: OwnRedis;
  beforeEach(async () => {
    [nearServer, farServer] = await Promise.all([startOwnRedis(), startOwnRedis()]);
  });
  afterEach(() => Promise.all([nearServer.stop(), farServer.stop()]));

  const open = (options: ComposeOptions = {}) => {
    const side = (server: OwnRedis, label: string) => redis(server.url).label(label).responseTimeout("200ms");
    return createCache({ name: "shop" })
      .tier(compose(side(nearServer, "near").build(), side(farServer, "far").valueFormat(v8()).build(), { nearTtl: "1m", ...options }))
      .defaults({ ttl: "10m" })
      .build();
  };

  it("tag versions are those of far, for both", async () => {
    await using first = open();
    await using second = open();
    await first.set("k", "v", { tags: ["t"] });
    expect(await second.get("k")).toBe("v");
    await second.invalidateTags("t");
    expect(await first.get("k", { allowStale: true })).toBeUndefined();
    expect(await nearServer.command("KEYS", "*{*")).toEqual([]);
  });

  it("with far dead, near goes on with what it has and is given", async () => {
    await using cache = open();
    await cache.set("k", "v");
    expect(await cache.get("k")).toBe("v");
    await farServer.kill();
    expect(await cache.get("k")).toBe("v");
    expect(await cache.getOrSet("l", () => "loaded")).toBe("loaded");
    expect(await cache.getOrSet("l", never)).toBe("loaded");
    expect(await cache.set("k", "w")).toMatchObject({ status: "stored" });
    expect(await cache.get("k")).toBe("w");
    expect(await cache.delete("k")).toEqual({ status: "pending" });
    expect(await cache.get("k")).toBeUndefined();

    // Far comes back empty: its versions are others, so that near starts anew.
    await farServer.start();
    await expect.poll(() => cache.stats().pending, { timeout: 15_000 }).toBe(0);
    expect(await cache.get("k")).toBeUndefined();
    await cache.set("k", "again");
    await expect.poll(() => farServer.command("EXISTS", "hotset:shop::k")).toBe(1);
    expect(await cache.get("k")).toBe("again");
  }, 30_000);
});
