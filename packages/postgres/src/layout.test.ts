import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { LAYOUT, schema } from "./schema.ts";

/** By number. A change of the tables or functions raises `LAYOUT` and adds a row; no row is changed or removed. */
const DIGESTS: Readonly<Record<number, string>> = { 3: "28gje2dgfFy50gnmoXTB3v4jCkVsXBGQ5XD-dia69_s" };

it("C572: the tables and functions of a schema are those of its number", () => {
  const text = schema().replaceAll(/--.*$/gm, "").replaceAll(/\s+/g, " ");
  const digest = createHash("sha256").update(text).digest("base64url");
  expect({ [LAYOUT]: digest }).toEqual({ [LAYOUT]: DIGESTS[LAYOUT] });
});
