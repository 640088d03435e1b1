import type { Coherence, CoherenceListener, StoredEntry } from "@hotset/core";
import { beforeEach, describe, expect, it } from "vitest";
import { gate } from "./gate.ts";
import { flush, outcome } from "./outcome.ts";
import { scriptedBackend, type ScriptedBackend } from "./scripted-backend.ts";
import { TestClock } from "./test-clock.ts";

let clock: TestClock;
let own: ScriptedBackend;
let other: ScriptedBackend;

beforeEach(() => {
  clock = new TestClock();
  own = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  other = own.peer({ label: "other" });
});

const entry = (version?: string): StoredEntry => ({
  data: Uint8Array.of(1),
  staleInMs: 1_000,
  expiresInMs: 2_000,
  meta: "",
  ...(version !== undefined && { version }),
});

/** Records its notifications, as `changed k`. */
function recorder(): CoherenceListener & { readonly reports: string[] } {
  const reports: string[] = [];
  const note = (...words: readonly unknown[]): void => void reports.push(words.join(" "));
  return {
    reports,
    now: () => clock.now(),
    changed: (keys) => note("changed", ...keys),
    leaseChanged: (keys) => note("lease", ...keys),
    tagsChanged: (tags) => note("tags", ...tags),
    everythingChanged: () => note("everything"),
    alive: (sentAtMs) => note("alive", sentAtMs),
    replaced: () => note("replaced"),
    lost: (error) => note("lost", (error as Error).message),
  };
}

const attach = async (backend: ScriptedBackend = own): Promise<string[]> => {
  const listener = recorder();
  await (backend.coherence as Coherence).attach(listener);
  listener.reports.length = 0;
  return listener.reports;
};

