/** The calls of one composition, in interleavings that a cache makes rarely. */
import { type Backend, EncodeError, type StoredEntry } from "@hotset/core";
import { flush, gate, outcome, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { gutter } from "./gutter.ts";

const CAPABLE = { leases: true, tagVersions: true } as const;
const MINUTE = 60_000;
const entry = (version: string): StoredEntry => ({
  data: Uint8Array.of(1),
  staleInMs: MINUTE,
  expiresInMs: MINUTE,
  meta: "json none",
  version,
});

let clock: TestClock;
let main: ScriptedBackend;
let small: ScriptedBackend;
let backend: Backend;
/** Another process, without main, and its link to the gutter. */
let other: Backend;
let otherSmall: ScriptedBackend;

beforeEach(async () => {
  clock = new TestClock();
  main = scriptedBackend({ clock, label: "main", coherence: "reported", ...CAPABLE });
  small = scriptedBackend({ clock, label: "small", ...CAPABLE });
  backend = gutter(main, small, { clock });
  const peer = main.peer();
  otherSmall = small.peer();
  other = gutter(peer, otherSmall, { clock });
  peer.down();
  await other.read("of main");
});

const listener = (): Parameters<Extract<Backend["coherence"], object>["attach"]>[0] => ({
  now: () => clock.now(),
  changed: () => undefined,
  leaseChanged: () => undefined,
  tagsChanged: () => undefined,
  everythingChanged: () => undefined,
  alive: () => undefined,
  replaced: () => undefined,
  lost: () => undefined,
});

/** The phase of the gutter begins. */
async function lose(): Promise<void> {
  main.script("read", { fail: true });
  await backend.read("of main");
}

/** It ends. */
async function regain(afterMs = 1_000): Promise<void> {
  clock.advance(afterMs);
  await (backend.coherence as Extract<Backend["coherence"], object>).attach(listener());
}

/** Another process loads `k`. */
async function lend(): Promise<void> {
  await other.leases!.acquire({ key: "k", token: "v1", leaseMs: MINUTE, seen: "" });
  expect(await other.leases!.store("k", "v1", "", entry("v1"))).toBe(true);
}

const rejection = {
  status: "rejected",
  reason: expect.objectContaining({ message: expect.stringContaining("main: ") as string }) as unknown,
};

describe("leases", () => {
  it("none is granted in the gutter over a change that main did not get, and nothing is stored", async () => {
    await lose();
    expect(await backend.leases!.acquire({ key: "k", token: "a", leaseMs: MINUTE, seen: "" })).toMatchObject({
      granted: true,
    });
    main.down();
    await backend.remove("k").catch(() => undefined);
    expect(await outcome(backend.leases!.store("k", "a", "", entry("a")))).toMatchObject(rejection);
    expect(await outcome(backend.leases!.acquire({ key: "k", token: "b", leaseMs: MINUTE, seen: "" }))).toMatchObject(
      rejection,
    );
    expect(small.store.get("k")).toBe(undefined);
    main.up();
    await backend.remove("k");
    expect(await backend.leases!.acquire({ key: "k", token: "c", leaseMs: MINUTE, seen: "" })).toMatchObject({
      granted: true,
    });
  });

  it("an entry that could not be encoded is not a change", async () => {
    main.script("write", { fail: new EncodeError("too deep") });
    await backend.write("k", entry("a")).catch(() => undefined);
    await lose();
    expect(await backend.leases!.acquire({ key: "k", token: "a", leaseMs: MINUTE, seen: "" })).toMatchObject({
      granted: true,
    });
  });

  it("none is taken over in the gutter: a forced load replaces what main has", async () => {
    await lose();
    expect(await outcome(backend.leases!.acquire({ key: "k", token: "a", leaseMs: MINUTE, seen: "*" }))).toMatchObject(
      rejection,
    );
  });

  it("C693 one that is granted too late is given back", async () => {
    const late = gate();
    main.script("leases.acquire", { after: late });
    const asked = backend.leases!.acquire({ key: "k", token: "a", leaseMs: MINUTE, seen: "" });
    await flush();
    await lose();
    late.open();
    expect(await asked).toMatchObject({ granted: true });
    await flush();
    expect(await main.leases!.acquire({ key: "k", token: "b", leaseMs: MINUTE, seen: "" })).toMatchObject({
      granted: true,
    });
    expect(await small.leases!.acquire({ key: "k", token: "b", leaseMs: MINUTE, seen: "" })).toMatchObject({
      granted: false,
    });
  });

  it("C693 one of an earlier phase is given back, and its value is stored nowhere", async () => {
    await backend.leases!.acquire({ key: "k", token: "a", leaseMs: MINUTE, seen: "" });
    await lose();
    expect(await outcome(backend.leases!.store("k", "a", "", entry("a")))).toMatchObject(rejection);
    await flush();
    expect(await main.leases!.acquire({ key: "k", token: "b", leaseMs: MINUTE, seen: "" })).toMatchObject({
      granted: true,
    });
    await backend.leases!.acquire({ key: "l", token: "c", leaseMs: MINUTE, seen: "" });
    await regain();
    expect(await backend.leases!.store("l", "c", "", entry("c"))).toBe(false);
    expect([main.store.get("k"), main.store.get("l"), small.store.get("l")]).toEqual([undefined, undefined, undefined]);
  });

  it("C693 a store that ends in a phase of main does not count as one", async () => {
    await lose();
    await backend.leases!.acquire({ key: "k", token: "a", leaseMs: MINUTE, seen: "" });
    clock.advance(500);
    const late = gate();
    small.script("leases.store", { after: late });
    const storing = backend.leases!.store("k", "a", "", entry("a"));
    await flush();
    await regain(500);
    late.open();
    expect(await storing).toBe(false);
  });

  it("an entry is renewed under a lease alone, for its time in the gutter", async () => {
    await lose();
    await lend();
    const life = { staleInMs: MINUTE, expiresInMs: MINUTE, meta: "renewed" };
    expect(await outcome(backend.leases!.touch("k", "v1", life))).toMatchObject(rejection);
    await backend.leases!.acquire({ key: "k", token: "a", leaseMs: MINUTE, seen: "v1" });
    clock.advance(4_000);
    expect(await backend.leases!.touch("k", "v1", life)).toBe(true);
    expect(await backend.read("k")).toMatchObject({
      staleInMs: MINUTE,
      expiresInMs: 10_000,
      meta: "renewed",
      version: "v1",
    });
  });
});

it("C690 where the gutter fails too, the error of a lease is that of main", async () => {
  await lose();
  await backend.leases!.acquire({ key: "k", token: "a", leaseMs: MINUTE, seen: "" });
  small.down();
  expect(await outcome(backend.leases!.renew("k", "a", MINUTE))).toMatchObject(rejection);
  expect(await outcome(backend.leases!.release("k", "a"))).toMatchObject(rejection);
});

describe("reads", () => {
  it("C693 what the gutter answers in a phase of main is not served", async () => {
    await lose();
    await lend();
    const late = gate();
    small.script("read", { after: late });
    clock.advance(500);
    const reading = backend.read("k");
    await flush();
    await regain(500);
    late.open();
    expect(await outcome(reading)).toMatchObject(rejection);
  });

  it.each<[string, (backend: Backend) => Promise<unknown>, "remove" | "tags.renew"]>([
    ["of the key", (each) => each.remove("k"), "remove"],
    ["of tags", (each) => each.tagVersions!.renew(["{~test}:t"], "hard"), "tags.renew"],
  ])("nothing is served while a change is under way: %s", async (_, change, operation) => {
    await lend();
    const under = gate();
    main.script(operation, { before: under });
    const changing = change(backend);
    await lose();
    expect(await outcome(backend.read("k"))).toMatchObject(rejection);
    under.open();
    await changing;
    clock.advance(2_000);
    expect(await backend.read("k"), "it is older").toBe(undefined);
  });

  it("an entry whose store was long under way is as old as its load", async () => {
    await other.leases!.acquire({ key: "k", token: "v1", leaseMs: MINUTE, seen: "" });
    otherSmall.script("leases.store", { before: 900 });
    const storing = other.leases!.store("k", "v1", "", entry("v1"));
    await flush();
    clock.advance(400);
    await backend.remove("k");
    clock.advance(500);
    expect(await storing).toBe(true);
    await lose();
    expect(await backend.read("k")).toBe(undefined);
  });

  it("a tag call that neither got hides what was loaded before it", async () => {
    await lose();
    await lend();
    clock.advance(2_000);
    main.down();
    small.script("tags.renew", { fail: true });
    await backend.tagVersions!.renew(["{~test}:t"], "hard").catch(() => undefined);
    clock.advance(10);
    expect(await backend.read("k")).toBe(undefined);
  });
});

describe("a slow gutter", () => {
  it("C690 is waited for as long as one call of it may take", async () => {
    await lend();
    clock.advance(100);
    await backend.remove("k");
    await lose();
    small.script("*", { before: 600, times: Infinity });
    const [reading, asking] = [
      backend.read("k"),
      backend.leases!.acquire({ key: "k", token: "a", leaseMs: MINUTE, seen: "" }),
    ];
    await flush();
    clock.advance(600);
    await flush();
    clock.advance(399);
    expect([await outcome(reading), await outcome(asking)]).toEqual([{ status: "pending" }, { status: "pending" }]);
    clock.advance(1);
    expect([await outcome(reading), await outcome(asking)]).toMatchObject([rejection, rejection]);
    // Granted too late, and given back.
    for (let steps = 0; steps < 30; steps += 1) {
      clock.advance(100);
      await flush();
    }
    expect(small.count("leases.acquire")).toBe(2);
    expect(small.store.leaseHolder("k")).toBe(undefined);
  });
});

describe("changes", () => {
  it.each<[string, (backend: Backend) => Promise<unknown>, "remove" | "tags.renew"]>([
    ["of the key", (each) => each.remove("k"), "remove"],
    ["of tags", (each) => each.tagVersions!.renew(["{~test}:t"], "hard"), "tags.renew"],
  ])("C690 wait for both at the same time: %s", async (_, change, operation) => {
    await lose();
    await lend();
    main.script(operation, { before: gate() });
    const changing = outcome(change(backend).catch((error: unknown) => error));
    await flush();
    expect(small.count(operation)).toBe(1);
    clock.advance(1_000);
    await flush();
    await changing;
  });
});

describe("tag versions", () => {
  it("C693 a position of one says nothing about tags of the other", async () => {
    const tags = ["{~test}:t"];
    // It has positions without an issuer.
    const tagVersions = {
      ...small.tagVersions!,
      unchangedSince: () => small.tagVersions!.pin(tags).then((pinned) => pinned.versions),
    };
    backend = gutter(main, { ...small, tagVersions }, { clock });
    const { at } = await backend.tagVersions!.pin(tags);
    expect(await backend.tagVersions!.unchangedSince(at, tags)).toEqual([expect.anything()]);
    await lose();
    expect(await backend.tagVersions!.unchangedSince(at, tags)).toEqual([undefined]);
    const { at: there } = await backend.tagVersions!.pin(tags);
    expect(await backend.tagVersions!.unchangedSince(there, tags)).toEqual([expect.anything()]);
    await regain();
    expect(await backend.tagVersions!.unchangedSince(there, tags)).toEqual([undefined]);
  });
});

describe("options", () => {
  const of = (options: Omit<Parameters<typeof scriptedBackend>[0], "clock">): ScriptedBackend =>
    scriptedBackend({ clock, coherence: "reported", ...CAPABLE, ...options });
  it.each<[string, () => Backend, () => Backend]>([
    ["main must have leases and issue tag versions", () => of({ leases: false }), () => of({})],
    ["small must have leases and issue tag versions", () => of({}), () => of({ tagVersions: false })],
    ["main must report changes by other processes", () => of({ coherence: "sole-writer" }), () => of({})],
    [
      "main must be one server or its replicas",
      () => ({ ...of({}), parts: { names: () => [], of: () => "" } }),
      () => of({}),
    ],
    ["small must take entries as large as main does", () => of({ maxEntryBytes: 10 }), () => of({ maxEntryBytes: 9 })],
    ["small must be a backend", () => of({}), () => ({}) as Backend],
  ])("backends that do not fit are refused: %s", (message, first, second) => {
    expect(() => gutter(first(), second())).toThrow(`gutter: ${message}`);
  });

  it.each<[string, object, string]>([
    ["unknown", { nope: true }, 'gutter: unknown option "nope"; '],
    ["out of range", { ttl: 0 }, "gutter: ttl must be from 1 to 86400000 ms, got 0"],
  ])("options that are %s are refused", (_, options, message) => {
    expect(() => gutter(of({}), of({}), options)).toThrow(message);
  });
});
