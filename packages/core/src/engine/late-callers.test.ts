/** Callers that come while a load is under way, after something was changed: none gets what is older. */
import { createTestCache, flush, gate, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";

it.each([false, true])(
  "C454 a page that is not stored is for no caller that came after an invalidation of what its loader got: %s",
  async (backend) => {
    const cache = createTestCache({ ttl: "1m", backend });
    for (const isKept of [true, false]) {
      const loading = gate();
      const part = (made: string): Promise<string> =>
        cache.getOrSet(
          "part",
          async ({ noStore }) => {
            await loading.pass();
            return isKept ? made : noStore(made);
          },
          { tags: ["t"] },
        );
      const before = cache.getOrSet("page", () => part("old"), { inherit: true });
      await flush();
      await cache.invalidateTags("t");
      const after = cache.getOrSet("page", () => part("new"), { inherit: true });
      await flush();
      loading.open();
      expect([await before, await after]).toEqual(["old", "new"]);
      await cache.clear();
    }
  },
);

it("C86 a forced load does not fall back on the entry that it replaces, where it is removed while it is read", async () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const [a, b] = [backend, backend.peer()].map((each) =>
    createTestCache({ clock, ttl: "1h", staleIfError: "1h", backend: each }),
  );
  await b!.set("k", "old");
  const [reading, loading] = [gate(), gate<string>()];
  backend.script("read", { after: reading });
  const forced = a!.getOrSet("k", () => loading.pass(), { forceRefresh: true });
  await reading.arrived();
  await b!.delete("k");
  reading.open();
  await loading.arrived();
  const later = a!.getOrSet("k", () => loading.pass());
  expect(await outcome(later)).toEqual({ status: "pending" });
  loading.open("new");
  expect([await forced, await later]).toEqual(["new", "new"]);
});

it.each(["memory alone", "a backend"])(
  "C454 a value that is not stored is for no caller that came after an invalidation, if a function names its tags: %s",
  async (over) => {
    const cache = createTestCache({
      ttl: "1m",
      ...(over === "a backend" && {
        backend: scriptedBackend({ clock: new TestClock(), leases: true, tagVersions: true }),
      }),
    });
    for (const unstored of [undefined, "refused"]) {
      const loading = gate();
      const load = (made: string | undefined): Promise<string | undefined> =>
        cache.getOrSet<string | undefined>(
          "k",
          async () => {
            await loading.pass();
            return made;
          },
          { tags: () => ["t"], shouldStore: (value) => value !== "refused" },
        );
      const before = load(unstored);
      await flush();
      await cache.invalidateTags("t");
      const after = load("new");
      await flush();
      loading.open();
      expect([await before, await after]).toEqual([unstored, "new"]);
      await cache.clear();
    }
  },
);
