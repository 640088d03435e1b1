/** Omissions in docstrings of public names: `node .ci/checks/docstrings.ts` lists the places. */
import { expect, it } from "vitest";
import { count, publicItems } from "./docstrings.ts";

/** Shares of all public items, and of all public functions; 5 % below what was reached. */
const MOST_SILENT = 0.02;
const LEAST_NAMED = 0.855;

it("public items say what they are, and functions which errors they have", { timeout: 120_000 }, () => {
  const { items, silent, functions, errorless } = count(publicItems());
  expect(items).toBeGreaterThan(2_000);
  expect(silent.length / items, "without a word").toBeLessThanOrEqual(MOST_SILENT);
  expect(1 - errorless.length / functions, "that name their errors").toBeGreaterThanOrEqual(LEAST_NAMED);
});
