import { globSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { STYLES } from "./build-client.ts";

it("puts every style sheet of the page together, each once", () => {
  const cwd = join(import.meta.dirname, "client");
  const sheets = globSync("**/*.css", { cwd }).map((path) => path.replace(/\.css$/, ""));
  expect(STYLES.toSorted()).toEqual(sheets.toSorted());
});
