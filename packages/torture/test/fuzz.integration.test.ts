/** `npm run torture -- fuzz`, for a moment; it runs for longer each night. */
import { isNightly } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { Fuzzer } from "../src/fuzz/fuzzer.ts";
import { TARGETS } from "../src/fuzz/targets.ts";

const fileBeside = (path: string): string => new URL(path, import.meta.url).pathname;

it.each(Object.keys(TARGETS))(
  "C141, C143, C150, C152: any bytes for %s are a value or a miss",
  { timeout: 120_000 },
  async (target) => {
    const fuzzer = new Fuzzer(fileBeside("../src/fuzz/rounds.ts"));
    expect(await fuzzer.run(target, 1, isNightly ? 60 : 15)).toBe(undefined);
  },
);

it.each([
  ["throws", 20_000, "a promise is broken"],
  ["fills the heap", 20_000, "heap out of memory"],
  ["stands still", 3_000, "it took more than 3000 ms"],
])("a decoder that %s is found, with the seed of that round", async (way, silenceMs, reason) => {
  const fuzzer = new Fuzzer(fileBeside("./planted-rounds.ts"), silenceMs);
  expect(await fuzzer.run(way, 1, 5)).toBe(undefined);
  const failure = await fuzzer.run(way, 5, 5);
  expect(failure).toEqual({ seed: 7, reason: expect.stringContaining(reason) as string });
});
