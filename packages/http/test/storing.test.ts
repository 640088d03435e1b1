import { EncodeError, type Backend, type Format } from "@hotset/core";
import { v8 } from "@hotset/formats";
import type { PlainRequest } from "@hotset/http";
import { flush, gate, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { fedBody, Site, valueOf } from "./site.ts";

const FRESH = { "cache-control": "max-age=60" };
const ETAG = { ...FRESH, etag: '"a"' };

/** Two processes over one backend. */
function twoSites(options: ConstructorParameters<typeof Site>[0] = {}): readonly [Site, Site] {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, format: v8(), leases: true, tagVersions: true, coherence: "reported" });
  return [new Site(options, { clock, backend }), new Site(options, { clock, backend: backend.peer() })];
}

describe("variants", () => {
  it("H33 H36 keeps one response for each set of selecting values, and the union of fields selects", async () => {
    const site = new Site();
    site.page = (request) => ({
      fields: { ...FRESH, vary: valueOf(request, "accept") === "c" ? "accept, x-b" : "accept" },
      body: `${site.loads} ${valueOf(request, "accept")} ${valueOf(request, "x-b")}`,
    });
    const ask = async (accept: string, b = "1"): Promise<string> =>
      (await site.ask({ fields: { accept, "x-b": b } }))[0];
    expect([await ask("a"), await ask("b"), await ask("a"), await ask("b", "2")]).toEqual([
      "1 a 1",
      "2 b 1",
      "1 a 1",
      "2 b 1",
    ]);
    // The one that names another field is not stored: a purge while it was loaded would not reach its new place.
    expect([await ask("c"), await ask("c", "2"), await ask("c")]).toEqual(["3 c 1", "4 c 2", "5 c 1"]);
    expect([await ask("c"), await ask("c", "2")]).toEqual(["5 c 1", "4 c 2"]);
    // Unreachable since x-b selects, too.
    expect([await ask("a"), await ask("a")]).toEqual(["6 a 1", "6 a 1"]);
  });

  it("H34 serves a language that the client likes best, although it names others", async () => {
    const site = new Site().counts({ ...FRESH, vary: "accept-language", "content-language": "de" });
    await site.get({ fields: { "accept-language": "de" } });
    expect((await site.ask({ fields: { "accept-language": "de, fr;q=0.5" } }))[0]).toBe("1");
    expect((await site.ask({ fields: { "accept-language": "fr, de;q=0.5" } }))[0]).toBe("2");
  });

  it("H34 a client whose own variant is stored gets that one, and not what a stranger's preferences made", async () => {
    const site = new Site();
    site.page = (request) => ({
      fields: { ...FRESH, vary: "accept-language", "content-language": "de" },
      body: `for ${valueOf(request, "accept-language")}`,
    });
    const ask = async (language: string): Promise<string | undefined> =>
      (await site.ask({ fields: { "accept-language": language } }))[0];
    expect(await ask("de")).toBe("for de");
    expect(await ask("de-CH, de;q=0.9, x-evil;q=0.1")).toBe("for de-CH, de;q=0.9, x-evil;q=0.1");
    // A client that likes that language best, and has no variant, may get either.
    expect(await ask("de, fr;q=0.5")).toMatch(/^for de/);
    for (const language of ["de", "de-CH, de;q=0.9, x-evil;q=0.1", "de"])
      expect(await ask(language)).toBe(`for ${language}`);
  });

  it("H33 H34 a load for a client that names others is not stored as the variant of that language", async () => {
    const site = new Site().counts({ ...FRESH, vary: "accept-language", "content-language": "de" });
    await site.get({ fields: { "accept-language": "de" } });
    site.clock.advance("25h");
    site.counts({ ...FRESH, vary: "accept-language", "content-language": "fr" });
    const both = { "accept-language": "de, fr;q=0.5" };
    expect([(await site.ask({ fields: both }))[0], (await site.ask({ fields: both }))[0]]).toEqual(["2", "2"]);
    expect((await site.ask({ fields: { "accept-language": "de" } }))[0]).toBe("3");
  });

  it("H37 keeps at most maxVariants, and the oldest go", async () => {
    const site = new Site({ maxVariants: 3 }).counts({ ...FRESH, vary: "accept" });
    for (const accept of ["a", "b", "c", "d"]) await site.get({ fields: { accept } });
    await flush();
    expect(site.cache.stats().tiers.map(({ entries }) => entries)).toEqual([4]);
    expect((await site.ask({ fields: { accept: "d" } }))[0]).toBe("4");
    expect((await site.ask({ fields: { accept: "a" } }))[0]).toBe("5");
  });

  it.each([
    ["here", {}, {}],
    ["there", {}, {}],
    ["here", { soft: true }, {}],
    ["there", { soft: true }, {}],
    // The URL has tags then, and its responses have none.
    ["here", { soft: true }, { noVarySearch: true }],
    ["there", { soft: true }, { rules: [{ match: { path: "/other" }, key: { cookie: ["c"] } }, {}] }],
  ])(
    "H38 H75 purges all variants of a URL, also one whose load is under way: %s, %o, %o",
    async (where, kind, given) => {
      const [here, there] = twoSites(given);
      const vary = { ...FRESH, vary: "accept" };
      for (const site of [here, there]) site.counts(vary);
      await here.get({ fields: { accept: "a" } });
      const loading = gate();
      there.page = async () => {
        await loading.pass();
        return { fields: vary, body: "old" };
      };
      const slow = there.ask({ fields: { accept: "b" } });
      await loading.arrived();
      await (where === "here" ? there : here).http.purge("https://shop.example/", kind);
      loading.open();
      expect((await slow)[0]).toBe("old");
      there.counts(vary, { body: "new" });
      here.counts(vary, { body: "new" });
      for (const site of [here, there])
        for (const accept of ["a", "b"]) expect((await site.ask({ fields: { accept } }))[0]).toBe("new");
    },
  );

  it("H39 reads the backend once more for a variant, and not for its index where that is in memory", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, format: v8(), tagVersions: true });
    const site = new Site({}, { clock, backend }).counts({ ...FRESH, vary: "accept" });
    for (const accept of ["a", "b"]) await site.get({ fields: { accept } });
    const other = new Site({}, { clock, backend });
    const reads = async (accept: string): Promise<number> => {
      backend.forgetCalls();
      await other.get({ fields: { accept } });
      return backend.calls.filter(({ keys: [key = ""] }) => /::(?:https|variant)/.test(key)).length;
    };
    expect([await reads("a"), await reads("b"), await reads("b")]).toEqual([2, 1, 0]);
    expect(other.loads).toBe(0);
  });

  it("H75 makes all variants of a URL stale, with their windows", async () => {
    const site = new Site().counts({ "cache-control": "max-age=60, stale-while-revalidate=60", vary: "accept" });
    for (const accept of ["a", "b"]) await site.get({ fields: { accept } });
    site.clock.advance(1_000);
    await site.http.purge("https://shop.example/", { soft: true });
    site.clock.advance(1_000);
    expect(await site.ask({ fields: { accept: "b" } })).toEqual(["2", "hotset; hit; ttl=-1; detail=revalidating"]);
    await flush();
    expect((await site.ask({ fields: { accept: "b" } }))[0]).toBe("3");
  });
});

