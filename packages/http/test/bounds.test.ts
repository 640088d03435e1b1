import { v8 } from "@hotset/formats";
import type { HttpCacheOptions } from "@hotset/http";
import { flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { Site } from "./site.ts";

const FRESH = { "cache-control": "max-age=60" };

function twoSites(options: HttpCacheOptions = {}): readonly [Site, Site] {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, format: v8(), leases: true, tagVersions: true, coherence: "reported" });
  return [new Site(options, { clock, backend }), new Site(options, { clock, backend: backend.peer() })];
}

describe("interim answers", () => {
  it("H50 reach the caller whose load it is alone, and are never stored", async () => {
    const site = new Site();
    const loading = gate();
    site.page = async (_, { onInformation }) => {
      onInformation?.(103, [["link", "</a.css>; rel=preload"]]);
      await loading.pass();
      onInformation?.(102, []);
      return { fields: FRESH, body: "page" };
    };
    const seen: string[] = [];
    const ask = (name: string): Promise<unknown> =>
      site.ask({ call: { onInformation: (status, [line]) => seen.push(`${name} ${status} ${line?.[1] ?? ""}`) } });
    const answers = [ask("first"), ask("second")];
    await loading.arrived();
    loading.open();
    await Promise.all(answers);
    await ask("third");
    expect(seen).toEqual(["first 103 </a.css>; rel=preload", "first 102 "]);
    expect(site.loads).toBe(1);
  });

  it("H50 no answer has a Warning, however stale it is", async () => {
    const site = new Site().counts({ "cache-control": "max-age=1, stale-while-revalidate=10, stale-if-error=60" });
    await site.get();
    for (const laterMs of [0, 5_000, 30_000]) {
      site.page = () => Promise.reject(new Error("down"));
      site.clock.advance(laterMs);
      expect("warning" in (await site.get()).fields).toBe(false);
    }
    expect(site.http.stats().stale).toBe(2);
  });
});

describe("order", () => {
  it.each(["plain", "varying"])("H59 a %s response of an older request replaces none of a newer one", async (kind) => {
    const [here, there] = twoSites();
    const fields = kind === "plain" ? FRESH : { ...FRESH, vary: "accept" };
    const given = { fields: { accept: "a" } };
    const loading = gate();
    here.page = async () => {
      await loading.pass();
      return { fields, body: "old" };
    };
    const slow = here.ask(given);
    await loading.arrived();
    await there.http.purge("https://shop.example/");
    there.page = () => ({ fields, body: "new" });
    expect((await there.ask(given))[0]).toBe("new");
    loading.open();
    expect((await slow)[0]).toBe("old");
    await flush();
    for (const site of [here, there]) expect((await site.ask(given))[0]).toBe("new");
    expect([here.loads, there.loads]).toEqual([1, 1]);
  });
});

describe("a response that is still being stored", () => {
  it.each([
    ["no-cache", "2"],
    ["max-age=0", "2"],
    ["max-age=60", "1"],
  ])("H63 with %s answers a later request with %s", async (cacheControl, expected) => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, format: v8(), leases: true });
    const site = new Site({}, { clock, backend, local: false }).counts({ "cache-control": cacheControl, etag: '"a"' });
    const storing = gate();
    backend.script("leases.store", { before: storing, times: 9 });
    expect((await site.ask())[0]).toBe("1");
    await storing.arrived();
    clock.advance(1);
    expect((await site.ask())[0]).toBe(expected);
    storing.open();
    await flush();
  });
});

