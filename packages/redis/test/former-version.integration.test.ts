/** A process of the former version of the layout of hashes, next to one of this version. */
import { readFileSync } from "node:fs";
import { json } from "@hotset/core";
import { redis } from "@hotset/redis";
import { startOwnRedis } from "@hotset/test-servers";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());

describe("C572: a process of version 1 over the same hashes", () => {
  /** The scripts of its last release. */
  const SCRIPTS = JSON.parse(readFileSync(new URL("layout-1-scripts.json", import.meta.url), "utf8")) as Readonly<
    Record<string, string>
  >;
  const [KEY, E, L] = ["shop::k", "beside:shop::k", "beside~lease:{beside:shop::k}"];
  const former = (script: string, ...args: string[]) =>
    server.command("EVAL", SCRIPTS[script]!, 2, E, L, ...args, "", "");
  const FORMER = ["60000", "d", "former", "m", "1 30000;", "w", "former"];

  /** It reads what its head is on, and nothing else with an `m`. */
  async function formerRead(): Promise<string | undefined> {
    const [d, m] = (await server.command("HMGET", E, "d", "m")) as readonly (string | null)[];
    return d === null || (m !== null && !/^1 (?:\d+|-);/.test(m!)) ? undefined : d;
  }

  const stored = (version: string, data = "own") => ({
    ...{ data: Buffer.from(data), meta: "", version },
    ...{ staleInMs: 30_000, expiresInMs: 60_000 },
  });

  async function open() {
    await server.command("DEL", E, L);
    const backend = redis(server.url)
      .valueFormat(json())
      .keyPrefix("beside")
      .coherence("none")
      .responseTimeout("15s")
      .build();
    onTestFinished(() => backend.close());
    return backend;
  }

  it("misses its entries, and ends them: by a mark, a removal and a store", async () => {
    const backend = await open();
    for (const end of ["markStale", "remove"]) {
      await backend.write(KEY, stored("w1"));
      expect(await formerRead()).toBe(undefined);
      expect(await former("touch", "w1", "90000", "m", "1 0;", "w", "w1"), "no touch").toBe(0);
      expect(await backend.read(KEY)).toMatchObject({ version: "w1" });
      expect(await former(end)).toBe(1);
      expect(await backend.read(KEY)).toBe(undefined);
    }
    await backend.write(KEY, stored("w1"));
    expect(await former("acquire", "token", "10000", "-", "0", "0")).toEqual([1, "-"]);
    expect(await former("store", "token", "-", ...FORMER)).toBe(1);
    expect(await backend.read(KEY)).toMatchObject({ data: Buffer.from("former"), version: "former" });
  });

  it("stores nothing over a change that was made meanwhile", async () => {
    const backend = await open();
    for (const change of [
      () => backend.write(KEY, stored("w2", "newer")),
      () => backend.remove(KEY),
      () => backend.markStale!(KEY),
      () => backend.write(KEY, stored("w2")).then(() => backend.remove(KEY)),
    ]) {
      for (const first of [() => backend.write(KEY, stored("w1")), () => server.command("DEL", E)]) {
        await first();
        const seen = (await server.command("EXISTS", E)) === 1 ? "-" : "";
        // As a client of the user: its lease is next to the missing entry.
        expect(await former("acquire", "token", "10000", seen, "-", "0")).toEqual([1, seen]);
        await change();
        expect(await former("store", "token", seen, ...FORMER)).toBe(0);
        expect((await backend.read(KEY))?.data.toString()).not.toBe("former");
      }
    }
  });

  it("is kept from a second load, and its entries are marked, touched and removed", async () => {
    const backend = await open();
    const write = () => server.command("HSET", E, ...FORMER.slice(1)).then(() => server.command("PEXPIRE", E, 60_000));
    await write();
    expect(await backend.leases!.acquire(KEY, "token", 10_000, "former")).toEqual({ granted: true, version: "former" });
    expect(await former("acquire", "theirs", "10000", "former", "0", "0")).toEqual([0, expect.any(Number)]);
    expect(await backend.leases!.store(KEY, "token", "former", stored("token"))).toBe(true);
    expect(await server.command("HKEYS", E)).toEqual(["d", "m"]);
    await server.command("DEL", E);
    await write();
    expect(await backend.leases!.touch(KEY, "former", { ...stored("former"), expiresInMs: 90_000 })).toBe(true);
    expect(await backend.read(KEY)).toMatchObject({ data: Buffer.from("former"), version: "former" });
    expect(await backend.leases!.confirm(KEY)).toBe("former");
    await server.command("DEL", E);
    await write();
    expect(await backend.markStale!(KEY)).toBe("stale");
    expect((await backend.read(KEY))!.staleInMs).toBeLessThanOrEqual(0);
    expect((await backend.read(KEY))!.version).not.toBe("former");
    expect(await formerRead()).toBe("former");
    expect(await backend.remove(KEY)).toBe("deleted");
  });
});
