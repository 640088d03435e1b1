import { type Backend, type StoredEntry, BackendUnavailableError } from "@hotset/core";
import { createTestCache, flush, gate, TestClock } from "@hotset/testing";
import { describeBackend } from "@hotset/testing/contract-suites";
import { expect, it } from "vitest";
import { fromSwap } from "./from-swap.ts";
import type { SwapRecord, SwapStore } from "./swap-store.ts";

const open = (store: MemorySwapStore, clock: TestClock): Backend => fromSwap(store, { label: "swap", clock });

describeContract("fromSwap", () => undefined);

describeContract("fromSwap, where a third of the swaps is overtaken by a change that changes nothing", (store) => {
  let state = 1;
  store.before = (call, name) => {
    if (call === "swap" && (state = (state * 48_271) % 0x7fffffff) % 3 === 0) store.rewrite(name);
  };
});

describeContract("fromSwap over a store whose versions are hashes of the bytes", (store) => {
  store.hashes = true;
});

describeContract("fromSwap with a log", () => undefined, "log");

function describeContract(name: string, prepare: (store: MemorySwapStore) => void, log?: "log"): void {
  let store: MemorySwapStore;
  const open = (of: MemorySwapStore, clock: TestClock): Backend =>
    fromSwap(of, { label: "swap", clock, log: log !== undefined });
  describeBackend(name, {
    open(clock) {
      store = new MemorySwapStore(clock);
      prepare(store);
      return open(store, clock);
    },
    openPeer: (_, clock) => open(store, clock),
    promises: ["one load", "deletes hold", "tags hold", ...(log === undefined ? [] : (["copies follow"] as const))],
    expiry: "clock",
    ...(log !== undefined && {
      cut() {
        store.before = () => {
          store.before = () => undefined;
          throw new BackendUnavailableError("cut", { tier: "swap", operation: "get" });
        };
      },
    }),
    unreachable() {
      const cut = new MemorySwapStore(new TestClock());
      cut.before = () => {
        throw new BackendUnavailableError("cut", { tier: "swap", operation: "any" });
      };
      return open(cut, new TestClock());
    },
  });
}

it("a step over a store that answers immediately and refuses every swap ends, though no timer runs meanwhile", async () => {
  let [nowMs, swaps] = [0, 0];
  const busy = { now: () => (nowMs += 1), schedule: () => () => undefined };
  const store = new MemorySwapStore(new TestClock());
  store.swap = () => {
    swaps += 1;
    return swaps > 10_000 ? Promise.reject(new Error("without an end")) : Promise.resolve(undefined);
  };
  const backend = fromSwap(store, { label: "swap", clock: busy, deadlineMs: 500 });
  await expect(backend.write("k", entry("1"))).rejects.toThrow("swap: write was not done within 500 ms");
  await expect(backend.write("k", entry("1"))).rejects.toBeInstanceOf(BackendUnavailableError);
});

const entry = (version: string, text = version): StoredEntry => ({
  data: Buffer.from(text),
  staleInMs: 60_000,
  expiresInMs: 90_000,
  meta: "",
  version,
});

const opened = (): { clock: TestClock; store: MemorySwapStore; a: Backend; b: Backend } => {
  const clock = new TestClock();
  const store = new MemorySwapStore(clock);
  return { clock, store, a: open(store, clock), b: open(store, clock) };
};

const textOf = async (backend: Backend): Promise<string | undefined> => {
  const found = await backend.read("k");
  return found && Buffer.from(found.data).toString();
};

