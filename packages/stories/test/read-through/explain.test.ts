import { memory } from "@hotset/memory";
import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";

/** Two caches with one name over one store, like two processes. */
function two(explain = 100) {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const open = (over: typeof backend) =>
    createTestCache({ clock, explain, name: "shop", ttl: "1m", local: memory(), backend: over });
  return { clock, backend, here: open(backend), there: open(backend.peer()) };
}

const lines = (decisions: readonly { readonly what: string; readonly why: string }[]): readonly string[] =>
  decisions.map(({ what, why }) => `${what}: ${why.replaceAll(/[A-Za-z0-9_-]{16}/g, "<id>")}`);

describe("explain", () => {
  it("lists how a cold key was loaded and how a warm one was answered", async () => {
    const { here } = two();
    await here.connect();
    await here.getOrSet("k", () => 1);
    await flush();
    await here.getOrSet("k", () => 2);
    expect(lines(here.explain("k"))).toEqual([
      "copy: none",
      "backend: nothing",
      // A missing tag version is issued, and every process is notified.
      "changed: the version of {~shop}::",
      "lease: granted, <id>",
      "load: miss, 0 ms",
      "changed: by this process, or elsewhere at the same time",
      "store: stored, version <id>",
      "call: miss",
      "call: hit, from memory",
    ]);
  });

  it("lists that another process is loading, and the outcome", async () => {
    const { here, there } = two();
    await Promise.all([here.connect(), there.connect()]);
    const loading = gate<number>();
    const first = there.getOrSet("k", () => loading.pass());
    await flush();
    const second = here.getOrSet("k", () => 2);
    await flush();
    loading.open(1);
    expect(await Promise.all([first, second])).toEqual([1, 1]);
    expect(lines(here.explain("k"))).toEqual([
      "changed: the version of {~shop}::",
      "copy: none",
      "backend: nothing",
      "lease: held elsewhere, for 2000 ms at most",
      "changed: elsewhere",
      "backend: fresh, version <id>",
      "call: hit, from scripted",
    ]);
  });

  it("lists why a local copy was not served", async () => {
    const { here, clock, backend } = two();
    await here.connect();
    await here.getOrSet("k", () => 1);
    await flush();
    backend.link.freezeHeartbeat();
    clock.advance(2_100);
    await here.getOrSet("k", () => 2);
    expect(lines(here.explain("k"))).toContain("copy: not trusted: the last sign of life is 100 ms too old");
  });

  it("throws when it is disabled, which is the default", () => {
    const cache = createTestCache({ local: memory() });
    expect(() => cache.explain("k")).toThrow(/createCache\(\{ explain/);
  });

  it.each([0, -1, 1.5, NaN, "many"])("refuses %s as the number of decisions", (explain) => {
    expect(() => createTestCache({ explain: explain as number })).toThrow(
      /explain must be a whole number of at least 1, got /,
    );
  });
});
