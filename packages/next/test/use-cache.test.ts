import type { UseCacheEntry } from "@hotset/next";
import { gate } from "@hotset/testing";
import { afterEach, describe, expect, it, vi } from "vitest";
import { closeAll, settled, twoProcesses } from "./processes.ts";

afterEach(closeAll);

const streamOf = (...chunks: (string | Error)[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks)
        if (typeof chunk === "string") controller.enqueue(Buffer.from(chunk));
        else controller.error(chunk);
      if (typeof chunks.at(-1) === "string") controller.close();
    },
  });
const entry = (text: string, more: Partial<UseCacheEntry> = {}): Promise<UseCacheEntry> =>
  Promise.resolve({
    ...{ value: streamOf(text), tags: ["t"], stale: 300, timestamp: Date.now(), expire: 86_400, revalidate: 3_600 },
    ...more,
  });
const textOf = (found: UseCacheEntry | undefined) =>
  found && new Response(found.value as ReadableStream<Uint8Array<ArrayBuffer>>).text();

describe("C582: an entry of use cache", () => {
  it("is found by all processes with what Next gave, in a new stream for each", async () => {
    const { a, b } = twoProcesses();
    const timestamp = Date.now() + 0.25;
    await a.useCache.set("k", entry("é1", { tags: ["b", "a"], timestamp, value: streamOf("é", "1") }));
    for (const { useCache } of [a, b]) {
      const [first, second] = [await useCache.get("k", []), await useCache.get("k", [])];
      expect({ ...first, value: 0 }).toEqual({
        ...{ value: 0, tags: ["b", "a"], stale: 300, timestamp, expire: 86_400, revalidate: 3_600 },
      });
      expect([await textOf(first), await textOf(second)]).toEqual(["é1", "é1"]);
    }
  });

  it("of 5 MB keeps its bytes, also where a reader transfers its copy", async () => {
    const { a, b } = twoProcesses();
    const bytes = new Uint8Array(5_000_000).map((_, i) => i % 251);
    await a.useCache.set("k", entry("", { value: new Response(bytes).body! }));
    for (let i = 0; i < 2; i += 1) {
      const found = new Uint8Array(
        await new Response(
          (await b.useCache.get("k", []))!.value as ReadableStream<Uint8Array<ArrayBuffer>>,
        ).arrayBuffer(),
      );
      expect(Buffer.compare(found, bytes)).toBe(0);
      structuredClone(found.buffer, { transfer: [found.buffer] });
    }
  });

  it("is waited for while it is written", async () => {
    const { a } = twoProcesses();
    const leave = gate();
    const written = a.useCache.set(
      "k",
      leave.opened.then(() => entry("1")),
    );
    const found = a.useCache.get("k", []);
    leave.open();
    expect(await textOf(await found)).toBe("1");
    await written;
  });

  it("is not stored in part, nor if it has no life", async () => {
    const { a } = twoProcesses();
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    await a.useCache.set("k", entry("", { value: streamOf("1", new Error("half")) }));
    await a.useCache.set("l", entry("1", { expire: 0 }));
    expect([await a.useCache.get("k", []), await a.useCache.get("l", [])]).toEqual([undefined, undefined]);
    warn.mockRestore();
  });

  it("may have a key of any length, and of any text", async () => {
    const { a, b } = twoProcesses();
    const keys = ["x".repeat(100_000), `${"x".repeat(100_000)}y`, "\ud800", "\udfff"];
    for (const [i, key] of keys.entries()) await a.useCache.set(key, entry(`${i}`));
    expect(await Promise.all(keys.map(async (key) => textOf(await b.useCache.get(key, []))))).toEqual([
      "0",
      "1",
      "2",
      "3",
    ]);
  });
});

