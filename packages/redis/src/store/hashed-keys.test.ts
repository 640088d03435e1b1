import { expect, it } from "vitest";
import { HashedKeys } from "./hashed-keys.ts";

it("remembers 100,000 keys at most: it forgets the oldest, many in a row, and reports each", () => {
  const forgotten: string[] = [];
  const hashed = new HashedKeys((key) => forgotten.push(key));
  for (let i = 0; i < 100_000; i += 1) hashed.add(`#k${i}`, `k${i}`);
  hashed.add("#k0", "k0");
  expect([hashed.keyOf("#k0"), forgotten]).toEqual(["k0", []]);
  hashed.add("#another", "another");
  expect([forgotten.length, forgotten[0], forgotten.at(-1)]).toEqual([1_000, "k0", "k999"]);
  expect([hashed.keyOf("#k999"), hashed.keyOf("#k1000"), hashed.keyOf("#another")]).toEqual([
    undefined,
    "k1000",
    "another",
  ]);
});
