import { createTestCache, flush, gate, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { Cache } from "../cache/cache.ts";
import type { SetOptions } from "../entry/policy.ts";
import { passthrough } from "../formats/passthrough.ts";

const EARLY: SetOptions = { wait: "memory" };
const PENDING = { status: "pending" };

/** Two processes; writes of `a` wait for the gate. */
function open({
  coherence = "reported",
  ...more
}: { coherence?: "reported" | "none"; compress?: boolean; echoes?: boolean } = {}) {
  const clock = new TestClock();
  const compressor = { ...passthrough(), id: "late", compress: async (bytes: Uint8Array) => bytes.slice() };
  const backend = scriptedBackend({
    clock,
    leases: true,
    tagVersions: true,
    coherence,
    echoes: more.echoes,
    ...(more.compress === true && { compressor }),
  });
  const work: Promise<void>[] = [];
  const of = (each: ScriptedBackend): Cache =>
    createTestCache({
      clock,
      ttl: "1h",
      staleIfError: "1h",
      ...(coherence === "none" && { localTtl: "1h" }),
      local: true,
      backend: each,
      waitUntil: (each) => void work.push(each),
    });
  const writing = gate();
  const stop = backend.script("write", { times: Infinity, before: writing });
  const go = async (): Promise<void> => {
    stop();
    writing.open();
    await flush();
  };
  return { clock, backend, work, go, a: of(backend), b: of(backend.peer()) };
}

describe("C600: a set that waits for memory", () => {
  it.each(["json", "a compressor that is late"])(
    "is seen here at once, and elsewhere when it was sent: %s",
    async (as) => {
      const { a, b, work, go, clock } = open({ compress: as !== "json" });
      expect(await a.set("k", 1, EARLY)).toEqual(PENDING);
      expect(
        await a.setMany(
          [
            ["x", 2],
            ["y", 3],
          ],
          EARLY,
        ),
      ).toEqual({ stored: 0, pending: 2, refused: 0 });
      expect([await a.get("k"), a.peek("x"), await a.getOrSet("y", () => 9)]).toEqual([1, 2, 3]);
      expect([await b.get("k"), a.stats().pending, work.length]).toEqual([undefined, 3, 3]);
      await go();
      await Promise.all(work);
      expect([await b.get("k"), await b.get("y")]).toEqual([1, 3]);
      expect([await a.get("k"), a.stats().pending, clock.now()]).toEqual([1, 0, clock.now()]);
    },
  );

  it("is not overwritten by a load that had waited for another process", async () => {
    const { a, b, go } = open();
    const source = gate<string>();
    void b.getOrSet("k", source.pass);
    await source.arrived();
    const waiting = a.getOrSet("k", () => "loaded");
    await flush();
    expect(await a.set("k", "set", EARLY)).toEqual(PENDING);
    expect(await waiting).toBe("loaded");
    await flush();
    expect([a.peek("k"), await a.get("k")]).toEqual(["set", "set"]);
    await go();
    expect([a.peek("k"), await a.get("k"), await b.get("k")]).toEqual(["set", "set", "set"]);
  });

  type Change = readonly [name: string, change: (cache: Cache) => Promise<unknown>];
  type Row = readonly [...Change, meanwhile: string | undefined, left: string | undefined];
  it.each<Row>([
    ["delete", (cache) => cache.delete("k"), undefined, undefined],
    ["markStale", (cache) => cache.markStale("k"), undefined, undefined],
    ["invalidateTags", (cache) => cache.invalidateTags("t"), undefined, undefined],
    ["clear", (cache) => cache.clear(), undefined, undefined],
    ["set", (cache) => cache.set("k", "later"), undefined, "later"],
    ["set that waits for memory too", (cache) => cache.set("k", "later", EARLY), "later", "later"],
  ])("is never brought back after a later %s of this process", async (_name, change, meanwhile, left) => {
    for (const isSettled of [true, false]) {
      const { a, b, go } = open();
      await a.set("k", "first", { ...EARLY, tags: ["t"] });
      const setting = a.set("k", "early", { ...EARLY, tags: ["t"] });
      if (isSettled) await setting;
      const changing = change(a);
      await flush();
      expect(await a.get("k")).toBe(meanwhile);
      await go();
      await changing;
      await flush();
      expect([await a.get("k"), await b.get("k")]).toEqual([left, left]);
    }
  });

  it("hides what the backend has until it is there, where memory has it no more", async () => {
    const { a, b, clock, go } = open();
    await b.set("k", "old");
    await a.set("k", "new", { ...EARLY, ttl: 100, staleIfError: 0 });
    expect(await a.get("k")).toBe("new");
    clock.advance(100);
    expect(await a.get("k")).toBe(undefined);
    expect(await a.getOrSet("k", () => "loaded")).toBe("loaded");
    await go();
    expect(a.stats().pending).toBe(0);
  });

  it("waits for the backend where memory keeps no copy, and behind 16 MiB", async () => {
    const { a, go } = open();
    const big = "x".repeat(6 * 2 ** 20);
    const statuses: unknown[] = [];
    const set = (key: string, value: string, options: SetOptions = EARLY): void =>
      void a.set(key, value, options).then(({ status }) => statuses.push(`${key} ${status}`));
    set("no copy", "v", { ...EARLY, localTtl: 0 });
    for (const key of ["1", "2", "3"]) set(key, big);
    await flush();
    expect(statuses).toEqual(["1 pending", "2 pending"]);
    await go();
    expect(statuses.sort()).toEqual(["1 pending", "2 pending", "3 stored", "no copy stored"]);
  });

  it("becomes a pending removal where it fails, and reads are answered by memory until then", async () => {
    const { a, b, backend, clock } = open();
    backend.down();
    await a.set("k", 1, EARLY);
    await flush();
    expect([await a.get("k"), a.stats().pending]).toEqual([1, 1]);
    backend.up();
    for (let i = 0; i < 10; i += 1) {
      clock.advance("1s");
      await flush();
    }
    expect([await b.get("k"), a.stats().pending]).toEqual([undefined, 0]);
  });

  it("refuses in the call what cannot be encoded, another wait, and a cache without memory", async () => {
    const { a, b, backend } = open();
    await expect(a.set("k", 1n, EARLY)).rejects.toThrow("json: the value cannot be written");
    const etag = "x".repeat(9 * 2 ** 20);
    await expect(a.set("k", 1, { ...EARLY, etag })).rejects.toThrow("tags and validators take");
    expect([await a.get("k"), backend.count("write")]).toEqual([undefined, 0]);
    await expect(a.set("k", 1, { wait: "none" as never })).rejects.toThrow('wait must be "backend" or "memory"');
    const far = createTestCache({ local: false, backend: scriptedBackend({ clock: new TestClock() }) });
    await expect(far.set("k", 1, EARLY)).rejects.toThrow('wait: "memory" needs a local tier');
    expect(await b.get("k")).toBe(undefined);
  });

  it("behind a fence it waits for the backend after a change that was reported; another is reported by fenced", async () => {
    for (const coherence of ["reported", "none"] as const) {
      const { a, b, go } = open({ coherence });
      const fenced: unknown[] = [];
      a.on("fenced", ({ key, by }) => fenced.push([key, by]));
      const since = await a.fence("k");
      await b.delete("k");
      await flush();
      const setting = a.set("k", "older", { ...EARLY, since });
      await go();
      expect(await setting).toEqual({ status: coherence === "none" ? "pending" : "refused" });
      await flush();
      expect(await a.get("k")).toBe(undefined);
      expect(fenced).toEqual(coherence === "none" ? [["k", "lease"]] : []);
    }
    const { a, b, go } = open();
    const since = await a.fence("k");
    expect(await a.set("k", "new", { ...EARLY, since })).toEqual(PENDING);
    await go();
    expect([await a.get("k"), await b.get("k")]).toEqual(["new", "new"]);
  });

  it.each(["backend", "memory"] as const)(
    "behind a fence it is not replaced by an earlier set, with wait: %s, whose answer comes later",
    async (wait) => {
      const { a, b, backend, go } = open({ echoes: false });
      await go();
      const [answering, asking] = [gate(), gate()];
      backend.script("write", { after: answering });
      const earlier = a.set("k", "earlier", { wait });
      await answering.arrived();
      const since = await a.fence("k");
      backend.script("leases.acquire", { before: asking });
      expect(await a.set("k", "later", { ...EARLY, since })).toEqual(PENDING);
      answering.open();
      expect(await earlier).toEqual({ status: wait === "memory" ? "pending" : "stored" });
      await flush();
      expect([a.peek("k"), await a.get("k"), await b.get("k")]).toEqual(["later", "later", "earlier"]);
      asking.open();
      await a.drain();
      expect([await a.get("k"), await b.get("k")]).toEqual(["later", "later"]);
    },
  );

  it("behind a fence it stays in memory when an earlier set behind another fence was overtaken", async () => {
    const { a, b, backend, go } = open({ coherence: "none" });
    await go();
    const [first, second] = [await a.fence("k"), await a.fence("k")];
    const [earlierAsks, laterAsks] = [gate(), gate()];
    backend.script("leases.acquire", { before: earlierAsks });
    backend.script("leases.acquire", { before: laterAsks });
    const earlier = a.set("k", "earlier", { since: first });
    await earlierAsks.arrived();
    await b.set("k", "theirs");
    expect(await a.set("k", "later", { ...EARLY, since: second })).toEqual(PENDING);
    earlierAsks.open();
    expect(await earlier).toEqual({ status: "refused" });
    expect(a.peek("k")).toBe("later");
    laterAsks.open();
    await a.drain();
    expect([await a.get("k"), await b.get("k")]).toEqual(["theirs", "theirs"]);
  });

  it("behind a fence it ends with what others change, if that is reported here, and with nothing else", async () => {
    for (const change of [
      (b: Cache) => b.invalidateTags("t"),
      (b: Cache) => b.markTagsStale("t"),
      (b: Cache) => b.delete("k"),
    ]) {
      const { a, b, backend } = open();
      await a.getOrSet("other", () => 0, { tags: ["t", "u"] });
      const since = await a.fence("k");
      const asking = gate();
      backend.script("leases.acquire", { before: asking });
      expect(await a.set("k", "made", { ...EARLY, since, tags: ["t"] })).toEqual(PENDING);
      await b.invalidateTags("u");
      await flush();
      expect(await a.get("k")).toBe("made");
      await change(b);
      await flush();
      expect(await a.get("k")).toBe(undefined);
      asking.open();
      await a.drain();
      expect([await a.get("k"), await b.get("k")]).toEqual([undefined, undefined]);
    }
  });

  it("C591 its copy ends with what others change of its tags: after a mark meanwhile, and a lost link", async () => {
    for (const isLost of [false, true]) {
      const { a, b, backend, go } = open();
      const since = await a.fence("k");
      const asking = gate();
      if (isLost) backend.script("leases.acquire", { before: asking });
      await a.set("k", "made", { ...EARLY, tags: ["t"], ...(isLost && { since }) });
      if (isLost) {
        backend.link.lose();
        backend.link.heal();
        await flush();
      } else {
        await a.markTagsStale("t");
        await go();
        await a.drain();
      }
      await b.invalidateTags("t");
      await flush();
      expect(await a.get("k", { allowStale: true })).toBe(undefined);
      expect(await a.getOrSet("k", () => "new")).toBe("new");
      asking.open();
    }
  });

  it("C591 a fence over it takes no tag versions away from the entry", async () => {
    const { a, b, backend, go } = open({ echoes: false });
    await go();
    await a.getOrSet("other", () => 0, { tags: ["t"] });
    const answered = gate();
    backend.script("write", { after: answered });
    await a.set("k", 1, { ...EARLY, tags: ["t"], ttl: "1m", staleIfError: 0 });
    await flush();
    await a.fence("k");
    await b.invalidateTags("t");
    answered.open();
    await flush();
    expect(await b.get("k")).toBe(undefined);
  });

  it("close waits for it", async () => {
    const { a, b, go } = open();
    await a.set("k", 1, EARLY);
    let isClosed = false;
    const closing = a.close().then(() => (isClosed = true));
    await flush();
    expect(isClosed).toBe(false);
    await go();
    await closing;
    expect(await b.get("k")).toBe(1);
  });

  it("C615 close says how many it gave up, with pending invalidations, once", async () => {
    const { a, backend, clock } = open();
    await a.set("gone", 1, EARLY);
    const lost: unknown[] = [];
    a.on("pending:lost", (event) => lost.push(event));
    for (const key of ["k", "l", "m"]) await a.set(key, 1, EARLY);
    backend.script("remove", { fail: true, times: Infinity });
    expect(await a.delete("n")).toEqual(PENDING);
    const closing = a.close({ timeout: "1s" });
    for (let i = 0; i < 5; i += 1) {
      await flush();
      clock.advance("1s");
    }
    await closing;
    await a.close();
    expect(lost).toEqual([{ cache: "test", namespace: [], tier: "scripted", count: 5 }]);
    expect(a.stats().pending).toBe(5);
  });

  it("C615 a close that gives up nothing says nothing", async () => {
    const { a, go } = open();
    await a.set("k", 1, EARLY);
    const lost: unknown[] = [];
    a.on("pending:lost", (event) => lost.push(event));
    await go();
    await a.close();
    expect([lost, a.stats().pending]).toEqual([[], 0]);
  });
});

it.each(["markStale", "remove"] as const)(
  "C600: a set that waits for memory is seen behind a %s that is under way",
  async (op) => {
    const { backend, a, go } = open();
    const answering = gate();
    backend.script(op, { after: answering });
    const changing = op === "remove" ? a.delete("k") : a.markStale("k");
    await answering.arrived();
    expect(await a.set("k", "new", EARLY)).toEqual(PENDING);
    expect(await a.get("k")).toBe("new");
    answering.open();
    await changing;
    expect(await a.get("k")).toBe("new");
    await go();
    expect(await a.get("k")).toBe("new");
  },
);
