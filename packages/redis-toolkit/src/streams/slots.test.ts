import { TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import type { EntryId } from "./entry-id.ts";
import { entryOf } from "./entry.ts";
import type { Delivery } from "./member.ts";
import { Slots, type ConsumerContext, type SlotsSettings } from "./slots.ts";

interface Job {
  readonly n: string;
}

const deliveriesOf = (...numbers: readonly string[]): readonly Delivery<Job>[] =>
  numbers.map((n) => ({ entry: entryOf<Job>(`${Number(n)}-1`, ["n", n]), deliveries: 1 }));

class Scene {
  readonly clock = new TestClock();
  readonly log: string[] = [];
  readonly gates = new Map<string, PromiseWithResolvers<void>>();
  readonly signals = new Map<string, AbortSignal>();
  counted: (readonly (readonly [EntryId, number])[])[] = [];
  renewed: (readonly EntryId[])[] = [];
  lost: readonly EntryId[] = [];

  settings(changes: Partial<SlotsSettings<Job>> = {}): SlotsSettings<Job> {
    return {
      clock: this.clock,
      concurrency: 1,
      renewEveryMs: 100,
      renew: async (ids) => {
        this.renewed.push(ids);
        return this.lost;
      },
      onRenewalFailed: (error) => this.log.push(`not renewed: ${(error as Error).message}`),
      handler: ({ fields }, { signal }: ConsumerContext) => {
        this.log.push(`begin ${fields.n}`);
        this.signals.set(fields.n, signal);
        const gate = Promise.withResolvers<void>();
        this.gates.set(fields.n, gate);
        return gate.promise;
      },
      onHandled: (id) => this.log.push(`handled ${id}`),
      onFailed: async ({ entry }, error) => void this.log.push(`failed ${entry.id}: ${(error as Error).message}`),
      count: async (deliveries) => {
        this.counted.push([...deliveries]);
        return this.lost;
      },
      ...changes,
    };
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await new Promise(setImmediate);
  }
}

const tick = (): Promise<void> => new Promise(setImmediate);

it("handlers run in order, one after another, and a failure stops no other", async () => {
  const scene = new Scene();
  const slots = new Slots(scene.settings());
  slots.add(deliveriesOf("1", "2", "3"));
  const run = slots.untilIdle();
  await tick();
  expect(scene.log).toEqual(["begin 1"]);
  scene.gates.get("1")!.reject(new Error("no"));
  await tick();
  scene.gates.get("2")!.resolve();
  await tick();
  scene.gates.get("3")!.resolve();
  await run;
  expect(scene.log).toEqual(["begin 1", "failed 1-1: no", "begin 2", "handled 2-1", "begin 3", "handled 3-1"]);
});

it("as many handlers run at once as concurrency says", async () => {
  const scene = new Scene();
  const slots = new Slots(scene.settings({ concurrency: 2 }));
  slots.add(deliveriesOf("1", "2", "3"));
  const run = slots.untilIdle();
  await tick();
  expect(scene.log).toEqual(["begin 1", "begin 2"]);
  scene.gates.get("2")!.resolve();
  await tick();
  expect(scene.log.slice(2)).toEqual(["handled 2-1", "begin 3"]);
  for (const n of ["1", "3"]) scene.gates.get(n)!.resolve();
  await run;
});

it("A52: entries that wait or are handled are renewed; one that was taken is aborted, or never begun", async () => {
  const scene = new Scene();
  const slots = new Slots(scene.settings());
  slots.add(deliveriesOf("1", "2", "3"));
  const run = slots.untilIdle();
  await scene.advance(100);
  expect(scene.renewed).toEqual([["1-1", "2-1", "3-1"]]);
  scene.lost = ["1-1", "3-1"];
  await scene.advance(100);
  expect((scene.signals.get("1")!.reason as Error).message).toBe("another consumer has taken the entry");
  scene.lost = [];
  scene.gates.get("1")!.reject(new Error("given up"));
  await tick();
  expect(scene.signals.get("2")!.aborted).toBe(false);
  await scene.advance(100);
  expect(scene.renewed.at(-1)).toEqual(["2-1", "3-1"]);
  scene.gates.get("2")!.resolve();
  await run;
  expect(scene.log).toEqual(["begin 1", "failed 1-1: given up", "begin 2", "handled 2-1"]);
  await scene.advance(1_000);
  expect(scene.renewed).toHaveLength(3);
});

it("A52: a renewal that fails is reported, and tried again", async () => {
  const scene = new Scene();
  let attempts = 0;
  const renew = async (): Promise<never> => {
    attempts += 1;
    throw new Error("away");
  };
  const slots = new Slots(scene.settings({ renew }));
  slots.add(deliveriesOf("1"));
  const run = slots.untilIdle();
  await scene.advance(100);
  await scene.advance(100);
  expect([attempts, scene.signals.get("1")!.aborted]).toEqual([2, false]);
  expect(scene.log).toEqual(["begin 1", "not renewed: away", "not renewed: away"]);
  scene.gates.get("1")!.resolve();
  await run;
});

it("A55: abandoned slots begin nothing more, aborts what runs, and is not waited for", async () => {
  const scene = new Scene();
  const slots = new Slots(scene.settings());
  slots.add(deliveriesOf("1", "2"));
  const run = slots.untilIdle();
  await tick();
  slots.abandon();
  await run;
  expect((scene.signals.get("1")!.reason as Error).message).toBe("the consumer was stopped");
  scene.gates.get("1")!.resolve();
  await tick();
  expect(scene.log).toEqual(["begin 1", "handled 1-1"]);
  slots.add(deliveriesOf("3"));
  expect(scene.log).toEqual(["begin 1", "handled 1-1"]);
});

it("A102: a slow entry holds up no other, and a slot is free as soon as its handler has ended", async () => {
  const scene = new Scene();
  const slots = new Slots(scene.settings({ concurrency: 2 }));
  slots.add(deliveriesOf("1", "2", "3"));
  await tick();
  expect([slots.free, slots.held]).toEqual([0, 3]);
  const stop = new AbortController();
  let isFree = false;
  const waited = slots.untilFree(stop.signal).then(() => (isFree = true));
  scene.gates.get("2")!.resolve();
  await tick();
  expect([scene.log.at(-1), isFree]).toEqual(["begin 3", false]);
  scene.gates.get("3")!.resolve();
  await waited;
  expect([slots.free, slots.held]).toEqual([1, 1]);
  slots.add(deliveriesOf("4"));
  await tick();
  expect(scene.log.at(-1)).toBe("begin 4");
  const stopped = slots.untilFree(stop.signal);
  stop.abort();
  await stopped;
});

it("A100: a first delivery is counted when its handler has begun, and not before", async () => {
  const scene = new Scene();
  const slots = new Slots(scene.settings());
  const [first, ...others] = deliveriesOf("1", "2", "3", "4");
  slots.add([first!, ...others.map((delivery) => ({ ...delivery, isCounted: false as const }))]);
  await scene.advance(50);
  expect(scene.counted).toEqual([]);
  scene.gates.get("1")!.resolve();
  await tick();
  await scene.advance(9);
  expect(scene.counted).toEqual([]);
  await scene.advance(1);
  expect(scene.counted).toEqual([[["2-1", 1]]]);
  scene.gates.get("2")!.resolve();
  await tick();
  // One that ends before needs no count; one that fails does.
  scene.gates.get("3")!.resolve();
  await tick();
  scene.gates.get("4")!.reject(new Error("no"));
  await slots.untilIdle();
  expect(scene.counted).toEqual([[["2-1", 1]], [["4-1", 1]]]);
  expect(scene.log.at(-1)).toBe("failed 4-1: no");
});

const repeated = (...numbers: readonly string[]): readonly Delivery<Job>[] =>
  deliveriesOf(...numbers).map((delivery) => ({ ...delivery, deliveries: 3, isCounted: false }));

it("A100: repetitions are counted together, and begin once that is confirmed", async () => {
  const scene = new Scene();
  const confirmed = Promise.withResolvers<readonly EntryId[]>();
  const count = (deliveries: ReadonlyMap<EntryId, number>): Promise<readonly EntryId[]> => {
    scene.counted.push([...deliveries]);
    return confirmed.promise;
  };
  const slots = new Slots(scene.settings({ concurrency: 3, count }));
  slots.add(repeated("1", "2", "3"));
  await tick();
  expect([scene.log, scene.counted]).toEqual([
    [],
    [
      [
        ["1-1", 3],
        ["2-1", 3],
        ["3-1", 3],
      ],
    ],
  ]);
  // Another consumer has taken the second one meanwhile.
  confirmed.resolve(["2-1"]);
  await tick();
  expect(scene.log).toEqual(["begin 1", "begin 3"]);
  expect([slots.free, slots.has("2-1")]).toEqual([1, false]);
});

it("A100: a repetition begins although Redis does not count it, and is counted later", async () => {
  const scene = new Scene();
  let isUp = false;
  const count = async (deliveries: ReadonlyMap<EntryId, number>): Promise<readonly EntryId[]> => {
    if (!isUp) throw new Error("down");
    scene.counted.push([...deliveries]);
    return [];
  };
  const slots = new Slots(scene.settings({ count }));
  slots.add(repeated("1"));
  await tick();
  expect(scene.log).toEqual(["not renewed: down", "begin 1"]);
  isUp = true;
  await scene.advance(10);
  expect(scene.counted).toEqual([[["1-1", 3]]]);
});

it("A100: a repetition that is counted when all are abandoned does not begin, and its count is taken back", async () => {
  const scene = new Scene();
  const confirmed = Promise.withResolvers<readonly EntryId[]>();
  const count = (deliveries: ReadonlyMap<EntryId, number>): Promise<readonly EntryId[]> => {
    scene.counted.push([...deliveries]);
    return confirmed.promise;
  };
  const slots = new Slots(scene.settings({ count }));
  slots.add(repeated("1"));
  await tick();
  slots.abandon();
  confirmed.resolve([]);
  await tick();
  expect([scene.log, scene.counted]).toEqual([[], [[["1-1", 3]], [["1-1", 2]]]]);
});
