import { Random } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { FAULTS, history } from "./history.ts";

it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])("C649: a minute of faults, seed %i", async (seed) => {
  const random = new Random(seed);
  const faults = FAULTS.map((fault) => [random.fraction(), fault] as const)
    .toSorted(([one], [other]) => one - other)
    .map(([, fault]) => fault);
  const report = await history(seed, { faults: [...faults, "follower killed"], everyMs: 3_000 });
  console.log(JSON.stringify({ seed, ...report }));
  expect(report).toMatchObject({ late: [], lost: [] });
});
