import { expect, it } from "vitest";
import { Refusals } from "./refusals.ts";
import type { Verdict } from "./verdict.ts";

const REFUSED: Verdict = {
  isAllowed: false,
  blockedMs: 0,
  at: 0,
  states: [{ room: 0, waitMs: 60_000, resetMs: 60_000, over: 0 }],
};

/** How many of `keys` that call in turn are refused from memory, once they have called twice. */
function remembered(keys: number, maxKeys: number): number {
  let seed = 1;
  const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
  const refusals = new Refusals({ longestMs: 60_000, maxKeys, random });
  let found = 0;
  for (let round = 0; round < 12; round += 1)
    for (let key = 0; key < keys; key += 1) {
      const isKnown = refusals.find(`k${key}`, 1, round) !== undefined;
      if (isKnown && round >= 2) found += 1;
      if (!isKnown) refusals.keep(`k${key}`, 1, REFUSED, round);
    }
  return found / (10 * keys);
}

it("refusals that are kept become fewer as keys become more, and not none at once", () => {
  expect(remembered(900, 1_000)).toBe(1);
  const shares = [1_100, 1_200, 2_000, 5_000].map((keys) => remembered(keys, 1_000));
  expect(shares.map((share) => Math.round(share * 10))).toEqual(
    shares.map((share) => Math.round(share * 10)).toSorted((a, b) => b - a),
  );
  expect(shares[0]).toBeGreaterThan(0.7);
  expect(shares[1]).toBeGreaterThan(0.6);
  expect(shares[2]).toBeGreaterThan(0.1);
});

it("a refusal that is forgotten leaves the others", () => {
  const refusals = new Refusals({ longestMs: 60_000, maxKeys: 3, random: () => 0 });
  for (const key of ["a", "b", "c"]) refusals.keep(key, 1, REFUSED, 0);
  refusals.forget("b");
  refusals.forget("b");
  const known = (): string =>
    ["a", "b", "c", "d", "e"].filter((key) => refusals.find(key, 1, 1) !== undefined).join("");
  expect(known()).toBe("ac");
  refusals.keep("d", 1, REFUSED, 0);
  expect(known()).toBe("acd");
  // The first in the list goes.
  refusals.keep("e", 1, REFUSED, 0);
  expect(known()).toBe("cde");
});
