import type { IncrementalHandler, NextReadContext } from "@hotset/next";
import { gate } from "@hotset/testing";
import type { IncrementalCacheValue } from "next/dist/server/response-cache/index.js";
import { afterEach, describe, expect, it, vi } from "vitest";
import { closeAll, settled, twoProcesses, type Process } from "./processes.ts";

afterEach(closeAll);

/** As Next reads one `fetch` on several pages. */
const reader = (path: string): NextReadContext => ({ kind: "FETCH", softTags: [`_N_T_/${path}`], revalidate: 3_600 });
const fetched = (body: string): IncrementalCacheValue =>
  ({
    ...{ kind: "FETCH", revalidate: 3_600 },
    data: { headers: {}, body, status: 200, url: "https://shop.example/" },
  }) as unknown as IncrementalCacheValue;
const write = async (isr: IncrementalHandler, body: string): Promise<void> => {
  await isr.set("f", fetched(body), { fetchCache: true, tags: ["own"] });
  await settled();
};
const read = async ({ isr }: Process, path: string): Promise<string | undefined> => {
  const { value = null } = (await isr.get("f", reader(path))) ?? {};
  return (value as { data?: { body: string } } | null)?.data?.body;
};
const revalidate = async ({ isr }: Process, path: string, expire?: number): Promise<void> => {
  await isr.revalidateTag(`_N_T_/${path}`, expire === undefined ? undefined : { expire });
  await settled();
};

