import fc from "fast-check";
import { expect, it } from "vitest";
import { FrequencySketch } from "./frequency-sketch.ts";
import { HITS, SAMPLED, WindowAndMain } from "./window-and-main.ts";

interface ModelEntry {
  readonly hash: number;
  size: number;
  hits: number;
  lives: number;
}

/** The same policy in arrays, without slots, links, bits and running sums. */
class Model {
  window: ModelEntry[] = [];
  main: ModelEntry[] = [];
  #sketch: FrequencySketch;
  #bound: "entries" | "bytes" = "entries";
  #isWidening = false;
  #share: number;
  #random = 1;

  constructor(capacity: number, share: number) {
    this.#sketch = new FrequencySketch(capacity);
    this.#share = share;
  }

  set share(share: number) {
    this.#isWidening = share > this.#share;
    this.#share = share;
  }

  get all(): readonly ModelEntry[] {
    return [...this.main, ...this.window];
  }

  admit(hash: number, size: number): ModelEntry {
    const entry = { hash, size, hits: 0, lives: 0 };
    this.#sketch.add(hash, 1);
    this.window.push(entry);
    for (let moves = 0; moves < 16; moves += 1) {
      if (this.#isTooWide()) this.main.push(this.window.shift()!);
      else if (this.#isWidening && this.main.length > 0 && this.#weight(this.window) < this.#share * this.#whole()) {
        this.window.push(this.main.shift()!);
      } else {
        this.#isWidening = false;
        break;
      }
    }
    return entry;
  }

  release(entry: ModelEntry): void {
    this.window = this.window.filter((each) => each !== entry);
    this.main = this.main.filter((each) => each !== entry);
  }

  toTail(entry: ModelEntry): void {
    const list = this.window.includes(entry) ? this.window : this.main;
    list.push(list.splice(list.indexOf(entry), 1)[0]!);
  }

  evict(bound: "entries" | "bytes", incoming: number): ModelEntry {
    this.#bound = bound;
    const victim = this.#victim(incoming);
    this.release(victim);
    return victim;
  }

  forget(capacity: number): void {
    this.#sketch = new FrequencySketch(capacity);
    for (const { hash } of this.all) this.#sketch.add(hash, 1);
  }

  #victim(incoming: number): ModelEntry {
    const isFull =
      this.window.length > 0 &&
      (this.#bound === "bytes"
        ? sum(this.window) + incoming > this.#share * (sum(this.all) + incoming)
        : this.window.length >= Math.max(1, Math.round(this.#share * this.all.length)));
    if (!isFull && this.main.length > 0) return this.#oldest(this.main, 1);
    const candidate = this.#oldest(this.window, 3);
    if (this.main.length === 0) return candidate;
    const victim = this.#oldest(this.main, 1);
    const frequency = this.#sketch.estimate(candidate.hash);
    if (frequency <= this.#sketch.estimate(victim.hash) && !(frequency >= 6 && this.#isOneIn128())) return candidate;
    this.release(candidate);
    this.main.push(candidate);
    return victim;
  }

  #isOneIn128(): boolean {
    this.#random = (Math.imul(this.#random, 1_103_515_245) + 12_345) | 0;
    return ((this.#random >>> 16) & 127) === 0;
  }

  #oldest(list: ModelEntry[], price: number): ModelEntry {
    for (;;) {
      const entry = list[0]!;
      if (entry.hits > 0) this.#sketch.add(entry.hash, entry.hits);
      entry.lives = Math.min(3, entry.lives + entry.hits);
      entry.hits = 0;
      if (entry.lives === 0) return entry;
      entry.lives = Math.max(0, entry.lives - price);
      list.push(list.shift()!);
    }
  }

  #isTooWide(): boolean {
    return this.#bound === "bytes"
      ? this.window.length > 1 && sum(this.window.slice(1)) >= this.#share * sum(this.all)
      : this.window.length > Math.max(1, Math.round(this.#share * this.all.length));
  }

  #weight(list: readonly ModelEntry[]): number {
    return this.#bound === "bytes" ? sum(list) : list.length;
  }

  #whole(): number {
    return this.#bound === "bytes" ? sum(this.all) : Math.round(this.#share * this.all.length) / this.#share;
  }
}

const sum = (entries: readonly ModelEntry[]): number => entries.reduce((bytes, { size }) => bytes + size, 0);

const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant("admit" as const), key: fc.nat(40), size: fc.integer({ min: 0, max: 9 }) }),
  },
  { weight: 12, arbitrary: fc.record({ do: fc.constant("hit" as const), at: fc.nat() }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("evict" as const),
      bound: fc.constantFrom("entries" as const, "bytes" as const),
      incoming: fc.integer({ min: 0, max: 9 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("release" as const), at: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("resize" as const), at: fc.nat(), size: fc.integer({ min: 0, max: 9 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("without" as const), at: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("share" as const), share: fc.constantFrom(0.01, 0.2, 0.5, 1) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("forget" as const), capacity: fc.integer({ min: 1, max: 50 }) }),
  },
);

it("evicts as a plain model does, and keeps its sums, under random operations", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.constantFrom(0.01, 0.2, 0.5, 1),
      fc.array(step, { maxLength: 120 }),
      (capacity, share, steps) => {
        const lists = new WindowAndMain(capacity, share);
        const model = new Model(capacity, share);
        const slots = new Map<ModelEntry, number>();
        const pick = (at: number) => [...slots.entries()][at % slots.size]!;
        for (const action of steps) {
          if (action.do === "admit") {
            const hash = Math.imul(action.key + 1, 0x9e3779b1) >>> 0;
            slots.set(model.admit(hash, action.size), lists.admit(hash, action.size));
          } else if (action.do === "share") {
            lists.share = model.share = action.share;
          } else if (action.do === "forget") {
            lists.forget(action.capacity);
            model.forget(action.capacity);
          } else if (slots.size > 0) {
            run(action);
          }
          expect([...lists.slots()]).toEqual(model.all.map((entry) => slots.get(entry)));
          expect([lists.count, lists.windowCount]).toEqual([slots.size, model.window.length]);
          expect(lists.bytes).toBe(sum(model.all));
          for (const [{ size }, slot] of slots) expect(lists.sizeOf(slot)).toBe(size);
        }

        function run(action: Exclude<(typeof steps)[number], { do: "admit" | "share" | "forget" }>): void {
          if (action.do === "evict") {
            const victim = model.evict(action.bound, action.incoming);
            expect(lists.evict(action.bound, action.incoming)).toBe(slots.get(victim));
            slots.delete(victim);
            return;
          }
          const [entry, slot] = pick(action.at);
          switch (action.do) {
            case "hit":
              if (entry.hits === 15) return;
              entry.hits += 1;
              lists.states[slot]! += 1;
              return;
            case "release":
              model.release(entry);
              lists.release(slot);
              slots.delete(entry);
              return;
            case "resize":
              entry.size = action.size;
              lists.resize(slot, action.size);
              return;
            case "without":
              lists.without(slot, () => expect([...lists.slots()]).not.toContain(slot));
              model.toTail(entry);
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});

it("keeps the mark of a sampled slot through hits, moves and lives", () => {
  const lists = new WindowAndMain(4, 0.01);
  const slot = lists.admit(1, 1);
  lists.states[slot]! |= SAMPLED | 15;
  for (let i = 0; i < 100; i += 1) {
    lists.admit(2 + i, 1);
    if (lists.count > 3) lists.evict("entries", 1);
    if (![...lists.slots()].includes(slot)) break;
    expect(lists.states[slot]! & SAMPLED).toBe(SAMPLED);
  }
  expect(lists.states[slot]! & HITS).toBe(0);
});

it("evicts one all the same when every slot has been hit again and again", () => {
  const lists = new WindowAndMain(5_000, 1);
  for (let hash = 0; hash < 5_000; hash += 1) lists.states[lists.admit(hash, 1)]! += 15;
  const before = [...lists.slots()];
  const victim = lists.evict("entries", 1);
  // A thousand were passed over: then the search ends.
  expect([...lists.slots()].slice(-1_000)).toEqual(before.slice(0, 1_000));
  expect(victim).toBe(before[1_000]);
  expect(lists.count).toBe(4_999);
});

it("moves few slots at a time when the share changes, and all of them in the course of time", () => {
  const lists = new WindowAndMain(1_000, 1);
  for (let hash = 0; hash < 1_000; hash += 1) lists.admit(hash, 1);
  expect(lists.windowCount).toBe(1_000);
  lists.share = 0.01;
  lists.evict("entries", 1);
  const begun = lists.windowCount;
  lists.admit(1_000, 1);
  expect(begun - lists.windowCount).toBeLessThanOrEqual(16);
  for (let hash = 1_001; hash < 1_100; hash += 1) {
    lists.evict("entries", 1);
    lists.admit(hash, 1);
  }
  expect(lists.windowCount).toBe(10);
  lists.share = 1;
  for (let hash = 1_100; hash < 1_200; hash += 1) {
    lists.evict("entries", 1);
    lists.admit(hash, 1);
  }
  expect([lists.windowCount, lists.count]).toEqual([1_000, 1_000]);
});
