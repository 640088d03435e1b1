import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { LAYOUT_VERSION } from "./database-file.ts";
import { LAYOUT } from "./tables.ts";

/** By number. A change of the tables raises `LAYOUT_VERSION` and adds a row; no row is changed or removed. */
const DIGESTS: Readonly<Record<number, string>> = { 1: "2AQZQNWY4yF7Q4-VTdmeRZTD9VWKbpQtLjyY2_Asp2s" };

it("C572: the tables of a file are those of its number", () => {
  const digest = createHash("sha256").update(LAYOUT.replaceAll(/\s+/g, " ")).digest("base64url");
  expect({ [LAYOUT_VERSION]: digest }).toEqual({ [LAYOUT_VERSION]: DIGESTS[LAYOUT_VERSION] });
});
