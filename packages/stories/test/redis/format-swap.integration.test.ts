import { createCache, json, passthrough, type Compressor, type Format } from "@hotset/core";
import { gzip, v8 } from "@hotset/formats";
import { msgpack } from "@hotset/msgpack";
import { redis as ownRedis } from "@hotset/redis";
import { forkScript, randomPrefix, RespClient, type ScriptProcess } from "@hotset/test-servers";
import { zstd } from "@hotset/zstd";
import { redis } from "hotset";
import { afterEach, describe, expect, inject, it } from "vitest";
import type { Service, ServiceSettings } from "../support/format-service.ts";
import { LAYOUT } from "../support/layout.ts";
import { numbered } from "../support/sources.ts";
import { watch } from "../support/watch.ts";

const SCRIPT = new URL("../support/format-service.ts", import.meta.url);
const NO_TROUBLE = { undecodable: [], failures: 0, state: "up" };

const running = new Set<ScriptProcess<Service>>();
afterEach(async () => {
  await Promise.all([...running].map((service) => service[Symbol.asyncDispose]()));
  running.clear();
});

function start(keyPrefix: string, settings: Omit<ServiceSettings, "url" | "keyPrefix">): ScriptProcess<Service> {
  const service = forkScript<Service>(SCRIPT, {
    args: [JSON.stringify({ url: inject("redisUrl"), keyPrefix, ...settings } satisfies ServiceSettings)],
  });
  running.add(service);
  return service;
}

/** Lets the process finish and end by itself, as a deploy does. */
async function stop(service: ScriptProcess<Service>): Promise<void> {
  await service.call("close");
  expect(await service.end()).toEqual({ code: 0, signal: null });
  running.delete(service);
}

/** Above and below the size from which values are compressed. */
const valueOf = (i: number): unknown => ({
  i,
  text: (i % 2 === 0 ? "é漢 <b>" : "é漢 <b>".repeat(300)) + String(i),
  list: [null, true, 1.5],
  missing: null,
});

describe("services with formats of their own", () => {
  it(
    "R1-06: read each other's values in 1,000 alternating writes and reads over the same keys",
    { timeout: 180_000 },
    async () => {
      const prefix = randomPrefix();
      const services = [
        start(prefix, { from: "hotset", writes: ["msgpack", "zstd"], alsoReads: ["json", "gzip"] }),
        start(prefix, { from: "hotset", writes: ["json", "gzip"], alsoReads: ["msgpack", "zstd"] }),
      ] as const;
      const encodings = new Set<string | undefined>();
      for (let i = 0; i < 1_000; i += 1) {
        const [writer, reader] = i % 2 === 0 ? services : [services[1], services[0]];
        const key = `user:${Math.floor(i / 2) % 50}`;
        expect(await writer.call("set", key, valueOf(i + (i % 4 < 2 ? 0 : 1)))).toBe("stored");
        expect(await reader.call("get", key)).toEqual(valueOf(i + (i % 4 < 2 ? 0 : 1)));
        if (i < 8) encodings.add(await reader.call("encoding", key));
      }
      expect([...encodings].toSorted()).toEqual(["json+gzip", "json+none", "msgpack+none", "msgpack+zstd"]);
      for (const service of services) expect(await service.call("troubles")).toEqual(NO_TROUBLE);
    },
  );

  it("R1-06: find values that the other has loaded, in the format of the other", async () => {
    const prefix = randomPrefix();
    const [first, second] = [
      start(prefix, { from: "hotset", writes: ["msgpack", "zstd"] }),
      start(prefix, { from: "hotset", writes: ["json", "brotli"], alsoReads: ["msgpack", "zstd"] }),
    ];
    expect(await first.call("load", "k", valueOf(1))).toEqual(valueOf(1));
    expect(await second.call("load", "k", "not this")).toEqual(valueOf(1));
    expect(await second.call("encoding", "k")).toBe("msgpack+zstd");
    expect([await first.call("troubles"), await second.call("troubles")]).toEqual([NO_TROUBLE, NO_TROUBLE]);
  });
});

