/** Answers that belong to one caller: `ctx.notShared`, and what others do while such an answer is loaded. */
import { AsyncLocalStorage } from "node:async_hooks";
import { createTestCache, flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { notYetInStep, type ProcessOptions, type Processes, type SimulatedProcess } from "../support/processes.ts";
import { never, open, STACKS } from "../support/stacks.ts";

type Two = [SimulatedProcess, SimulatedProcess];
type Three = [...Two, SimulatedProcess];

const K = "test::k";

/** As `inStep`, of any number of processes. */
async function inStep(options: ProcessOptions = {}, times = 2): Promise<Processes<SimulatedProcess[]>> {
  const processes = notYetInStep(options, times);
  for (const { cache } of processes.all) await cache.connect();
  return processes;
}

/** Loads that wait side by side, each with the answer of its caller. */
function pages(): {
  readonly load: (user: string) => (ctx: { notShared<V>(value: V): V }) => Promise<string>;
  readonly begun: string[];
  readonly gates: Map<string, ReturnType<typeof gate<void>>>;
} {
  const begun: string[] = [];
  const gates = new Map<string, ReturnType<typeof gate<void>>>();
  const load = (user: string) => async (ctx: { notShared<V>(value: V): V }) => {
    begun.push(user);
    const own = gate();
    gates.set(user, own);
    await own.pass();
    return ctx.notShared(`page of ${user}`);
  };
  return { load, begun, gates };
}

describe.each(STACKS)("over %s an answer that is not shared", (stack) => {
  it("reaches the caller whose load it was; each that joined loads for itself, side by side", async () => {
    const { cache, stored } = open(stack);
    const { load, begun, gates } = pages();
    const results: string[] = [];
    cache.on("load", ({ result }) => results.push(result));
    const served: boolean[] = [];
    const onServed = ({ coalesced }: { readonly coalesced: boolean }): void => void served.push(coalesced);
    const users = ["ada", "bob", "cem", "dan"];
    const answers = users.map((user) => cache.getOrSet("k", load(user), { onServed }));
    await flush();
    expect(begun).toEqual(["ada"]);
    gates.get("ada")!.open();
    expect(await answers[0]).toBe("page of ada");
    await flush();
    // All at one time: none waits for another.
    expect(begun).toEqual(users);
    for (const user of ["dan", "cem", "bob"]) gates.get(user)!.open();
    expect(await Promise.all(answers)).toEqual(users.map((user) => `page of ${user}`));
    expect([results, served]).toEqual([Array(4).fill("not-shared"), Array(4).fill(false)]);
    expect([await cache.get("k"), await cache.has("k"), await cache.inspect("k"), stored()]).toEqual([
      undefined,
      false,
      undefined,
      [],
    ]);
  });

  it("ends sharing for 10 s, then it is tried again", async () => {
    const { cache, clock } = open(stack);
    await cache.getOrSet("k", ({ notShared }) => notShared("ada"));
    clock.advance(9_999);
    const alone = pages();
    const two = ["ada", "bob"].map((user) => cache.getOrSet("k", alone.load(user)));
    await flush();
    expect(alone.begun).toEqual(["ada", "bob"]);
    for (const each of alone.gates.values()) each.open();
    await Promise.all(two);
    clock.advance(10_000);
    const again = pages();
    void ["ada", "bob"].map((user) => cache.getOrSet("k", again.load(user)));
    await flush();
    expect(again.begun).toEqual(["ada"]);
  });

  it.for([
    ["set", (cache) => cache.set("k", "shared", { ttl: "1s" })],
    ["delete", (cache) => cache.delete("k")],
    ["a tag call", (cache) => cache.invalidateTags("pages")],
    ["clear", (cache) => cache.clear()],
  ] as readonly (readonly [string, (cache: ReturnType<typeof open>["cache"]) => Promise<unknown>])[])(
    "is forgotten by %s: then callers share a load again",
    async ([, change]) => {
      const { cache, clock } = open(stack);
      await cache.getOrSet("k", ({ notShared }) => notShared("ada"), { tags: ["pages"] });
      await change(cache);
      clock.advance(1_000);
      const { load, begun } = pages();
      void ["ada", "bob"].map((user) => cache.getOrSet("k", load(user)));
      await flush();
      expect(begun).toEqual(["ada"]);
    },
  );

  it("leaves a value that may still be served, in both tiers; a value for all is stored again", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleIfError: "1m" });
    await cache.set("k", "old");
    clock.advance(100);
    expect(await cache.getOrSet("k", ({ notShared }) => notShared("ada"))).toBe("ada");
    expect(await cache.get("k", { allowStale: true })).toBe("old");
    expect(await cache.getOrSet("k", () => "for all")).toBe("for all");
    expect(await cache.get("k")).toBe("for all");
  });

  it("is loaded in the async context of its own caller, within maxLoads, and not from inside its own load", async () => {
    const { cache } = open(stack, { maxLoads: 2 });
    const user = new AsyncLocalStorage<string>();
    const seen: string[] = [];
    let running = 0;
    let most = 0;
    const begin = gate();
    const page = (name: string): Promise<string> =>
      user.run(name, () =>
        cache.getOrSet("k", async ({ notShared }) => {
          running += 1;
          most = Math.max(most, running);
          seen.push(`${name}:${user.getStore() ?? ""}`);
          await begin.pass();
          running -= 1;
          await expect(cache.getOrSet("k", never)).rejects.toMatchObject({ code: "REENTRANT_LOAD" });
          return notShared(name);
        }),
      );
    const answers = ["ada", "bob", "cem", "dan"].map(page);
    begin.open();
    expect(await Promise.all(answers)).toEqual(["ada", "bob", "cem", "dan"]);
    expect(seen.toSorted()).toEqual(["ada:ada", "bob:bob", "cem:cem", "dan:dan"]);
    expect(most).toBeLessThanOrEqual(2);
  });

  it("is never given to a caller whose time is over meanwhile, nor to one that joins while it is stored", async () => {
    const { cache, clock } = open(stack);
    const { load, gates } = pages();
    const first = cache.getOrSet("k", load("ada"));
    const second = cache.getOrSet("k", load("bob"), { hardTimeout: 50 }).catch((error: Error) => error.name);
    await flush();
    clock.advance(49);
    gates.get("ada")!.open();
    expect(await first).toBe("page of ada");
    await flush();
    clock.advance(1);
    expect(await second).toBe("LoadTimeoutError");
    const third = cache.getOrSet("k", load("cem"));
    await flush();
    gates.get("cem")!.open();
    expect(await third).toBe("page of cem");
  });

  it("is not given to items of a batch that joined it: they are loaded by the batch", async () => {
    const { cache } = open(stack);
    const { load, gates } = pages();
    const first = cache.getOrSet("k", load("ada"));
    await flush();
    const asked: (readonly string[])[] = [];
    const many = cache.getOrSetMany(["k", "l"], String, (missing) => {
      asked.push(missing);
      return missing.map((key) => [key, `batch ${key}`] as const);
    });
    await flush();
    gates.get("ada")!.open();
    expect(await first).toBe("page of ada");
    expect(await many).toEqual(
      new Map([
        ["k", "batch k"],
        ["l", "batch l"],
      ]),
    );
    expect(asked.flat().toSorted()).toEqual(["k", "l"]);
  });
});

