import { compose } from "@hotset/compose";
import type { Backend, LoadContext } from "@hotset/core";
import { memory } from "@hotset/memory";
import { aesGcm, sealed } from "@hotset/seal";
import { createTestCache, flush, gate, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { never } from "../support/stacks.ts";

const clock = new TestClock();
const notModified = ({ stale }: LoadContext): never => stale!.notModified() as never;
const far = (): ScriptedBackend => scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });

type Make = (backend: ScriptedBackend) => Backend;
const MAKES: readonly (readonly [name: string, make: Make])[] = [
  ["a backend", (backend) => backend],
  ["a seal", (backend) => sealed(backend, aesGcm({ keys: [{ id: "k", key: Buffer.alloc(32, 1) }] }), { clock })],
  ["a composition", (backend) => compose(scriptedBackend({ clock, label: "near" }), backend, { nearTtl: "1h" })],
];

describe.each(MAKES)("over %s", (_, make) => {
  const open = (backend: ScriptedBackend) =>
    createTestCache({ clock, backend: make(backend), local: memory(), ttl: 100, staleIfError: 10_000 });

  it("a load that is not modified renews the entry in place, and its value is not sent", async () => {
    const backend = far();
    const cache = open(backend);
    await cache.set("k", { a: 1 }, { etag: '"1"', tags: ["t"] });
    clock.advance(100);
    const before = backend.calls.length;
    expect(await cache.getOrSet("k", notModified, { tags: ["t"] })).toEqual({ a: 1 });
    await flush();
    const operations = backend.calls.slice(before).map(({ operation }) => operation);
    expect(operations).toContain("leases.touch");
    expect(operations).not.toContain("leases.store");
    expect(operations).toContain("leases.release");
    for (const each of [cache, open(backend)]) {
      expect(await each.getOrSet("k", never)).toEqual({ a: 1 });
      expect(await each.inspect("k")).toMatchObject({
        ageMs: 0,
        freshForMs: 100,
        expiresInMs: 10_100,
        etag: '"1"',
        tags: ["t"],
      });
    }
    await open(backend).invalidateTags("t");
    await flush();
    expect(await cache.get("k", { allowStale: true })).toBe(undefined);
  });

  it("and undoes no change that was made meanwhile", async () => {
    const backend = far();
    const [cache, other] = [open(backend), open(backend)];
    for (const change of ["set", "delete", "markStale"] as const) {
      await cache.set("k", "old");
      clock.advance(100);
      const loading = gate();
      const answer = cache.getOrSet("k", async (ctx) => (await loading.pass(), notModified(ctx)));
      await loading.arrived();
      await (change === "set" ? other.set("k", "new") : other[change]("k"));
      loading.open();
      expect(await answer, change).toBe("old");
      await flush();
      expect(await cache.get("k"), change).toBe(change === "set" ? "new" : undefined);
      expect(await open(backend).get("k"), change).toBe(change === "set" ? "new" : undefined);
    }
  });
});

it("an entry that the backend does not have under the version of the copy is stored whole", async () => {
  const backend = scriptedBackend({ clock, leases: true });
  const cache = createTestCache({ clock, backend, local: memory(), localTtl: "1h", ttl: 100, staleIfError: 10_000 });
  await cache.set("k", "Ada");
  expect(backend.store.delete("test::k")).toBe(true);
  clock.advance(100);
  expect(await cache.getOrSet("k", notModified)).toBe("Ada");
  expect(backend.calls.map(({ operation }) => operation)).toContain("leases.store");
  expect(await createTestCache({ clock, backend }).get("k")).toBe("Ada");
});
