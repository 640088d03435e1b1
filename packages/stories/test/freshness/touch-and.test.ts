/** `touch` together with each other rule about lives, over every kind of store. */
import { compose } from "@hotset/compose";
import type { Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { aesGcm, sealed } from "@hotset/seal";
import { createTestCache, gate, scriptedBackend, TestClock, type ScriptedBackendOptions } from "@hotset/testing";
import { expect, it } from "vitest";
import { never } from "../support/stacks.ts";

const SEAL = aesGcm({ keys: [{ id: "k", key: Buffer.alloc(32, 1) }] });
const scripted = (clock: TestClock, options: Omit<ScriptedBackendOptions, "clock"> = {}) =>
  scriptedBackend({ clock, leases: true, tagVersions: true, ...options });
const WAYS = {
  memory: () => false,
  "a backend": (clock: TestClock) => scripted(clock),
  "a backend without leases": (clock: TestClock) => scripted(clock, { leases: false }),
  "near and far": (clock: TestClock) =>
    compose(scriptedBackend({ clock, label: "near" }), scripted(clock), { nearTtl: "1h", clock }),
  "a seal": (clock: TestClock) => sealed(scripted(clock), SEAL, { clock }),
} as const;

type Tell = (cache: Cache, clock: TestClock) => Promise<unknown>;

const down = (): never => {
  throw new Error("down");
};
const or = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => (error as Error).message);

const STORIES: readonly { title: string; policy: object; tell: Tell; ends: unknown }[] = [
  {
    title: "staleIfError counts from the end of the life that touch gave",
    policy: { ttl: 100, staleIfError: 1_000 },
    async tell(cache, clock) {
      await cache.set("k", "v");
      clock.advance(90);
      await cache.touch("k", { ttl: 200 });
      clock.advance(1_199);
      const last = await or(cache.getOrSet("k", down));
      clock.advance(1);
      return [last, await or(cache.getOrSet("k", down))];
    },
    ends: ["v", "down"],
  },
  {
    title: "markStale leaves the window, and no more, of a long touch",
    policy: { ttl: 100, staleIfError: 500 },
    async tell(cache, clock) {
      await cache.set("k", "v");
      await cache.touch("k", { ttl: 10_000 });
      clock.advance(1_000);
      await cache.markStale("k");
      clock.advance(499);
      const last = await or(cache.getOrSet("k", down));
      clock.advance(1);
      return [last, await or(cache.getOrSet("k", down)), await cache.touch("k")];
    },
    ends: ["v", "down", { status: "missing" }],
  },
  {
    title: "null is given negativeTtl, or the ttl of the call",
    policy: { ttl: 100, negativeTtl: 20 },
    async tell(cache, clock) {
      await cache.getOrSet("k", () => null);
      clock.advance(19);
      await cache.touch("k");
      clock.advance(19);
      const own = (await cache.inspect("k"))?.freshForMs;
      await cache.touch("k", { ttl: 300 });
      return [own, (await cache.inspect("k"))?.freshForMs, await cache.getOrSet("k", never)];
    },
    ends: [1, 300, null],
  },
  {
    title: "a value that is not stored, or not shared, is not there",
    policy: { ttl: 100 },
    async tell(cache) {
      const statuses: unknown[] = [];
      for (const how of ["noStore", "notShared"] as const) {
        await cache.getOrSet(how, (ctx) => ctx[how](1));
        statuses.push((await cache.touch(how)).status, await cache.getOrSet(how, (ctx) => ctx[how](2)));
      }
      return statuses;
    },
    ends: ["missing", 2, "missing", 2],
  },
  {
    title: "a batch loads the items that were not touched, and its tags reach those that were",
    policy: { ttl: 100, staleIfError: 1_000 },
    async tell(cache, clock) {
      const many = async (value: number) => {
        const load = (missing: readonly string[]) => missing.map((each) => [each, value] as const);
        const found = await cache.getOrSetMany(["a", "b"], (each) => each, load, { tags: (each) => [each] });
        return [...found.values()].join();
      };
      const answers = [await many(1)];
      clock.advance(90);
      await cache.touch("a");
      clock.advance(90);
      answers.push(await many(2));
      await cache.invalidateTags("a");
      return [...answers, await many(3)];
    },
    ends: ["1,1", "1,2", "3,2"],
  },
  {
    title: "a refresh ahead of time that was begun before replaces the touched value, with a life of its own",
    policy: { ttl: 100, refreshAhead: 0.5 },
    async tell(cache, clock) {
      const loading = gate<string>();
      await cache.set("k", "v", { tags: ["t"] });
      clock.advance(60);
      const hit = await cache.getOrSet("k", loading.pass, { tags: ["t"] });
      await loading.arrived();
      const { status } = await cache.touch("k", { ttl: 10_000 });
      loading.open("new");
      await cache.drain();
      const { freshForMs, tags } = (await cache.inspect("k"))!;
      return [hit, status, await cache.get("k"), freshForMs, tags];
    },
    ends: ["v", "touched", "new", 100, ["t"]],
  },
];

it.each(Object.keys(WAYS).flatMap((way) => STORIES.map((story) => ({ ...story, way: way as keyof typeof WAYS }))))(
  "over $way, touched: $title",
  async ({ way, policy, tell, ends }) => {
    const clock = new TestClock();
    for (const local of way === "memory" ? [memory()] : [memory(), false as const]) {
      const cache = createTestCache({ ...policy, clock, local, backend: WAYS[way](clock) });
      expect(await tell(cache, clock)).toEqual(ends);
    }
  },
);