describe("between processes", () => {
  it("an answer that is not shared leaves a marker: callers elsewhere load side by side, without the lease", async () => {
    const { all, store } = await inStep({}, 8);
    const { load, begun, gates } = pages();
    // Two in each process.
    const users = [...all, ...all].map((_, i) => `user ${i}`);
    const answers = users.map((user, i) => all[i % 8]!.cache.getOrSet("k", load(user)));
    await flush();
    expect(begun).toHaveLength(1);
    gates.get(begun[0]!)!.open();
    await flush();
    expect(begun.toSorted()).toEqual(users.toSorted());
    for (const each of gates.values()) each.open();
    expect(await Promise.all(answers)).toEqual(users.map((user) => `page of ${user}`));
    expect(store.leaseHolder(K)).toBe(undefined);
    const [p1, p2] = all as Two;
    for (const { cache } of [p1, p2])
      expect([
        await cache.get("k", { allowStale: true }),
        await cache.getMany(["k"]),
        cache.peek("k"),
        await cache.has("k"),
        await cache.inspect("k"),
        await cache.touch("k"),
      ]).toEqual([undefined, new Map(), undefined, false, undefined, { status: "missing" }]);
    expect(store.keys().filter((key) => !key.startsWith("{~"))).toEqual([K]);
    expect([(await p1.cache.markStale("k")).status, (await p2.cache.delete("k")).status]).toEqual(["stale", "missing"]);
  });

  it.for(["noStore", "notShared"] as const)(
    "after %s the next value for all is stored under the lease, for every process",
    async (how) => {
      const [p1, p2] = (await inStep()).all as Two;
      await p1.cache.getOrSet("k", (ctx) => ctx[how]("ada"));
      expect(await p2.cache.getOrSet("k", () => "for all")).toBe("for all");
      expect(await p1.cache.getOrSet("k", never)).toBe("for all");
      expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual(["for all", "for all"]);
    },
  );

  it.for(["delete", "invalidateTags", "set"] as const)(
    "a value that was loaded under a marker is not stored over a later %s",
    async (change) => {
      const [p1, p2, p3] = (await inStep({}, 3)).all as Three;
      await p1.cache.getOrSet("k", ({ notShared }) => notShared("ada"), { tags: ["pages"] });
      const loading = gate<string>();
      const old = p2.cache.getOrSet("k", () => loading.pass(), { tags: ["pages"] });
      await loading.arrived();
      if (change === "set") await p3.cache.set("k", "new");
      else if (change === "delete") await p3.cache.delete("k");
      else await p3.cache.invalidateTags("pages");
      loading.open("old");
      expect(await old).toBe("old");
      const next = change === "set" ? "new" : "loaded";
      for (const { cache } of [p1, p2, p3]) expect(await cache.getOrSet("k", () => "loaded")).toBe(next);
    },
  );

  it("a key is loaded by one process once a marker ended, was removed, or one of its tags was invalidated", async () => {
    for (const end of ["time", "delete", "tag", "set"] as const) {
      const { all, clock } = await inStep({}, 3);
      const [p1, p2, p3] = all as Three;
      await p1.cache.getOrSet("k", ({ notShared }) => notShared("ada"), { tags: ["pages"] });
      if (end === "time") clock.advance(10_001);
      else if (end === "delete") await p1.cache.delete("k");
      else if (end === "tag") await p1.cache.invalidateTags("pages");
      else {
        await p1.cache.set("k", 1, { ttl: 1 });
        clock.advance(2);
      }
      const { load, begun } = pages();
      void p2.cache.getOrSet("k", load("bob"));
      void p3.cache.getOrSet("k", load("cem"));
      await flush();
      expect([end, begun]).toEqual([end, ["bob"]]);
    }
  });

  it("after noStore callers of one process share a load, those of others do not wait for it", async () => {
    const { all } = await inStep({}, 3);
    const loads: ReturnType<typeof gate<string>>[] = [];
    const load = async ({ noStore }: { noStore<V>(value: V): V }): Promise<string> => {
      const own = gate<string>();
      loads.push(own);
      return noStore(await own.pass());
    };
    const answers = all.flatMap(({ cache }) => [cache.getOrSet("k", load), cache.getOrSet("k", load)]);
    await flush();
    expect(loads).toHaveLength(1);
    loads[0]!.open("first");
    await flush();
    expect(loads).toHaveLength(3);
    for (const each of loads) each.open("next");
    expect((await Promise.all(answers)).toSorted()).toEqual(["first", "first", "next", "next", "next", "next"]);
  });
});

it("explain names what is not shared", async () => {
  const cache = createTestCache({ explain: 100 });
  await cache.getOrSet("k", ({ notShared }) => notShared("ada"));
  await cache.getOrSet("k", ({ notShared }) => notShared("bob"));
  const notes = cache.explain("k").map(({ what, why }) => `${what}: ${why}`);
  expect(notes.filter((note) => note === "store: not-shared")).toHaveLength(2);
  expect(notes.filter((note) => /^lease: none: .*not shared/.test(note))).toHaveLength(1);
});