describe("sharing", () => {
  it("H61 loads once for any number of callers, in two processes", async () => {
    const sites = twoSites();
    const loading = gate();
    for (const site of sites)
      site.page = async () => {
        await loading.pass();
        return { fields: FRESH, body: "page" };
      };
    const answers = sites.flatMap((site) => Array.from({ length: 10 }, () => site.ask()));
    await loading.arrived();
    loading.open();
    await flush();
    sites[0].clock.advance(5_000);
    expect(new Set((await Promise.all(answers)).map(([body]) => body))).toEqual(new Set(["page"]));
    expect(sites[0].loads + sites[1].loads).toBe(1);
  });

  it.each([
    ["private", { "cache-control": "private, max-age=60" }],
    ["no-store", { "cache-control": "no-store" }],
    ["Set-Cookie", { ...FRESH, "set-cookie": "user=1" }],
  ])("H14 H62 never shares a response with %s, in the moment of collapsing either", async (_, fields) => {
    const site = new Site();
    const loading = gate();
    site.page = async () => {
      const body = `${site.loads}`;
      await loading.pass();
      return { fields, body };
    };
    const answers = Array.from({ length: 20 }, () => site.ask());
    await loading.arrived();
    loading.open();
    const bodies = (await Promise.all(answers)).map(([body]) => body);
    expect(new Set(bodies).size).toBe(20);
    expect(site.loads).toBe(20);
  });

  it("H62 gives followers no response that other values select", async () => {
    const site = new Site();
    const loading = gate();
    site.page = async (request) => {
      await loading.pass();
      return { fields: { ...FRESH, vary: "accept" }, body: valueOf(request, "accept")! };
    };
    const answers = ["a", "b", "a", "c"].map((accept) => site.ask({ fields: { accept } }));
    await loading.arrived();
    loading.open();
    expect((await Promise.all(answers)).map(([body]) => body)).toEqual(["a", "b", "a", "c"]);
    expect(site.loads).toBe(3);
  });

  it("H64 does not queue callers of a URL that is not stored; the first stored response ends that", async () => {
    const site = new Site().counts({ "cache-control": "no-store" });
    await site.get();
    const loading = gate();
    site.page = async () => {
      await loading.pass();
      return { fields: FRESH, body: `${site.loads}` };
    };
    const answers = Array.from({ length: 10 }, () => site.ask());
    await loading.arrived(10);
    loading.open();
    await Promise.all(answers);
    expect(site.loads).toBe(11);
    await site.get();
    expect(site.loads).toBe(11);
  });

  it.each([
    ["refuse", undefined, 2, "set-cookie"],
    ["strip", undefined, 1, undefined],
    ["store", "a=1", 1, undefined],
  ] as const)("H14 setCookie: %s", async (setCookie, second, loads, notStored) => {
    const site = new Site({ setCookie }).counts({ ...FRESH, "set-cookie": "a=1" });
    expect((await site.get()).fields["set-cookie"]).toBe("a=1");
    expect(site.events[0]!.notStored).toBe(notStored);
    if (setCookie !== "refuse") expect((await site.get()).fields["set-cookie"]).toBe(second);
    else await site.get();
    expect(site.loads).toBe(loads);
  });
});