describe("C583: by a tag that only the reader names,", () => {
  it.each([undefined, 1])(
    "what has ended stays ended when a profile follows, after %s s; what is newer is stale",
    async (expire) => {
      for (const isNewer of [false, true]) {
        const { a, b, advance } = twoProcesses();
        await write(a.isr, "old");
        expect(await read(a, "x")).toBe("old");
        await revalidate(a, "x", expire);
        await advance(20_000);
        expect(await read(b, "x")).toBe(undefined);
        if (isNewer) await write(b.isr, "new");
        await advance(20_000);
        await revalidate(b, "x", 300);
        const found = isNewer ? ["new", "new"] : [undefined, "old"];
        for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual(found);
      }
    },
  );

  it.each([undefined, 300])(
    "C740: what another process has ended stays ended in a process that received it and then lost the backend, after %s s",
    async (expire) => {
      const { a, b } = twoProcesses();
      await write(a.isr, "old");
      expect([await read(a, "x"), await read(a, "y")]).toEqual(["old", "old"]);
      await revalidate(b, "x", expire);
      a.backend.down();
      a.backend.link.lose({ attach: "hangs" });
      expect([await read(a, "x"), await read(a, "y")]).toEqual([undefined, "old"]);
    },
  );

  it("of several ends that have not come yet, the earliest counts", async () => {
    const { a, b, advance } = twoProcesses();
    await write(a.isr, "old");
    expect(await read(a, "x")).toBe("old");
    for (const expire of [60, 300]) await revalidate(a, "x", expire);
    expect(await read(b, "x")).toBe("old");
    await advance(60_000);
    expect(await read(b, "x")).toBe(undefined);
  });

  it("two processes that revalidate at once both count, and both handlers of one process", async () => {
    for (const [first, second] of [
      [0, 300],
      [300, 0],
      [300, 300],
    ]) {
      const { a, b } = twoProcesses();
      await write(a.isr, "old");
      expect(await read(a, "x")).toBe("old");
      await Promise.all([
        a.useCache.updateTags(["_N_T_/x"], { expire: first }),
        revalidate(a, "x", first),
        revalidate(b, "x", second),
      ]);
      const found = first === second ? "old" : undefined;
      expect([await read(a, "x"), await read(b, "x"), await read(a, "y")]).toEqual([found, found, "old"]);
    }
  });

  it("a profile without an end leaves a stale answer, one whose end has passed none", async () => {
    const { a, b, advance } = twoProcesses();
    for (const expire of [undefined, Infinity, -1]) {
      await write(a.isr, "old");
      for (const each of [a, b]) expect(await read(each, "x")).toBe("old");
      await a.isr.revalidateTag(["own", "_N_T_/x"], { expire });
      await advance(86_400_000);
      const found = expire === -1 ? undefined : "old";
      for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual([found, found]);
    }
  });

  it("20 concurrent profiles in one process, and 20 in another, leave one stale answer, and the earliest counts", async () => {
    const { a, b, advance } = twoProcesses();
    await write(a.isr, "old");
    for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual(["old", "old"]);
    for (const [{ isr, backend }, first] of [
      [a, 60],
      [b, 100],
    ] as const) {
      backend.forgetCalls();
      const expires = Array.from({ length: 20 }, (_, i) => first + ((i + 10) % 20));
      await Promise.all(expires.map((expire) => isr.revalidateTag(["_N_T_/x", "_N_T_/y"], { expire })));
      // The first mark, and all others together. What values have of their own is marked for each call.
      const changed = backend.calls.filter(({ keys }) => keys[0]?.includes("mark:"));
      expect(changed.filter(({ operation }) => operation === "write").length).toBeLessThanOrEqual(4);
    }
    for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual(["old", "old"]);
    expect((await b.isr.get("f", reader("x")))!.lastModified).toBeLessThan(Date.now());
    await advance(60_000);
    for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual([undefined, undefined]);
  });

  it("a profile does not undo what another process ends meanwhile", async () => {
    const { a, b } = twoProcesses();
    await write(a.isr, "old");
    expect(await read(a, "x")).toBe("old");
    const setMany = a.held.cache.setMany.bind(a.held.cache);
    const meanwhile = vi.spyOn(a.held.cache, "setMany").mockImplementationOnce(async (...given) => {
      await revalidate(b, "x");
      return setMany(...given);
    });
    await revalidate(a, "x", 300);
    expect(meanwhile).toHaveBeenCalledTimes(1);
    for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual([undefined, "old"]);
  });

  it("nor what one has ended a moment ago, of which no report has come yet", async () => {
    const { a, b } = twoProcesses();
    await write(a.isr, "old");
    expect(await read(a, "x")).toBe("old");
    a.backend.link.hold();
    await revalidate(b, "x");
    const revalidated = revalidate(a, "x", 300);
    await settled();
    a.backend.link.deliver();
    await revalidated;
    for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual([undefined, "old"]);
  });

  it("a profile is an end for a tag that was lost or never named, and while the backend is down", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    const { a } = twoProcesses();
    await write(a.isr, "old");
    await revalidate(a, "y", 300);
    expect([await read(a, "x"), await read(a, "y")]).toEqual(["old", undefined]);
    await write(a.isr, "old");
    await revalidate(a, "x");
    a.backend.down();
    await revalidate(a, "x", 300);
    expect(await read(a, "x")).toBe(undefined);
    warn.mockRestore();
  });

  it("an end whose record a failure keeps back is not lost, though a profile comes through first", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    const { a, b, advance } = twoProcesses();
    await write(a.isr, "old");
    for (const each of [a, b]) expect(await read(each, "x")).toBe("old");
    const [key, removed] = ["next::change:_N_T_/x", gate()];
    a.backend.script("write", { key, fail: true });
    a.backend.script("remove", { key, before: removed });
    for (const expire of [undefined, 300]) await revalidate(a, "x", expire);
    removed.open();
    for (let i = 0; i < 5; i += 1) await advance(1_000);
    for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual([undefined, "old"]);
    warn.mockRestore();
  });

  it("an end that waits for the tag to be marked is not lost where the backend recovers meanwhile", async () => {
    const { a, b, advance } = twoProcesses();
    await write(a.isr, "old");
    for (const each of [a, b]) expect(await read(each, "x")).toBe("old");
    a.backend.script("write", { key: "next::change:_N_T_/x", fail: true });
    vi.spyOn(a.held.cache, "markTagsStale").mockImplementationOnce(async () => {
      for (let i = 0; i < 5; i += 1) await advance(1_000);
      return { status: "done" };
    });
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    await revalidate(a, "x");
    for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual([undefined, "old"]);
    warn.mockRestore();
  });

  it.each([undefined, 300])(
    "a change that is to end in %s s is not lost where another server takes over",
    async (expire) => {
      const { a, b, advance } = twoProcesses();
      await write(b.isr, "old");
      for (const each of [a, b]) expect(await read(each, "x")).toBe("old");
      await revalidate(a, "x", expire);
      a.backend.link.replaced();
      for (let i = 0; i < 2; i += 1) await advance(1_000);
      for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual([undefined, "old"]);
    },
  );

  it.each([-9_000, -2_000, 0, 9_000])(
    "a change counts where its clock differs by %i ms; what is fetched after it is kept",
    async (differenceMs) => {
      const { a, b } = twoProcesses();
      const now = Date.now();
      expect(await read(a, "x")).toBe(undefined);
      await write(a.isr, "old");
      vi.setSystemTime(now + differenceMs);
      await revalidate(b, "x");
      vi.setSystemTime(now);
      expect([await read(a, "y"), await read(a, "x")]).toEqual(["old", undefined]);
      await write(a.isr, "new");
      for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual(["new", "new"]);
      // A path that its fetch did not name.
      await revalidate(a, "y");
      for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual(["new", undefined]);
    },
  );

  it("a change counts for what was made before the clock was set back by a minute, and not for what comes after", async () => {
    const { a, b } = twoProcesses();
    await write(a.isr, "old");
    for (const each of [a, b]) expect(await read(each, "x")).toBe("old");
    vi.setSystemTime(Date.now() - 60_000);
    await revalidate(b, "x");
    for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual([undefined, "old"]);
    await write(a.isr, "new");
    for (const each of [a, b]) expect(await read(each, "x")).toBe("new");
  });

  it.each([5_000, 9_000])(
    "a value has seen what changed %i ms ahead, and not what changes a second later by a clock that is right",
    async (aheadMs) => {
      const { a, b, advance } = twoProcesses();
      const now = Date.now();
      await write(a.isr, "old");
      vi.setSystemTime(now + aheadMs);
      await revalidate(a, "x");
      vi.setSystemTime(now);
      expect(await read(a, "x")).toBe(undefined);
      await write(a.isr, "new");
      await advance(1_000);
      await revalidate(b, "y");
      for (const each of [a, b]) expect([await read(each, "x"), await read(each, "y")]).toEqual(["new", undefined]);
    },
  );

  it.each([0, 3_600_000])(
    "two requests cost one fetch each, after a change by a clock that is %i ms ahead",
    async (aheadMs) => {
      const { a, b, advance } = twoProcesses();
      const now = Date.now();
      await write(a.isr, "old");
      vi.setSystemTime(now + aheadMs);
      await revalidate(b, "x");
      vi.setSystemTime(now);
      const found = [];
      for (let i = 0; i < 5; i += 1) {
        const both = await Promise.all([read(a, "x"), read(a, "x")]);
        for (const each of both) if (each === undefined) await write(a.isr, `${i}`);
        found.push(...both);
        await advance(1_000);
      }
      expect(found).toEqual([undefined, undefined, ...Array.from({ length: 8 }, () => "0")]);
    },
  );

  it.each([100, 10_500])("what two began before a change is older than it, %i ms later, too", async (ms) => {
    const { a, b, advance } = twoProcesses();
    const requests = [a.handler(), a.handler()];
    for (const isr of requests) expect(await read({ ...a, isr }, "x")).toBe(undefined);
    await advance(1);
    await revalidate(b, "x");
    await advance(ms);
    for (const [i, isr] of requests.entries()) {
      await write(isr, `old ${i}`);
      expect(await read({ ...a, isr: a.handler() }, "x")).toBe(undefined);
    }
    expect(await read(a, "x")).toBe(undefined);
    await write(a.isr, "new");
    for (const each of [a, b]) expect(await read(each, "x")).toBe("new");
  });

  it("after a change, one fetch is cached, however many had failed", async () => {
    const { a, b, advance } = twoProcesses();
    for (let i = 0; i < 2; i += 1) expect(await read(a, "x")).toBe(undefined);
    await advance(20_000);
    await revalidate(b, "x");
    const found = [];
    for (let i = 0; i < 6; i += 1) {
      found.push(await read(a, "x"));
      if (found[i] === undefined) await write(a.isr, `${i}`);
      await advance(1_000);
    }
    expect(found).toEqual([undefined, ...Array.from({ length: 5 }, () => "0")]);
  });

  it("tags and paths that are revalidated together cost one fetch each at most", async () => {
    const { a, b } = twoProcesses();
    await write(a.isr, "old");
    await a.isr.revalidateTag(["own", "_N_T_/x"]);
    await settled();
    expect(await read(b, "x")).toBe(undefined);
    await write(b.isr, "new");
    expect(await read(a, "x")).toBe("new");
    for (const path of ["x", "y"]) await revalidate(a, path);
    let fetches = 0;
    for (let i = 0; i < 10; i += 1)
      for (const [process, path] of [
        [a, "x"],
        [b, "y"],
      ] as const)
        if ((await read(process, path)) === undefined) await write(process.isr, `${(fetches += 1)}`);
    expect(fetches).toBeLessThanOrEqual(2);
  });
});

it("C582: a fetch that failed says nothing of the age of a later one, nor a minute later of its tags", async () => {
  const { a, b, advance } = twoProcesses();
  expect(await read(a, "x")).toBe(undefined);
  await advance(30_000);
  await write(a.isr, "1");
  expect((await b.isr.get("f", reader("y")))!.lastModified).toBe(Date.now());
  await revalidate(b, "x");
  expect(await read(a, "x")).toBe(undefined);
  await advance(60_000);
  await revalidate(b, "z");
  await advance(11_000);
  expect(await read(a, "x")).toBe(undefined);
  await write(a.isr, "2");
  expect(await read(b, "z")).toBe("2");
});
