import type { CacheEvents } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { httpCache, type HttpCacheOptions } from "@hotset/http";
import { CdnError, type Cdn } from "@hotset/http/cdn";
import { flush, gate, scriptedBackend, TestClock, type Gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { fedBody, Site } from "./site.ts";

const FRESH = { "cache-control": "public, max-age=60" };

/** A CDN that records what it gets. */
class Edge implements Cdn {
  readonly name = "edge";
  readonly field = {
    name: "surrogate-key",
    separator: " ",
    maxBytes: 200,
    maxKeys: 20,
    maxKeyBytes: 40,
    plain: /^[a-z0-9:]+$/,
  } as const;
  readonly controls = ["cdn-cache-control"];
  readonly calls: string[] = [];
  readonly ttlMs: number | undefined = undefined;
  readonly settleMs: number = 0;
  readonly timeoutMs = 10_000;
  readonly keysPerCall: number = 3;
  readonly bytesPerCall = 1_000;
  error: Error | undefined;
  gate: Gate | undefined;

  constructor(settings: Partial<Pick<Cdn, "ttlMs" | "settleMs" | "keysPerCall">> = {}) {
    Object.assign(this, settings);
  }

  readonly purge: Cdn["purge"] = async (keys, { soft }) => {
    this.calls.push(`${soft ? "soft " : ""}${keys.join(" ")}`);
    await this.gate?.pass();
    if (this.error !== undefined) throw this.error;
  };

  /** The calls since the last look. */
  take(): readonly string[] {
    return this.calls.splice(0);
  }
}

function siteWith(edge: Edge, options: HttpCacheOptions = {}, tiers: ConstructorParameters<typeof Site>[1] = {}): Site {
  return new Site({ cdn: edge, base: "https://shop.example", ...options }, tiers);
}

const keysIn = (text: string | undefined): readonly string[] => text?.split(" ") ?? [];

/** The key of all pages, and that of this path. */
async function ownKeys(site: Site, path: string): Promise<readonly [all: string, page: string]> {
  const [all, page] = keysIn((await site.get({ path })).fields["surrogate-key"]);
  return [all!, page!];
}

function overBackend(edge: Edge) {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, format: v8(), leases: true, tagVersions: true, coherence: "reported" });
  const site = siteWith(edge, {}, { clock, backend });
  return { clock, backend, site, edge };
}

it.each<HttpCacheOptions>([{ hosts: "shop.example" as never }, { rules: [{ match: 1 as never }] }])(
  "a cache that is refused for %j does not follow changes for its CDN",
  async (options) => {
    const { cache } = new Site();
    const [edge, namespace] = [new Edge(), cache.namespace("pages")];
    expect(() => httpCache(namespace, { cdn: edge, base: "https://shop.example", ...options })).toThrow();
    await namespace.invalidateTags("books");
    await flush();
    expect(edge.calls).toEqual([]);
  },
);

