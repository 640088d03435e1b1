import { Random } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { ALTERATIONS } from "./alterations.ts";
import { FAULTS, history } from "./history.ts";

// 2003 lost a change by another expression for a column of the same type.
it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 2003])("C649: two minutes of faults, seed %i", async (seed) => {
  const random = new Random(seed);
  const faults = [...FAULTS, ...ALTERATIONS]
    .map((fault) => [random.fraction(), fault] as const)
    .toSorted(([one], [other]) => one - other)
    .map(([, fault]) => fault);
  const report = await history(seed, { faults, everyMs: 2_000 });
  console.log(JSON.stringify({ seed, ...report }));
  expect(report).toMatchObject({ late: [], lost: [] });
});