describe("peers of a scripted backend", () => {
  it("share entries, leases and versions, and nothing else", async () => {
    await own.write("k", entry("v1"));
    expect((await other.read("k"))?.version).toBe("v1");
    expect(other.store).toBe(own.store);
    expect([own.count(), other.count(), other.label]).toEqual([1, 1, "other"]);
    own.down();
    own.script("read", { fail: true });
    expect((await other.read("k"))?.version).toBe("v1");
    await other.close();
    expect([own.isClosed, other.isClosed]).toEqual([false, true]);
  });

  it("may differ in capabilities, and report no version without leases", async () => {
    const plain = own.peer({ leases: false, tagVersions: false, coherence: "none", batch: false });
    expect([plain.leases, plain.tagVersions, plain.coherence, plain.batch]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    await own.write("k", entry("v1"));
    expect(await plain.read("k")).toEqual({ data: Uint8Array.of(1), staleInMs: 1_000, expiresInMs: 2_000, meta: "" });
    await plain.write("k", entry());
    expect((await own.read("k"))?.version).toBe("-");
  });
});

describe("a scripted store", () => {
  it("shows the holder of a lease, and ends it without a report", async () => {
    const reports = await attach();
    await other.leases!.acquire({ key: "k", token: "t", leaseMs: 100, seen: "" });
    expect(own.store.leaseHolder("k")).toBe("t");
    own.store.expireLease("k");
    expect(own.store.leaseHolder("k")).toBe(undefined);
    await other.leases!.acquire({ key: "k", token: "t", leaseMs: 100, seen: "" });
    clock.advance(100);
    expect(own.store.leaseHolder("k")).toBe(undefined);
    expect(reports).toEqual([]);
  });

  it("lets a program without leases write, remove and flush, and reports it", async () => {
    const reports = await attach();
    await own.leases!.acquire({ key: "k", token: "t", leaseMs: 100, seen: "" });
    own.store.set("k", entry());
    expect(own.store.leaseHolder("k")).toBe("t");
    expect(await own.leases!.store("k", "t", "", entry("t"))).toBe(false);
    own.store.delete("k");
    own.store.delete("k");
    await own.tagVersions!.renew(["{~a}::t"], "hard");
    own.store.clear();
    expect(reports).toEqual(["changed k", "changed k", "changed k", "tags {~a}::t", "everything"]);
    expect(own.store.tagVersion("{~a}::t")).toBe(undefined);
  });

  it("evicts versions and their issuer, whose successor repeats no version", async () => {
    const tags = own.tagVersions!;
    const reports = await attach();
    await tags.renew(["{~a}::t"], "hard");
    const first = own.store.tagVersion("{~a}::t");
    const { at } = await tags.pin(["{~a}::t"]);
    own.store.evictTag("{~a}::t");
    own.store.evictTag("{~a}::t");
    expect(await tags.unchangedSince(at, ["{~a}::t"]), "the issuer did not move").toEqual([
      { hard: first!.hard, soft: first!.soft },
    ]);
    own.store.evictIssuer();
    own.store.evictTag("{~a}::t");
    expect(await tags.unchangedSince(at, ["{~a}::t"])).toEqual([undefined]);
    expect(own.store.tagVersion("{~a}::t")!.hard).not.toBe(first!.hard);
    await tags.renew(["{~a}::t"], "hard");
    expect(own.store.tagVersion("{~a}::t")!.hard).not.toBe(first!.hard);
    expect(reports).toEqual(Array.from({ length: 6 }, () => "tags {~a}::t"));
  });

  it("restores a snapshot, any number of times, without a report", async () => {
    const tags = own.tagVersions!;
    const leases = own.leases!;
    await own.write("k", entry("w1"));
    await leases.acquire({ key: "j", token: "token", leaseMs: 10_000, seen: "" });
    const [before] = await tags.read(["{~a}::t"]);
    const { at } = await tags.pin(["{~a}::t"]);
    const restore = own.store.snapshot();
    const reports = await attach();
    for (let i = 0; i < 2; i += 1) {
      await own.remove("k");
      await own.remove("j");
      await own.write("new", entry());
      await tags.renew(["{~a}::t"], "hard");
      reports.length = 0;
      restore();
      expect([before, reports, own.store.keys(), own.store.get("k")?.version, own.store.leaseHolder("j")]).toEqual([
        undefined,
        [],
        ["k"],
        "w1",
        "token",
      ]);
      expect((await tags.pin(["{~a}::t"])).at).toBe(at);
    }
  });

  it("has an issuer for each cache", async () => {
    const { at } = await own.tagVersions!.pin(["{~a}::t"]);
    await own.tagVersions!.renew(["{~b}::t"], "hard");
    expect(await own.tagVersions!.unchangedSince(at, ["{~a}::u"])).not.toEqual([undefined]);
  });
});

describe("scripted steps of the capabilities", () => {
  it("count calls, wait at gates, fail and lose answers", async () => {
    const acquiring = gate();
    own.script("leases.acquire", { after: acquiring });
    const acquired = own.leases!.acquire({ key: "k", token: "t", leaseMs: 100, seen: "" });
    await acquiring.arrived();
    expect(other.store.leaseHolder("k")).toBe("t");
    expect(await outcome(acquired)).toEqual({ status: "pending" });
    acquiring.open();
    expect(await acquired).toEqual({ granted: true, version: "" });

    own.script("leases.store", { loseAnswer: true });
    await expect(own.leases!.store("k", "t", "", entry("t"))).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      maybeExecuted: true,
    });
    expect(own.store.get("k")?.version).toBe("t");

    own.script("tags.renew", { fail: true });
    await expect(own.tagVersions!.renew(["{~a}::t"], "hard")).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      maybeExecuted: false,
    });
    expect(own.store.tagVersion("{~a}::t")).toBe(undefined);
    expect(own.calls.map(({ operation, keys }) => [operation, ...keys])).toEqual([
      ["leases.acquire", "k"],
      ["leases.store", "k"],
      ["tags.renew", "{~a}::t"],
    ]);
  });

  it("refuse a write like a store without memory: the older entry and the lease are gone, and others are notified", async () => {
    const reports = await attach(other);
    const full = new Error("out of memory");
    await own.write("k", entry("v1"));
    await own.leases!.acquire({ key: "k", token: "t", leaseMs: 100, seen: "v1" });
    own.script("*", { refuse: full, times: 3 });
    await expect(own.leases!.store("k", "t", "v1", entry("t"))).rejects.toBe(full);
    expect([own.store.get("k"), own.store.leaseHolder("k")]).toEqual([undefined, undefined]);
    await expect(own.write("k", entry("v1"))).rejects.toBe(full);
    expect(await own.read("k"), "reads go on").toBe(undefined);
    expect(reports).toEqual(["changed k", "changed k", "changed k"]);
  });

  it("are used by no call while it is down, and every call rejects", async () => {
    own.down();
    const leases = own.leases!;
    const tags = own.tagVersions!;
    const calls = [
      leases.acquire({ key: "k", token: "t", leaseMs: 1, seen: "" }),
      leases.renew("k", "t", 1),
      leases.release("k", "t"),
      leases.store("k", "t", "", entry()),
      leases.confirm("k"),
      tags.read(["t"]),
      tags.pin(["t"]),
      tags.unchangedSince("", ["t"]),
      tags.renew(["t"], "soft"),
      (own.coherence as Coherence).attach(recorder()),
    ];
    for (const call of await Promise.allSettled(calls))
      expect(call).toMatchObject({ status: "rejected", reason: { code: "BACKEND_UNAVAILABLE" } });
    expect(own.link.attached).toBe(0);
  });
});