describe("bodies", () => {
  it("H65 gives the first byte when it comes, to its own caller and to followers in this process", async () => {
    const site = new Site();
    const page = fedBody();
    site.page = () => ({ fields: FRESH, body: page.body });
    const first = await site.get();
    const second = await site.get();
    page.feed("one ");
    const readers = [first, second].map(({ body }) => (body as ReadableStream<Uint8Array>).getReader());
    for (const reader of readers) expect(new TextDecoder().decode((await reader.read()).value)).toBe("one ");
    expect(second.fields["cache-status"]).toBe("hotset; fwd=uri-miss; collapsed");
    page.feed("two");
    page.end();
    for (const reader of readers) expect(new TextDecoder().decode((await reader.read()).value)).toBe("two");
    await flush();
    expect((await site.ask())[0]).toBe("one two");
    expect(site.loads).toBe(1);
  });

  it("H17 H69 stores no body that broke off, and its clients' streams fail", async () => {
    const site = new Site();
    const page = fedBody();
    site.page = () => ({ fields: FRESH, body: page.body });
    const answer = await site.get();
    page.feed("half");
    page.fail(new Error("reset"));
    await expect(answer.text()).rejects.toThrow("reset");
    await flush();
    site.counts(FRESH);
    expect((await site.ask())[0]).toBe("2");
  });

  it("H17 takes fewer bytes than Content-Length for a body that broke off", async () => {
    const site = new Site();
    const page = fedBody();
    site.page = () => ({ fields: { ...FRESH, "content-length": "9" }, body: page.body });
    const answer = await site.get();
    page.feed("half");
    page.end();
    await expect(answer.text()).rejects.toThrow("the body has 4 bytes, Content-Length says 9");
    site.counts(FRESH);
    expect((await site.ask())[0]).toBe("2");
  });

  it.each([null, "1", "12"])("H17 stores no body of another length than its head says: %j", async (body) => {
    const site = new Site().counts({ ...FRESH, "content-length": "5" }, { body });
    const { fields } = await site.get();
    expect(fields["cache-status"]).toBe("hotset; fwd=uri-miss; fwd-status=200; detail=incomplete");
    site.counts(FRESH);
    expect((await site.ask())[0]).toBe("2");
  });

  it("H17 stores an empty body", async () => {
    const site = new Site().counts(FRESH, { body: null });
    await site.get();
    expect(await site.ask()).toEqual(["", "hotset; hit; ttl=60"]);
  });

  it("H18 stores nothing above maxBodyBytes, as announced or as it comes", async () => {
    const site = new Site({ maxBodyBytes: 4 });
    site.page = () => ({ fields: { ...FRESH, "content-length": "5" }, body: "12345" });
    await site.get();
    expect(site.events[0]!.notStored).toBe("too-large");
    const page = fedBody();
    site.page = () => ({ fields: FRESH, body: page.body });
    const answer = await site.get({ path: "/b" });
    page.feed("12345");
    page.end();
    expect(await answer.text()).toBe("12345");
    await flush();
    site.counts(FRESH, { body: "new" });
    expect((await site.ask({ path: "/b" }))[0]).toBe("new");
  });

  it("H66 reads the origin at its own pace until the limit, and then at that of the slowest reader", async () => {
    const site = new Site({ maxBodyBytes: 100 });
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pulled++;
        controller.enqueue(new Uint8Array(10));
      },
    });
    site.page = () => ({ fields: FRESH, body: endless });
    const [slow, fast] = await Promise.all([site.get(), site.get()]);
    await flush(20);
    expect(pulled).toBeLessThanOrEqual(13);
    const reader = (fast.body as ReadableStream<Uint8Array>).getReader();
    const before = pulled;
    for (let i = 0; i < 5; i++) await reader.read();
    await flush(20);
    expect(pulled - before).toBeLessThanOrEqual(1);
    void slow;
  });

  describe("above the limit, of readers of one body", () => {
    /** Pieces of 10 bytes without an end, of which 100 bytes are kept. */
    async function reading(names: readonly string[]) {
      const site = new Site({ maxBodyBytes: 100 });
      const endless = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(10)) });
      site.page = () => ({ fields: FRESH, body: endless });
      const answers = await Promise.all(names.map(() => site.get()));
      const readers = answers.map(({ body }) => (body as ReadableStream<Uint8Array>).getReader());
      const taken = names.map(() => 0);
      const take = async (of: number, pieces: number): Promise<void> => {
        for (let i = 0; i < pieces; i++) {
          await readers[of]!.read();
          taken[of]! += 1;
        }
      };
      const pass = async (ms: number): Promise<void> => {
        await flush(20);
        site.clock.advance(ms);
        await flush(20);
      };
      return { readers, taken, take, pass, site };
    }

    it("H66 H106 one that stops is left behind after two seconds in which another waits for it", async () => {
      const { readers, taken, take, pass, site } = await reading(["stopped", "going"]);
      await pass(5_000);
      const going = take(1, 50);
      await pass(1_999);
      const before = taken[1]!;
      expect(before).toBeLessThan(14);
      await pass(1);
      await going;
      expect(taken[1]).toBe(50);
      await expect(readers[0]!.read()).rejects.toThrow("took nothing for 2000 ms while others waited");
      expect(site.loads).toBe(1);
    });

    it("H106 all that have stopped are left behind at the same time, wherever they are", async () => {
      const { readers, taken, take, pass } = await reading(["0", "1", "2", "3", "going"]);
      for (const of of [1, 2, 3]) await take(of, of);
      const going = take(4, 100);
      await pass(2_000);
      await going;
      expect(taken[4]).toBe(100);
      for (const of of [0, 1, 2, 3]) await expect(readers[of]!.read()).rejects.toThrow("took nothing");
    });

    it("H106 one that reads slowly is no reason to wait longer for one that has stopped", async () => {
      const { readers, take, pass } = await reading(["stopped", "slow", "going"]);
      void take(2, 100);
      for (const ms of [1_200, 1_200]) {
        await take(1, 1);
        await pass(ms);
      }
      await expect(readers[0]!.read()).rejects.toThrow("took nothing");
      await expect(take(1, 1)).resolves.toBeUndefined();
    });

    it("H66 H106 one that reads slowly is served to the end, and others at its pace", async () => {
      const { taken, take, pass } = await reading(["slow", "going"]);
      void take(1, 100);
      for (let i = 0; i < 20; i++) {
        await take(0, 1);
        await pass(1_900);
      }
      expect(taken).toEqual([20, expect.toSatisfy((pieces: number) => pieces > 20 && pieces < 34)]);
    });

    it("H106 none is left behind while no other waits", async () => {
      const { take, pass } = await reading(["stopped", "stopped too"]);
      await pass(60_000);
      await expect(take(0, 1)).resolves.toBeUndefined();
    });
  });

  it("H67 the load of a client that leaves goes on and is stored", async () => {
    const site = new Site();
    const page = fedBody();
    site.page = () => ({ fields: FRESH, body: page.body });
    const answer = await site.get();
    await (answer.body as ReadableStream<Uint8Array>).cancel();
    page.feed("page");
    page.end();
    await flush();
    expect((await site.ask())[0]).toBe("page");
    expect(site.loads).toBe(1);
  });

  it("H67 with abort it ends when no reader is left", async () => {
    const site = new Site({ onAbort: "abort" });
    const page = fedBody();
    site.page = () => ({ fields: FRESH, body: page.body });
    const answer = await site.get();
    await (answer.body as ReadableStream<Uint8Array>).cancel();
    await flush();
    expect(page.wasCancelled()).toBe(true);
  });

  it("H67 a client that leaves before the head gets its reason, and the load goes on", async () => {
    const site = new Site();
    const loading = gate();
    site.page = async () => {
      await loading.pass();
      return { fields: FRESH, body: "page" };
    };
    const controller = new AbortController();
    const answer = site.get({ call: { signal: controller.signal } });
    await loading.arrived();
    controller.abort(new Error("left"));
    await expect(answer).rejects.toThrow("left");
    loading.open();
    await flush();
    expect(await site.ask()).toEqual(["page", "hotset; hit; ttl=60"]);
  });

  it("H68 does not cut off a body that takes longer than loadTimeout; it is not stored", async () => {
    const site = new Site({ loadTimeout: "30s", bodyIdleTimeout: "1h" });
    const page = fedBody();
    site.page = () => ({ fields: FRESH, body: page.body });
    const answer = await site.get();
    page.feed("a");
    site.clock.advance(31_000);
    await flush();
    page.feed("b");
    page.end();
    expect(await answer.text()).toBe("ab");
    site.counts(FRESH);
    expect((await site.ask())[0]).toBe("2");
  });

  it("H68 does not cut off a body that is not stored while the cache closes", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, leases: true, format: v8() });
    const site = new Site({}, { clock, backend });
    const storing = gate();
    // The marker of it, for other processes.
    backend.script("leases.store", { before: storing });
    const page = fedBody();
    site.page = () => ({ fields: { "cache-control": "no-store" }, body: page.body });
    const answer = await site.get();
    page.feed("a");
    await storing.arrived();
    const closing = site.cache.close({ timeout: 0 });
    clock.advance(0);
    await flush();
    expect(site.seen[0]!.context.signal.aborted).toBe(false);
    page.feed("b");
    page.end();
    expect(await answer.text()).toBe("ab");
    storing.open();
    await closing;
  });

  it("H68 ends a body that stands still for bodyIdleTimeout while others wait for it", async () => {
    const site = new Site({ bodyIdleTimeout: "5s" });
    const page = fedBody();
    site.page = () => ({ fields: FRESH, body: page.body });
    const answers = await Promise.all([site.get(), site.get()]);
    page.feed("a");
    await flush();
    site.clock.advance(5_000);
    for (const answer of answers) await expect(answer.text()).rejects.toThrow("no byte of the body came for 5000 ms");
  });

  it("H94 one client alone decides how long it waits: for a head, for a byte, and before it reads on", async () => {
    const site = new Site({ loadTimeout: "5s", bodyIdleTimeout: "5s", maxBodyBytes: 10 });
    const page = fedBody();
    const loading = gate();
    site.page = async () => {
      await loading.pass();
      return { fields: FRESH, body: page.body };
    };
    const asked = site.get();
    await loading.arrived();
    site.clock.advance(60_000);
    loading.open();
    const answer = await asked;
    site.clock.advance(60_000);
    page.feed("0123456789");
    page.feed("0123456789");
    page.feed("end");
    await flush();
    site.clock.advance(60_000);
    page.end();
    expect(await answer.text()).toBe("01234567890123456789end");
    expect(site.loads).toBe(1);
  });

  it("H67 H69 where the first caller leaves before the head, the others get the whole body of that load", async () => {
    const site = new Site({ onAbort: "abort" });
    const page = fedBody();
    const loading = gate();
    site.page = async () => {
      await loading.pass();
      return { fields: FRESH, body: page.body };
    };
    const controller = new AbortController();
    const first = outcome(site.get({ call: { signal: controller.signal } }));
    await loading.arrived();
    const others = Array.from({ length: 9 }, () => site.get());
    await flush();
    controller.abort(new Error("left"));
    await first;
    loading.open();
    page.feed("first ");
    const answers = await Promise.all(others);
    page.feed("last");
    page.end();
    expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(answers.map(() => "first last"));
    expect(site.loads).toBe(1);
  });

  it("H69 a body without a reader is given to no later caller as a whole one", async () => {
    const site = new Site({ onAbort: "abort" });
    const page = fedBody();
    site.page = () => ({ fields: FRESH, body: page.body });
    const answer = await site.get();
    page.feed("half");
    await flush();
    const leaving = (answer.body as ReadableStream<Uint8Array>).cancel();
    site.counts(FRESH, { body: "whole" });
    expect((await site.ask())[0]).toBe("whole");
    await leaving;
  });

  it.each(["max-age=10, stale-if-error=20", "max-age=10, stale-if-error=20, stale-while-revalidate=20"])(
    "H47 cancels the body of an error in whose place a stale response is served: %s",
    async (directives) => {
      const site = new Site().counts({ "cache-control": directives });
      await site.get();
      site.clock.advance(11_000);
      const page = fedBody();
      site.page = () => ({ status: 503, body: page.body });
      expect((await site.ask())[0]).toBe("1");
      await flush();
      expect([site.loads, page.wasCancelled()]).toEqual([2, true]);
    },
  );

  it.each(["GET", "OPTIONS"])("H67 cancels the body of an answer whose caller has left: %s", async (method) => {
    const site = new Site({ onAbort: "abort" });
    const page = fedBody();
    const loading = gate();
    site.page = async () => {
      await loading.pass();
      return { fields: FRESH, body: page.body };
    };
    const controller = new AbortController();
    const answer = outcome(site.get({ method, call: { signal: controller.signal } }));
    await loading.arrived();
    controller.abort(new Error("left"));
    expect(await answer).toMatchObject({ reason: { message: "left" } });
    loading.open();
    await flush();
    expect(page.wasCancelled()).toBe(true);
  });

  it("H68 cancels the body of a response whose head came after loadTimeout", async () => {
    const site = new Site({ loadTimeout: "5s" });
    const page = fedBody();
    const loading = gate();
    site.page = async () => {
      await loading.pass();
      return { fields: FRESH, body: page.body };
    };
    const leaving = new AbortController();
    const answer = outcome(site.get({ call: { signal: leaving.signal } }));
    await loading.arrived();
    leaving.abort(new Error("left"));
    expect(await answer).toMatchObject({ reason: { message: "left" } });
    site.clock.advance(5_000);
    await flush();
    loading.open();
    await flush();
    expect(page.wasCancelled()).toBe(true);
  });

  it("H24 the time that a body takes is part of its age", async () => {
    const site = new Site();
    const page = fedBody();
    site.page = () => ({ fields: FRESH, body: page.body });
    await site.get();
    site.clock.advance(10_000);
    page.end();
    await flush();
    expect((await site.get()).fields).toMatchObject({ age: "10", "cache-status": "hotset; hit; ttl=50" });
  });

  it("H56 does not send a large body to the backend again for a 304", async () => {
    const clock = new TestClock();
    const scripted = scriptedBackend({ clock, format: v8() });
    let written = 0;
    const backend: Backend = {
      ...scripted,
      write: (key, entry) => {
        written += entry.data.byteLength;
        return scripted.write(key, entry);
      },
    };
    const site = new Site({}, { clock, backend, local: false }).counts(ETAG, { body: "x".repeat(20_000) });
    await site.get();
    expect(written).toBeGreaterThan(20_000);
    const before = written;
    site.clock.advance(60_000);
    site.page = () => ({ status: 304, fields: ETAG });
    expect((await site.ask())[0]).toHaveLength(20_000);
    expect(site.loads).toBe(2);
    expect(written - before).toBeLessThan(2_000);
    expect((await site.ask())[1]).toBe("hotset; hit; ttl=60");
  });

  it("H56 a body that has gone is loaded again", async () => {
    const site = new Site().counts(ETAG, { body: "x".repeat(20_000) });
    await site.get();
    const namespace = site.cache.namespace("http");
    const { body } = (await namespace.get<{ body: { key: string } }>("https://shop.example/"))!;
    await namespace.delete(body.key);
    site.page = (request) =>
      valueOf(request, "if-none-match") === undefined ? { fields: ETAG, body: "again" } : { status: 304, fields: ETAG };
    expect((await site.ask())[0]).toBe("again");
    site.clock.advance(60_000);
    expect((await site.ask())[0]).toBe("again");
  });
});

