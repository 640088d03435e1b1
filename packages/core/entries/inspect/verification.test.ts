import { ConfigurationError } from "@hotset/core";
import { heartbeat, inspect } from "@hotset/core/inspect";
import { createTestCache, flush, scriptedBackend, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";

let clock: TestClock;
beforeEach(() => {
  clock = new TestClock();
});

async function settle(): Promise<void> {
  await flush();
  clock.advance(2_000);
  await flush();
}

describe("C742: a sample", () => {
  it("compares so many hits of a cache without the option, and leaves nothing behind", async () => {
    const cache = createTestCache({ clock, ttl: "1h" });
    using inspection = inspect(cache);
    for (const key of ["a", "b", "c"]) await cache.getOrSet(key, () => ({ cents: 1 }), { tags: [`tag of ${key}`] });
    const taken = inspection.verify({ sample: 2, maxPerMinute: 600_000 });
    await cache.getOrSet("a", () => ({ cents: 2 }));
    await settle();
    clock.advance(1);
    await cache.getOrSet("b", () => ({ cents: 1 }));
    await flush();
    const { mismatches, groups, ...counts } = await taken;
    expect(counts).toEqual({ checked: 2, different: 1, changed: 0, unsteady: 0, failed: 0, leftOut: 0 });
    expect(mismatches).toMatchObject([{ key: "a", tags: ["tag of a"], fields: ["cents"], verdict: "unclear" }]);
    expect(groups).toMatchObject([{ namespace: [], checked: 2, unclear: 1 }]);
    expect(inspection.verified()).toEqual([]);
    let loads = 0;
    for (let i = 0; i < 100; i += 1) await cache.getOrSet("c", () => (loads += 1));
    await flush();
    expect(loads).toBe(0);
  });

  it("ends with its time or its signal, one at a time, and gives back the bounds of the option", async () => {
    const cache = createTestCache({ clock, ttl: "1h", verify: { share: 0 }, redactKeys: (key) => key.toUpperCase() });
    using inspection = inspect(cache);
    await cache.getOrSet("a", () => 1);
    const taken = inspection.verify({ for: "5s" });
    await expect(inspection.verify()).rejects.toThrow("verify: another sample of this cache is being taken");
    await cache.getOrSet("a", () => 2);
    await settle();
    clock.advance(3_000);
    expect(await taken).toMatchObject({ checked: 1, mismatches: [{ key: "A" }] });
    expect(inspection.verified()).toMatchObject([{ last: { key: "A" } }]);
    const ends = new AbortController();
    const other = inspection.verify({ signal: ends.signal });
    ends.abort();
    expect(await other).toMatchObject({ checked: 0, mismatches: [] });
    expect(await inspection.verify({ signal: ends.signal })).toMatchObject({ checked: 0 });
    await cache.getOrSet("a", () => 2);
    await settle();
    expect(cache.stats()).toMatchObject({ verified: 1, mismatches: 1 });
  });

  it.each([
    [{ sample: 0 }, "verify: sample must be a whole number from 1 to 10000, got 0"],
    [{ for: "1ms" }, "verify: for must be from 1s to 1h, got 1ms"],
    [{ maxPerMinute: 0.5 }, "verify: maxPerMinute must be a whole number from 1 to 1000000, got 0.5"],
    [{ share: 1 }, 'verify: unknown option "share"'],
  ])("refuses %j", async (options, text) => {
    using inspection = inspect(createTestCache({ clock }));
    const refused = inspection.verify(options as object);
    await expect(refused).rejects.toBeInstanceOf(ConfigurationError);
    await expect(refused).rejects.toThrow(text);
  });
});

it("C742: the record of a process has what it found, and letters by which the writer of an entry is known", async () => {
  const backend = scriptedBackend({ clock, leases: true });
  const cache = createTestCache({ clock, ttl: "1h", backend, localTtl: "1h", verify: { share: 1 } });
  await cache.getOrSet("k", () => 1);
  let writer: string | undefined;
  cache.on("mismatch", (event) => (writer = event.writer));
  await cache.getOrSet("k", () => 2);
  await settle();
  const beat = heartbeat(cache, { name: "web-1" });
  await flush();
  using inspection = inspect(cache);
  const [record] = await inspection.processes();
  expect(record!.id.startsWith(writer!)).toBe(true);
  expect(record!.figures!.verified).toEqual(inspection.verified());
  expect(inspection.verified()).toMatchObject([{ checked: 1, unclear: 1, writers: [{ writer, isOwn: true }] }]);
  expect(record!.settings).not.toHaveProperty("default verify");
  await beat.stop();
});
