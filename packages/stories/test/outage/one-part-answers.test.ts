/** One part of a backend does not answer, the one that keeps the tag versions does: a cluster, with two primaries. */
import { type Backend, BackendUnavailableError, type Cache, type Coherence } from "@hotset/core";
import { memory } from "@hotset/memory";
import { createTestCache, flush, scriptedBackend, type ScriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";

const OPTIONS = { tags: ["t"], staleIfError: "1h" } as const;
const load = (cache: Cache, value: string): Promise<string> => cache.getOrSet("k", () => value, OPTIONS);

interface Part {
  /** The primary of the entries. */
  readonly backend: Backend;
  /** It is away from now on: its calls fail, and so does its link. */
  lose(): void;
}

/** A backend of two parts: one has the entries, the other the versions of tags. */
function twoParts(inner: ScriptedBackend): Part {
  let isLost = false;
  let toLose: (() => void) | undefined;
  const unlessLost =
    <A extends readonly unknown[], R>(call: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      isLost ? Promise.reject(new BackendUnavailableError("the primary is away")) : call(...args);
  const reports = inner.coherence as Coherence;
  const { label, format, compressor, read, write, remove, markStale, batch, leases, tagVersions, close } = inner;
  const backend: Backend = {
    label,
    format,
    compressor,
    close,
    tagVersions: tagVersions!,
    read: unlessLost(read),
    write: unlessLost(write),
    remove: unlessLost(remove),
    markStale: unlessLost(markStale!),
    batch: { read: unlessLost(batch!.read) },
    leases: { ...leases!, acquire: unlessLost(leases!.acquire) },
    parts: { names: () => ["entries", "versions"], of: (key) => (key.startsWith("{~") ? "versions" : "entries") },
    coherence: {
      attach: (listener) => {
        toLose = () => listener.lost(undefined, "entries");
        return reports.attach({
          now: () => listener.now(),
          changed: (keys) => listener.changed(keys),
          leaseChanged: (keys, order) => listener.leaseChanged(keys, order),
          tagsChanged: (tags) => listener.tagsChanged(tags),
          everythingChanged: () => listener.everythingChanged(),
          alive: (at) => {
            listener.alive(at, "versions");
            if (!isLost) listener.alive(at, "entries");
          },
          replaced: () => listener.replaced(),
          lost: (error) => listener.lost(error),
        });
      },
    },
  };
  const lose = (): void => {
    isLost = true;
    toLose!();
  };
  return { backend, lose };
}

async function twoProcesses() {
  const clock = new TestClock();
  const first = scriptedBackend({ clock, leases: true, tagVersions: true, batch: true, coherence: "reported" });
  const [one, other] = [twoParts(first), twoParts(first.peer())];
  const cacheOver = ({ backend }: Part): Cache => createTestCache({ clock, ttl: "1h", local: memory(), backend });
  const [p1, p2] = [cacheOver(one), cacheOver(other)];
  for (const cache of [p1, p2]) await cache.connect();
  await load(p1, "old");
  return { clock, p1, p2, one, first };
}

const CHANGES: Readonly<Record<string, (cache: Cache) => Promise<unknown>>> = {
  invalidateTags: (cache) => cache.invalidateTags("t"),
  clear: (cache) => cache.clear(),
};

describe("C741 a change that is done while the primary of an entry is away", () => {
  it.for(Object.entries(CHANGES))("is obeyed if it was received: %s", async ([, change]) => {
    const { clock, p1, p2, one } = await twoProcesses();
    one.lose();
    expect(await p1.get("k")).toBe("old");
    expect(await change(p2)).toEqual({ status: "done" });
    for (const waitMs of [0, 9_000]) {
      clock.advance(waitMs);
      await flush();
      expect(await p1.get("k")).toBe(undefined);
    }
    expect(await load(p1, "new")).toBe("new");
  });

  it.for(Object.entries(CHANGES))(
    "is obeyed if nothing reported it, since the versions are asked: %s",
    async ([, change]) => {
      for (const ask of [
        (cache: Cache) => load(cache, "new"),
        // Its read asks for no version of a tag that the caller does not name.
        (cache: Cache) => cache.getOrSet("k", () => "new"),
        (cache: Cache) => cache.get("k"),
        async (cache: Cache) => (await cache.getMany(["k"])).get("k"),
        async (cache: Cache) => (await cache.inspect("k"))?.state,
      ]) {
        const { p1, p2, one, first } = await twoProcesses();
        one.lose();
        first.link.hold();
        await change(p2);
        first.link.drop();
        // It may have missed something.
        first.link.deliver();
        first.link.everything();
        expect(["new", undefined]).toContain(await ask(p1));
      }
    },
  );

  it.for(Object.entries(CHANGES))(
    "is obeyed if the versions have no sign of life that is recent, since they are asked: %s",
    async ([, change]) => {
      const { clock, p1, p2, one, first } = await twoProcesses();
      one.lose();
      expect(await p1.get("k")).toBe("old");
      first.link.hold();
      await change(p2);
      clock.advance("3s");
      expect(await p1.get("k")).toBe(undefined);
      expect(await load(p1, "new")).toBe("new");
    },
  );

  it.for(Object.entries(CHANGES))("is obeyed by a value that was loaded without versions: %s", async ([, change]) => {
    const { p1, p2, one, first } = await twoProcesses();
    await p1.delete("k");
    one.lose();
    first.link.everything();
    const stops = (["tags.pin", "tags.read"] as const).map((each) =>
      first.script(each, { fail: true, times: Infinity }),
    );
    expect(await load(p1, "unversioned")).toBe("unversioned");
    expect(await load(p1, "again")).toBe("unversioned");
    for (const stop of stops) stop();
    // No version of its tags was read, so none is reported.
    first.link.hold();
    await change(p2);
    first.link.drop();
    first.link.deliver();
    expect(await load(p1, "new")).toBe("new");
  });

  it("leaves a marked value to be served as stale", async () => {
    const { p1, p2, one, first } = await twoProcesses();
    one.lose();
    await p2.markTagsStale("t");
    first.link.everything();
    expect([await p1.get("k"), await p1.get("k", { allowStale: true })]).toEqual([undefined, "old"]);
  });

  it("costs no question once the versions are known, however often the copy is served", async () => {
    const { p1, one, first } = await twoProcesses();
    one.lose();
    first.link.everything();
    expect(await p1.get("k")).toBe("old");
    first.forgetCalls();
    for (let i = 0; i < 3; i += 1) expect(await p1.get("k")).toBe("old");
    expect(first.calls.filter(({ operation }) => operation === "tags.read")).toEqual([]);
  });
});