describe("invalidation", () => {
  it.each(["POST", "PUT", "DELETE", "M-UNKNOWN"])(
    "H72 %s invalidates its URL, and those that it names",
    async (method) => {
      const site = new Site().counts(FRESH);
      for (const path of ["/a", "/b", "/c"]) await site.get({ path });
      site.counts({ location: "/b" }, { status: 201 });
      await site.get({ method, path: "/a" });
      site.counts(FRESH);
      expect(
        [await site.ask({ path: "/a" }), await site.ask({ path: "/b" }), await site.ask({ path: "/c" })].map(
          ([b]) => b,
        ),
      ).toEqual(["5", "6", "3"]);
    },
  );

  it.each([
    ["a list of methods", ["post", "DELETE"]],
    ["a function", ({ method, url }: PlainRequest) => /^(POST|DELETE)$/.test(method) && url.endsWith("/page")],
  ])(
    "H72 with %s, no other request invalidates, though the handler answers any method with a page",
    async (_, given) => {
      const site = new Site({ invalidatedBy: given }).counts(FRESH);
      const get = async (): Promise<string> => (await site.ask({ path: "/page" }))[0];
      expect(await get()).toBe("1");
      for (const method of ["PURGE", "PUT", "PATCH", "BAN", "M-UNKNOWN"]) await site.get({ method, path: "/page" });
      expect(await get()).toBe("1");
      site.counts({ ...FRESH, "content-location": "https://shop.example/page" });
      await site.get({ method: "DELETE", path: "/page" });
      expect(await get()).toBe("8");
    },
  );

  it("H72 a function that throws lets a request invalidate", async () => {
    const invalidatedBy = (): never => {
      throw new Error("no session");
    };
    const site = new Site({ invalidatedBy }).counts(FRESH);
    await site.get();
    await site.get({ method: "POST" });
    expect((await site.ask())[0]).toBe("3");
  });

  it("H20 H72 the answer to a POST that may not invalidate is not stored for GET", async () => {
    const site = new Site({ invalidatedBy: ["DELETE"] }).counts(FRESH);
    await site.get({ path: "/page" });
    site.counts({ ...FRESH, "content-location": "https://shop.example/page" });
    await site.get({ method: "POST", path: "/page" });
    expect((await site.ask({ path: "/page" }))[0]).toBe("1");
  });

  it("H72 an error and a safe method invalidate nothing", async () => {
    const site = new Site().counts(FRESH);
    await site.get();
    site.counts({}, { status: 400 });
    await site.get({ method: "POST" });
    site.counts({});
    await site.get({ method: "OPTIONS" });
    expect((await site.ask())[0]).toBe("1");
  });

  it.each([
    ["a URL that is too long", `/${"a".repeat(70_000)}`, {}],
    ["a URL that is ill-formed", "/\ud800", {}],
    ["a Location that is too long", "/a", { location: `/${"a".repeat(70_000)}` }],
    ["a group that is too long", "/a", { "cache-group-invalidation": `"${"a".repeat(600)}"` }],
  ])("H72 H93 an answer with %s is still answered, and invalidates the rest", async (_, path, fields) => {
    const site = new Site().counts({ ...FRESH, "cache-groups": '"scripts"' });
    for (const each of ["/a", "/b"]) await site.get({ path: each });
    site.counts({ "content-location": "/b", ...fields });
    expect((await site.get({ method: "POST", path })).status).toBe(200);
    site.counts(FRESH);
    expect((await site.ask({ path: "/b" }))[0]).toBe("4");
  });

  it("H73 it is done before the answer, and a load that began before it stores nothing", async () => {
    const [here, there] = twoSites();
    const loading = gate();
    there.page = async () => {
      await loading.pass();
      return { fields: FRESH, body: "old" };
    };
    const slow = there.ask();
    await loading.arrived();
    here.counts({});
    await here.get({ method: "POST" });
    loading.open();
    expect((await slow)[0]).toBe("old");
    for (const site of [here, there]) site.counts(FRESH, { body: "new" });
    expect([(await there.ask())[0], (await here.ask())[0]]).toEqual(["new", "new"]);
  });

  it.each([
    ["here", "its URL", "after"],
    ["there", "its URL", "after"],
    ["here", "its tag", "after"],
    ["there", "its tag", "after"],
    ["here", "its tag", "before"],
    ["there", "its tag", "before"],
    ["alone", "its tag", "after"],
    ["alone", "its tag", "before"],
  ])("H73 no later caller reads along with a load that began before a purge %s of %s, %s its head", async (...at) => {
    const [here, there] = at[0] === "alone" ? [new Site(), new Site()] : twoSites();
    const [page, head] = [fedBody(), gate()];
    const fields = { ...FRESH, "cache-tag": "t" };
    here.page = async () => {
      await head.pass();
      return { fields, body: page.body };
    };
    const first = here.get();
    await head.arrived();
    if (at[2] === "after") head.open();
    await flush();
    const { http } = at[0] === "there" ? there : here;
    await (at[1] === "its tag" ? http.purgeTags(["t"]) : http.purge("https://shop.example/"));
    await flush();
    here.counts(fields, { body: "new" });
    const later = here.ask();
    await flush();
    head.open();
    page.feed("old");
    page.end();
    expect([await (await first).text(), (await later)[0], (await here.ask())[0]]).toEqual(["old", "new", "new"]);
  });

  it("H73 no caller of a load that waits to begin reads along with one from before a purge", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, format: v8(), leases: true, tagVersions: true });
    const site = new Site({}, { clock, backend });
    const [oldest, old, reading] = [gate(), gate(), gate()];
    const fields = { ...FRESH, "cache-tag": "t" };
    const ask = async (): Promise<string> => (await site.ask())[0];
    site.page = async () => {
      const isOldest = site.loads === 1;
      await (isOldest ? oldest : old).pass();
      return { fields, body: isOldest ? "oldest" : "old" };
    };
    const answers = [ask()];
    await oldest.arrived();
    await site.http.purgeTags(["t"]);
    // It waits for the load from before, which turns out to have the tag, and begins another one then.
    answers.push(ask());
    await site.http.purge("https://shop.example/");
    answers.push(ask());
    await old.arrived();
    await site.http.purge("https://shop.example/");
    backend.script("read", { before: reading });
    oldest.open();
    await reading.arrived();
    site.counts(fields, { body: "new" });
    answers.push(ask());
    old.open();
    await flush();
    reading.open();
    expect(await Promise.all(answers)).toEqual(["oldest", "new", "old", "new"]);
  });

  it.each([
    ["that is to name its variant", "accept", "another"],
    ["that is to have more fields", "accept, x-b", "another"],
    ["that is gone", "accept", "the index"],
  ])(
    "H71 H73 a later caller loads for itself where another process keeps an index %s beyond loadTimeout",
    async (...at) => {
      const [here, there] = twoSites();
      here.counts({ ...FRESH, vary: "accept" });
      const ask = async (accept: string): Promise<string> => (await here.ask({ fields: { accept } }))[0];
      await ask("a");
      const [elsewhere, loading] = [gate(), gate()];
      here.page = async () => {
        await loading.pass();
        return { fields: { ...FRESH, vary: at[1] }, body: `${here.loads}` };
      };
      const first = ask("b");
      await loading.arrived();
      const isGone = at[2] === "the index";
      await (isGone ? there.http.purge("https://shop.example/") : here.http.purgeTags(["other"]));
      const load = (): Promise<void> => elsewhere.pass();
      void there.cache
        .namespace("http")
        .getOrSet("https://shop.example/", load, { forceRefresh: true, loadTimeout: "1h" });
      await elsewhere.arrived();
      if (isGone) loading.open();
      await flush();
      const later = ask("b");
      await flush();
      loading.open();
      expect(await first).toBe("2");
      for (let i = 0; i < 31; i += 1) await flush().then(() => here.clock.advance(1_000));
      elsewhere.open();
      expect(await later).toBe("3");
    },
  );

  it("H20 keeps an answer to a POST that says that it is what a GET gives", async () => {
    const site = new Site().counts({ ...FRESH, "content-location": "/" });
    await site.get({ method: "POST" });
    expect((await site.ask())[0]).toBe("1");
  });

  it("H20 H73 not where a purge by another process comes before the end of its body", async () => {
    const [here, there] = twoSites();
    const page = fedBody();
    here.page = () => ({ fields: { ...FRESH, "content-location": "/" }, body: page.body });
    await here.get({ method: "POST" });
    page.feed("old");
    await there.http.purge("https://shop.example/");
    page.end();
    await flush();
    for (const site of [here, there]) site.counts(FRESH, { body: "new" });
    expect([(await here.ask())[0], (await there.ask())[0]]).toEqual(["new", "new"]);
  });

  const POSTED = { ...FRESH, "content-location": "/" };

  it.each<[string, (here: Site, there: Site) => Promise<unknown>]>([
    ["a later POST", async (here) => here.counts(POSTED, { body: "new" }).get({ method: "POST" })],
    ["a PUT that is not stored", async (here) => here.counts({}, { status: 204 }).get({ method: "PUT" })],
    ["a PUT to another query", async (here) => here.counts({}).get({ method: "PUT", path: "/?utm_a=1" })],
    ["a purge", async ({ http }) => http.purge("https://shop.example/")],
    ["a soft purge", async ({ http }) => http.purge("https://shop.example/", { soft: true })],
    ["a purge by tag", async ({ http }) => http.purgeTags(["books"])],
    ["a clear", async ({ http }) => http.clear()],
    ["a load", async (here) => here.counts(FRESH, { body: "new" }).get()],
    ["an answer for one client", async (here) => here.counts({ "cache-control": "private" }, { body: "new" }).get()],
    [
      "an answer with a login",
      async (here) => here.counts({}, { body: "new" }).get({ fields: { authorization: "x" } }),
    ],
    ["a HEAD", async (here) => here.counts(FRESH).get({ method: "HEAD" })],
    ["a load of another process", async (_, there) => there.counts(FRESH, { body: "new" }).get()],
    [
      "a later POST to another process",
      async (_, there) => there.counts(POSTED, { body: "new" }).get({ method: "POST" }),
    ],
  ])("H20 H59 an answer to a POST is not stored if it crosses %s", async (_, change) => {
    const [here, there] = twoSites({ rules: [{ key: { query: { except: ["utm_*"] } } }] });
    const answering = gate();
    here.page = async () => {
      await answering.pass();
      return { fields: { ...POSTED, "cache-tag": "books" }, body: "old" };
    };
    const first = here.get({ method: "POST" });
    await answering.arrived();
    await change(here, there);
    answering.open();
    expect(await (await first).text()).toBe("old");
    await flush();
    for (const site of [here, there]) site.counts(FRESH, { body: "new" });
    expect([(await here.ask())[0], (await there.ask())[0]]).toEqual(["new", "new"]);
  });

  it("H20 H59 what its client does next is newer, at another process too", async () => {
    const [here, there] = twoSites();
    const page = fedBody();
    here.page = () => ({ fields: POSTED, body: page.body });
    await here.get({ method: "POST" });
    await there.counts({}, { status: 204 }).get({ method: "PUT" });
    page.feed("old");
    page.end();
    await flush();
    expect((await there.counts(FRESH, { body: "new" }).ask())[0]).toBe("new");
    expect((await here.ask())[0]).toBe("new");
  });

  it("H20 the time of its body counts in its age", async () => {
    const site = new Site();
    const page = fedBody();
    site.page = () => ({ fields: POSTED, body: page.body });
    await site.get({ method: "POST" });
    site.clock.advance(20_000);
    page.feed("page");
    page.end();
    await flush();
    expect((await site.get()).fields["cache-status"]).toBe("hotset; hit; ttl=40");
  });

  it.each([
    ["purge", async ({ http }: Site) => http.purge("https://shop.example/")],
    ["soft purge", async ({ http }: Site) => http.purge("https://shop.example/", { soft: true })],
    ["load", async (site: Site) => site.counts({ ...ETAG, "cache-control": "max-age=90" }, { body: "new" }).ask()],
  ])("H58 H73 a HEAD that crosses a %s by another process renews nothing", async (_, change) => {
    const [here, there] = twoSites();
    here.counts(ETAG, { body: "old" });
    await here.get();
    here.clock.advance(60_000);
    const answered = gate();
    here.page = async () => {
      await answered.pass();
      return { fields: { ...ETAG, "x-a": "old", "content-length": "3" } };
    };
    const head = here.get({ method: "HEAD" });
    await answered.arrived();
    await change(there);
    answered.open();
    await head;
    await flush();
    for (const site of [here, there]) site.counts({ ...FRESH, etag: '"b"' }, { body: "new" });
    expect([(await here.ask())[0], (await there.ask())[0]]).toEqual(["new", "new"]);
  });

  it.each([
    ["here", "tags"],
    ["there", "tags"],
    ["there", "prefix"],
  ])(
    "H38 H73 a purge %s, by %s, during the first load of a URL whose response varies reaches it",
    async (where, by) => {
      const clock = new TestClock();
      const backend = scriptedBackend({ clock, format: v8(), leases: true, tagVersions: true, coherence: "reported" });
      const [here, there] = [backend, backend.peer()].map(
        (each) => new Site({ pathTags: true }, { clock, backend: each }),
      );
      const fields = { ...FRESH, vary: "accept", "cache-tag": "books" };
      const loading = gate();
      here!.page = async () => {
        await loading.pass();
        return { fields, body: "old" };
      };
      const slow = here!.ask();
      await loading.arrived();
      const { http } = (where === "here" ? here : there)!;
      await (by === "tags" ? http.purgeTags(["books"]) : http.purgePrefix("https://shop.example/"));
      loading.open();
      await slow;
      await flush();
      for (const site of [here!, there!]) {
        site.page = () => ({ fields, body: "new" });
        expect((await site.ask())[0]).toBe("new");
      }
    },
  );

  it("H45 H75 a soft purge of a page that varies leaves its windows", async () => {
    const site = new Site().counts({
      "cache-control": "max-age=60, stale-while-revalidate=60",
      vary: "accept",
      "cache-tag": "books",
    });
    await site.get();
    await flush();
    await site.http.purgeTags(["books"], { soft: true });
    expect((await site.ask())[0]).toBe("1");
    await flush();
    expect((await site.ask())[0]).toBe("2");
  });

  it("H74 H75 purges by tag, hard and soft, and removes tags from answers", async () => {
    const site = new Site().counts({ "cache-control": "max-age=60, stale-while-revalidate=60", "cache-tag": "books" });
    expect((await site.get()).fields["cache-tag"]).toBeUndefined();
    await site.http.purgeTags(["books"], { soft: true });
    expect((await site.ask())[0]).toBe("1");
    await flush();
    expect((await site.ask())[0]).toBe("2");
    await site.http.purgeTags(["books"]);
    expect((await site.ask())[0]).toBe("3");
    await site.http.clear();
    expect((await site.ask())[0]).toBe("4");
  });

  it("H75 purges a path and all below it, where responses are tagged so", async () => {
    const site = new Site({ pathTags: true }).counts(FRESH);
    const paths = ["/", "/books", "/books/", "/books/1?x", "/books/1/pages/2", "/bookshelf", "/a/books"];
    for (const path of paths) await site.get({ path });
    await site.get({ url: "https://other.example/books" });
    const gone = async (url: string): Promise<readonly string[]> => {
      site.seen.length = 0;
      await site.http.purgePrefix(url);
      for (const path of paths) await site.get({ path });
      await site.get({ url: "https://other.example/books" });
      return site.seen.map(({ request }) => request.url.slice("https://".length));
    };
    expect(await gone("https://shop.example/books/1")).toEqual(
      ["/books/1?x", "/books/1/pages/2"].map((path) => `shop.example${path}`),
    );
    expect(await gone("https://shop.example/books/")).toEqual(
      ["/books", "/books/", "/books/1?x", "/books/1/pages/2"].map((path) => `shop.example${path}`),
    );
    expect(await gone("https://shop.example")).toEqual(paths.map((path) => `shop.example${path}`));
    await expect(new Site().http.purgePrefix("https://shop.example/")).rejects.toThrow("pathTags: true");
  });

  it("H93 an answer to an unsafe method invalidates groups of its origin, in all processes", async () => {
    const [here, there] = twoSites();
    here.counts({ ...FRESH, "cache-groups": '"scripts"' });
    await here.get({ path: "/a.js" });
    there.counts({ "cache-group-invalidation": '"scripts"' });
    await there.get({ method: "POST", url: "https://other.example/" });
    expect((await here.ask({ path: "/a.js" }))[0]).toBe("1");
    await there.get({ method: "POST", path: "/deploy" });
    expect((await here.ask({ path: "/a.js" }))[0]).toBe("2");
  });
});

