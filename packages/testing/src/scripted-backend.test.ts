import { BackendUnavailableError, type StoredEntry } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { found } from "./backend-subject.ts";
import { describeBackend } from "./describe-backend.ts";
import { gate } from "./gate.ts";
import { outcome } from "./outcome.ts";
import { scriptedBackend, type ScriptedBackend } from "./scripted-backend.ts";
import { TestClock } from "./test-clock.ts";

describeBackend("scriptedBackend", {
  open: (clock) => scriptedBackend({ clock }),
  expiry: "clock",
  unreachable() {
    const backend = scriptedBackend({ clock: new TestClock() });
    backend.down();
    return backend;
  },
});

describeBackend("scriptedBackend without capabilities", {
  open: (clock) => scriptedBackend({ clock, markStale: false, batch: false, coherence: "none" }),
  expiry: "clock",
});

describeBackend("scriptedBackend with all capabilities", {
  open: (clock) => scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" }),
  openPeer: (backend) => (backend as ScriptedBackend).peer(),
  cut(backend) {
    (backend as ScriptedBackend).link.lose();
    (backend as ScriptedBackend).link.heal();
  },
  expiry: "clock",
  unreachable() {
    const backend = scriptedBackend({ clock: new TestClock(), leases: true, tagVersions: true, coherence: "reported" });
    backend.down();
    return backend;
  },
});

describeBackend("scriptedBackend without echoes", {
  open: (clock) => scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported", echoes: false }),
  openPeer: (backend) => (backend as ScriptedBackend).peer(),
  expiry: "clock",
});

for (const suite of ["the first suite of one file", "the second suite of one file"]) {
  describeBackend(suite, {
    open(clock) {
      const { currentTestName = "" } = expect.getState();
      if (!currentTestName.includes(suite)) throw new Error(`${suite} opens a backend for ${currentTestName}`);
      return scriptedBackend({ clock });
    },
    expiry: "clock",
  });
}

describeBackend("a backend that refuses what is larger than maxEntryBytes", {
  open(clock) {
    const backend = scriptedBackend({ clock, maxEntryBytes: 10_000 });
    return {
      ...backend,
      async write(key, { data, ...rest }) {
        if (data.byteLength > 10_000) throw new RangeError("larger than maxEntryBytes");
        await backend.write(key, { data, ...rest });
      },
    };
  },
  expiry: "clock",
});

const entry = (...bytes: number[]): StoredEntry => ({
  data: Uint8Array.from(bytes),
  staleInMs: 1_000,
  expiresInMs: 2_000,
  meta: "",
});