describe("swapping the format of a running fleet", () => {
  const OLD = ["json", "gzip"] as const;
  const NEW = ["msgpack", "zstd"] as const;
  const KEYS = Array.from({ length: 20 }, (_, i) => `user:${i}`);

  it(
    "R1-06: first all read the new one, then they write it: nothing is flushed, and every value stays readable throughout",
    { timeout: 180_000 },
    async () => {
      const prefix = randomPrefix();
      const deploy = (writes: ServiceSettings["writes"], alsoReads: readonly string[]) =>
        start(prefix, { from: "@hotset/redis", writes, alsoReads });
      const fleet = [deploy(OLD, []), deploy(OLD, []), deploy(OLD, [])];
      const values = new Map<string, unknown>();
      let written = 0;

      const encodings = new Set<string | undefined>();
      /** Each instance writes keys of its own, and then each reads all keys. */
      const everybodyWorks = async (): Promise<void> => {
        for (const [at, instance] of fleet.entries())
          for (const key of KEYS.filter((_, i) => i % fleet.length === at)) {
            values.set(key, valueOf((written += 1)));
            expect(await instance.call("set", key, values.get(key))).toBe("stored");
          }
        for (const instance of fleet) expect(await instance.call("getMany", KEYS)).toEqual(values);
        for (const key of KEYS) encodings.add(await fleet[0]!.call("encoding", key));
      };
      const replaceEach = async (writes: ServiceSettings["writes"], alsoReads: readonly string[]): Promise<void> => {
        for (const at of fleet.keys()) {
          expect(await fleet[at]!.call("troubles")).toEqual(NO_TROUBLE);
          await stop(fleet[at]!);
          fleet[at] = deploy(writes, alsoReads);
          expect(await fleet[at].call("getMany", KEYS)).toEqual(values);
          await everybodyWorks();
        }
      };

      await everybodyWorks();
      await replaceEach(OLD, NEW);
      expect([...encodings].toSorted()).toEqual(["json+gzip", "json+none"]);
      await replaceEach(NEW, OLD);
      expect([...encodings].toSorted()).toEqual(["json+gzip", "json+none", "msgpack+none", "msgpack+zstd"]);
      // All values are written anew by now, so the old ones need not be read any more.
      await replaceEach(NEW, []);
      for (const instance of fleet) expect(await instance.call("troubles")).toEqual(NO_TROUBLE);
    },
  );

  it("C113: a service that does not read the new format has misses, no errors, and overwrites; one that reads both reads that", async () => {
    const prefix = randomPrefix();
    const [untold, told] = [
      start(prefix, { from: "@hotset/redis", writes: OLD }),
      start(prefix, { from: "@hotset/redis", writes: NEW, alsoReads: OLD }),
    ];
    await told.call("set", "small", valueOf(2));
    await told.call("set", "large", valueOf(1));

    expect(await untold.call("get", "small")).toBeUndefined();
    expect(await untold.call("getMany", ["small", "large"])).toEqual(new Map());
    expect(await untold.call("load", "small", "mine")).toBe("mine");
    expect(await untold.call("load", "small", "not this")).toBe("mine");
    expect(await untold.call("set", "large", "mine, too")).toBe("stored");
    expect([await told.call("get", "small"), await told.call("get", "large")]).toEqual(["mine", "mine, too"]);
    expect(await untold.call("troubles")).toEqual({ undecodable: ["small", "large"], failures: 0, state: "up" });
    expect(await told.call("troubles")).toEqual(NO_TROUBLE);
  });
});