it("decides a step again that another one has overtaken between its read and its swap", async () => {
  const { store, a, b } = opened();
  const leases = a.leases!;
  const overtakenBy = (change: () => Promise<unknown>): void => store.once("swap", change);

  overtakenBy(() => b.leases!.acquire({ key: "k", token: "theirs", leaseMs: 60_000, seen: "" }));
  expect(await leases.acquire({ key: "k", token: "own", leaseMs: 60_000, seen: "" })).toEqual({
    granted: false,
    heldForMs: 60_000,
  });

  await leases.acquire({ key: "k", token: "own", leaseMs: 60_000, seen: "*" });
  overtakenBy(() => b.remove("k"));
  expect(await leases.store("k", "own", "", entry("v1")), "a store by a removal").toBe(false);
  expect(await a.read("k")).toBe(undefined);

  await leases.acquire({ key: "k", token: "own", leaseMs: 60_000, seen: "" });
  overtakenBy(() => b.leases!.acquire({ key: "k", token: "theirs", leaseMs: 60_000, seen: "*" }));
  expect(await leases.renew("k", "own", 60_000), "a renewal by another holder").toBe(false);
  expect(await b.leases!.store("k", "theirs", "", entry("v2"))).toBe(true);

  overtakenBy(() => b.write("k", entry("v3")));
  expect(await leases.touch("k", "v2", { staleInMs: 1, expiresInMs: 2, meta: "" }), "a touch by a write").toBe(false);
  expect((await a.read("k"))?.version).toBe("v3");

  overtakenBy(() => b.write("k", entry("v4")));
  expect(await a.markStale!("k")).toBe("stale");
  expect(await textOf(a), "the newer one is stale").toBe("v4");

  store.once("delete", () => b.write("k", entry("v5")));
  expect(await a.remove("k"), "a removal by a write").toBe("deleted");
  expect(await a.read("k")).toBe(undefined);
});

it("a lease that ends later than any that is given now is over: the clock was set back since", async () => {
  const { store, a } = opened();
  const ahead = new TestClock();
  const key = (token: string) => a.leases!.acquire({ key: "k", token, leaseMs: 2_000, seen: "" });
  for (const [by, isOver] of [
    [1_000, false],
    [3_600_000, true],
  ] as const) {
    ahead.advance(by);
    await open(store, ahead).leases!.acquire({ key: "k", token: `dead${by}`, leaseMs: 2_000, seen: "*" });
    expect((await key("own")).granted, `a clock ahead by ${by} ms`).toBe(isOver);
  }
});

it("loads once for two processes, and stores nothing that a delete has overtaken", async () => {
  const { clock, a, b } = opened();
  await using here = createTestCache({ clock, backend: a, ttl: "1h", localTtl: "1m" });
  await using there = createTestCache({ clock, backend: b, ttl: "1h", localTtl: "1m" });
  const loading = gate<string>();
  const first = here.getOrSet("user", () => loading.pass(), { tags: ["users"] });
  await loading.arrived();
  const second = there.getOrSet("user", () => "loaded twice", { tags: ["users"] });
  await flush();
  loading.open("Ada");
  expect(await first).toBe("Ada");
  await flush();
  clock.advance(2_000);
  expect(await second).toBe("Ada");

  const old = gate<string>();
  await here.delete("user");
  const overtaken = here.getOrSet("user", () => old.pass(), { tags: ["users"] });
  await old.arrived();
  await there.delete("user");
  old.open("old");
  expect(await overtaken).toBe("old");
  expect(await there.get("user"), "the store has nothing of it").toBe(undefined);
  expect(await there.getOrSet("user", () => "new", { tags: ["users"] })).toBe("new");

  await here.invalidateTags("users");
  clock.advance(60_000);
  expect(await there.get("user")).toBe(undefined);
});

it("refuses a write that comes late, also when what has changed since is gone again", async () => {
  const { store, a, b } = opened();
  const write = store.hold("swap", 2);
  const late = a.write("k", entry("late"));
  await write.arrived();
  // Its caller has given it up, and removes the key.
  expect(await b.remove("k")).toBe("missing");
  const cut = (): Promise<never> =>
    Promise.reject(new BackendUnavailableError("cut", { tier: "swap", operation: "get" }));
  store.once("get", cut);
  write.open();
  await expect(late, "it is not decided again").rejects.toThrow("cut");
  expect(await a.read("k")).toBe(undefined);

  await b.remove("k");
  await a.write("k", entry("first"));
  const over = store.hold("swap", 1);
  const again = a.write("k", entry("late"));
  await over.arrived();
  await b.remove("k");
  await b.write("k", entry("newer"));
  store.once("get", cut);
  over.open();
  await expect(again).rejects.toThrow("cut");
  expect(await textOf(b)).toBe("newer");
});