describe("the link of a scripted backend", () => {
  it("reports at once, in the tick of the change, to all attached listeners: own changes too, like scripts in Redis", async () => {
    const [here, there] = [await attach(own), await attach(other)];
    const writing = own.write("k", entry());
    expect([here, there]).toEqual([["changed k"], ["changed k"]]);
    await writing;
    for (const key of ["a", "b"]) await own.remove(key);
    await own.tagVersions!.pin(["{~a}::t", "{~a}::u"]);
    await own.tagVersions!.pin(["{~a}::t"]);
    expect(here).toEqual(["changed k", "changed a", "changed b", "tags {~a}::t {~a}::u"]);
    expect(there).toEqual(here);
  });

  it("leaves out own changes without echoes, and no others", async () => {
    const quiet = own.peer({ echoes: false });
    const reports = await attach(quiet);
    await quiet.write("k", entry());
    await quiet.tagVersions!.renew(["{~a}::t"], "hard");
    expect(reports).toEqual([]);
    await own.write("k", entry());
    quiet.store.delete("k");
    expect(reports).toEqual(["changed k", "changed k"]);
  });

  it("holds back reports, and delivers them in order, one by one or all", async () => {
    const reports = await attach();
    own.link.hold();
    await other.write("a", entry());
    await other.tagVersions!.renew(["{~a}::t"], "hard");
    other.store.clear();
    own.link.alive();
    expect(own.link.held).toEqual([
      { what: "changed", keys: ["a"] },
      { what: "tagsChanged", keys: ["{~a}::t"] },
      { what: "everythingChanged", keys: [] },
      { what: "alive", keys: [] },
    ]);
    clock.advance(100);
    own.link.deliver(1);
    expect(reports).toEqual(["changed a"]);
    own.link.deliver();
    expect(reports).toEqual(["changed a", "tags {~a}::t", "everything", "alive 1000"]);
    await other.write("b", entry());
    expect(reports.at(-1)).toBe("changed b");
  });

  it("answers confirm after the held reports, with the version at the time of the call", async () => {
    const reports = await attach();
    own.link.hold();
    await other.write("k", entry("v1"));
    const confirmed = own.leases!.confirm("k");
    await other.write("k", entry("v2"));
    expect(await outcome(confirmed)).toEqual({ status: "pending" });
    expect(own.link.held.map(({ what }) => what)).toEqual(["changed", "confirm", "changed"]);
    own.link.deliver(2);
    expect(reports).toEqual(["changed k"]);
    expect(await confirmed).toBe("v1");
  });

  it("drops held reports without delivery", async () => {
    const reports = await attach();
    own.link.hold();
    await other.write("k", entry());
    const confirmed = own.leases!.confirm("k");
    own.link.drop();
    own.link.deliver();
    expect(reports).toEqual([]);
    expect(await outcome(confirmed)).toEqual({ status: "pending" });
  });

  it("is lost: it notifies its listeners, drops held reports, and refuses attachments until it is healed", async () => {
    const listener = recorder();
    await (own.coherence as Coherence).attach(listener);
    listener.reports.length = 0;
    own.link.hold();
    await other.write("k", entry());
    const confirmed = own.leases!.confirm("k");
    own.link.lose({ error: new Error("reset") });
    await expect(confirmed).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    await expect((own.coherence as Coherence).attach(listener)).rejects.toThrow("reset");
    await other.write("k", entry());
    clock.advance(1_000);
    expect(listener.reports).toEqual(["lost reset"]);
    expect(await own.read("k"), "calls are answered").toBeDefined();

    own.link.heal();
    await (own.coherence as Coherence).attach(listener);
    await other.write("k", entry());
    expect(listener.reports).toEqual(["lost reset", "alive 2000", "changed k"]);
  });

  it("lets attachments hang until it is healed, on request", async () => {
    own.link.lose({ attach: "hangs" });
    const listener = recorder();
    const attaching = (own.coherence as Coherence).attach(listener);
    expect(await outcome(attaching)).toEqual({ status: "pending" });
    clock.advance(10);
    own.link.heal();
    await attaching;
    expect(listener.reports, "sent when attach was").toEqual(["alive 1000"]);
  });

  it("reports that another server answers, once a listener is attached", async () => {
    const listener = recorder();
    own.link.replaced();
    let isAttached = false;
    await (own.coherence as Coherence)
      .attach({ ...listener, replaced: () => listener.reports.push(`replaced ${isAttached}`) })
      .then(() => (isAttached = true));
    await flush();
    expect(listener.reports).toEqual(["alive 1000", "replaced true"]);
    own.link.replaced();
    expect(listener.reports.at(-1)).toBe("replaced true");
    own.link.everything();
    expect(listener.reports.at(-1)).toBe("everything");
  });

  it("sends signs of life by the clock, four in the time that copies may be stale, and none once it is frozen, down or detached", async () => {
    const slow = own.peer({ maxStalenessMs: 400, reissueWindowMs: 5_000 });
    const coherence = slow.coherence as Coherence;
    expect([coherence.maxStalenessMs, coherence.reissueWindowMs, (own.coherence as Coherence).maxStalenessMs]).toEqual([
      400, 5_000, 2_000,
    ]);
    const listener = recorder();
    const detach = await coherence.attach(listener);
    clock.advance(250);
    expect(listener.reports).toEqual(["alive 1000", "alive 1100", "alive 1200"]);
    const thaw = slow.link.freezeHeartbeat();
    clock.advance(100);
    thaw();
    clock.advance(100);
    slow.down();
    clock.advance(100);
    slow.up();
    slow.link.alive();
    expect(listener.reports.slice(3)).toEqual(["alive 1400", "alive 1550"]);
    await detach();
    clock.advance(1_000);
    expect(listener.reports.length).toBe(5);
    expect(slow.link.attached).toBe(0);
  });

  it("is not attached by an attachment that lost its answer, and ends with its backend", async () => {
    const listener = recorder();
    own.script("attach", { loseAnswer: true });
    await expect((own.coherence as Coherence).attach(listener)).rejects.toMatchObject({ operation: "attach" });
    await flush();
    expect(own.link.attached).toBe(0);
    const reports = await attach();
    await own.close();
    await other.write("k", entry());
    expect(reports).toEqual([]);
    expect(own.link.attached).toBe(0);
  });
});
