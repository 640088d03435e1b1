import { forkScript, randomPrefix, type ScriptProcess } from "@hotset/test-servers";
import { afterEach, describe, expect, inject, it } from "vitest";
import type { Service, ServiceSettings } from "../support/format-service.ts";

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
  it("R1-06: read each other's values in 20 alternating writes and reads over the same keys", async () => {
    const prefix = randomPrefix();
    const services = [
      start(prefix, { from: "hotset", writes: ["msgpack", "zstd"], alsoReads: ["json", "gzip"] }),
      start(prefix, { from: "hotset", writes: ["json", "gzip"], alsoReads: ["msgpack", "zstd"] }),
    ] as const;
    const encodings = new Set<string | undefined>();
    for (let i = 0; i < 20; i += 1) {
      const [writer, reader] = i % 2 === 0 ? services : [services[1], services[0]];
      const key = `user:${Math.floor(i / 2) % 5}`;
      expect(await writer.call("set", key, valueOf(i + (i % 4 < 2 ? 0 : 1)))).toBe("stored");
      expect(await reader.call("get", key)).toEqual(valueOf(i + (i % 4 < 2 ? 0 : 1)));
      if (i < 8) encodings.add(await reader.call("encoding", key));
    }
    expect([...encodings].toSorted()).toEqual(["json+gzip", "json+none", "msgpack+none", "msgpack+zstd"]);
    for (const service of services) expect(await service.call("troubles")).toEqual(NO_TROUBLE);
  });

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

  it("R1-06: first all read the new one, then they write it: nothing is flushed, and every value stays readable throughout", async () => {
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
  });

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