it("sets nothing any more once its caller has given it up", async () => {
  const { clock, store, a, b } = opened();
  const read = store.hold("get", 1);
  const late = a.write("k", entry("late"));
  late.catch(() => undefined);
  await read.arrived();
  clock.advance(1_000);
  await b.remove("k");
  read.open();
  await expect(late).rejects.toThrow(
    "swap: write was not done within 1000 ms; is the store slow, or does it refuse every swap?",
  );
  expect(await b.read("k")).toBe(undefined);

  // A store that refuses everything is not asked for ever.
  store.before = async (call, name) => {
    if (call === "swap") store.rewrite(name);
    await Promise.resolve();
    clock.advance(100);
  };
  await expect(a.write("k", entry("late"))).rejects.toThrow(BackendUnavailableError);
});

it("a store may answer that it refused what it has executed", async () => {
  const { store, a } = opened();
  const leases = a.leases!;
  store.lies = 1;
  expect(await leases.acquire({ key: "k", token: "own", leaseMs: 60_000, seen: "" })).toEqual({
    granted: true,
    version: "",
  });
  store.lies = 1;
  expect(await leases.renew("k", "own", 60_000)).toBe(true);
  store.lies = 1;
  expect(await leases.store("k", "own", "", entry("v1"))).toBe(true);
  store.lies = 1;
  expect(await leases.touch("k", "v1", { staleInMs: 1_000, expiresInMs: 2_000, meta: "m" })).toBe(true);
  store.lies = 1;
  expect(await a.markStale!("k")).toBe("stale");
  store.lies = 1;
  await a.write("k", entry("v2"));
  expect(await textOf(a)).toBe("v2");
  store.lies = 1;
  expect(await a.remove("k"), "it cannot know better").toBe("missing");
  expect(await a.read("k")).toBe(undefined);
});

it("no two records are equal, so that a hash of them is a version", async () => {
  const { store, a } = opened();
  const seen = new Set<string>();
  let sets = 0;
  store.before = (call, _, bytes) => {
    if (call !== "swap") return;
    sets += 1;
    seen.add(Buffer.from(bytes!).toString("hex"));
  };
  for (let round = 0; round < 10; round += 1) {
    await a.write("k", entry("same"));
    await a.leases!.acquire({ key: "k", token: "own", leaseMs: 60_000, seen: "*" });
    await a.remove("k");
  }
  expect(sets).toBe(30);
  expect(seen.size).toBe(30);
});

it("a tag that a loader adds late is unknown if it was renewed meanwhile, in any order of the steps", async () => {
  const tag = "{~shop}:users::ada";
  for (const mode of ["hard", "soft"] as const)
    for (const held of [1, 2]) {
      const { store, a, b } = opened();
      await a.tagVersions!.pin([tag]);
      const { at } = await a.tagVersions!.pin(["{~shop}:users::"]);
      // The renewal stands still before it changes the issuer, or else the tag.
      const renewing = store.hold("swap", held);
      const renewal = b.tagVersions!.renew([tag], mode);
      await renewing.arrived();
      const [late] = await a.tagVersions!.unchangedSince(at, [tag]);
      renewing.open();
      await renewal;
      const [now] = await a.tagVersions!.read([tag]);
      expect(late, `${mode}, before swap ${held}`).not.toEqual(now);
      // The other half of a tag stays.
      if (held === 1) expect(late?.hard === now!.hard).toBe(mode === "soft");
      else expect(late).toBe(undefined);
    }
});

it("a late tag is read before the issuer, so that a renewal between both is seen", async () => {
  const tag = "{~shop}:users::ada";
  const { store, a, b } = opened();
  const { at } = await a.tagVersions!.pin(["{~shop}:users::", tag]);
  const second = store.hold("get", 2);
  const late = a.tagVersions!.unchangedSince(at, [tag]);
  await second.arrived();
  await b.tagVersions!.renew([tag], "hard");
  second.open();
  expect(await late).toEqual([undefined]);
});

