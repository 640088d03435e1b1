/** In the async context of which call the functions of a user run. Timers keep that context, as those of Node do. */
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { open, STACKS } from "../support/stacks.ts";

const request = new AsyncLocalStorage<string>();

class NodeClock extends TestClock {
  override schedule(callback: () => void, delayMs: number): () => void {
    return super.schedule(AsyncResource.bind(callback), delayMs);
  }
}

it.for(STACKS)("onServed runs in the async context of its own call, also for a shared load: %s", async (stack) => {
  const { cache } = open(stack);
  const loading = gate<number>();
  const servedIn: unknown[] = [];
  const call = (name: string): Promise<unknown> =>
    request.run(name, () =>
      cache.getOrSet("k", loading.pass, { onServed: () => servedIn.push([name, request.getStore()]) }),
    );
  const calls = [call("1"), call("2"), call("3")];
  await loading.arrived();
  loading.open(1);
  await Promise.all(calls);
  await call("hit");
  expect(servedIn).toEqual([
    ["1", "1"],
    ["2", "2"],
    ["3", "3"],
    ["hit", "hit"],
  ]);
});

it("C44 waitUntil receives a store that takes too long in the async context of its own call", async () => {
  const clock = new NodeClock();
  const backend = scriptedBackend({ clock, deadlineMs: 1_000 });
  const givenIn: unknown[] = [];
  const cache = createTestCache({ clock, backend, waitUntil: () => givenIn.push(request.getStore()) });
  await request.run("first", () => cache.getOrSet("first", () => 1));
  clock.advance(100);
  const storing = gate();
  backend.script("write", { before: gate() });
  const slow = request.run("slow", () => cache.getOrSet("slow", () => storing.pass().then(() => 2)));
  await storing.arrived();
  storing.open();
  await flush();
  clock.advance(1_000);
  expect(await slow).toBe(2);
  expect(givenIn).toEqual(["slow"]);
});

it("a lease that was granted too late is released in the async context of the call that asked for it", async () => {
  const clock = new NodeClock();
  const backend = scriptedBackend({ clock, leases: true, deadlineMs: 1_000 });
  const cache = createTestCache({ clock, backend });
  const leases = backend.leases!;
  const release = leases.release.bind(leases);
  const releasedIn: unknown[] = [];
  Object.assign(leases, {
    release: (...given: Parameters<typeof release>) => {
      releasedIn.push(request.getStore());
      return release(...given);
    },
  });
  await request.run("first", () => cache.getOrSet("first", () => 1));
  const [reading, granting] = [gate(), gate()];
  backend.script("read", { before: reading });
  backend.script("leases.acquire", { after: granting });
  const slow = request.run("slow", () => cache.getOrSet("slow", () => 2));
  await reading.arrived();
  // So that the time of the flight ends before that of the call of the backend.
  clock.advance(400);
  reading.open();
  await granting.arrived();
  clock.advance(600);
  expect(await slow).toBe(2);
  granting.open();
  await flush();
  expect(releasedIn).toEqual(["slow"]);
});

it("what calls share runs in the async context of none of them: timers of deadlines", async () => {
  const clock = new NodeClock();
  const backend = scriptedBackend({ clock, deadlineMs: 1_000 });
  const cache = createTestCache({ clock, backend });
  const reportedIn: unknown[] = [];
  cache.on("backend:error", () => reportedIn.push(request.getStore()));
  // Its timer serves the next call as well.
  await request.run("first", () => cache.get("first"));
  backend.script("read", { before: gate() });
  const late = request.run("late", () => cache.get("late").then(() => request.getStore()));
  clock.advance(1_000);
  expect(await late).toBe("late");
  expect(reportedIn).toEqual([undefined]);
});

it("what calls share runs in the async context of none of them: the replay of invalidations", async () => {
  const clock = new NodeClock();
  const backend = scriptedBackend({ clock });
  const cache = createTestCache({ clock, backend });
  const replayedIn: unknown[] = [];
  cache.on("recover", () => replayedIn.push(request.getStore()));
  const deleted = async (): Promise<void> => {
    backend.script("remove", { fail: true });
    expect(await request.run("delete", () => cache.delete("k"))).toEqual({ status: "pending" });
  };
  await deleted();
  clock.advance(1_000);
  await flush();
  expect(replayedIn).toEqual([undefined]);

  await deleted();
  expect(await request.run("read", () => cache.get("k").then(() => request.getStore()))).toBe("read");
  await flush();
  expect(replayedIn).toEqual([undefined, undefined]);
});

it("what calls share runs in the async context of none of them: the subscription to changes", async () => {
  const clock = new NodeClock();
  const backend = scriptedBackend({ clock, coherence: "reported" });
  const cache = createTestCache({ clock, backend });
  const reportedIn: unknown[] = [];
  cache.on("backend:error", ({ operation }) => reportedIn.push([operation, request.getStore()]));
  backend.script("attach", { fail: new Error("no permission") });
  await request.run("first", () => cache.getOrSet("k", () => 1));
  await flush();
  expect(reportedIn).toEqual([["attach", undefined]]);
});