describe("what an answer says to the CDN", () => {
  it("H108 its tags are keys, next to one of its path and one of all pages, on a miss and on a hit", async () => {
    const site = siteWith(new Edge(), { rules: [{ match: { path: "/books/{id}" }, tags: ["book:{id}"] }] });
    site.counts({ ...FRESH, "cache-tag": "books, shelf:7" });
    const [miss, hit] = [await site.get({ path: "/books/1" }), await site.get({ path: "/books/1?x=1" })];
    const keys = keysIn(miss.fields["surrogate-key"]);
    expect(keys.slice(2)).toEqual(["book:1", "books", "shelf:7"]);
    expect(keys.slice(0, 2)).toEqual([expect.stringMatching(/^~\w+$/), expect.stringMatching(/^~\w+$/)]);
    expect(keysIn(hit.fields["surrogate-key"])).toEqual(keys);
    expect([miss.fields["cache-tag"], miss.fields["cache-control"]]).toEqual([undefined, FRESH["cache-control"]]);
  });

  it("H108 tags that a CDN does not take, and those of this cache's own, are hashes that say nothing", async () => {
    const site = siteWith(new Edge(), { pathTags: true, partition: () => "ada" });
    site.counts({ ...FRESH, "cache-tag": "Größe, ~mine, books", "cache-groups": '"shelf"', vary: "accept" });
    const answer = await site.get({ path: "/books" });
    const field = answer.fields["surrogate-key"]!;
    expect(field).toMatch(/^(?:~[a-z0-9]+ ){4}books(?: ~[a-z0-9]+){3}$/);
    expect(field).not.toMatch(/mine|shelf|ada|shop|page|list|path/);
  });

  it("H108 an answer whose keys do not fit says that no shared cache may keep it", async () => {
    const site = siteWith(new Edge()).counts({
      "cache-control": "public, max-age=60, s-maxage=600",
      "cdn-cache-control": "max-age=600",
      "surrogate-control": "max-age=600",
      "cache-tag": Array.from({ length: 30 }, (_, i) => `t:${i}`).join(","),
    });
    const { fields } = await site.get();
    expect(fields["cache-control"]).toBe("max-age=60, private");
    expect([fields["surrogate-key"], fields["cdn-cache-control"], fields["surrogate-control"]]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("H108 a lifetime for the CDN goes with answers that are stored and give none themselves", async () => {
    const site = siteWith(new Edge({ ttlMs: 3_600_000 }));
    const asked = async (fields: Record<string, string>, path: string): Promise<unknown> => {
      site.counts(fields);
      await site.get({ path });
      return (await site.get({ path })).fields["cdn-cache-control"];
    };
    expect(await asked(FRESH, "/a")).toBe("max-age=3600");
    expect(await asked({ ...FRESH, "cdn-cache-control": "max-age=5" }, "/b")).toBe("max-age=5");
    expect(await asked({ "cache-control": "private" }, "/c")).toBeUndefined();
  });

  it("H108 a stale page is not for the CDN, which would keep it as a new one", async () => {
    const site = siteWith(new Edge({ ttlMs: 3_600_000 }));
    site.counts({ "cache-control": "max-age=10, stale-while-revalidate=60" });
    await site.get();
    site.clock.advance("11s");
    const { fields } = await site.get();
    expect(fields["cache-status"]).toContain("revalidating");
    expect([fields["cache-control"], fields["cdn-cache-control"]]).toEqual([
      "max-age=10, stale-while-revalidate=60, private",
      undefined,
    ]);
  });

  it.each(["head", "body"] as const)(
    "H108 an answer that was asked for before an invalidation is not for the CDN if its %s leaves after it",
    async (late) => {
      const site = siteWith(new Edge());
      const loading = gate();
      const body = fedBody();
      site.page = async () => {
        if (late === "head") await loading.pass();
        return { fields: { ...FRESH, "cache-tag": "books" }, body: late === "body" ? body.body : "old" };
      };
      const asked = site.get();
      await (late === "head" ? loading.arrived() : flush());
      const early = late === "body" ? await asked : undefined;
      site.clock.advance(1);
      await site.cache.invalidateTags("books");
      loading.open();
      body.end();
      // A head that has left cannot be taken back: the CDN has the page before it is purged, or is purged again.
      expect((early ?? (await asked)).fields["cache-control"]).toBe(
        late === "body" ? FRESH["cache-control"] : "max-age=60, private",
      );
      site.clock.advance(1);
      site.counts({ ...FRESH, "cache-tag": "books" });
      expect((await site.get()).fields["cache-control"]).toBe(FRESH["cache-control"]);
    },
  );

  it("H108 so is one that leaves while the tiers have not acknowledged the invalidation, here or elsewhere", async () => {
    const { site, backend, clock } = overBackend(new Edge());
    const other = siteWith(new Edge(), {}, { clock, backend: backend.peer() });
    const tagged = { fields: { ...FRESH, "cache-tag": "books" } };
    for (const each of [site, other]) each.page = () => tagged;
    await site.get({ path: "/known" });
    await other.get({ path: "/known" });
    const [loading, renewing] = [gate(), gate()];
    for (const each of [site, other])
      each.page = async () => {
        await loading.pass();
        return tagged;
      };
    const asked = [site.get({ path: "/a" }), other.get({ path: "/b" })];
    await loading.arrived(2);
    clock.advance(1);
    backend.script("tags.renew", { after: renewing });
    const purging = site.http.purgeTags(["books"]);
    await flush();
    loading.open();
    const answers = await Promise.all(asked);
    renewing.open();
    await purging;
    expect(answers.map(({ fields }) => fields["cache-control"])).toEqual([
      "max-age=60, private",
      "max-age=60, private",
    ]);
  });

  it("H108 nothing is added without a CDN", async () => {
    const { fields } = await new Site().counts({ ...FRESH, "cache-tag": "books" }).get();
    expect(fields).toEqual({ ...FRESH, date: expect.any(String), "cache-status": expect.stringContaining("stored") });
  });
});

describe("what the CDN gets of an invalidation", () => {
  it("H108 tags by any namespace above, soft or hard, and nothing by one next to it", async () => {
    const edge = new Edge();
    const site = siteWith(edge);
    await site.cache.invalidateTags("books", "shelf:7");
    await site.cache.namespace("http").markTagsStale("books");
    await site.http.purgeTags(["books"], { soft: true });
    expect(edge.take()).toEqual(["books shelf:7", "soft books", "soft books"]);
    await site.cache.namespace("other").invalidateTags("books");
    await site.cache.namespace("other").clear();
    await site.cache.namespace("http").namespace("below").invalidateTags("books");
    expect(edge.take()).toEqual([]);
  });

  it("H108 clear, a URL, a prefix and an answer to POST by the keys that pages have", async () => {
    const edge = new Edge();
    const site = siteWith(edge, { pathTags: true }).counts(FRESH);
    const [all, page] = await ownKeys(site, "/books/1");
    const prefix = keysIn((await site.get({ path: "/books" })).fields["surrogate-key"]);
    await site.http.clear();
    await site.cache.clear({ stale: true });
    await site.http.purge("https://shop.example/books/1?page=2", { soft: true });
    await site.http.purge("https://shop.example/BOOKS/%31/");
    await site.http.purgePrefix("https://shop.example/books");
    await site.get({ path: "/books/1", method: "POST" });
    const told = edge.take();
    expect(told.slice(0, 4)).toEqual([all, `soft ${all}`, `soft ${page}`, page]);
    expect(prefix).toContain(told[4]);
    expect(prefix.indexOf(told[4]!)).toBeGreaterThan(1);
    expect(told.slice(5)).toEqual([page]);
  });

  it("H108 only once the tiers have acknowledged it, and the call waits for both", async () => {
    const { site, backend, edge } = overBackend(new Edge());
    const renewing = gate();
    backend.script("tags.renew", { before: renewing });
    edge.gate = gate();
    let isDone = false;
    const purging = site.http.purgeTags(["books"]).then((result) => {
      isDone = true;
      return result;
    });
    await renewing.arrived();
    await flush();
    expect(edge.calls).toEqual([]);
    renewing.open();
    await edge.gate.arrived();
    expect([edge.calls, isDone]).toEqual([["books"], false]);
    edge.gate.open();
    expect(await purging).toEqual({ status: "done" });
  });

  it("H108 again after `settle`, for a page that was on its way", async () => {
    const edge = new Edge({ settleMs: 2_000 });
    const site = siteWith(edge);
    expect(await site.http.purgeTags(["books"])).toEqual({ status: "done" });
    let isSettled = false;
    const settled = site.http.settled().then(() => (isSettled = true));
    site.clock.advance("1999ms");
    await flush();
    expect([edge.take(), isSettled]).toEqual([["books"], false]);
    site.clock.advance(1);
    await settled;
    expect(edge.take()).toEqual(["books"]);
  });

  it("H108 many keys in calls of as many as it takes, and purges that wait together in one", async () => {
    const edge = new Edge();
    const site = siteWith(edge);
    await site.cache.invalidateTags("a", "b", "c", "d");
    expect(edge.take()).toEqual(["a b c", "d"]);
    edge.gate = gate();
    const all = ["a", "b", "c"].map((tag) => site.cache.invalidateTags(tag));
    await edge.gate.arrived();
    all.push(site.cache.invalidateTags("d"), site.cache.markTagsStale("e"), site.cache.markTagsStale("d"));
    edge.gate.open();
    await Promise.all(all);
    expect(edge.take()).toEqual(["a b c", "d", "soft e"]);
  });

  it("H108 more than 10,000 that wait as one, of everything", async () => {
    const edge = new Edge();
    const site = siteWith(edge).counts(FRESH);
    const [all] = await ownKeys(site, "/");
    await site.cache.invalidateTags(Array.from({ length: 10_001 }, (_, i) => `t:${i}`));
    expect(edge.take()).toEqual([all]);
  });
});

describe("when the CDN fails", () => {
  const failing = (site: Site): CacheEvents["backend:error"][] => {
    const errors: CacheEvents["backend:error"][] = [];
    site.cache.on("backend:error", (event) => errors.push(event));
    return errors;
  };

  it("H108 the purge is pending, and repeated until it is confirmed; callers in between do not wait", async () => {
    const edge = new Edge();
    const site = siteWith(edge);
    const errors = failing(site);
    edge.error = new Error("refused");
    expect(await site.http.purgeTags(["a"])).toEqual({ status: "pending" });
    expect(await site.http.purgeTags(["b"])).toEqual({ status: "pending" });
    site.clock.advance("1s");
    await flush();
    site.clock.advance("2s");
    await flush();
    expect(edge.take()).toEqual(["a", "a b", "a b"]);
    edge.error = undefined;
    site.clock.advance("60s");
    await flush();
    expect(edge.calls.at(-1)).toBe("a b");
    edge.take();
    expect(await site.http.purgeTags(["c"])).toEqual({ status: "done" });
    expect(edge.take()).toEqual(["c"]);
    expect(errors[0]).toMatchObject({ tier: "edge", operation: "purge", error: { code: "BACKEND_UNAVAILABLE" } });
  });

  it("H108 Retry-After is obeyed, and what a call has confirmed is not sent again", async () => {
    const edge = new Edge();
    const site = siteWith(edge);
    const purge = edge.purge;
    (edge as { purge: Cdn["purge"] }).purge = async (keys, options) => {
      edge.error = keys.includes("d")
        ? new CdnError("edge", "answered 429", { status: 429, retryAfterMs: 5_000 })
        : undefined;
      return purge(keys, options);
    };
    void site.cache.invalidateTags("a", "b", "c", "d");
    await flush();
    expect(edge.take()).toEqual(["a b c", "d"]);
    site.clock.advance("4999ms");
    await flush();
    expect(edge.take()).toEqual([]);
    site.clock.advance(1);
    await flush();
    expect(edge.take()).toEqual(["d"]);
  });

  it("H108 a call without an answer ends after `timeout`", async () => {
    const edge = new Edge();
    const site = siteWith(edge);
    const errors = failing(site);
    edge.gate = gate();
    const purging = site.http.purgeTags(["a"]);
    await edge.gate.arrived();
    site.clock.advance("10s");
    expect(await purging).toEqual({ status: "pending" });
    expect(errors[0]?.error.message).toBe("edge: no answer to a purge within 10000 ms");
  });

  it("H108 close sends what waits, and counts what the CDN did not take", async () => {
    const edge = new Edge({ settleMs: 2_000 });
    const site = siteWith(edge);
    const lost: unknown[] = [];
    site.cache.on("pending:lost", ({ tier, count }) => lost.push([tier, count]));
    await site.http.purgeTags(["a", "b"]);
    expect(edge.take()).toEqual(["a b"]);
    await site.cache.close();
    expect([edge.take(), lost]).toEqual([["a b"], []]);

    const other = siteWith(edge);
    other.cache.on("pending:lost", ({ tier, count }) => lost.push([tier, count]));
    edge.error = new Error("refused");
    void other.http.purgeTags(["a", "b"]);
    await flush();
    const settled = other.http.settled();
    await other.cache.close();
    expect([edge.take(), lost]).toEqual([["a b", "a b"], [["edge", 2]]]);
    // What was given up settles no more.
    await settled;
    await other.http.settled();
  });

  it.each([
    ["is sent", undefined, []],
    ["is counted where the CDN refuses", new Error("refused"), [["edge", 1]]],
  ])("H108 what the tiers acknowledge while the cache closes %s", async (_, error, expected) => {
    const { backend, site, edge } = overBackend(new Edge());
    const lost: unknown[] = [];
    site.cache.on("pending:lost", ({ tier, count }) => lost.push([tier, count]));
    edge.error = error;
    const renewing = gate();
    backend.script("tags.renew", { before: renewing });
    void site.http.purgeTags(["books"]);
    await renewing.arrived();
    const closing = site.cache.close();
    await flush();
    renewing.open();
    await flush();
    expect([edge.take(), lost]).toEqual([["books"], expected]);
    await closing;
  });

  it("H108 close takes 3 seconds in all where the CDN does not answer, and counts what it did not take", async () => {
    const edge = new Edge({ settleMs: 5_000 });
    const site = siteWith(edge);
    const lost: unknown[] = [];
    site.cache.on("pending:lost", ({ tier, count }) => lost.push([tier, count]));
    await site.http.purgeTags(["a"]);
    edge.gate = gate();
    void site.http.purgeTags(["b"]);
    await edge.gate.arrived();
    const closing = site.cache.close();
    await flush();
    site.clock.advance("3s");
    await flush();
    expect([edge.take(), lost]).toEqual([["a", "b"], [["edge", 2]]]);
    await closing;
  });
});

describe("when the backend fails", () => {
  it("H108 the CDN is purged once the invalidation has been replayed, and not before", async () => {
    const { site, backend, edge, clock } = overBackend(new Edge());
    backend.down();
    expect(await site.http.purgeTags(["books"])).toEqual({ status: "pending" });
    // Longer than purges are remembered after their acknowledgement.
    for (let i = 0; i < 10; i += 1) {
      clock.advance("30s");
      await flush();
    }
    expect(edge.take()).toEqual([]);
    backend.up();
    for (let i = 0; i < 40 && edge.calls.length === 0; i += 1) {
      clock.advance("500ms");
      await flush();
    }
    expect(edge.take()).toEqual(["books"]);
    expect(site.cache.stats().pending).toBe(0);
  });

  it("H108 a server that takes over may lack what was acknowledged: the CDN is purged again with it", async () => {
    const { site, backend, edge, clock } = overBackend(new Edge());
    await site.cache.get("k");
    expect(await site.http.purgeTags(["books"])).toEqual({ status: "done" });
    expect(edge.take()).toEqual(["books"]);
    backend.link.replaced();
    for (let i = 0; i < 10 && edge.calls.length === 0; i += 1) {
      clock.advance("500ms");
      await flush();
    }
    expect(edge.take()).toEqual(["books"]);
  });
});

it("H108 refuses what is no CDN", () => {
  expect(() => new Site({ cdn: "fastly" as never })).toThrow(
    'httpCache: cdn must be one of "@hotset/http/cdn", such as cdn: fastly({ service, token })',
  );
});
