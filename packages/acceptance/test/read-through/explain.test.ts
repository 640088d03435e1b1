import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/core/testing";
import { memory } from "@hotset/memory";
import { describe, expect, it } from "vitest";

/** Two caches of one name over one store, as two processes have them. */
function two(explain = 100) {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "heard" });
  const open = (over: typeof backend) =>
    createTestCache({ clock, explain, name: "shop", ttl: "1m", local: memory(), backend: over });
  return { clock, backend, here: open(backend), there: open(backend.peer()) };
}

const said = (decisions: readonly { readonly what: string; readonly why: string }[]): readonly string[] =>
  decisions.map(({ what, why }) => `${what}: ${why.replaceAll(/[A-Za-z0-9_-]{16}/g, "<id>")}`);

describe("explain", () => {
  it("tells how a cold key was loaded and a warm one answered", async () => {
    const { here } = two();
    await here.connect();
    await here.getOrSet("k", () => 1);
    await flush();
    await here.getOrSet("k", () => 2);
    expect(said(here.explain("k"))).toEqual([
      "copy: none",
      "backend: nothing",
      // A version that was missing is issued, and that is heard by everybody.
      "changed: the version of {~shop}::",
      "lease: granted, <id>",
      "load: miss, 0 ms",
      "changed: elsewhere, or by a script of this process",
      "store: stored, version <id>",
      "call: miss",
      "call: hit, from memory",
    ]);
  });

  it("tells that another process is loading, and what became of it", async () => {
    const { here, there } = two();
    await Promise.all([here.connect(), there.connect()]);
    const loading = gate<number>();
    const first = there.getOrSet("k", () => loading.pass());
    await flush();
    const second = here.getOrSet("k", () => 2);
    await flush();
    loading.open(1);
    expect(await Promise.all([first, second])).toEqual([1, 1]);
    expect(said(here.explain("k"))).toEqual([
      "changed: the version of {~shop}::",
      "copy: none",
      "backend: nothing",
      "lease: held elsewhere, for 10000 ms at most",
      "changed: elsewhere, or by a script of this process",
      "backend: fresh, version <id>",
      "call: hit, from scripted",
    ]);
  });

  it("tells what was called here, on the key and on its namespace, and how long ago", async () => {
    const { here, clock } = two();
    await here.connect();
    await here.delete("k");
    clock.advance(250);
    await here.clear();
    await here.namespace("below").clear();
    const told = here.explain("k").filter(({ what }) => what === "write");
    expect(told).toEqual([
      { agoMs: 250, what: "write", why: "replaced or removed here" },
      { agoMs: 0, what: "write", why: "cleared here" },
    ]);
  });

  it("tells why a copy is not served", async () => {
    const { here, clock, backend } = two();
    await here.connect();
    await here.getOrSet("k", () => 1);
    await flush();
    backend.link.freezeHeartbeat();
    clock.advance(2_100);
    await here.getOrSet("k", () => 2);
    expect(said(here.explain("k"))).toContain("copy: not trusted: the last sign of life is 100 ms too old");
  });

  it("remembers as many decisions as it was told to", async () => {
    const { here } = two(3);
    for (let i = 0; i < 10; i += 1) await here.getOrSet("k", () => 1);
    expect(here.explain("k").length).toBe(3);
  });

  it("is off by default, and says so", () => {
    const cache = createTestCache({ local: memory() });
    expect(() => cache.explain("k")).toThrow(/createCache\(\{ explain/);
  });

  it.each([0, -1, 1.5, NaN, "many"])("refuses %s as a number of decisions", (explain) => {
    expect(() => createTestCache({ explain: explain as number })).toThrow(
      /explain: .* give a whole number of at least 1/,
    );
  });
});