it("a renewal of one half loses no renewal of the other one", async () => {
  const tag = "{~shop}:users::ada";
  const { store, a, b } = opened();
  const [before] = (await a.tagVersions!.pin([tag])).versions;
  const soft = store.hold("swap", 2);
  const renewal = a.tagVersions!.renew([tag], "soft");
  await soft.arrived();
  await b.tagVersions!.renew([tag], "hard");
  const [hard] = await b.tagVersions!.read([tag]);
  soft.open();
  await renewal;
  const [after] = await b.tagVersions!.read([tag]);
  expect(hard!.hard).not.toBe(before!.hard);
  expect(after!.hard).toBe(hard!.hard);
  expect(after!.soft).not.toBe(hard!.soft);
});

it("prolongs the life of a version that is used, and issues a lost one again", async () => {
  const tag = "{~shop}:users::ada";
  const { clock, store, a } = opened();
  const { at, versions } = await a.tagVersions!.pin([tag]);
  for (let week = 0; week < 9; week += 1) {
    clock.advance(7 * 86_400_000);
    expect(await a.tagVersions!.pin([tag])).toEqual({ at, versions });
  }
  clock.advance(31 * 86_400_000);
  expect(await a.tagVersions!.read([tag])).toEqual([undefined]);
  const next = await a.tagVersions!.pin([tag]);
  expect([at, versions[0]!.hard]).not.toContain(next.versions[0]!.hard);
  expect(next.at).not.toBe(at);
  expect(store.size).toBe(2);
});

it("a write that the store refuses leaves neither the entry before it nor its lease", async () => {
  const { store, a, b } = opened();
  const refuse = (): void => store.once("swap", () => Promise.reject(new Error("too large")));
  await a.write("k", entry("v1"));
  refuse();
  await expect(a.write("k", entry("v2"))).rejects.toThrow("too large");
  expect(await b.read("k")).toBe(undefined);

  await a.leases!.acquire({ key: "k", token: "own", leaseMs: 60_000, seen: "" });
  refuse();
  await expect(a.leases!.store("k", "own", "", entry("v3"))).rejects.toThrow("too large");
  expect(await b.leases!.acquire({ key: "k", token: "theirs", leaseMs: 60_000, seen: "" })).toEqual({
    granted: true,
    version: "",
  });
});

it("a record that it did not write holds nothing, and is replaced", async () => {
  const { store, a } = opened();
  await a.write("k", entry("v1"));
  const damaged = `HS\u0003${"x".repeat(16)}${"\0".repeat(9)}no packed entry`;
  for (const bytes of ["", "HS", "something else entirely, of another program", damaged]) {
    store.overwriteAll(Buffer.from(bytes));
    expect(await a.read("k"), bytes).toBe(undefined);
    expect(await a.leases!.acquire({ key: "k", token: "own", leaseMs: 60_000, seen: "" }), bytes).toEqual({
      granted: true,
      version: "",
    });
    store.overwriteAll(Buffer.from(bytes));
    expect(await a.remove("k")).toBe("missing");
    await a.write("k", entry("v2"));
    expect(await textOf(a)).toBe("v2");
  }
  const tag = "{~shop}:users::ada";
  await a.tagVersions!.pin([tag]);
  store.overwriteAll(Buffer.from("HS of another program, with more words"));
  expect(await a.tagVersions!.read([tag])).toEqual([undefined]);
  const { versions } = await a.tagVersions!.pin([tag]);
  expect(await a.tagVersions!.read([tag])).toEqual(versions);
});

