import { expect, it } from "vitest";
import { KeyAliases } from "./key-aliases.ts";

it("knows 100,000 keys at most: it forgets the oldest, many at once, and reports each", () => {
  const forgotten: string[] = [];
  const aliases = new KeyAliases(
    (key) => `#${key}`,
    (key) => forgotten.push(key),
  );
  for (let i = 0; i < 100_000; i += 1) aliases.add(`k${i}`);
  aliases.add("k0");
  expect([aliases.keyOf("#k0"), forgotten]).toEqual(["k0", []]);
  aliases.add("another");
  expect([forgotten.length, forgotten[0], forgotten.at(-1)]).toEqual([1_000, "k0", "k999"]);
  expect([aliases.keyOf("#k999"), aliases.keyOf("#k1000"), aliases.keyOf("#another")]).toEqual([
    undefined,
    "k1000",
    "another",
  ]);
});
