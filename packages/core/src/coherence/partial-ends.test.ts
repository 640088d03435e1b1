import { createCache, type Backend, type Cache, type CoherenceListener } from "@hotset/core";
import { inspect } from "@hotset/core/inspect";
import { flush, gate, type Gate, mapTier, scriptedBackend, TestClock } from "@hotset/testing";
import { afterEach, beforeEach, expect, it } from "vitest";

/** Keys whose changes may have been missed: those of a slot of a cluster that another node serves now. */
const moves = (key: string): boolean => key.endsWith("moved");

let clock: TestClock;
let listener: CoherenceListener;
let here: Cache;
/** While it is closed no lease is granted. */
let leases: Gate;
let reads: number;

beforeEach(async () => {
  clock = new TestClock();
  leases = gate();
  leases.open();
  const attach = (to: CoherenceListener): Promise<() => Promise<void>> => {
    listener = to;
    to.alive(to.now(), "a");
    return Promise.resolve(() => Promise.resolve());
  };
  const stored = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: { attach } });
  const of: Backend = {
    ...stored,
    parts: { names: () => ["a"], of: () => "a" },
    leases: {
      ...stored.leases!,
      acquire: async (request) => {
        await leases.pass();
        return stored.leases!.acquire(request);
      },
    },
    read: (...given) => {
      reads += 1;
      return stored.read(...given);
    },
  };
  here = createCache({ name: "shop", clock }).tier(mapTier()).tier(of).build();
  await here.get("any");
  await flush();
  reads = 0;
});
afterEach(() => here.close());

it("a value that was made before a change that was missed is not served, and its fence is not current", async () => {
  const fence = await here.fence("moved");
  const other = await here.fence("stays");
  listener.everythingChanged("a", moves);
  expect([fence, other]).toMatchObject([{ isUnchanged: false }, { isUnchanged: true }]);
  leases = gate();
  const setting = here.set("moved", "made before", { since: fence, wait: "memory" });
  await flush();
  expect(here.peek("moved")).toBe(undefined);
  leases.open();
  await setting;
});

it("callers join the load of a key that is not concerned", async () => {
  const loaded = gate();
  const load = async (): Promise<string> => {
    await loaded.pass();
    return "loaded";
  };
  const first = here.getOrSet("stays", load);
  await flush();
  listener.everythingChanged("a", moves);
  const second = here.getOrSet("stays", () => "loaded twice");
  loaded.open();
  expect([await first, await second, reads]).toEqual(["loaded", "loaded", 1]);
});

it("a copy that is not concerned is fresh for the inspector too", async () => {
  await Promise.all(["stays", "moved"].map((key) => here.set(key, 1)));
  listener.everythingChanged("a", moves);
  using inspection = inspect(here);
  const states = Array.from(inspection.entries(), ({ key, state }) => [key, state]);
  expect(states.toSorted()).toEqual([
    ["moved", "unconfirmed"],
    ["stays", "fresh"],
  ]);
});

it.each([
  [32, 0],
  [33, 1],
])("after %i ends for other keys a copy costs %i reads: more would cost more to look at", async (ends, cost) => {
  await here.set("stays", 1);
  for (let i = 0; i < ends; i += 1) listener.everythingChanged("a", moves);
  expect([await here.get("stays"), reads]).toEqual([1, cost]);
});