describe("in this process", () => {
  /** A cache over the shared server, below a prefix of the test's own. */
  function open(
    keyPrefix: string,
    format: Format,
    compressor: Compressor,
    version?: number,
    alsoReads: readonly (Format | Compressor)[] = [],
  ) {
    const backend = redis(inject("redisUrl"))
      .layout(LAYOUT)
      .keyPrefix(keyPrefix)
      .valueFormat(format)
      .compressor(compressor)
      .alsoReads(...alsoReads)
      .responseTimeout("20s")
      .build();
    return createCache({ name: "shop", ...(version !== undefined && { version }) })
      .tier(backend)
      .defaults({ ttl: "10m" })
      .build();
  }

  const csv: Format = {
    id: "csv.1",
    encode: (value) => Buffer.from((value as readonly string[]).join(",")),
    decode: (bytes) => Buffer.from(bytes).toString().split(","),
  };
  const reversed: Compressor = {
    id: "reversed",
    compress: (bytes) => bytes.toReversed().subarray(1),
    decompress: (bytes) => bytes,
  };

  it.each<readonly [string, Format, Compressor]>([
    ["format", csv, passthrough()],
    ["compressor", json(), reversed],
    ["format v8, which is read only where it is configured", v8(), passthrough()],
  ])(
    "C113: an entry of an unknown %s is a miss, reported once, overwritten by the next load",
    async (_, format, compressor) => {
      const prefix = randomPrefix();
      await using writer = open(prefix, format, compressor, undefined, [msgpack(), zstd()]);
      await using reader = open(prefix, msgpack(), zstd());
      // The first connection of a process loads node-redis, which takes longer than the deadline of a command.
      await Promise.all([writer.connect(), reader.connect()]);
      await writer.set("k", ["a", "b"]);
      const seen = watch(reader, "decode:error", "backend:error");

      expect(await reader.get("k")).toBeUndefined();
      expect(await reader.has("k")).toBe(false);
      expect(seen.map(([name, { tier, error }]) => [name, tier, error.code])).toEqual([
        ["decode:error", "redis", "DECODE_FAILED"],
      ]);
      const load = numbered();
      expect([await reader.getOrSet("k", load), await reader.getOrSet("k", load), load.runs]).toEqual([
        "value-1",
        "value-1",
        1,
      ]);
      expect(await writer.get("k")).toBe("value-1");
      expect(seen.length).toBe(1);
    },
  );

  it.each<readonly [string, Format, Compressor]>([
    ["msgpack, zstd", msgpack(), zstd()],
    ["json, gzip", json(), gzip()],
    ["v8, nothing", v8(), passthrough()],
  ])(
    "C112: after the version was raised no older entry is read, from any writer (%s)",
    async (_, format, compressor) => {
      const prefix = randomPrefix();
      await using first = open(prefix, format, compressor, 1);
      await using second = open(prefix, format, compressor, 2);
      await using third = open(prefix, msgpack(), passthrough(), 2);
      await first.set("k", "one", { tags: ["t"] });
      await first.namespace("users").set("k", "one");
      expect([await second.get("k"), await third.get("k"), await second.namespace("users").get("k")]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
      await second.set("k", "two");
      expect([await first.get("k"), await second.get("k")]).toEqual(["one", "two"]);
      await second.clear();
      await second.invalidateTags("t");
      expect(await first.get("k")).toBe("one");
    },
  );

  describe("entries of hitbox: a hash of d and s, with a TTL in seconds", () => {
    const SECOND = 1_000;
    const client = () => RespClient.fromUrl(inject("redisUrl"));
    const forHitbox = (layout: "full" | "plain", format: Format, compressor: Compressor) =>
      createCache({ name: "" })
        .tier(
          ownRedis(inject("redisUrl"))
            .keyPrefix("")
            .coherence("none")
            .layout(layout)
            .valueFormat(format)
            .compressor(compressor)
            .responseTimeout("20s")
            .build(),
        )
        .build();

    it.each([
      ["full", json(), passthrough()],
      ["full", json(), zstd()],
      ["plain", json(), passthrough()],
      ["plain", json(), gzip()],
    ] as const)(
      "are read with the configured format and compressor, at any size (%s layout)",
      async (layout, format, compressor) => {
        await using cache = forHitbox(layout, format, compressor);
        const redisClient = client();
        const key = `${randomPrefix()}:fn=user&id=1`;
        const value = { id: 1, name: "Ada" };
        const data = await compressor.compress(Buffer.from(JSON.stringify(value)));
        const staleAt = Date.now() + 30 * SECOND;
        await redisClient.command("HSET", key, "d", data, "s", staleAt);
        await redisClient.command("EXPIRE", key, 60);

        expect(await cache.get(key)).toEqual(value);
        const pttl = async (): Promise<number> => Number(await redisClient.command("PTTL", key));
        const before = { now: Date.now(), pttl: await pttl() };
        const info = await cache.inspect(key);
        const after = { now: Date.now(), pttl: await pttl() };
        // A life counts from when its read was sent, so the time of the read may be taken off twice. Instants and PTTL
        // are whole milliseconds.
        const tripMs = after.now - before.now + 2;
        expect(info).toMatchObject({ state: "fresh", encoding: { format: "json", compressor: compressor.id } });
        expect(info!.freshForMs).toBeGreaterThanOrEqual(staleAt - after.now - tripMs);
        expect(info!.freshForMs).toBeLessThanOrEqual(staleAt - before.now);
        expect(info!.expiresInMs).toBeGreaterThanOrEqual(after.pttl - 1 - tripMs);
        expect(info!.expiresInMs).toBeLessThanOrEqual(before.pttl);

        await redisClient.command("HSET", key, "s", Date.now() - SECOND);
        expect(await cache.get(key)).toBeUndefined();
        expect(await cache.get(key, { allowStale: true })).toEqual(value);

        await redisClient.command("HDEL", key, "s");
        expect(await cache.get(key)).toEqual(value);
        await redisClient.command("PERSIST", key);
        expect((await cache.inspect(key))?.expiresInMs).toBe(Infinity);

        await cache.set(key, "new", { ttl: "5m" });
        expect(await cache.get(key)).toBe("new");
        expect(Number(await redisClient.command("PTTL", key))).toBeGreaterThan(290 * SECOND);
        await cache.delete(key);
        redisClient.close();
      },
    );

    it("are misses where they were written in another format", async () => {
      await using cache = forHitbox("full", json(), gzip());
      const redisClient = client();
      const key = `${randomPrefix()}:bincode`;
      await redisClient.command("HSET", key, "d", Uint8Array.of(1, 0, 0, 0, 255));
      const seen = watch(cache, "decode:error");
      expect(await cache.get(key)).toBeUndefined();
      expect(seen.length).toBe(1);
      expect(await cache.getOrSet(key, () => "loaded")).toBe("loaded");
      expect(await cache.get(key)).toBe("loaded");
      await cache.delete(key);
      redisClient.close();
    });
  });
});