describe("scriptedBackend does what the test scripts", () => {
  it("fails the next calls of one operation without touching an entry, then works", async () => {
    const backend = scriptedBackend({ clock: new TestClock() });
    const cause = new RangeError("disk full");
    backend.script("write", { fail: true });
    backend.script("write", { fail: cause, times: 2 });
    await expect(backend.write("k", entry(1))).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      tier: "scripted",
      operation: "write",
      maybeExecuted: false,
    });
    await expect(backend.write("k", entry(1))).rejects.toBe(cause);
    expect(await backend.read("k")).toBe(undefined);
    await expect(backend.write("k", entry(1))).rejects.toBe(cause);
    await backend.write("k", entry(1));
    expect((await backend.read("k"))?.data).toEqual(Uint8Array.of(1));
  });

  it("does the work and loses the answer", async () => {
    const backend = scriptedBackend({ clock: new TestClock() });
    backend.script("write", { loseAnswer: true });
    await expect(backend.write("k", entry(1))).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      maybeExecuted: true,
    });
    expect(backend.store.get("k")?.data).toEqual(Uint8Array.of(1));
  });

  it("hangs before the work until the gate opens, and reads the entry of that moment", async () => {
    const backend = scriptedBackend({ clock: new TestClock() });
    const reading = gate();
    backend.script("read", { before: reading });
    const read = backend.read("k");
    await reading.arrived();
    expect(await outcome(read)).toEqual({ status: "pending" });
    backend.store.set("k", entry(1));
    reading.open();
    expect((await read)?.data).toEqual(Uint8Array.of(1));
  });

  it("answers late with the entry at the time of the call", async () => {
    const backend = scriptedBackend({ clock: new TestClock() });
    const answering = gate();
    backend.store.set("k", entry(1));
    backend.script("read", { after: answering });
    const read = backend.read("k");
    await answering.arrived();
    backend.store.set("k", entry(2));
    answering.open();
    expect((await read)?.data).toEqual(Uint8Array.of(1));
  });

  it("waits on the injected clock", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    backend.script("read", { before: "50ms", times: 2 });
    const read = backend.read("k");
    clock.advance(49);
    expect(await outcome(read)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(read)).toEqual({ status: "fulfilled", value: undefined });
  });

  it("answers with other bytes than it stores, one by one and in a batch", async () => {
    const backend = scriptedBackend({ clock: new TestClock() });
    for (const key of ["a", "b"]) backend.store.set(key, entry(1));
    const answer = (real: StoredEntry | undefined, key: string) =>
      key === "a" && real !== undefined ? { ...real, data: Uint8Array.of(0xff) } : real;
    backend.script("*", { answer, times: 2 });
    expect((await backend.read("a"))?.data).toEqual(Uint8Array.of(0xff));
    expect((await backend.batch!.read(["a", "b", "c"])).map((read) => found(read)?.data[0])).toEqual([
      0xff,
      1,
      undefined,
    ]);
    expect(backend.store.get("a")?.data).toEqual(Uint8Array.of(1));
  });

  it("keeps a step for its key, and lets it be removed", async () => {
    const backend = scriptedBackend({ clock: new TestClock() });
    const takeBack = backend.script("read", { fail: true, key: "b", times: Infinity });
    expect(await backend.read("a")).toBe(undefined);
    await expect(backend.read("b")).rejects.toBeInstanceOf(BackendUnavailableError);
    await expect(backend.read("b")).rejects.toBeInstanceOf(BackendUnavailableError);
    takeBack();
    expect(await backend.read("b")).toBe(undefined);
  });

  it("is down until it is up again", async () => {
    const backend = scriptedBackend({ clock: new TestClock() });
    backend.down();
    await expect(backend.read("k")).rejects.toBeInstanceOf(BackendUnavailableError);
    await expect(backend.batch!.read(["k"])).rejects.toBeInstanceOf(BackendUnavailableError);
    const refused = new BackendUnavailableError("refused", { retryable: false });
    backend.down(refused);
    await expect(backend.connect!()).rejects.toBe(refused);
    backend.up();
    expect(await backend.read("k")).toBe(undefined);
  });

  it("closes while it is down, and rejects later calls", async () => {
    const backend = scriptedBackend({ clock: new TestClock() });
    backend.down();
    await backend.close();
    expect(backend.isClosed).toBe(true);
    backend.up();
    await expect(backend.read("k")).rejects.toBeInstanceOf(BackendUnavailableError);
  });

  it("counts every call with its keys, failed ones included, but no access of the test itself", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    backend.script("read", { fail: true });
    await backend.read("a").catch(() => undefined);
    clock.advance(5);
    await backend.batch!.read(["b", "a"]);
    await backend.remove("b");
    backend.store.set("c", entry());
    backend.store.get("c");
    expect(backend.calls).toEqual([
      { operation: "read", keys: ["a"], at: clock.now() - 5 },
      { operation: "batch.read", keys: ["b", "a"], at: clock.now() },
      { operation: "remove", keys: ["b"], at: clock.now() },
    ]);
    expect([
      backend.count(),
      backend.count("read"),
      backend.count("batch.read", "a"),
      backend.count(undefined, "b"),
      backend.count("write"),
    ]).toEqual([3, 1, 1, 2, 0]);
    backend.forgetCalls();
    expect(backend.count()).toBe(0);
  });

  it("lets the test inspect its entries, and act as another process", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    await backend.write("a", entry(1));
    backend.store.set("b", { ...entry(2), expiresInMs: 10 });
    expect(backend.store.keys()).toEqual(["a", "b"]);
    clock.advance(10);
    expect(backend.store.keys()).toEqual(["a"]);
    expect(backend.store.get("a")).toEqual({ ...entry(1), staleInMs: 990, expiresInMs: 1_990 });
    expect(backend.store.delete("a")).toBe(true);
    expect(backend.store.delete("a")).toBe(false);
    expect(await backend.read("a")).toBe(undefined);
    backend.store.set("c", entry(3));
    backend.store.clear();
    expect(backend.store.keys()).toEqual([]);
  });

  it("has the requested capabilities", () => {
    const clock = new TestClock();
    const all = scriptedBackend({ clock });
    expect(["markStale" in all, "batch" in all, all.coherence, all.label]).toEqual([
      true,
      true,
      "sole-writer",
      "scripted",
    ]);
    const few = scriptedBackend({ clock, markStale: false, batch: false, coherence: "none", label: "few" });
    expect(["markStale" in few, "batch" in few, "coherence" in few, few.label]).toEqual([false, false, false, "few"]);
  });
});