it("takes entries up to the longest record of the store, and says how long a record lives", async () => {
  const clock = new TestClock();
  const store = new MemorySwapStore(clock);
  const lives: number[] = [];
  store.before = (call, _, bytes, ttlMs) => {
    if (call === "swap") lives.push(ttlMs!);
    if ((bytes?.length ?? 0) > 100_000) throw new Error("too large");
  };
  const backend = fromSwap(store, { label: "small", maxRecordBytes: 100_000, clock });
  const data = new Uint8Array(backend.maxEntryBytes!);
  expect(data.length).toBe(100_000 - 5 * 1_024);
  const token = "t".repeat(36);
  const version = "v".repeat(32);
  await backend.leases!.acquire({ key: "k", token, leaseMs: 2_000, seen: "" });
  const written = { data, staleInMs: 10, expiresInMs: 5_000, meta: "\u{1f98a}".repeat(1_024), version };
  expect(await backend.leases!.store("k", token, "", written)).toBe(true);
  await backend.leases!.acquire({ key: "k", token, leaseMs: 60_000, seen: version });
  expect(Buffer.from((await backend.read("k"))!.data).equals(data)).toBe(true);
  expect(lives, "of the lease, the entry, and the longer of both").toEqual([2_000, 5_000, 60_000]);
});

type Call = "get" | "swap" | "delete";

/** A store with compare-and-set, in which a test can bring any call between two others. */
class MemorySwapStore implements SwapStore<string> {
  /** Called before each call. */
  before: (call: Call, name: string, bytes?: Uint8Array, ttlMs?: number) => unknown = () => undefined;
  /** Versions are the bytes, in place of numbers. */
  hashes = false;
  /** How many swaps and deletes are executed, and answered as refused. */
  lies = 0;
  readonly #clock: TestClock;
  readonly #records = new Map<string, SwapRecord<string> & { readonly endsAt: number }>();
  #n = 0;

  constructor(clock: TestClock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#records.size;
  }

  /** Before the next such call. */
  once(which: Call, change: () => Promise<unknown>): void {
    this.before = (call) => {
      if (call !== which) return;
      this.before = () => undefined;
      return change();
    };
  }

  /** The `nth` such call from now on arrives, and waits. */
  hold(which: Call, nth: number): { arrived(): Promise<void>; open(): void } {
    const held = gate<void>();
    let n = 0;
    this.before = (call) => (call === which && (n += 1) === nth ? held.pass() : undefined);
    return { arrived: () => held.arrived(), open: () => held.open() };
  }

  rewrite(name: string): void {
    const record = this.#records.get(name);
    if (record !== undefined) this.#records.set(name, { ...record, version: this.#versionOf(record.bytes) });
  }

  overwriteAll(bytes: Uint8Array): void {
    for (const name of this.#records.keys())
      this.#records.set(name, { bytes, version: this.#versionOf(bytes), endsAt: Infinity });
  }

  async get(name: string): Promise<SwapRecord<string> | undefined> {
    await this.before("get", name);
    return this.#there(name);
  }

  async swap(
    name: string,
    bytes: Uint8Array,
    expected: string | undefined,
    ttlMs: number,
  ): Promise<string | undefined> {
    await this.before("swap", name, bytes, ttlMs);
    if (!/^[\w-]{44}$/u.test(name) || !(ttlMs > 0)) throw new Error(`${name}: ${ttlMs}`);
    if (this.#there(name)?.version !== expected) return undefined;
    const version = this.#versionOf(bytes);
    this.#records.set(name, { bytes: bytes.slice(), version, endsAt: this.#clock.now() + ttlMs });
    return this.#isLie() ? undefined : version;
  }

  async delete(name: string, expected: string): Promise<boolean> {
    await this.before("delete", name);
    if (this.#there(name)?.version !== expected) return false;
    this.#records.delete(name);
    return !this.#isLie();
  }

  async close(): Promise<void> {}

  #there(name: string): (SwapRecord<string> & { readonly endsAt: number }) | undefined {
    const record = this.#records.get(name);
    if (record !== undefined && record.endsAt > this.#clock.now()) return record;
    this.#records.delete(name);
    return undefined;
  }

  #versionOf(bytes: Uint8Array): string {
    return this.hashes ? Buffer.from(bytes).toString("base64") : `${(this.#n += 1)}`;
  }

  #isLie(): boolean {
    return this.lies > 0 && (this.lies -= 1) >= 0;
  }
}
