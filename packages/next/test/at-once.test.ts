import type { IncrementalHandler } from "@hotset/next";
import { gate } from "@hotset/testing";
import type { IncrementalCacheValue } from "next/dist/server/response-cache/index.js";
import { afterEach, describe, expect, it, vi } from "vitest";
import { closeAll, settled, twoProcesses, type Process } from "./processes.ts";

// Next does not await a revalidation before it answers: the request that follows may come first.
afterEach(closeAll);

const APP = { kind: "APP_PAGE" };
const page = (html: string, tags = "t"): IncrementalCacheValue =>
  ({ kind: "APP_PAGE", html, headers: { "x-next-cache-tags": tags }, status: 200 }) as unknown as IncrementalCacheValue;
const hour = { cacheControl: { revalidate: 3_600, expire: 7_200 } };
const html = async (isr: IncrementalHandler): Promise<string | undefined> =>
  ((await isr.get("/x", APP))?.value as { html?: string } | undefined)?.html;

const fetched = {
  ...{ kind: "FETCH", revalidate: 3_600 },
  data: { headers: {}, body: "old", status: 200, url: "https://shop.example/" },
} as unknown as IncrementalCacheValue;
const reader = { kind: "FETCH", tags: ["t"], softTags: ["_N_T_/x"] };

const used = async ({ useCache }: Process): Promise<string | undefined> => {
  const entry = await useCache.get("u", ["_N_T_/x"]);
  return entry && new Response(entry.value).text();
};

async function warm({ isr, useCache }: Process): Promise<void> {
  await isr.set("/x", page("old"), hour);
  await isr.set("f", fetched, { fetchCache: true, tags: [] });
  const value = new Response("old").body!;
  const life = { stale: 300, expire: 86_400, revalidate: 3_600 };
  await useCache.set("u", Promise.resolve({ value, tags: ["t"], timestamp: Date.now(), ...life }));
  await settled();
}

describe("C583: what is asked for right after a revalidation, in the process that revalidates,", () => {
  it.each(["answers", "is silent", "is down"])("is not the old page, while the backend %s", async (state) => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    const { a, advance } = twoProcesses();
    await warm(a);
    expect([await html(a.isr), (await a.isr.get("f", reader)) !== null, await used(a)]).toEqual(["old", true, "old"]);
    const thawed = gate();
    if (state === "is silent") a.backend.script("*", { times: 99, before: thawed });
    if (state === "is down") a.backend.down();
    const revalidating = a.isr.revalidateTag(["t", "_N_T_/x"]);
    const reading = Promise.all([html(a.isr), a.isr.get("f", reader), used(a)]);
    // Until patience with a silent backend ends.
    for (let i = 0; i < 10; i += 1) await advance(1_000);
    thawed.open();
    expect(await reading).toEqual([undefined, null, undefined]);
    await revalidating;
    warn.mockRestore();
  });

  it("is, by a profile, the old page as a stale one", async () => {
    const { a } = twoProcesses();
    await warm(a);
    // A tag that no reader has named yet would end.
    expect([await html(a.isr), await used(a)]).toEqual(["old", "old"]);
    const revalidating = a.isr.revalidateTag(["t", "_N_T_/x"], { expire: 300 });
    const [found, entry] = await Promise.all([a.isr.get("/x", APP), a.useCache.get("u", ["_N_T_/x"])]);
    await revalidating;
    expect([found!.lastModified < Date.now(), entry!.revalidate]).toEqual([true, -1]);
  });

  it("and made again then, is not ended by the same revalidation, though its record waits", async () => {
    const { a, b } = twoProcesses();
    await warm(a);
    const sent = gate();
    a.backend.script("write", { key: "next::change:_N_T_/x", before: sent });
    const revalidating = a.isr.revalidateTag("_N_T_/x");
    expect(await a.isr.get("f", reader)).toBe(null);
    await a.isr.set("f", { ...fetched }, { fetchCache: true, tags: [] });
    const meanwhile = await a.isr.get("f", reader);
    sent.open();
    await revalidating;
    await settled();
    const found = [meanwhile, await a.isr.get("f", reader), await b.isr.get("f", reader)];
    expect(found.map((each) => each !== null)).toEqual([true, true, true]);
  });

  it("with more tags than go in one part, is not the old page either", async () => {
    const { a } = twoProcesses();
    await warm(a);
    const tags = Array.from({ length: 700 }, (_, i) => `other:${i}`);
    const revalidating = a.isr.revalidateTag([...tags, "t"]);
    expect(await html(a.isr)).toBe(undefined);
    await revalidating;
    expect(await html(a.isr)).toBe(undefined);
  });
});
