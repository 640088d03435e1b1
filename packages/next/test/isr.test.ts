import { mkdirSync, writeFileSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { nextCache } from "@hotset/next";
import { gate } from "@hotset/testing";
import type { IncrementalCacheValue } from "next/dist/server/response-cache/index.js";
import { afterEach, describe, expect, it, vi } from "vitest";
import { closeAll, newFolder, settled, twoProcesses } from "./processes.ts";

afterEach(closeAll);

/** As Next gives them; its enum of kinds has no values in declarations. */
const valueOf = (value: object): IncrementalCacheValue => value as IncrementalCacheValue;
const page = (html: string, tags = "", more: object = {}): IncrementalCacheValue =>
  valueOf({ kind: "APP_PAGE", html, headers: { "x-next-cache-tags": tags }, status: 200, ...more });
const fetched = (body: string, more: object = {}): IncrementalCacheValue =>
  valueOf({
    kind: "FETCH",
    data: { headers: {}, body, status: 200, url: "https://shop.example/" },
    revalidate: 60,
    ...more,
  });
const html = (found: { value: unknown } | null) => (found?.value as { html?: string } | undefined)?.html;
const body = (found: { value: unknown } | null) =>
  (found?.value as { data?: { body: string } } | undefined)?.data?.body;
const APP = { kind: "APP_PAGE" };
const hour = { cacheControl: { revalidate: 3_600, expire: 86_400 } };

describe("C582: another process finds the bytes that one stored", () => {
  it.each<[string, string, object | null]>([
    [
      "a page of app/",
      "APP_PAGE",
      {
        kind: "APP_PAGE",
        html: "<p>é\0</p>",
        rscData: Buffer.from([0, 255, 10]),
        headers: { "x-next-cache-tags": "a,b", "set-cookie": ["c=1", "d=2"] },
        postponed: undefined,
        status: 200,
        segmentData: new Map([["/_tree", Buffer.from("tree")]]),
      },
    ],
    [
      "a partly static page",
      "APP_PAGE",
      { kind: "APP_PAGE", html: "", postponed: '2:{"a":1}', headers: {}, status: 200 },
    ],
    [
      "a route handler",
      "APP_ROUTE",
      { kind: "APP_ROUTE", body: Buffer.from([1, 2]), status: 201, headers: { a: "b" } },
    ],
    [
      "a page of pages/",
      "PAGES",
      { kind: "PAGES", html: "<i>", pageData: { n: [1, null] }, headers: undefined, status: 200 },
    ],
    ["a redirect", "PAGES", { kind: "REDIRECT", props: { __N_REDIRECT: "/" } }],
    ["a page that is not found", "PAGES", null],
    [
      "an image",
      "IMAGE",
      { kind: "IMAGE", etag: "e", upstreamEtag: "u", buffer: Buffer.from([9]), extension: "png", revalidate: 60 },
    ],
  ])("%s", async (_what, kind, value) => {
    const { a, b } = twoProcesses();
    const lastModified = Date.now();
    await a.isr.set("/x", value as IncrementalCacheValue, hour);
    for (const { isr } of [a, b]) {
      const found = await isr.get("/x", { kind });
      expect(found).toEqual({ value, lastModified, ...hour });
      for (const bytes of ["rscData", "body", "buffer"])
        if (Reflect.has(value ?? {}, bytes)) expect(Reflect.get(found!.value!, bytes)).toBeInstanceOf(Buffer);
    }
  });

  it("Next may remove header fields from what it gave and what it got", async () => {
    const { a } = twoProcesses();
    const given = page("1", "t");
    await a.isr.set("/x", given, hour);
    for (const value of [given, (await a.isr.get("/x", APP))!.value!])
      Reflect.deleteProperty((value as { headers: object }).headers, "x-next-cache-tags");
    expect((await a.isr.get("/x", APP))!.value).toEqual(page("1", "t"));
  });
});

describe("C583: a tag", () => {
  it("ends a page in all processes, at once", async () => {
    const { a, b } = twoProcesses();
    await a.isr.set("/x", page("1", "t,_N_T_/x"), hour);
    expect(html(await b.isr.get("/x", APP))).toBe("1");
    await a.isr.revalidateTag("_N_T_/x");
    await settled();
    expect([await a.isr.get("/x", APP), await b.isr.get("/x", APP)]).toEqual([null, null]);
  });

  it("makes a page stale with a profile: it looks old to Next, until its end", async () => {
    const { a, b, advance } = twoProcesses();
    await a.isr.set("/x", page("1", "t"), hour);
    await advance(10_000);
    await a.isr.revalidateTag(["t"], { expire: 60 });
    await settled();
    const found = await b.isr.get("/x", APP);
    expect([html(found), found!.cacheControl]).toEqual(["1", { revalidate: 1, expire: 86_400 }]);
    expect(Date.now() - found!.lastModified).toBe(1_001);
    await advance(60_000);
    expect(await b.isr.get("/x", APP)).toBe(null);
  });

  it("of several ends of a page's own tag, the earliest counts, and none that has come concerns a later page", async () => {
    const { a, b, advance } = twoProcesses();
    await a.isr.set("/x", page("1", "t"), hour);
    await advance(11_000);
    for (const [each, expire] of [
      [a, 60],
      [b, 30],
      [a, 300],
    ] as const) {
      await each.isr.revalidateTag("t", { expire });
      await settled();
    }
    for (const each of [a, b]) expect(html(await each.isr.get("/x", APP))).toBe("1");
    await advance(30_000);
    for (const each of [a, b]) expect(await each.isr.get("/x", APP)).toBe(null);
    await a.isr.set("/x", page("2", "t"), hour);
    await advance(11_000);
    await b.isr.revalidateTag("t", { expire: 60 });
    await settled();
    for (const each of [a, b]) expect(html(await each.isr.get("/x", APP))).toBe("2");
    await advance(60_000);
    for (const each of [a, b]) expect(await each.isr.get("/x", APP)).toBe(null);
  });

  it("whose end is lost leaves nothing of a page", async () => {
    const { a, b, advance } = twoProcesses();
    await a.isr.set("/x", page("1", "t"), hour);
    await advance(10_000);
    await a.isr.revalidateTag("t", { expire: 60 });
    await a.backend.remove("next::mark:t");
    await settled();
    expect(await b.isr.get("/x", APP)).toBe(null);
  });

  it("an end says nothing of a page that was made after it was given", async () => {
    const { a, b, advance } = twoProcesses();
    await a.isr.revalidateTag("t", { expire: 60 });
    await advance(10);
    await a.isr.set("/x", page("2", "t"), { cacheControl: { revalidate: 30, expire: 3_600 } });
    await advance(61_000);
    expect(html(await b.isr.get("/x", APP))).toBe("2");
  });

  it("has room on a page: 2,000 of 256 characters, each of which ends it", async () => {
    const { a, b } = twoProcesses();
    const tags = Array.from({ length: 2_000 }, (_, i) => `${i}-${"x".repeat(250)}`);
    await a.isr.set("/x", page("1", tags.join(",")), hour);
    expect(html(await b.isr.get("/x", APP))).toBe("1");
    await b.isr.revalidateTag(tags[1_999]!);
    await settled();
    expect(await a.isr.get("/x", APP)).toBe(null);
  });

  it("that only the reader of a fetch names counts for it, and makes no miss before", async () => {
    const { a, b } = twoProcesses();
    await a.isr.set("f", fetched("1"), { fetchCache: true, tags: ["t"] });
    const other = { kind: "FETCH", tags: ["other"], softTags: ["_N_T_/x"] };
    expect(body(await b.isr.get("f", other))).toBe("1");
    await a.isr.revalidateTag("_N_T_/x");
    await settled();
    expect(await b.isr.get("f", other)).toBe(null);
    expect(body(await b.isr.get("f", { kind: "FETCH", softTags: ["_N_T_/y"] }))).toBe("1");
    await a.isr.revalidateTag("other", { expire: 60 });
    await settled();
    const found = await b.isr.get("f", { kind: "FETCH", tags: ["other"] });
    expect(Date.now() - found!.lastModified).toBe(60_001);
  });

  it("counts for a page that was being made", async () => {
    const { a, b } = twoProcesses();
    expect(await a.isr.get("/x", APP)).toBe(null);
    await b.isr.revalidateTag("t");
    await settled();
    await a.isr.set("/x", page("old", "t"), hour);
    await settled();
    expect(await b.isr.get("/x", APP)).toBe(null);
  });

  it("that only the reader names counts for a fetch that was under way", async () => {
    const { a, b, advance } = twoProcesses();
    const reader = { kind: "FETCH", softTags: ["_N_T_/x"] };
    expect(await a.isr.get("f", reader)).toBe(null);
    await advance(100);
    await b.isr.revalidateTag("_N_T_/x");
    await advance(100);
    await a.isr.set("f", fetched("old"), { fetchCache: true, tags: [] });
    await settled();
    for (const { isr } of [a, b]) expect(await isr.get("f", reader)).toBe(null);
    expect(body(await b.isr.get("f", { kind: "FETCH", softTags: ["_N_T_/y"] }))).toBe("old");
  });

  it("counts for each of two renders of one page, and not for one that began later", async () => {
    const { a, b, advance } = twoProcesses();
    const [first, second, third] = [a.handler(), a.handler(), a.handler()];
    await first.get("/x", APP);
    await second.get("/x", APP);
    await advance(100);
    await first.set("/x", page("first", "t"), hour);
    await b.isr.revalidateTag("t");
    await settled();
    await third.get("/x", APP);
    await second.set("/x", page("second", "t"), hour);
    await settled();
    expect(await b.isr.get("/x", APP)).toBe(null);
    await advance(1_000);
    await third.set("/x", page("third", "t"), hour);
    await settled();
    expect(html(await b.isr.get("/x", APP))).toBe("third");
  });

  it("may be empty, as in Next", async () => {
    const { a, b } = twoProcesses();
    await a.isr.set("f", fetched("1"), { fetchCache: true, tags: ["", "t"] });
    expect(body(await b.isr.get("f", { kind: "FETCH", tags: ["", "t"] }))).toBe("1");
    await a.isr.revalidateTag(["u", ""]);
    await settled();
    expect(await b.isr.get("f", { kind: "FETCH" })).toBe(null);
  });

  it("of the request itself counts for it alone", async () => {
    const { a } = twoProcesses();
    await a.isr.set("/x", page("1", "t"), hour);
    expect(await a.handler({ revalidatedTags: ["t"] }).get("/x", APP)).toBe(null);
    expect(html(await a.isr.get("/x", APP))).toBe("1");
  });
});

it("C582: an old value is served as Next judges it, and never after its expire", async () => {
  const { a, b, advance } = twoProcesses();
  await a.isr.set("/x", page("1"), { cacheControl: { revalidate: 10, expire: 60 } });
  const { lastModified } = (await b.isr.get("/x", APP))!;
  await advance(30_000);
  expect((await b.isr.get("/x", APP))!.lastModified).toBe(lastModified);
  await advance(31_000);
  expect(await b.isr.get("/x", APP)).toBe(null);
});

it("C582: a page that many ask for while it is made is stored the next time, too", async () => {
  const { a, b, advance } = twoProcesses();
  for (const made of ["1", "2", "3"]) {
    for (let i = 0; i < 3; i += 1) await a.isr.get("/x", APP);
    await advance(100);
    await a.isr.set("/x", page(made), { cacheControl: { revalidate: 10, expire: 60 } });
    await settled();
    expect(html(await b.isr.get("/x", APP))).toBe(made);
    await advance(10_000);
  }
});

it("C584: pages belong to one build, what was fetched to all", async () => {
  const { a, b } = twoProcesses();
  const [old, young] = ["1", "2"].map((id) => {
    const folder = newFolder();
    writeFileSync(join(folder, "BUILD_ID"), `${id}\n`);
    return { serverDistDir: join(folder, "server") };
  });
  await a.handler(old).set("/x", page("1"), hour);
  await a.handler(old).set("f", fetched("1"), { fetchCache: true, tags: [] });
  expect(await b.handler(young).get("/x", APP)).toBe(null);
  expect(html(await b.handler(old).get("/x", APP))).toBe("1");
  expect(body(await b.handler(young).get("f", { kind: "FETCH" }))).toBe("1");
});

it("C584: a build whose id could not be read is asked for it again", async () => {
  const { a, b } = twoProcesses();
  const folder = newFolder();
  const build = { serverDistDir: join(folder, "server") };
  await a.handler(build).set("/x", page("of which build?"), hour);
  writeFileSync(join(folder, "BUILD_ID"), "1");
  for (const { handler } of [a, b]) expect(await handler(build).get("/x", APP)).toBe(null);
});

describe("C584: a page of the build", () => {
  const built = () => {
    const folder = newFolder();
    mkdirSync(join(folder, "server/app"), { recursive: true });
    writeFileSync(join(folder, "BUILD_ID"), "1");
    writeFileSync(join(folder, "server/app/x.html"), "<p>");
    writeFileSync(join(folder, "server/app/x.rsc"), "data");
    writeFileSync(join(folder, "server/app/x.meta"), JSON.stringify({ headers: { "x-next-cache-tags": "t" } }));
    const fs = { readFile, stat, existsSync: () => false };
    return { fs, serverDistDir: join(folder, "server") };
  };

  it("answers the first question, and is found by all from then on", async () => {
    const { a, b } = twoProcesses();
    vi.setSystemTime(Date.now() + 1e12);
    vi.useRealTimers();
    const build = built();
    expect(html(await a.handler(build).get("/x", APP))).toBe("<p>");
    await settled();
    expect(html(await b.handler({ ...build, fs: undefined }).get("/x", APP))).toBe("<p>");
  });

  it("does not come back once it was invalidated, and is not used in a process that asked before", async () => {
    const { a, b } = twoProcesses();
    vi.useRealTimers();
    const build = built();
    expect(html(await a.handler(build).get("/x", APP))).toBe("<p>");
    await a.isr.revalidateTag("t");
    await settled();
    for (const { handler } of [a, b]) expect(await handler(build).get("/x", APP)).toBe(null);
  });

  it("is not used by a process that starts in an outage, since it may have been invalidated", async () => {
    const { a, b } = twoProcesses();
    vi.useRealTimers();
    const build = built();
    await b.isr.revalidateTag("t");
    a.backend.down();
    for (let i = 0; i < 2; i += 1) expect(await a.handler(build).get("/x", APP)).toBe(null);
  });

  it("is not used a day later, nor by next dev", async () => {
    const { a, b } = twoProcesses();
    const build = built();
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 2 * 86_400_000 });
    expect(await b.handler({ ...build, dev: true }).get("/x", APP)).toBe(null);
    vi.setSystemTime(new Date(2099, 0));
    expect(await a.handler(build).get("/x", APP)).toBe(null);
  });
});

