/** What one process of a site received of another before it lost its backend. The tests move the clock. */
import { v8 } from "@hotset/formats";
import { memory } from "@hotset/memory";
import { flush, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { Site } from "./site.ts";

const PAGE = "https://shop.example/";
const FIELDS = { "cache-control": "max-age=3600, stale-if-error=3600", "cache-tag": "t", etag: '"a"' };

/** Two processes of one site, with the page in the memory of the first. */
async function twoSites() {
  const clock = new TestClock();
  const first = scriptedBackend({ clock, format: v8(), leases: true, tagVersions: true, coherence: "reported" });
  const [a, b] = [first, first.peer()].map((backend) => {
    const site = new Site({ pathTags: true }, { clock, local: memory(), backend });
    return Object.assign(site.counts(FIELDS), { backend });
  });
  for (const site of [a!, b!]) await site.cache.connect();
  expect(await a!.ask()).toEqual(["1", expect.stringContaining("fwd=uri-miss")]);
  expect(await a!.ask()).toEqual(["1", expect.stringContaining("hit")]);
  const cut = (): void => {
    a!.backend.down();
    a!.backend.link.lose({ attach: "hangs" });
  };
  return { clock, a: a!, b: b!, cut };
}

const PURGES: Readonly<Record<string, (site: Site) => Promise<unknown>>> = {
  "its URL": ({ http }) => http.purge(PAGE),
  "its URL, softly": ({ http }) => http.purge(PAGE, { soft: true }),
  "one of its tags": ({ http }) => http.purgeTags(["t"]),
  "one of its tags, softly": ({ http }) => http.purgeTags(["t"], { soft: true }),
  "its path": ({ http }) => http.purgePrefix(PAGE),
  "all of the site": ({ cache }) => cache.clear(),
  "an unsafe request": (site) => site.get({ method: "POST" }),
};

describe("C740 a purge by another process that was received before the backend was lost", () => {
  it.for(Object.entries(PURGES))("is obeyed as long as the outage lasts: %s", async ([, purge]) => {
    for (const waitMs of [0, 20_000]) {
      const { clock, a, b, cut } = await twoSites();
      await purge(b);
      clock.advance(waitMs);
      await flush();
      cut();
      clock.advance(5_000);
      expect(await a.ask()).toEqual(["2", expect.not.stringContaining("hit")]);
    }
  });

  const hard = Object.entries(PURGES).filter(([name]) => !name.endsWith("softly"));
  it.for(hard)("leaves no answer for a failed load: %s", async ([, purge]) => {
    const { a, b, cut } = await twoSites();
    await purge(b);
    cut();
    a.page = () => ({ status: 503, isFailure: true, body: "down" });
    expect((await a.get()).status).toBe(503);
  });

  it("costs no other page", async () => {
    const { a, b, cut } = await twoSites();
    await a.ask({ path: "/other" });
    await b.http.purge(PAGE);
    await flush();
    cut();
    expect(await a.ask({ path: "/other" })).toEqual(["2", expect.stringContaining("hit")]);
  });
});
