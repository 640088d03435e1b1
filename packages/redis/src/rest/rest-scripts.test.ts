import { expect, it } from "vitest";
import { RestScripts } from "./rest-scripts.ts";

it("scripts that users send by their text are kept, but not without a bound", () => {
  const scripts = new RestScripts();
  const first = scripts.ofText("return 0");
  expect(scripts.ofText("return 0")).toBe(first);
  // Some 10 MB of texts that a program makes up.
  for (let i = 1; i <= 1_000; i += 1) scripts.ofText(`return ${i} --${"x".repeat(5_000)}`);
  expect(scripts.ofText("return 0")).not.toBe(first);
});