describe("overload", () => {
  it("H70 more callers than may wait get 503 with Retry-After, and the others their page", async () => {
    const site = new Site({}, { maxWaiting: 100 });
    const loading = gate();
    site.page = async () => {
      await loading.pass();
      return { fields: FRESH, body: "page" };
    };
    const answers = Array.from({ length: 10_000 }, () => site.get());
    await loading.arrived();
    loading.open();
    const settled = await Promise.all(answers);
    const refused = settled.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThan(9_000);
    expect(refused[0]!.fields).toMatchObject({
      "retry-after": "1",
      "cache-status": "hotset; fwd=uri-miss; detail=overloaded",
    });
    expect(settled.filter(({ status }) => status === 200)).toHaveLength(10_000 - refused.length);
    expect([site.loads, site.http.stats().passed]).toEqual([1, { overloaded: refused.length }]);
  });

  it("H70 H102 a load that hangs ends for all of its callers with loadTimeout, and one more run answers them", async () => {
    const site = new Site({ loadTimeout: "5s" });
    site.page = () => (site.loads === 1 ? new Promise<never>(() => undefined) : { fields: FRESH, body: "second" });
    const answers = Array.from({ length: 1_000 }, () => site.ask().then(([body]) => body));
    await flush();
    expect(site.loads).toBe(1);
    site.clock.advance(5_000);
    expect(await Promise.all(answers.slice(1))).toEqual(Array.from({ length: 999 }, () => "second"));
    expect(site.seen.map(({ context }) => context.shared)).toEqual([true, true]);
  });
});

describe("a load that hangs for one client", () => {
  it("H94 ends for others after loadTimeout: those of another process load, and it answers its own client", async () => {
    const [here, there] = twoSites({ loadTimeout: "5s" });
    const loading = gate();
    here.page = async () => {
      await loading.pass();
      return { fields: FRESH, body: "late" };
    };
    there.page = () => ({ fields: FRESH, body: "there" });
    const first = here.ask();
    await loading.arrived();
    const other = there.ask();
    await flush();
    expect(there.loads).toBe(0);
    here.clock.advance(5_000);
    expect((await other)[0]).toBe("there");
    loading.open();
    expect(await first).toEqual(["late", "hotset; fwd=uri-miss; fwd-status=200; detail=slow"]);
    expect((await here.ask())[0]).toBe("there");
    expect([here.loads, there.loads]).toEqual([1, 1]);
  });

  it.each([0, 1])("H94 no other waits for a run with all that one client sent: process %d", async (other) => {
    const sites = twoSites({ base: "https://shop.example" });
    for (const site of sites)
      site.page = (_, { shared }) =>
        shared ? { fields: { "cache-control": "private" }, body: "page" } : new Promise<never>(() => undefined);
    void sites[0].get({ fields: { cookie: "user=1" } });
    await flush();
    expect(sites[0].loads).toBe(2);
    expect((await sites[other]!.ask())[0]).toBe("page");
  });

  it.each(["finish", "abort"] as const)("H67 H94 with %s, it ends as its client leaves", async (onAbort) => {
    const site = new Site({ loadTimeout: "5s", onAbort });
    site.page = () => new Promise<never>(() => undefined);
    const leaving = new AbortController();
    const answer = site.get({ call: { signal: leaving.signal } });
    await flush();
    site.clock.advance(5_000);
    await flush();
    const { signal } = site.seen[0]!.context;
    expect(signal.aborted).toBe(false);
    leaving.abort(new Error("left"));
    await expect(answer).rejects.toThrow("left");
    expect(signal.reason).toBe(leaving.signal.reason);
  });

  it.each(["its answer", "its error"])("H94 its client gets %s, even if the cache closes", async (outcome) => {
    const site = new Site({ loadTimeout: "5s" });
    const loading = gate();
    site.page = async () => {
      await loading.pass();
      if (outcome === "its error") throw new Error("down");
      return { fields: FRESH, body: "late" };
    };
    const answer = site.ask().then(
      ([body]) => body,
      (error: Error) => error.message,
    );
    await loading.arrived();
    site.clock.advance(5_000);
    await site.cache.close();
    loading.open();
    expect(await answer).toBe(outcome === "its error" ? "down" : "late");
  });
});

describe("Cache-Status", () => {
  it("H77 names the key where that is said, and stands on chosen answers", async () => {
    const site = new Site({
      keyInStatus: true,
      cacheStatus: ({ fields }) => fields.some(([name]) => name === "x-debug"),
    });
    site.counts(FRESH);
    expect((await site.ask({ path: "/a" }))[1]).toBeUndefined();
    const debug = { "x-debug": "1" };
    expect((await site.ask({ path: "/a", fields: debug }))[1]).toBe(
      'hotset; hit; ttl=60; key="https://shop.example/a"',
    );
    expect((await site.ask({ path: "/b", fields: debug }))[1]).toBe(
      'hotset; fwd=uri-miss; fwd-status=200; stored; key="https://shop.example/b"',
    );
  });
});