it("C585: 50 answers for a warm page and its fetch ask the backend nothing", async () => {
  const { a, b } = twoProcesses();
  const reader = { kind: "FETCH", tags: ["t"], softTags: ["_N_T_/x"] };
  await a.isr.set("/x", page("1", "t"), hour);
  await a.isr.set("f", fetched("1"), { fetchCache: true, tags: ["t"] });
  for (let i = 0; i < 2; i += 1) {
    await b.isr.get("/x", APP);
    await b.isr.get("f", reader);
    await settled();
  }
  b.backend.forgetCalls();
  for (let i = 0; i < 50; i += 1) {
    expect(html(await b.isr.get("/x", APP))).toBe("1");
    expect(body(await b.isr.get("f", reader))).toBe("1");
  }
  expect(b.backend.calls).toEqual([]);
});

it("C585: Next does not wait for a silent backend: the page is that of this process, and then of all", async () => {
  const { a, b } = twoProcesses();
  // From then on it knows the version of the tag.
  await a.isr.set("/y", page("0", "t"), hour);
  await settled();
  const leave = gate();
  a.backend.script("*", { times: 9, before: leave });
  let isAnswered = false;
  void a.isr.set("/x", page("1", "t"), hour).then(() => (isAnswered = true));
  await settled();
  const meanwhile = [isAnswered, isAnswered && html(await a.isr.get("/x", APP)), a.held.cache.stats().pending];
  leave.open();
  await settled();
  expect(meanwhile).toEqual([true, "1", 1]);
  expect([html(await b.isr.get("/x", APP)), a.held.cache.stats().pending]).toEqual(["1", 0]);
});

