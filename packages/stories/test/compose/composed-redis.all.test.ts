import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { type Backend, type Cache, compose, type ComposeOptions, createCache, gzip, json, memory, redis } from "hotset";
import { packEntry, unpackEntry, type StoredEntry } from "hotset/backend";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { LAYOUT } from "../support/layout.ts";
import { never } from "../support/stacks.ts";
import { TYPE } from "../support/stored-entries.ts";

/** A backend with entries as files of one folder, which only this process writes. */
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

describe("composed Redis and files", () => {
  let server: OwnRedis;
  let folder: string;
  beforeEach(async () => {
    [server, folder] = await Promise.all([startOwnRedis(), mkdtemp(join(tmpdir(), "hotset-compose-"))]);
  });
  afterEach(() => Promise.all([server.stop(), rm(folder, { recursive: true })]));

  const far = () => redis(server.url).layout(LAYOUT).label("far").responseTimeout("1s").build();
  const open = (options: Partial<ComposeOptions> = {}) =>
    createCache({ name: "shop" })
      .tier(compose(files(folder), far(), { nearTtl: "1h", ...options }))
      .defaults({ ttl: "10m", staleIfError: "1h" })
      .build();
  const isThere = () => server.command("EXISTS", "hotset:shop::k");

  it("hold the same bytes, and both are written, read, refilled and removed", async () => {
    await using cache = open();
    // The first connection of a process loads node-redis, which takes longer than the deadline of a command.
    await cache.connect();
    await cache.set("k", big("Ada"), { tags: ["users"] });
    expect(await server.command("TYPE", "hotset:shop::k")).toBe(TYPE);
    expect((await readdir(folder)).length).toBe(1);
    await server.command("DEL", "hotset:shop::k");
    expect(await cache.get("k")).toEqual(big("Ada"));
    expect((await cache.inspect("k"))?.encoding).toMatchObject({ format: "msgpack" });

    await cache.set("k", big("Grace"), { tags: ["users"] });
    for (const file of await readdir(folder)) await rm(join(folder, file));
    expect(await cache.getMany(["k", "none"])).toEqual(new Map([["k", big("Grace")]]));
    await expect.poll(() => readdir(folder)).toHaveLength(1);
    expect(await cache.get("k")).toEqual(big("Grace"));
    await cache.invalidateTags("users");
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    await cache.set("k", "Hedy");
    expect(await cache.markStale("k")).toEqual({ status: "stale" });
    expect(await cache.get("k")).toBeUndefined();
    expect(await cache.delete("k")).toMatchObject({ status: "deleted" });
    expect([await isThere(), await readdir(folder)]).toEqual([0, []]);
  });

  it("while Redis hangs, files answer, and afterwards nothing older than a change", async () => {
    await using cache = open();
    await cache.connect();
    await cache.set("k", "old");
    await cache.set("untouched", "same");
    server.pause();
    expect(await cache.getOrSet("untouched", never)).toBe("same");
    expect(await cache.set("k", "new")).toEqual({ status: "pending" });
    expect(await cache.get("k")).toBeUndefined();
    expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
    server.resume();
    await expect.poll(() => cache.stats().pending).toBe(0);
    expect([await cache.get("k"), await cache.get("untouched")]).toEqual([undefined, "same"]);
    await cache.set("k", "new");
    expect(await cache.get("k")).toBe("new");
  });
});

describe("two processes, each with its own Redis before a shared one", () => {
  let nears: [OwnRedis, OwnRedis];
  let far: OwnRedis;
  beforeEach(async () => {
    const [first, second, shared] = await Promise.all([startOwnRedis(), startOwnRedis(), startOwnRedis()]);
    nears = [first, second];
    far = shared;
  });
  afterEach(() => Promise.all([...nears, far].map((server) => server.stop())));

  const open = async (options: Partial<ComposeOptions> = {}, tiers: "memory" | "none" = "none") => {
    const side = (server: OwnRedis, label: string) =>
      redis(server.url).layout(LAYOUT).label(label).responseTimeout("5s").backoff({ base: 10, max: 100 });
    const caches = nears.map((near) => {
      const composed = compose(side(near, "near").build(), side(far, "far").build(), { nearTtl: "1m", ...options });
      const builder = createCache({ name: "shop" });
      return (tiers === "none" ? builder.tier(composed) : builder.tier(memory()).tier(composed))
        .defaults({ ttl: "10m" })
        .build();
    }) as [Cache, Cache];
    onTestFinished(() => Promise.all(caches.map((cache) => cache.close())).then(() => undefined));
    await Promise.all(caches.map((cache) => cache.connect()));
    return caches;
  };
  const isIn = (server: OwnRedis): Promise<unknown> => server.command("EXISTS", "hotset:shop::k");

  it.each(["memory", "none"] as const)(
    "with local tier %s: an entry that one removes, replaces or marks stale is served by the other for nearTtl at most",
    async (tiers) => {
      const [first, second] = await open({ nearTtl: "1s" }, tiers);
      /** Waits until the second process has the value, also in its own Redis when no local tier answers. */
      const found = async (value: number): Promise<void> => {
        await expect.poll(() => second.get("k")).toBe(value);
        if (tiers === "none") await expect.poll(() => second.get("k").then(() => isIn(nears[1]))).toBe(1);
      };
      await first.set("k", 1, { staleIfError: "1h" });
      await found(1);
      await first.set("k", 2, { staleIfError: "1h" });
      await found(2);
      await first.markStale("k");
      await expect.poll(() => second.get("k")).toBeUndefined();
      await first.set("k", 3);
      await found(3);
      await first.delete("k");
      await expect.poll(() => second.get("k")).toBeUndefined();
      await expect.poll(() => isIn(nears[1])).toBe(0);
    },
  );

  it("are answered by near while far is dead, and by far's versions when it comes back empty (C86, C93)", async () => {
    const [first, second] = await open();
    await first.set("k", "v");
    await first.set("l", "old");
    for (const key of ["k", "l"]) expect(await second.get(key)).toBeDefined();
    await expect.poll(() => nears[1].command("EXISTS", "hotset:shop::k", "hotset:shop::l")).toBe(2);
    await far.kill();
    expect(await second.get("k")).toBe("v");
    expect(await second.getOrSet("m", () => "loaded")).toBe("loaded");
    expect(await second.delete("l")).toEqual({ status: "pending" });
    expect(await second.get("l")).toBeUndefined();
    await far.start();
    await expect.poll(() => second.stats().pending).toBe(0);
    await expect.poll(() => second.get("k")).toBeUndefined();
    expect(await second.get("l")).toBeUndefined();
    await expect.poll(() => first.set("k", "again").then(({ status }) => status)).toBe("stored");
    await expect.poll(() => second.get("k")).toBe("again");
  });
});
