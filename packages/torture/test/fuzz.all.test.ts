/** `npm run torture -- fuzz`, for a moment; it runs for longer each night. */
import { isNightly } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { fuzz, TARGETS } from "../src/fuzz/targets.ts";

it.each(Object.keys(TARGETS))("C150: any bytes for %s are a value or a miss", async (target) => {
  await expect(fuzz(target, { seed: 1, numRuns: isNightly ? 60 : 15 })).resolves.toBe(undefined);
});