describe("what lies in the store", () => {
  it("H83 H86 takes an entry of another version, and one that was forged, for a miss", async () => {
    const site = new Site().counts(FRESH);
    await site.get();
    const namespace = site.cache.namespace("http");
    const key = "https://shop.example/";
    const stored = (await namespace.get<Record<string, unknown>>(key))!;
    for (const forged of [
      { ...stored, format: 2 },
      { ...stored, fields: [["x-a", "b\r\nset-cookie: c"]] },
      { ...stored, status: 99 },
      { ...stored, statusText: "OK\r\n" },
      { ...stored, body: { bytes: "text" } },
      { ...stored, body: { bytes: new TextEncoder().encode("HTTP/1.1 200 OK") } },
      {
        ...stored,
        body: { bytes: new TextEncoder().encode("HTTP/1.1 200 OK") },
        bodyBytes: 15,
        fields: [["content-length", "0"]],
      },
      { ...stored, fields: [["transfer-encoding", "chunked"]] },
      { ...stored, body: { key: "https://shop.example/" } },
      { ...stored, target: "https://shop.example/other" },
      { kind: "index", format: 1 },
      { kind: "index", format: 1, generation: "a".repeat(100_000), selecting: [], variants: [], languages: {} },
      { kind: "index", format: 1, generation: "a", selecting: [1], variants: [{}], languages: {} },
      "text",
      null,
    ]) {
      await namespace.set(key, forged);
      const loads = site.loads;
      expect((await site.ask())[0]).toBe(`${loads + 1}`);
    }
  });

  it("H19 a response that cannot be stored is still answered", async () => {
    const clock = new TestClock();
    const format: Format = {
      ...v8(),
      encode: (value, maxBytes) => {
        if (!Array.isArray(value)) throw new EncodeError("no response can be written", { operation: "encode" });
        return v8().encode(value, maxBytes);
      },
    };
    const site = new Site({}, { clock, backend: scriptedBackend({ clock, format }), local: false }).counts(FRESH);
    expect((await site.ask())[0]).toBe("1");
  });
});
