import { expect, it } from "vitest";
import { ValueMode } from "./value-mode.ts";

it("a tier that names no mode shares its values, as they are", () => {
  const value = { name: "Ada" };
  const mode = new ValueMode({ label: "own" }, false);
  expect([mode.own(value), mode.handOut(value)].every((each) => each === value)).toBe(true);
  expect(Object.isFrozen(value)).toBe(false);
});