it("C585: a build uses memory alone, and a process has one cache", async () => {
  vi.stubEnv("NEXT_PHASE", "phase-production-build");
  const build = vi.fn<() => never>();
  expect(() => nextCache({} as never)).toThrow(
    "nextCache: build must be a function that returns a cache, such as () => cache, got an object",
  );
  const { CacheHandler, useCacheHandler } = nextCache(build);
  expect(await new CacheHandler({}).get("/x", APP)).toBe(null);
  await new CacheHandler({}).set("/x", page("1"), hour);
  expect(html(await new (nextCache().CacheHandler)({}).get("/x", APP))).toBe("1");
  expect([await useCacheHandler.get("k", []), build.mock.calls]).toEqual([undefined, []]);
  vi.unstubAllEnvs();
});

it("C585: nothing is thrown into Next: a cache that fails is a miss, and a warning", async () => {
  const { a, advance } = twoProcesses();
  // Longer than a minute after the warnings of other tests.
  await advance(3_600_000);
  const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
  await a.held.cache.close();
  expect(await a.isr.get("/x", APP)).toBe(null);
  expect(await a.isr.get("/x", APP)).toBe(null);
  await a.isr.set("/x", page("1"), hour);
  await a.isr.revalidateTag("t");
  a.isr.resetRequestCache();
  expect(await a.useCache.get("k", ["t"])).toBe(undefined);
  await a.useCache.set("k", Promise.reject(new Error("render failed")));
  await a.useCache.updateTags(["t"]);
  expect(warn.mock.calls.map(([text]) => text)).toEqual([
    "hotset: a read failed: a miss",
    "hotset: a value is not stored",
    "hotset: a revalidation failed",
    "hotset: use cache: a read failed: a miss",
    "hotset: use cache: a value is not stored",
  ]);
  vi.setSystemTime(Date.now() - 3_600_000);
  expect(await a.isr.get("/x", APP)).toBe(null);
  expect(warn).toHaveBeenCalledTimes(6);
  warn.mockRestore();
});
