/** Omissions in docstrings of public names: `node .ci/checks/docstrings.ts` lists the places. */
import { expect, it } from "vitest";
import { DOCSTRINGS } from "../budgets/budgets.ts";
import { count, publicItems } from "./docstrings.ts";

it("public items say what they are, and functions which errors they have", { timeout: 120_000 }, () => {
  const { items, silent, functions, errorless } = count(publicItems());
  expect(items).toBeGreaterThan(2_000);
  expect(silent.length / items, "without a word").toBeLessThanOrEqual(DOCSTRINGS["items without a word"]);
  expect(1 - errorless.length / functions, "that name their errors").toBeGreaterThanOrEqual(
    DOCSTRINGS["functions that name their errors"],
  );
});