describe("C583: a tag of use cache", () => {
  it("ends an entry in all processes: by updateTags, by expireTags of 15.5", async () => {
    const { a, b } = twoProcesses();
    for (const end of [() => a.useCache.updateTags(["t"]), () => a.useCache.expireTags("t")]) {
      await a.useCache.set("k", entry("1"));
      await settled();
      expect(await textOf(await b.useCache.get("k", []))).toBe("1");
      await end();
      await settled();
      expect([await a.useCache.get("k", []), await b.useCache.get("k", [])]).toEqual([undefined, undefined]);
    }
  });

  it.each([undefined, { expire: 60 }])(
    "C740: what another process has ended stays so in a process that received it and then lost the backend, with %j",
    async (profile) => {
      for (const [tag, readers] of [
        ["t", []],
        ["_N_T_/x", ["_N_T_/x"]],
      ] as const) {
        const { a, b, advance } = twoProcesses();
        await a.useCache.set("k", entry("1"));
        await settled();
        expect(await textOf(await a.useCache.get("k", [...readers]))).toBe("1");
        await b.useCache.updateTags([tag], profile);
        await settled();
        a.backend.down();
        a.backend.link.lose({ attach: "hangs" });
        const found = await a.useCache.get("k", [...readers]);
        // A process that does not know when a mark ends takes it for ended.
        expect(found).toBe(undefined);
        await advance(20_000);
        expect(await a.useCache.get("k", [...readers])).toBe(undefined);
      }
    },
  );

  it("makes it stale with a profile, until its end", async () => {
    const { a, b, advance } = twoProcesses();
    await a.useCache.set("k", entry("1"));
    // By now it is known that nothing has marked the tag before.
    await settled();
    await a.useCache.updateTags(["t"], { expire: 60 });
    await settled();
    const found = await b.useCache.get("k", []);
    expect([await textOf(found), found!.revalidate]).toEqual(["1", -1]);
    await advance(60_000);
    expect(await b.useCache.get("k", [])).toBe(undefined);
  });

  it("that only the reader names counts, and the entry is cached again after it", async () => {
    const { a, b, advance } = twoProcesses();
    await a.useCache.set("k", entry("1"));
    expect(await textOf(await b.useCache.get("k", ["_N_T_/x"]))).toBe("1");
    await a.useCache.updateTags(["_N_T_/x"]);
    await settled();
    expect(await b.useCache.get("k", ["_N_T_/x"])).toBe(undefined);
    await advance(1);
    await b.useCache.set("k", entry("2"));
    await settled();
    expect(await textOf(await a.useCache.get("k", ["_N_T_/x"]))).toBe("2");
    expect([await a.useCache.getExpiration(), await a.useCache.refreshTags()]).toEqual([Infinity, undefined]);
  });
});

it("C585: while the backend is down, values come from memory for any reader, those made since as well, until a tag ends them", async () => {
  const { a, b } = twoProcesses();
  const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
  await a.useCache.set("k", entry("1"));
  const get = async (key: string, softTag: string) => textOf(await b.useCache.get(key, [softTag]));
  expect(await get("k", "_N_T_/x")).toBe("1");
  await settled();
  b.backend.down();
  expect([await get("k", "_N_T_/x"), await get("k", "_N_T_/y"), await get("l", "_N_T_/x")]).toEqual([
    "1",
    "1",
    undefined,
  ]);
  await b.useCache.set("l", entry("2"));
  expect([await get("l", "_N_T_/x"), await get("l", "_N_T_/y")]).toEqual(["2", "2"]);
  await b.useCache.updateTags(["_N_T_/x"]);
  expect([await get("k", "_N_T_/x"), await get("l", "_N_T_/x")]).toEqual([undefined, undefined]);
  expect([await get("k", "_N_T_/y"), await get("l", "_N_T_/y")]).toEqual(["1", "2"]);
  warn.mockRestore();
});

it("C583: what a process revalidates in an outage ends in all processes after it, tags that the reader names too", async () => {
  const { a, b, advance } = twoProcesses();
  const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
  await a.useCache.set("k", entry("1"));
  await settled();
  const get = ({ useCache }: typeof a, softTag: string) => useCache.get("k", [softTag]).then(textOf);
  for (const each of [a, b]) expect(await get(each, "_N_T_/x")).toBe("1");
  a.backend.down();
  for (const tag of ["_N_T_/x", "_N_T_/y"]) await a.useCache.updateTags([tag]);
  expect([await get(a, "_N_T_/x"), await get(b, "_N_T_/x")]).toEqual([undefined, "1"]);
  a.backend.up();
  for (let i = 0; i < 10; i += 1) await advance(1_000);
  for (const each of [a, b])
    expect([await get(each, "_N_T_/x"), await get(each, "_N_T_/y"), await get(each, "_N_T_/z")]).toEqual([
      undefined,
      undefined,
      "1",
    ]);
  warn.mockRestore();
});
